//! What is known of each feed, as JSON.
//!
//! Promises that the names of fields stay, that a field without a value is `null`, and that nothing
//! is shown that polls are sent with.

use serde::Serialize;

use crate::core::diff::InferredKey;
use crate::core::event::Mode;
use crate::core::noise::Finding;
use crate::hub::{Hub, Report, Topic};

/// The state of a feed that is not polled, which is no trouble.
const PAUSED: &str = "paused";

/// Every feed, by path, as a JSON array.
pub(super) fn list(hub: &Hub) -> String {
    let mut topics: Vec<&Topic> = hub.topics().map(AsRef::as_ref).collect();
    topics.sort_by_key(|topic| &topic.feed().path);
    let feeds: Vec<Feed> = topics.into_iter().map(Feed::new).collect();
    let mut text =
        serde_json::to_string(&feeds).expect("invariant: names and numbers can be written");
    text.push('\n');
    text
}

#[derive(Serialize)]
struct Feed<'t> {
    path: &'t str,
    upstream: &'t str,
    state: &'static str,
    since: String,
    last_success: Option<String>,
    reason: Option<String>,
    subscribers: Subscribers,
    last_event_id: Option<String>,
    document_bytes: usize,
    events: usize,
    keys: Vec<Key>,
    noise: Vec<Noise>,
    next_poll: Option<String>,
    interval_ms: Option<u64>,
    why: Option<&'static str>,
    why_text: Option<String>,
}

#[derive(Serialize)]
struct Subscribers {
    total: usize,
    patch: usize,
    merge: usize,
    items: usize,
    snapshot: usize,
}

#[derive(Serialize)]
struct Key {
    place: String,
    key: Vec<String>,
}

#[derive(Serialize)]
struct Noise {
    place: String,
    ignore: String,
    bytes: u64,
}

impl<'t> Feed<'t> {
    fn new(topic: &'t Topic) -> Self {
        let feed = topic.feed();
        let Report {
            health,
            is_paused,
            audience,
            last_event_id,
            events,
            lessons,
            next,
        } = topic.report();
        let remedy = lessons.remedy(feed);
        let key = |found: InferredKey| Key {
            place: found.place,
            key: found.key,
        };
        let noise = |finding: Finding| Noise {
            place: finding.place.to_string(),
            ignore: remedy.clone(),
            bytes: finding.bytes,
        };
        let listening = |mode| audience.in_mode(mode).listening;
        Self {
            path: &feed.path,
            upstream: &feed.upstream.name,
            state: match is_paused {
                true => PAUSED,
                false => health.state().name(),
            },
            since: health.since().to_string(),
            last_success: health.last_success().map(|at| at.to_string()),
            reason: health.reason().map(str::to_owned),
            subscribers: Subscribers {
                total: audience.listening(),
                patch: listening(Mode::Patch),
                merge: listening(Mode::Merge),
                items: listening(Mode::Items),
                snapshot: listening(Mode::Snapshot),
            },
            last_event_id: last_event_id.map(|id| id.to_string()),
            document_bytes: lessons.document_bytes,
            events,
            keys: lessons.keys.into_iter().map(key).collect(),
            noise: lessons.noise.into_iter().map(noise).collect(),
            next_poll: next.map(|next| next.at.to_string()),
            interval_ms: next.map(|next| next.interval),
            why: next.map(|next| next.why.word()),
            why_text: next.map(|next| next.sentence()),
        }
    }
}
