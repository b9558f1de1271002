//! What the documents refer to is there: files, headings, and the tests that are named beside each
//! threat.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Where documents are, seen from the top.
const FOLDERS: &[&str] = &[".", "config", "dashboards", "src", "src/client", "tests"];

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn documents() -> Vec<PathBuf> {
    let in_folder = |folder: &&str| {
        let entries = fs::read_dir(top().join(folder)).unwrap();
        entries
            .map(|entry| entry.unwrap().path())
            .collect::<Vec<_>>()
    };
    let files = FOLDERS.iter().flat_map(in_folder);
    let files = files.filter(|path| path.extension().is_some_and(|it| it == "md"));
    files.collect()
}

/// The text without what stands in fences.
fn prose(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let mut is_code = false;
    let mut prose = String::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        } else if !is_code {
            prose.push_str(line);
            prose.push('\n');
        }
    }
    prose
}

/// The links of a text: what is shown, and where it leads.
fn links(text: &str) -> Vec<(String, String)> {
    let mut links = Vec::new();
    for (at, _) in text.match_indices("](") {
        let rest = &text[at + 2..];
        let Some(end) = rest.find(')') else { continue };
        let begin = text[..at].rfind('[').expect("a bracket that opens");
        links.push((text[begin + 1..at].to_owned(), rest[..end].to_owned()));
    }
    links
}

/// The anchors of a document, as GitHub makes them of headings.
fn anchors(path: &Path) -> HashSet<String> {
    let anchor = |line: &str| {
        let heading = line.trim_start_matches('#').trim().to_lowercase();
        let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
        heading
            .chars()
            .filter(kept)
            .collect::<String>()
            .replace(' ', "-")
    };
    let text = prose(path);
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings.map(anchor).collect()
}

#[test]
fn every_link_within_the_repository_leads_somewhere() {
    let mut seen = 0;
    for document in documents() {
        for (_, target) in links(&prose(&document)) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let path = match file {
                "" => document.clone(),
                file => document.parent().unwrap().join(file),
            };
            let place = document.display();
            assert!(path.exists(), "{place}: no {file}");
            let is_there = anchor.is_empty() || anchors(&path).contains(anchor);
            assert!(is_there, "{place}: no heading for {target}");
            seen += 1;
        }
    }
    assert!(seen > 100, "only {seen} links were found");
}

#[test]
fn each_threat_has_an_answer_and_tests_that_exist() {
    let readme = prose(&top().join("README.md"));
    let (_, section) = readme.split_once("\n## Threats\n").expect("the section");
    let section = section.split("\n## ").next().unwrap();
    let rows: Vec<_> = section
        .lines()
        .filter(|line| line.starts_with('|'))
        .skip(2)
        .collect();
    assert!(rows.len() > 15, "{} rows", rows.len());
    for row in rows {
        let cells: Vec<_> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        assert_eq!(cells.len(), 3, "{row}");
        let tests = links(cells[2]);
        assert!(!tests.is_empty(), "no test: {row}");
        for (name, file) in tests {
            let source = fs::read_to_string(top().join(&file));
            let source = source.unwrap_or_else(|error| panic!("{file}: {error}"));
            let name = name.trim_matches('`');
            // In Rust, or in a script.
            let has = [format!("fn {name}("), format!("\n{name}() {{")];
            let is_there = has.iter().any(|it| source.contains(it));
            assert!(is_there, "{file} has no test {name}");
        }
    }
}
