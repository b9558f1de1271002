//! Configuration files.

use pollcast::config::{Config, System};

/// Either a configuration, or problems of which each says where it is and what is wrong, within the
/// file; the same ones twice.
pub fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    // What stands outside of the file is the surroundings' matter.
    if text.contains("${") {
        return;
    }
    let read = || Config::parse(text, &System::new("/nonexistent"));
    // Whatever YAML 1.1 calls a line break; the end of the file is the line after its last.
    let breaks = ['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'];
    let lines = text.matches(breaks).count() + 2;
    match (read(), read()) {
        (Ok((config, warnings)), Ok((again, _))) => {
            assert_eq!(format!("{config:?}"), format!("{again:?}"));
            for warning in warnings {
                assert!(!warning.to_string().is_empty());
            }
        }
        (Err(problems), Err(again)) => {
            let told: Vec<_> = problems.iter().map(ToString::to_string).collect();
            let again: Vec<_> = again.iter().map(ToString::to_string).collect();
            assert_eq!(told, again);
            assert!(!told.is_empty(), "an error without a problem");
            for problem in problems.iter() {
                assert!(!problem.what.is_empty(), "{problem:?}");
                let is_within = |line: usize| (1..=lines).contains(&line);
                assert!(problem.line.is_none_or(is_within), "{problem:?}");
            }
        }
        _ => panic!("once it is one and once it is none"),
    }
}
