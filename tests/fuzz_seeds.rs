//! The fuzz targets hold for their seeds, and for the corpus that `make fuzz` has gathered here: so
//! that they compile, and a finding that has become a seed stays found, without a fuzzer.

#[path = "fuzz/src/check/mod.rs"]
mod check;
#[path = "json_texts/oracle.rs"]
mod oracle;

use std::fs;
use std::path::Path;

// The checks find the core where the fuzz crate has it.
use pollcast::core;

#[test]
fn every_seed_of_bodies_passes() {
    each("bodies", check::body);
}

#[test]
fn every_seed_of_pairs_passes() {
    each("pairs", check::bodies);
}

#[test]
fn every_seed_of_edits_passes() {
    each("edits", check::edits);
}

#[test]
fn every_seed_of_requests_passes() {
    each("requests", check::requests::check);
}

#[test]
fn every_seed_of_heads_passes() {
    each("heads", check::heads::check);
}

#[test]
fn every_seed_of_formats_passes() {
    each("formats", check::formats::check);
}

#[test]
fn every_seed_of_paths_passes() {
    each("paths", check::paths::check);
}

#[test]
fn every_seed_of_streams_passes() {
    each("streams", check::streams::check);
}

#[test]
fn every_seed_of_configs_passes() {
    each("configs", check::configs::check);
}

#[test]
fn every_seed_of_pages_passes() {
    each("pages", check::pages::check);
}

fn each(target: &str, check: impl Fn(&[u8])) {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz");
    let inputs = |folder: &str| fs::read_dir(fuzz.join(folder).join(target));
    let seeds = inputs("seeds").expect("seeds");
    let corpus = inputs("corpus").into_iter().flatten();
    let mut count = 0;
    for entry in seeds.chain(corpus) {
        let path = entry.expect("an entry").path();
        println!("{}", path.display());
        check(&fs::read(&path).expect("an input"));
        count += 1;
    }
    assert!(count > 3, "{count} inputs");
}
