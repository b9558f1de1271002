//! What a subscriber is told for whom there is no seat.
//!
//! An EventSource gives up for ever on any status but 200 (WHATWG HTML section 9.2.3), so that it
//! gets an event stream that says when to come back. A program that calls a plain HTTP client sees
//! in such a stream only that it ended; it gets a 503 with `Retry-After` (RFC 9110 section 10.2.3),
//! which it can act on.

use std::time::Duration;

use http::HeaderMap;
use http::header::{CACHE_CONTROL, RETRY_AFTER};
use pingora::Result;
use pingora::proxy::Session;

use super::cors::Headers;
use super::problem;
use super::seats::Full;
use super::subscribe::come_back;
use crate::config::Feed;
use crate::core::sse::Frame;

/// How much longer than after an ordinary disconnect to stay away.
const FACTOR: u32 = 10;
const SHORTEST: Duration = Duration::from_secs(30);
const LONGEST: Duration = Duration::from_secs(10 * 60);

/// Answers a subscription to this feed for which there is no seat.
pub(super) async fn refuse(
    session: &mut Session,
    full: Full,
    feed: &Feed,
    headers: &Headers,
) -> Result<()> {
    let wait = wait(feed.deliver.retry, rand::random_range(0.0..=1.0));
    if comes_back_by_itself(&session.req_header().headers) {
        let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        return come_back(session, feed, &Frame::retry(millis), headers).await;
    }
    // A connection that is of no use now is a descriptor that somebody else needs.
    session.set_keepalive(None);
    let mut headers = headers.clone();
    headers.push((RETRY_AFTER, wait.as_secs().into()));
    problem::answer(session, 503, full.detail(), &headers).await
}

/// How long to stay away: a multiple of the feed's own time within sensible bounds, and up to as
/// much again, so that a crowd does not come back together. `chance` is from 0 to 1.
fn wait(retry: Duration, chance: f64) -> Duration {
    let least = retry
        .saturating_mul(FACTOR)
        .clamp(SHORTEST, LONGEST)
        .max(retry);
    least.saturating_add(least.mul_f64(chance))
}

/// Whether the client is an EventSource, or follows the same rules: it asks past every cache, as the
/// standard has it do, or says where it was. Chromium's EventSource, npm's and Python's sseclient
/// do; curl, httpx and a page's `fetch` do not. Fetch metadata would not tell: browsers leave it out
/// on plain HTTP.
pub(super) fn comes_back_by_itself(headers: &HeaderMap) -> bool {
    let past_caches = headers
        .get_all(CACHE_CONTROL)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .any(|directive| directive.trim_ascii().eq_ignore_ascii_case(b"no-cache"));
    past_caches || headers.contains_key("last-event-id")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_refused_stays_away_for_long_but_not_for_ever() {
        let seconds = |retry, chance| wait(Duration::from_secs(retry), chance).as_secs();
        assert_eq!((seconds(1, 0.0), seconds(1, 1.0)), (30, 60));
        assert_eq!((seconds(5, 0.0), seconds(5, 0.5)), (50, 75));
        assert_eq!((seconds(300, 0.0), seconds(300, 1.0)), (600, 1200));
        assert_eq!(seconds(3600, 0.0), 3600);
    }

    #[test]
    fn an_event_source_is_known_by_how_it_asks() {
        let asks = |name: &'static str, value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            comes_back_by_itself(&headers)
        };
        assert!(asks("cache-control", "no-cache"));
        assert!(asks("cache-control", "max-age=0, No-Cache"));
        assert!(asks("last-event-id", "x-1"));
        assert!(!asks("cache-control", "no-store"));
        assert!(!asks("cache-control", "no-cache-please"));
        assert!(!asks("sec-fetch-mode", "cors"));
    }
}
