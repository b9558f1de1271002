//! What clients say that they take: `Accept` and `Accept-Encoding` (RFC 9110 section 12.5).
//!
//! Promises that whoever never heard of events, or of a coding, gets neither.

use http::header::{ACCEPT, ACCEPT_ENCODING};
use http::{HeaderMap, HeaderName};

use super::sse::Coding;

/// Whether these headers ask for events: `Accept` *names* their type, with a weight above 0
/// and not below that of a named `application/json` (RFC 9110 section 12.5.1). Wildcards ask for
/// nothing, so that clients which never heard of events keep getting JSON.
pub fn names_events(headers: &HeaderMap) -> bool {
    let named = |wanted: &str| {
        members(headers, &ACCEPT)
            .filter(|(name, _)| name.eq_ignore_ascii_case(wanted))
            .map(|(_, weight)| weight)
            .reduce(f32::max)
    };
    let events = named("text/event-stream").unwrap_or(0.0);
    events > 0.0 && events >= named("application/json").unwrap_or(0.0)
}

/// The best coding that `Accept-Encoding` allows (RFC 9110 section 12.5.3). Without the header
/// nothing is compressed: clients that never heard of it may not expect it.
pub fn coding(headers: &HeaderMap) -> Coding {
    let weight = |wanted: &[&str]| {
        members(headers, &ACCEPT_ENCODING)
            .filter(|(name, _)| {
                wanted
                    .iter()
                    .any(|wanted| name.eq_ignore_ascii_case(wanted))
            })
            .map(|(_, weight)| weight)
            .reduce(f32::max)
    };
    let any = weight(&["*"]);
    let gzip = weight(&["gzip", "x-gzip"]).or(any).unwrap_or(0.0);
    // Whoever lists codings takes plain bytes too, but likes them less.
    let plain = weight(&["identity"]).unwrap_or(0.0);
    match gzip > 0.0 && gzip >= plain {
        true => Coding::Gzip,
        false => Coding::Identity,
    }
}

/// The members of a list with their weights (RFC 9110 section 12.4.2).
fn members<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = (&'a str, f32)> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .filter_map(weighted)
}

/// What is named and its weight; `None` where the weight is unreadable.
fn weighted(text: &str) -> Option<(&str, f32)> {
    let mut parts = text.split(';').map(str::trim);
    let name = parts.next()?;
    for part in parts {
        if let Some((key, value)) = part.split_once('=')
            && key.trim().eq_ignore_ascii_case("q")
        {
            let weight: f32 = value.trim().parse().ok()?;
            return (0.0..=1.0).contains(&weight).then_some((name, weight));
        }
    }
    Some((name, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &HeaderName, lines: &[&str]) -> HeaderMap {
        let line = |line: &&str| (name.clone(), line.parse().unwrap());
        lines.iter().map(line).collect()
    }

    fn asks(lines: &[&str]) -> bool {
        names_events(&headers(&ACCEPT, lines))
    }

    #[test]
    fn only_clients_that_name_the_type_subscribe() {
        assert!(asks(&["text/event-stream"]));
        assert!(asks(&["Text/Event-Stream; charset=utf-8"]));
        assert!(asks(&["application/json, text/event-stream"]));
        assert!(asks(&["application/json;q=0.5", "text/event-stream;q=0.5"]));
        assert!(asks(&["text/event-stream;q=0.1, */*"]));
    }

    #[test]
    fn everybody_else_keeps_getting_json() {
        assert!(!asks(&[]));
        assert!(!asks(&["*/*"]));
        assert!(!asks(&["text/*"]));
        assert!(!asks(&["application/json, text/plain, */*"]));
        assert!(!asks(&["text/event-stream;q=0"]));
        assert!(!asks(&["text/event-stream;q=0.4, application/json;q=0.5"]));
        assert!(!asks(&["text/event-stream;q=high"]));
        assert!(!asks(&["text/event-stream;q=7"]));
    }

    #[test]
    fn whoever_takes_gzip_gets_it() {
        let coding = |lines: &[&str]| coding(&headers(&ACCEPT_ENCODING, lines));
        for accepted in [
            &["gzip, deflate, br, zstd"][..],
            &["br", "x-gzip;q=0.1"],
            &["*"],
            &["GZIP;q=0.5, identity;q=0.5"],
            &["identity;q=0, *;q=0.2"],
        ] {
            assert_eq!(coding(accepted), Coding::Gzip, "{accepted:?}");
        }
        for refused in [
            &[][..],
            &[""],
            &["br, zstd"],
            &["identity"],
            &["gzip;q=0, *"],
            &["gzip;q=0.4, identity;q=0.5"],
            &["gzip;q=much"],
        ] {
            assert_eq!(coding(refused), Coding::Identity, "{refused:?}");
        }
    }
}
