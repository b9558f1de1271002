//! Which of a client's conditions on a document hold ([RFC 9110] section 13).
//!
//! A document has a strong tag for each of its codings, made of the event id. Its time is rounded up
//! to the next second and told only once that is over, so that no two documents ever have the same
//! one: a client that asks by time cannot be told to keep what has changed since.
//!
//! [RFC 9110]: https://www.rfc-editor.org/rfc/rfc9110

use std::time::{Duration, SystemTime};

use headers::{HeaderMapExt, IfModifiedSince, IfUnmodifiedSince};
use http::header::{IF_MATCH, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue};

use crate::core::event::Timestamp;
use crate::core::id::EventId;
use crate::core::sse::Coding;
use crate::core::tags::{self, Comparison};

/// What distinguishes the tag of a compressed document.
const GZIP: &str = "-gzip";

/// What to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The document.
    Send,
    /// 304: the client has it, in this coding.
    NotModified(Coding),
    /// 412: the client wants another one.
    Failed,
}

/// Looks at the client's conditions in the order of RFC 9110 section 13.2.2. A client that has the
/// document in another coding than it takes now has it nevertheless.
pub fn verdict(
    headers: &HeaderMap,
    id: EventId,
    coding: Coding,
    modified: Option<SystemTime>,
) -> Verdict {
    let codings = match coding {
        Coding::Identity => [Coding::Identity, Coding::Gzip],
        Coding::Gzip => [Coding::Gzip, Coding::Identity],
    };
    let named = |field, by| {
        let [first, second] = codings.map(|it| tags::names(headers, field, &etag(id, it), by));
        first.zip(second)
    };
    let fails = match (named(&IF_MATCH, Comparison::Strong), modified) {
        (Some((first, second)), _) => !(first || second),
        (None, Some(modified)) => headers
            .typed_get::<IfUnmodifiedSince>()
            .is_some_and(|since| !since.precondition_passes(modified)),
        (None, None) => false,
    };
    if fails {
        return Verdict::Failed;
    }
    let known = match (named(&IF_NONE_MATCH, Comparison::Weak), modified) {
        (Some((true, _)), _) => Some(codings[0]),
        (Some((false, true)), _) => Some(codings[1]),
        (Some((false, false)), _) => None,
        (None, Some(modified)) => headers
            .typed_get::<IfModifiedSince>()
            .filter(|since| !since.is_modified(modified))
            .map(|_| codings[0]),
        (None, None) => None,
    };
    known.map_or(Verdict::Send, Verdict::NotModified)
}

/// The tag of this event's document.
pub fn etag(id: EventId, coding: Coding) -> HeaderValue {
    let suffix = match coding {
        Coding::Identity => "",
        Coding::Gzip => GZIP,
    };
    HeaderValue::try_from(format!("\"{id}{suffix}\""))
        .expect("invariant: an event id may stand in a tag")
}

/// The event id in a text that a client made of a tag: with quotes or without, weakened on the way,
/// of whichever coding. Any other text comes back as it is.
pub fn bare_id(text: &[u8]) -> &[u8] {
    let text = text.strip_prefix(b"W/").unwrap_or(text);
    let text = text.strip_prefix(b"\"").unwrap_or(text);
    let text = text.strip_suffix(b"\"").unwrap_or(text);
    text.strip_suffix(GZIP.as_bytes()).unwrap_or(text)
}

/// The time that a document which came at `changed` is given from `now` on.
pub fn last_modified(changed: Timestamp, now: Timestamp) -> Option<SystemTime> {
    let seconds = changed.0 / 1000 + 1;
    (now.0 / 1000 >= seconds).then(|| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use http::HeaderName;
    use http::header::{IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE};

    use super::*;
    use crate::core::id::Epoch;

    const LATE: &str = "Sat, 01 Jan 2000 00:00:10 GMT";
    const EARLY: &str = "Sat, 01 Jan 2000 00:00:09 GMT";
    const TAG: &str = "\"000000000000000a-7\"";
    const ZIPPED: &str = "\"000000000000000a-7-gzip\"";
    const OTHER: &str = "\"000000000000000a-8\"";

    fn ask(conditions: &[(HeaderName, &str)], coding: Coding) -> Verdict {
        let headers = conditions
            .iter()
            .map(|(name, value)| (name.clone(), value.parse().unwrap()))
            .collect();
        let id = EventId {
            epoch: Epoch::from_random(10),
            sequence: 7,
        };
        let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(946_684_810);
        verdict(&headers, id, coding, Some(modified))
    }

    #[test]
    fn conditions_are_looked_at_in_the_order_of_the_standard() {
        let plain = Verdict::NotModified(Coding::Identity);
        for (conditions, expected) in [
            (&[][..], Verdict::Send),
            (&[(IF_NONE_MATCH, TAG)], plain),
            (&[(IF_NONE_MATCH, "W/\"000000000000000a-7\"")], plain),
            (&[(IF_NONE_MATCH, "*")], plain),
            (&[(IF_NONE_MATCH, OTHER)], Verdict::Send),
            (&[(IF_NONE_MATCH, "\"a b\"")], Verdict::Send),
            (
                &[(IF_NONE_MATCH, ZIPPED)],
                Verdict::NotModified(Coding::Gzip),
            ),
            (&[(IF_MODIFIED_SINCE, LATE)], plain),
            (&[(IF_MODIFIED_SINCE, EARLY)], Verdict::Send),
            (&[(IF_MODIFIED_SINCE, "yesterday")], Verdict::Send),
            (
                &[(IF_NONE_MATCH, OTHER), (IF_MODIFIED_SINCE, LATE)],
                Verdict::Send,
            ),
            (&[(IF_MATCH, TAG)], Verdict::Send),
            (&[(IF_MATCH, "*")], Verdict::Send),
            (&[(IF_MATCH, OTHER)], Verdict::Failed),
            (&[(IF_MATCH, "W/\"000000000000000a-7\"")], Verdict::Failed),
            (&[(IF_MATCH, TAG), (IF_NONE_MATCH, TAG)], plain),
            (&[(IF_UNMODIFIED_SINCE, LATE)], Verdict::Send),
            (&[(IF_UNMODIFIED_SINCE, EARLY)], Verdict::Failed),
            (
                &[(IF_MATCH, TAG), (IF_UNMODIFIED_SINCE, EARLY)],
                Verdict::Send,
            ),
        ] {
            assert_eq!(
                ask(conditions, Coding::Identity),
                expected,
                "{conditions:?}"
            );
        }
        let star = [(IF_NONE_MATCH, "*")];
        assert_eq!(ask(&star, Coding::Gzip), Verdict::NotModified(Coding::Gzip));
        let plain_tag = [(IF_NONE_MATCH, TAG)];
        assert_eq!(ask(&plain_tag, Coding::Gzip), plain);
    }

    #[test]
    fn an_id_is_found_in_whatever_a_client_made_of_the_tag() {
        for text in [
            "a-7",
            "\"a-7\"",
            "W/\"a-7\"",
            "W/a-7",
            "a-7-gzip",
            "\"a-7-gzip\"",
        ] {
            assert_eq!(bare_id(text.as_bytes()), b"a-7", "{text}");
        }
        for text in ["", "\"", "W/", "-gzip"] {
            assert_eq!(bare_id(text.as_bytes()), b"", "{text}");
        }
    }

    #[test]
    fn no_two_documents_have_the_same_time() {
        let told = |changed, now| last_modified(Timestamp(changed), Timestamp(now));
        let second = |n| Some(SystemTime::UNIX_EPOCH + Duration::from_secs(n));
        assert_eq!(told(10_000, 10_999), None);
        assert_eq!(told(10_999, 11_000), second(11));
        // What changed within the same second was never told the time of that second.
        assert_eq!(told(10_200, 10_800), None);
        assert_eq!(told(11_000, 12_000), second(12));
    }
}
