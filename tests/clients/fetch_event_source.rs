//! npm's @microsoft/fetch-event-source: for those who must send more than an EventSource can.

use std::process::Command;

use serde_json::{Value, json};

use crate::foreign::{Follower, node};
use crate::support::proxy::Proxy;
use crate::support::upstream::{Request, Upstream};

const TOKEN: &str = "Bearer of-nobody-else";

fn document(n: u64) -> Value {
    json!({ "n": n, "text": "unchanged ".repeat(40) })
}

/// Follows the feed of an upstream whose document changes again and again, over several responses,
/// each of which goes on where the one before ended.
fn follows(more: &str, client: impl FnOnce(&mut Command)) -> Upstream {
    let (upstream, served) = Upstream::with_document(&document(0).to_string());
    let more = format!("{more}, deliver: {{ max_lifetime: 1s, retry: 50ms }}");
    let proxy = Proxy::with_feed(&upstream.url(), &more);
    let mut command = node("fetch_event_source.mjs");
    client(&mut command);
    // The follower itself fails if it is told that its position cannot be continued.
    let mut follower = Follower::start(command, &proxy.url("/feed"), None);
    let mut n = 0;
    while follower.drops < 3 {
        follower.hold_until(&document(n));
        n += 1;
        *served.lock().unwrap() = document(n).to_string();
    }
    let begun = |how| proxy.metric("pollcast_subscriptions_total", &[how]);
    assert!(begun("resumed") > 1.5, "it was cut off and came back");
    assert!((begun("fresh") - 1.0).abs() < 0.1);
    follower.end();
    upstream
}

#[test]
fn it_follows_and_resumes_with_a_token_in_a_header() {
    let upstream = follows("", |command| {
        command.args(["--header", "authorization", TOKEN]);
    });
    // Everybody gets the same document, so that nobody's token is sent with a poll.
    let polls = upstream.requests();
    assert!(
        polls
            .iter()
            .all(|poll| poll.header("authorization").is_none())
    );
}

#[test]
fn it_follows_and_resumes_with_a_query_that_it_posts() {
    const QUERY: &str = r#"{"query":"{ orders { id } }"}"#;
    let upstream = follows(", request: { client_body: {} }", |command| {
        command.args(["--method", "POST", "--body", QUERY]);
    });
    let polls = upstream.requests();
    assert!(polls.len() > 3);
    for poll in polls {
        assert_eq!((&*poll.method, &*poll.body), ("POST", QUERY.as_bytes()));
    }
}

#[test]
fn it_follows_its_own_document_with_its_token() {
    let share = ", share: { per_credential: [authorization] }";
    let upstream = follows(share, |command| {
        command.args(["--header", "authorization", TOKEN]);
    });
    let polls = upstream.requests();
    let is_own = |poll: &&Request| poll.header("authorization") == Some(TOKEN);
    assert!(polls.len() > 3 && polls.iter().all(|poll| is_own(&poll)));
}
