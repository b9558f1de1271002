//! `/api/topics`: the topics of a feed, a page at a time, those made last first.

use std::cmp::Reverse;
use std::sync::Arc;

use http::StatusCode;
use pingora::http::RequestHeader;
use serde::Serialize;

use super::answer::Answer;
use super::feeds::{Plan, state};
use super::view::View;
use super::{json, query, time};
use crate::core::id::TopicId;
use crate::hub::{Report, Topic};

const STANDARD: usize = 50;
const MOST: usize = 100;

#[derive(Serialize)]
struct Page<'a> {
    feed: &'a str,
    topics: Vec<Summary>,
    next: Option<String>,
}

/// A topic: what it is asked for by, never by whom.
#[derive(Serialize)]
pub(super) struct Summary {
    id: String,
    path: String,
    made: String,
    state: &'static str,
    since: String,
    last_success: Option<String>,
    last_change: Option<String>,
    reason: Option<String>,
    subscribers: usize,
    document_bytes: usize,
    #[serde(flatten)]
    plan: Plan,
    private: bool,
}

impl Summary {
    pub(super) fn new(topic: &Topic, report: &Report) -> Self {
        let (identity, health) = (topic.identity(), &report.health);
        Self {
            id: identity.id().to_string(),
            path: identity.name().to_owned(),
            made: identity.made().to_string(),
            state: state(report),
            since: health.since().to_string(),
            last_success: time(health.last_success()),
            last_change: time(report.changed),
            reason: health.reason().map(str::to_owned),
            subscribers: report.audience.listening(),
            document_bytes: report.lessons.document_bytes,
            plan: report.next.into(),
            private: is_private(topic),
        }
    }
}

/// Whether its document belongs to some clients only: those with certain credentials, or those who
/// know what body to send.
pub(super) fn is_private(topic: &Topic) -> bool {
    let feed = topic.feed();
    feed.is_private() || feed.takes_body()
}

/// One page.
pub(super) fn answer(view: &View, request: &RequestHeader) -> Answer {
    match page(view, request) {
        Ok(text) => Answer::json(StatusCode::OK, text),
        Err((status, why)) => Answer::text(status, why),
    }
}

fn page(view: &View, request: &RequestHeader) -> Result<String, (StatusCode, &'static str)> {
    let bad = |why| (StatusCode::BAD_REQUEST, why);
    let path = query(request, "feed")
        .ok_or_else(|| bad("name the feed: ?feed= with its path as it is configured"))?;
    let limit = match query(request, "limit").map(|text| text.parse()) {
        None => STANDARD,
        Some(Ok(limit)) if (1..=MOST).contains(&limit) => limit,
        Some(_) => return Err(bad("write a limit from 1 to 100")),
    };
    let after = match query(request, "after").map(|text| TopicId::parse(&text)) {
        None => None,
        Some(Some(id)) => Some(id),
        Some(None) => return Err(bad("go on after the id of a topic: what `next` said")),
    };
    let found = view.hub.feeds().find(|(feed, _)| feed.path == path);
    let (feed, mut topics) = found.ok_or((StatusCode::NOT_FOUND, "no feed has this path"))?;
    let id = |topic: &Arc<Topic>| topic.identity().id();
    topics.retain(|topic| after.is_none_or(|after| id(topic) < after));
    topics.sort_unstable_by_key(|topic| Reverse(id(topic)));
    let is_last = topics.len() <= limit;
    topics.truncate(limit);
    let last = topics.last().filter(|_| !is_last);
    Ok(json(&Page {
        feed: &feed.path,
        next: last.map(|topic| id(topic).to_string()),
        topics: topics
            .iter()
            .map(|topic| Summary::new(topic, &topic.report()))
            .collect(),
    }))
}
