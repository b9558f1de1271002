//! What `dashboards/README.md` says of the metrics, and what a page of them says.

use std::collections::{BTreeMap, BTreeSet};

/// A row of the table.
#[derive(Debug)]
pub struct Row {
    pub kind: String,
    pub labels: BTreeSet<String>,
    /// The words that its meaning holds as code, among them the values of its labels.
    pub words: BTreeSet<String>,
}

/// The table by the names of the metrics.
pub fn table() -> BTreeMap<String, Row> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/dashboards/README.md");
    let text = std::fs::read_to_string(path).expect("a file");
    let rows = text
        .lines()
        .skip_while(|line| !line.starts_with("| metric "));
    let mut table = BTreeMap::new();
    for line in rows.take_while(|line| line.starts_with('|')).skip(2) {
        let row = line.strip_prefix('|').and_then(|row| row.strip_suffix('|'));
        let cells: Vec<_> = row.expect("a row").split('|').map(str::trim).collect();
        let [names, kind, unit, labels, meaning] = cells[..] else {
            panic!("not five columns: {line}");
        };
        assert!(!unit.is_empty() && !meaning.is_empty(), "{line}");
        for name in code(names) {
            let row = Row {
                kind: kind.to_owned(),
                labels: code(labels).collect(),
                words: code(meaning).collect(),
            };
            assert!(table.insert(name, row).is_none(), "twice: {line}");
        }
    }
    table
}

fn code(cell: &str) -> impl Iterator<Item = String> {
    let parts = cell.split('`').skip(1).step_by(2);
    parts.map(str::to_owned)
}

/// A sample of a page of metrics, without its value.
#[derive(Debug)]
pub struct Sample {
    pub family: String,
    /// Without the bound of a histogram's bucket.
    pub labels: Vec<(String, String)>,
}

/// All samples of a page, whose labels' values hold no quote.
pub fn samples(page: &str) -> Vec<Sample> {
    let mut family = "";
    let mut samples = Vec::new();
    for line in page.lines() {
        if let Some(declared) = line.strip_prefix("# TYPE ") {
            family = declared.split(' ').next().expect("a name");
        }
        if line.starts_with('#') {
            continue;
        }
        let set = line
            .split_once('{')
            .and_then(|(_, rest)| rest.rsplit_once('}'));
        let pairs = set.map_or("", |(set, _)| set).split("\",");
        let pairs = pairs.filter_map(|pair| pair.split_once("=\""));
        let labels = pairs.filter(|(name, _)| *name != "le");
        samples.push(Sample {
            family: family.to_owned(),
            labels: labels
                .map(|(name, value)| (name.to_owned(), value.trim_end_matches('"').to_owned()))
                .collect(),
        });
    }
    samples
}
