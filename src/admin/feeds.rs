//! `/api/feeds`: what is known of each feed and its latest topics, at one moment.
//!
//! Promises that the names of fields stay, that a field without a value is `null`, and that nothing
//! is shown that polls are sent with.

use std::cmp::Reverse;
use std::sync::Arc;

use serde::Serialize;

use super::parts::{Key, Noise, Plan, Subscribers, state, taught, time};
use crate::config;
use crate::core::event::Timestamp;
use crate::core::health::Health;
use crate::hub::{Hub, Report, Topic};

/// Topics that are listed of a feed with parameters: those that were made last.
const MOST_LISTED: usize = 100;

/// Every feed, by path, as a JSON array.
pub(super) fn list(hub: &Hub, now: Timestamp) -> String {
    let mut feeds: Vec<_> = hub.feeds();
    feeds.sort_by(|(a, _), (b, _)| a.path.cmp(&b.path));
    let entries: Vec<Entry<'_>> = feeds
        .iter()
        .filter_map(|(feed, topics)| match feed.parameters {
            None => topics
                .first()
                .map(|topic| Entry::One(Box::new(Feed::new(topic, now)))),
            Some(_) => Some(Entry::Many(FeedOfMany::new(feed, topics, now))),
        })
        .collect();
    super::json(&entries)
}

#[derive(Serialize)]
#[serde(untagged)]
enum Entry<'t> {
    One(Box<Feed<'t>>),
    Many(FeedOfMany<'t>),
}

/// A feed with parameters.
#[derive(Serialize)]
struct FeedOfMany<'t> {
    path: &'t str,
    upstream: &'t str,
    /// How many there are.
    topics: usize,
    /// How many there may be.
    max_topics: usize,
    subscribers: usize,
    recent_topics: Vec<OneOfMany<'t>>,
}

/// A topic of such a feed: what it is asked for by, never by whom.
#[derive(Serialize)]
struct OneOfMany<'t> {
    path: &'t str,
    made: String,
    state: &'static str,
    since: String,
    last_success: Option<String>,
    age_ms: Option<u64>,
    reason: Option<String>,
    subscribers: usize,
    last_event_id: Option<String>,
    document_bytes: usize,
    events: usize,
    #[serde(flatten)]
    plan: Plan,
}

/// Milliseconds since the last poll that succeeded.
fn age(health: &Health, now: Timestamp) -> Option<u64> {
    health.last_success().map(|at| now.0.saturating_sub(at.0))
}

impl<'t> FeedOfMany<'t> {
    fn new(feed: &'t config::Feed, topics: &'t [Arc<Topic>], now: Timestamp) -> Self {
        let mut recent: Vec<&Topic> = topics.iter().map(AsRef::as_ref).collect();
        recent.sort_by_key(|topic| (Reverse(topic.identity().made()), topic.identity().name()));
        recent.truncate(MOST_LISTED);
        let listening = |topic: &Arc<Topic>| topic.audience().borrow().listening();
        Self {
            path: &feed.path,
            upstream: &feed.upstream.name,
            topics: topics.len(),
            max_topics: feed.parameters.as_ref().map_or(1, |it| it.topics),
            subscribers: topics.iter().map(listening).sum(),
            recent_topics: recent
                .into_iter()
                .map(|it| OneOfMany::new(it, now))
                .collect(),
        }
    }
}

impl<'t> OneOfMany<'t> {
    fn new(topic: &'t Topic, now: Timestamp) -> Self {
        let report = topic.report();
        Self {
            path: topic.identity().name(),
            made: topic.identity().made().to_string(),
            state: state(&report),
            since: report.health.since().to_string(),
            last_success: time(report.health.last_success()),
            age_ms: age(&report.health, now),
            reason: report.health.reason().map(str::to_owned),
            subscribers: report.audience.listening(),
            last_event_id: report.last_event_id.map(|id| id.to_string()),
            document_bytes: report.lessons.document_bytes,
            events: report.events,
            plan: report.next.into(),
        }
    }
}

#[derive(Serialize)]
struct Feed<'t> {
    path: &'t str,
    upstream: &'t str,
    state: &'static str,
    since: String,
    last_success: Option<String>,
    age_ms: Option<u64>,
    reason: Option<String>,
    subscribers: Subscribers,
    last_event_id: Option<String>,
    document_bytes: usize,
    events: usize,
    keys: Vec<Key>,
    noise: Vec<Noise>,
    #[serde(flatten)]
    plan: Plan,
}

impl<'t> Feed<'t> {
    fn new(topic: &'t Topic, now: Timestamp) -> Self {
        let feed = topic.feed();
        let report = topic.report();
        let state = state(&report);
        let Report {
            health,
            audience,
            last_event_id,
            events,
            lessons,
            next,
            ..
        } = report;
        let document_bytes = lessons.document_bytes;
        let (keys, noise) = taught(feed, lessons);
        Self {
            path: &feed.path,
            upstream: &feed.upstream.name,
            state,
            since: health.since().to_string(),
            last_success: time(health.last_success()),
            age_ms: age(&health, now),
            reason: health.reason().map(str::to_owned),
            subscribers: Subscribers::of([audience].iter()),
            last_event_id: last_event_id.map(|id| id.to_string()),
            document_bytes,
            events,
            keys,
            noise,
            plan: next.into(),
        }
    }
}
