//! The alert rules by `promtool`, and that what they point to is there.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use super::{DASHBOARDS, dashboards, read};
use crate::foreign::program;

#[test]
fn promtool_takes_the_example_and_its_rules_and_every_alert_does_as_tested() {
    promtool(&["check", "config", "prometheus.yml"]);
    promtool(&["test", "rules", "alerts.test.yaml"]);
    let tests = fs::read_to_string(dashboards().join("alerts.test.yaml")).expect("a file");
    let readme = fs::read_to_string(dashboards().join("README.md")).expect("a file");
    let tests: Value = serde_yaml::from_str(&tests).expect("YAML");
    for rule in rules() {
        let name = text(&rule["alert"]);
        assert!(!text(&rule["annotations"]["summary"]).is_empty());
        assert!(!text(&rule["annotations"]["description"]).is_empty());
        let runbook = text(&rule["annotations"]["runbook"]);
        let told = runbook.starts_with("Means")
            && ["ook", "o: "].iter().all(|part| runbook.contains(part));
        assert!(
            told,
            "{name}: what it means, where to look, what to do: {runbook}"
        );
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
    let mut titles = BTreeSet::new();
    let mut texts: Vec<String> = Vec::new();
    for name in DASHBOARDS {
        let dashboard = read(name);
        titles.insert(text(&dashboard["title"]));
        for panel in dashboard["panels"].as_array().expect("panels") {
            titles.insert(text(&panel["title"]));
            if panel["type"] != "row" {
                texts.push(text(&panel["description"]));
            }
        }
    }
    texts.extend(
        rules()
            .iter()
            .map(|rule| text(&rule["annotations"]["runbook"])),
    );
    let mut pointers = 0;
    for text in texts {
        for named in text.split('"').skip(1).step_by(2) {
            assert!(titles.contains(named), "{named:?} is nowhere: {text}");
            pointers += 1;
        }
    }
    assert!(pointers > 10, "{pointers}");
}

fn rules() -> Vec<Value> {
    let rules = fs::read_to_string(dashboards().join("alerts.yaml")).expect("a file");
    let rules: Value = serde_yaml::from_str(&rules).expect("YAML");
    rules["groups"][0]["rules"]
        .as_array()
        .expect("rules")
        .clone()
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("no text: {value}"))
        .into()
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
