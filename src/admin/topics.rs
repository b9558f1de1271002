//! `/api/topics`: the topics of a feed, a page at a time, those made last first.

use std::cmp::Reverse;
use std::sync::Arc;

use http::StatusCode;
use pingora::http::RequestHeader;
use serde::Serialize;

use super::answer::Answer;
use super::asked::{Refusal, query};
use super::json;
use super::parts::{Plan, state, time};
use crate::core::id::TopicId;
use crate::hub::{Hub, Report, Topic};

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
            private: topic.feed().is_confidential(),
        }
    }
}

/// One page.
pub(super) fn answer(hub: &Hub, request: &RequestHeader) -> Answer {
    match page(hub, request) {
        Ok(text) => Answer::json(StatusCode::OK, text),
        Err(refusal) => refusal.into(),
    }
}

fn page(hub: &Hub, request: &RequestHeader) -> Result<String, Refusal> {
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
    let found = hub.feeds().into_iter().find(|(feed, _)| feed.path == path);
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

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::clock::Clock;
    use crate::config::{Config, System};
    use crate::core::event::Mode;
    use crate::hub::{Metrics, Particulars};
    use crate::metrics::Registry;

    #[tokio::test]
    async fn ten_thousand_topics_are_each_listed_once_those_made_last_first() {
        let text = "server: {limits: {topics: 20000}}\n\
                    upstreams: {a: {url: 'http://a'}}\n\
                    feeds: [{path: '/of/{id}', upstream: a, topics: 20000}]";
        let (config, _) = Config::parse(text, &System::new("")).unwrap();
        let (hub, _announced) =
            Hub::new(&config, &Metrics::new(&Registry::default()), Clock::start());
        let demand = |n: usize| {
            let place = hub.at(&format!("/of/{n}")).unwrap();
            let particulars = Particulars {
                captures: place.captures.clone(),
                ..Particulars::default()
            };
            hub.demand(&place, &particulars, Mode::Patch).unwrap()
        };
        let mut demands: Vec<_> = (0..10_000).map(demand).collect();
        let (mut seen, mut after, mut last) = (HashSet::new(), String::new(), None);
        loop {
            let target = format!("/api/topics?feed=/of/%7Bid%7D&limit=100{after}");
            let request = RequestHeader::build("GET", target.as_bytes(), None).unwrap();
            let page: serde_json::Value =
                serde_json::from_str(&page(&hub, &request).unwrap()).unwrap();
            for topic in page["topics"].as_array().unwrap() {
                let id = TopicId::parse(topic["id"].as_str().unwrap());
                assert!(last.is_none_or(|last| id.unwrap() < last), "{topic}");
                last = id;
                assert!(seen.insert(topic["path"].as_str().unwrap().to_owned()));
            }
            let Some(next) = page["next"].as_str() else {
                break;
            };
            after = format!("&after={next}");
            if seen.len() == 5000 {
                // Newcomers are no part of the rest.
                demands.extend((10_000..10_100).map(demand));
            }
        }
        assert_eq!(seen.len(), 10_000);
    }
}
