//! The dashboards and alert rules, against a real Prometheus that scrapes a pollcast at work.
//!
//! Grafana itself is not here: its types (`grafana.ts`) check the JSON, and `dashboard.mjs` fills
//! in and asks what Grafana would.

mod scene;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::foreign::{folder, node, program};
use crate::support::{PATIENCE, eventually};
use scene::Scene;

const DASHBOARDS: [&str; 3] = ["overview", "feed", "upstreams"];

/// Queries without an answer in the scene, each with the reason.
const EMPTY: [(&str, &str, &str); 4] = [
    (
        "pollcast / overview",
        "File descriptors B",
        "every connection can be accepted",
    ),
    (
        "pollcast / one feed",
        "Exported numbers A",
        "nothing is exported",
    ),
    (
        "pollcast / one feed",
        "Exported numbers B",
        "nothing is exported",
    ),
    (
        "pollcast / one feed",
        "Exported numbers C",
        "nothing is exported",
    ),
];

/// One query that was put to Prometheus.
#[derive(Debug, Deserialize)]
struct Asked {
    dashboard: String,
    r#where: String,
    query: String,
    found: Option<usize>,
    error: Option<String>,
}

#[test]
fn every_query_of_every_dashboard_finds_what_it_asks_for() {
    let scene = Scene::start("0-25,35-40/40", 8, 3, "500ms");
    let deadline = Instant::now() + 6 * PATIENCE;
    let asked = loop {
        let asked = ask_everything(&scene);
        for Asked {
            r#where,
            query,
            error,
            ..
        } in &asked
        {
            assert_eq!(*error, None, "{where}: {query}");
        }
        if asked
            .iter()
            .all(|asked| found(asked) != expected_empty(asked))
        {
            break asked;
        }
        if Instant::now() > deadline {
            let wrong = asked
                .iter()
                .filter(|asked| found(asked) == expected_empty(asked));
            panic!(
                "empty without a reason, or not empty any more: {:#?}",
                wrong.collect::<Vec<_>>()
            );
        }
        std::thread::sleep(Duration::from_secs(1));
    };
    assert!(asked.len() > 150, "{}", asked.len());
    for (dashboard, place, reason) in EMPTY {
        let listed = asked
            .iter()
            .any(|asked| asked.dashboard == dashboard && asked.r#where == place);
        assert!(listed, "no such query: {dashboard}, {place}: {reason}");
    }

    // The rules are evaluated beside them, by the example's own configuration.
    eventually("all rules are evaluated without an error", || {
        let rules = scene.prometheus.api("rules");
        let rules = rules["data"]["groups"][0]["rules"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        rules.len() > 15 && rules.iter().all(|rule| rule["health"] == "ok")
    });
}

fn found(asked: &Asked) -> bool {
    asked.found.is_some_and(|found| found > 0)
}

fn expected_empty(asked: &Asked) -> bool {
    EMPTY
        .iter()
        .any(|(dashboard, place, _)| asked.dashboard == *dashboard && asked.r#where == *place)
}

fn ask_everything(scene: &Scene) -> Vec<Asked> {
    let mut check = node("dashboards/check.mjs");
    check
        .arg(scene.prometheus.url())
        .args(["0.5", "240"])
        .args(DASHBOARDS.map(file));
    let output = check.output().expect("it runs");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    let lines = String::from_utf8(output.stdout).expect("text");
    let lines = lines.lines().map(serde_json::from_str);
    lines.collect::<Result<_, _>>().expect("lines of JSON")
}

#[test]
fn dashboards_are_what_grafanas_types_say() {
    let (well, said) = typed(&DASHBOARDS.map(file));
    assert!(well, "{said}");
}

#[test]
fn a_slip_in_a_dashboard_is_no_dashboard_any_more() {
    let slips = [
        ("/schemaVersion", json!("42")),
        ("/graphTooltip", json!(9)),
        ("/templating/list/1/refresh", json!(7)),
        ("/panels/0/type", json!("stats")),
        ("/panels/0/datasource/uid", json!("prometheus-1")),
        ("/panels/0/gridPos/w", json!("3")),
        ("/panels/0/options/colorMode", json!("loud")),
        ("/panels/0/options/colour", json!("green")),
        ("/panels/0/fieldConfig/defaults/unit", json!("parsecs")),
        (
            "/panels/0/fieldConfig/defaults/color/mode",
            json!("rainbow"),
        ),
        (
            "/panels/0/fieldConfig/defaults/thresholds/steps/0/value",
            json!("0"),
        ),
        ("/panels/0/targets/0/expr", json!(1)),
        ("/panels/0/targets/0/legend", json!("{{feed}}")),
        ("/panels/8/options/cellHeight", json!("huge")),
        (
            "/panels/8/fieldConfig/overrides/0/properties/1/id",
            json!("custom.widht"),
        ),
        ("/panels/10/fieldConfig/defaults/custom/lineWith", json!(2)),
        ("/panels/10/options/legend/placement", json!("left")),
    ];
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut files = Vec::new();
    for (number, (pointer, value)) in slips.iter().enumerate() {
        let mut dashboard = read("overview");
        let (parent, member) = pointer.rsplit_once('/').expect("a pointer");
        dashboard.pointer_mut(parent).expect(pointer)[member] = value.clone();
        let file = folder.path().join(format!("slip{number}.json"));
        fs::write(&file, dashboard.to_string()).expect("a file");
        files.push(file);
    }
    let (well, said) = typed(&files);
    assert!(!well);
    for (number, slip) in slips.iter().enumerate() {
        assert!(
            said.contains(&format!("slip{number}.ts(")),
            "taken: {slip:?}"
        );
    }
}

/// Whether the TypeScript compiler takes these files for dashboards, and what it says.
fn typed(files: &[PathBuf]) -> (bool, String) {
    let output = node("dashboards/typed.mjs")
        .args(files)
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    (output.status.success(), said.into_owned())
}

#[test]
fn dashboards_can_be_provisioned_side_by_side() {
    let mut seen = BTreeSet::new();
    for name in DASHBOARDS {
        let dashboard = read(name);
        assert_eq!(dashboard["uid"], format!("pollcast-{name}"));
        assert!(dashboard.get("id").is_none(), "{name}: Grafana gives it");
        assert!(
            seen.insert(dashboard["title"].to_string()),
            "{name}: its title is another's"
        );
        let variables = dashboard["templating"]["list"]
            .as_array()
            .expect("variables");
        assert_eq!(variables[0]["name"], "datasource");
        assert_eq!(variables[0]["type"], "datasource");

        let (mut ids, mut titles, mut places) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for panel in dashboard["panels"].as_array().expect("panels") {
            let title = &panel["title"];
            assert!(
                ids.insert(panel["id"].to_string()),
                "{name}: {title} has another's id"
            );
            assert!(
                titles.insert(title.to_string()),
                "{name}: {title} is there twice"
            );
            let at = |side: &str| panel["gridPos"][side].as_u64().expect("a place");
            assert!(
                at("x") + at("w") <= 24,
                "{name}: {title} is beyond the edge"
            );
            for x in at("x")..at("x") + at("w") {
                for y in at("y")..at("y") + at("h") {
                    assert!(places.insert((x, y)), "{name}: {title} lies on another");
                }
            }
        }
    }
}

#[test]
fn promtool_takes_the_example_and_its_rules_and_every_alert_does_as_tested() {
    promtool(&["check", "config", "prometheus.yml"]);
    promtool(&["test", "rules", "alerts.test.yaml"]);
    let rules = fs::read_to_string(dashboards().join("alerts.yaml")).expect("a file");
    let tests = fs::read_to_string(dashboards().join("alerts.test.yaml")).expect("a file");
    let readme = fs::read_to_string(dashboards().join("README.md")).expect("a file");
    let rules: Value = serde_yaml::from_str(&rules).expect("YAML");
    let tests: Value = serde_yaml::from_str(&tests).expect("YAML");
    for rule in rules["groups"][0]["rules"].as_array().expect("rules") {
        let name = rule["alert"].as_str().expect("a name");
        for annotation in ["summary", "description", "runbook"] {
            assert!(
                rule["annotations"][annotation].is_string(),
                "{name}: no {annotation}"
            );
        }
        for part in ["Means", "ook", "o:"] {
            let runbook = rule["annotations"]["runbook"].as_str().unwrap_or_default();
            assert!(
                runbook.contains(part),
                "{name}: {part:?} is not in the runbook"
            );
        }
        assert!(
            readme.contains(&format!("`{name}`")),
            "{name} is not in the README"
        );
        let cases = tests["tests"].as_array().expect("tests").iter();
        let cases = cases.flat_map(|test| test["promql_expr_test"].as_array().expect("cases"));
        let asks = format!("ALERTS{{alertname=\"{name}\", alertstate=\"firing\"}}");
        let (rests, fires): (Vec<_>, Vec<_>) = cases
            .filter(|case| case["expr"] == *asks)
            .partition(|case| case["exp_samples"] == json!([]));
        assert!(!fires.is_empty(), "{name}: no test in which it fires");
        assert!(
            !rests.is_empty(),
            "{name}: no test in which it does not fire"
        );
    }
}

#[test]
fn runbooks_and_panels_point_to_panels_that_there_are() {
    let mut titles: BTreeSet<String> = BTreeSet::new();
    let mut texts = vec![fs::read_to_string(dashboards().join("alerts.yaml")).expect("a file")];
    for name in DASHBOARDS {
        let dashboard = read(name);
        let mut title = |of: &Value| titles.insert(of["title"].as_str().expect("a title").into());
        title(&dashboard);
        for panel in dashboard["panels"].as_array().expect("panels") {
            title(panel);
            texts.push(panel["description"].as_str().unwrap_or_default().into());
        }
    }
    let mut pointers = 0;
    for text in texts {
        let unfolded = text.split_whitespace().collect::<Vec<_>>().join(" ");
        // What a sentence names: in quotes, after a word, and no template.
        for quoted in unfolded.split(" \"").skip(1) {
            let named = quoted.split('"').next().unwrap_or_default();
            let is_text = unfolded.contains(&format!(": \"{named}\""));
            if !is_text
                && (named.starts_with("pollcast / ") || named.starts_with(char::is_uppercase))
            {
                assert!(titles.contains(named), "no panel: {named:?}");
                pointers += 1;
            }
        }
    }
    assert!(pointers > 10, "{pointers}");
}

fn promtool(arguments: &[&str]) {
    let mut promtool = Command::new(program("promtool"));
    let output = promtool
        .args(arguments)
        .current_dir(dashboards())
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

/// `make pictures`: some minutes of the scene, drawn.
#[test]
#[ignore = "writes the README's pictures, which takes six minutes"]
fn pictures() {
    let seconds: u64 = 330;
    let scene = Scene::start("0-12,210-400", 40, 120, "2s");
    std::thread::sleep(Duration::from_secs(seconds));
    let mut render = node("dashboards/render.mjs");
    render
        .arg(scene.prometheus.url())
        .args(["2", &(seconds - 10).to_string()]);
    let status = render.args(DASHBOARDS.map(file)).status().expect("it runs");
    assert!(status.success());
}

fn dashboards() -> PathBuf {
    folder().join("../../dashboards")
}

fn file(name: &str) -> PathBuf {
    dashboards().join(format!("{name}.json"))
}

fn read(name: &str) -> Value {
    let text = fs::read_to_string(Path::new(&file(name))).expect("a file");
    serde_json::from_str(&text).expect("JSON")
}
