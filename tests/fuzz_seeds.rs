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

/// Checks pass over what is refused at once, so that seeds of nothing but that would show nothing.
#[test]
fn seeds_get_beyond_the_first_refusal() {
    let seed = |name: &str| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/seeds");
        fs::read(folder.join(name)).expect("a seed")
    };
    let head = |name: &str| check::now(pollcast::gateway::fuzz::head(&seed(name)));
    assert!(head("requests/plain").is_some() && head("requests/hops").is_some());
    assert!(head("requests/both").is_none() && head("requests/lengths").is_none());
    let fields = check::heads::fields(&seed("heads/link"));
    let next = pollcast::upstream::fuzz::next_page(&fields);
    assert_eq!(next.ok().flatten().as_deref(), Some("/a?page=2"));
    let (events, _) = pollcast::cli::fuzz::events(&seed("streams/events")[1..], &[3]);
    assert!(events.len() > 1, "{events:?}");
    let announced = check::now(pollcast::listen::fuzz::announced(&seed("streams/v1")[1..]));
    assert!(announced.is_some());
    assert!(pollcast::cli::fuzz::recording(&seed("streams/recording")[1..]).is_ok());
    let text = String::from_utf8(seed("configs/small")).expect("text");
    let around = pollcast::config::System::new("");
    assert!(pollcast::config::Config::parse(&text, &around).is_ok());
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
