//! Answers that are no JSON.

use std::sync::LazyLock;

use bytes::Bytes;
use pollcast::config::{Config, System};
use pollcast::formats::Format;

use crate::core::json::parse;

/// The first byte chooses the format, the second the longest text. What comes out is JSON, not
/// longer than that, and the same twice.
pub fn check(input: &[u8]) {
    let [choice, limit, body @ ..] = input else {
        return;
    };
    let limit = usize::from(*limit) << 6;
    let body = Bytes::copy_from_slice(body);
    let format = format(*choice);
    let made = format.convert(body.clone(), limit);
    assert_eq!(made, format.convert(body.clone(), limit));
    match made {
        Ok(json) => {
            assert!(json.len() <= limit, "{} > {limit}", json.len());
            let read = parse(&json);
            // Whoever nests deeper than documents may is refused by the next reader.
            let is_deep = json.iter().filter(|byte| b"[{".contains(byte)).count() > 100;
            assert!(read.is_ok() || is_deep, "{read:?}: {}", json.escape_ascii());
            assert_eq!(format.convert(body, usize::MAX), Ok(json));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// Each format, as a feed's `document` says it.
fn format(choice: u8) -> &'static Format {
    static FORMATS: LazyLock<Vec<Format>> = LazyLock::new(|| {
        let texts = [
            "ndjson",
            "csv",
            "{csv: {delimiter: ';', numbers: false}}",
            "{csv: {header: false}}",
            "xml",
            "{xml: {arrays: [a], numbers: true}}",
            "prometheus",
        ];
        texts.map(configured).into()
    });
    &FORMATS[usize::from(choice) % FORMATS.len()]
}

fn configured(format: &str) -> Format {
    let text = format!(
        "upstreams: {{a: {{url: 'http://a'}}}}\n\
         feeds: [{{path: /f, upstream: a, document: {{format: {format}}}}}]"
    );
    let (config, _) = Config::parse(&text, &System::new("")).expect("a configuration");
    config.feeds[0].document.format.clone()
}
