//! Dashboards are what Grafana's own types (`grafana.ts`) say, by the TypeScript compiler.

use std::fs;
use std::path::PathBuf;

use serde_json::json;

use super::{DASHBOARDS, file, read};
use crate::foreign::node;

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
