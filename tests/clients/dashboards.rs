//! The dashboards and alert rules, against a real Prometheus that scrapes a pollcast at work.
//!
//! Grafana itself is not here: its types check the JSON (`typed.rs`), and `dashboard.mjs` fills in
//! and asks what Grafana would.

mod alerts;
mod scene;
mod typed;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::Value;

use crate::foreign::{folder, node};
use crate::support::{PATIENCE, eventually};
use scene::Scene;

const DASHBOARDS: [&str; 3] = ["overview", "feed", "upstreams"];

/// Queries without an answer in the scene, each with the reason.
const EMPTY: [(&str, &str, &str); 1] = [(
    "pollcast / overview",
    "File descriptors B",
    "every connection can be accepted",
)];

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
