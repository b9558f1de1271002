//! What a request to a feed's path asks for.

use http::Method;
use pingora::http::RequestHeader;

use super::preconditions::bare_id;
use crate::config::Feed;
use crate::core::accept;
use crate::core::event::Mode;

/// The header of WHATWG HTML section 9.2.4 by which EventSource resumes.
const LAST_EVENT_ID: &str = "last-event-id";

/// Whether the client asks for events, as [`accept::names_events`] has it. A feed that polls with the
/// body of its clients is subscribed to by POST, and by that alone: without a body there is nothing
/// to ask.
pub fn is_subscription(feed: &Feed, request: &RequestHeader) -> bool {
    let ours = match feed.takes_body() {
        true => request.method == Method::POST,
        false => matches!(request.method, Method::GET | Method::HEAD),
    };
    ours && accept::names_events(&request.headers)
}

/// How a client wants to be served.
#[derive(Debug, Default)]
pub struct Wishes {
    /// The value of `?mode=`.
    pub mode: Option<String>,
    /// The position to resume from; the header wins over `?last_event_id=`, since EventSource
    /// keeps its first URL for ever.
    pub last_id: Option<Vec<u8>>,
}

impl Wishes {
    /// Reads the query and the header; parameters that pollcast does not know are ignored.
    pub fn of(request: &RequestHeader) -> Self {
        let mut wishes = Self::default();
        let query = request.uri.query().unwrap_or_default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "mode" if wishes.mode.is_none() => wishes.mode = Some(value.into_owned()),
                "last_event_id" if wishes.last_id.is_none() => {
                    wishes.last_id = Some(value.into_owned().into_bytes());
                }
                _ => {}
            }
        }
        if let Some(value) = request.headers.get(LAST_EVENT_ID) {
            wishes.last_id = Some(value.as_bytes().to_vec());
        }
        // Whoever got the document as plain JSON has its tag for a position.
        let bare = |id: Vec<u8>| bare_id(&id).to_vec();
        wishes.last_id = wishes.last_id.map(bare).filter(|id| !id.is_empty());
        wishes
    }

    /// The mode to serve: the one asked for if it is allowed, else an explanation.
    ///
    /// # Errors
    /// The text for the client, which lists what is allowed.
    pub fn mode(&self, default: Mode, allowed: &[Mode]) -> Result<Mode, String> {
        let Some(wish) = &self.mode else {
            return Ok(default);
        };
        wish.parse()
            .ok()
            .filter(|mode| allowed.contains(mode))
            .ok_or_else(|| {
                let allowed: Vec<_> = allowed.iter().map(|mode| mode.name()).collect();
                format!(
                    "this feed has no such mode; use ?mode= with one of: {}",
                    allowed.join(", ")
                )
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_wins_over_the_query() {
        let mut request =
            RequestHeader::build("GET", b"/orders?last_event_id=a-1&mode=patch&mode=x", None)
                .unwrap();
        let wishes = Wishes::of(&request);
        assert_eq!(wishes.last_id.as_deref(), Some(&b"a-1"[..]));
        assert_eq!(wishes.mode.as_deref(), Some("patch"));
        request.insert_header("Last-Event-ID", "b-2").unwrap();
        assert_eq!(Wishes::of(&request).last_id.as_deref(), Some(&b"b-2"[..]));
    }

    #[test]
    fn an_unknown_mode_is_answered_with_the_list() {
        let wishes = |mode: &str| Wishes {
            mode: Some(mode.to_owned()),
            last_id: None,
        };
        let allowed = [Mode::Patch, Mode::Snapshot];
        assert_eq!(
            wishes("snapshot").mode(Mode::Patch, &allowed),
            Ok(Mode::Snapshot)
        );
        let refusal = wishes("merge").mode(Mode::Patch, &allowed).unwrap_err();
        assert!(refusal.ends_with("patch, snapshot"), "{refusal}");
        assert!(
            wishes("snapshot")
                .mode(Mode::Patch, &[Mode::Patch])
                .is_err()
        );
    }
}
