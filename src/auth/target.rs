//! What a request is for, without what only says how it is delivered.

use http::Uri;
use url::form_urlencoded;

/// The parameter in which a ticket comes.
pub const TICKET: &str = "ticket";
/// Parameters of event streams that are pollcast's own.
const OWN: [&str; 3] = ["mode", "last_event_id", TICKET];

/// Path and query as they are written; of an event stream without pollcast's own parameters.
pub fn target(uri: &Uri, events: bool) -> String {
    let query = uri.query().unwrap_or_default();
    let counts = |pair: &&str| {
        let mut pairs = form_urlencoded::parse(pair.as_bytes());
        !(events && pairs.any(|(name, _)| OWN.contains(&&*name)))
    };
    let query: Vec<&str> = query.split('&').filter(counts).collect();
    match query.join("&") {
        query if query.is_empty() => uri.path().to_owned(),
        query => format!("{}?{query}", uri.path()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ours_does_not_count_for_event_streams() {
        for (written, of_stream) in [
            ("/a", "/a"),
            ("/a?", "/a"),
            ("/a?b=1&mode=patch&c", "/a?b=1&c"),
            ("/a?last_event_id=x-1&ticket=t", "/a"),
            ("/a?%6dode=x&b=%20", "/a?b=%20"),
            ("/a?modes=x", "/a?modes=x"),
        ] {
            let uri: Uri = written.parse().unwrap();
            assert_eq!(target(&uri, true), of_stream, "{written}");
        }
        let uri: Uri = "/a?mode=patch".parse().unwrap();
        assert_eq!(target(&uri, false), "/a?mode=patch");
    }
}
