//! What of a client's request makes a topic of its own, as it is written in a configuration.

use http::{HeaderName, header};
use serde_yaml::Value;

use super::headers::{Sent, credentials, refusal};
use super::keys::{CLIENT_BODY, POLL, SHARE};
use super::section::Section;
use super::sheet::Node;
use super::template::{Template, listed};
use super::{Credentials, Idle, Parameters, Poll, PollRequest, Upstream};

/// How many topics one feed may have at once, unless it says otherwise.
const TOPICS: usize = 1000;
/// How many topics any feed may have.
const MOST_TOPICS: u64 = 1_000_000;
/// The longest body that a client may send, unless the feed says otherwise, in bytes.
const BODY: usize = 16 << 10;
/// Query parameters by which clients choose how they are served.
const OURS: [&str; 2] = ["mode", "last_event_id"];

/// Reads what makes the topics of one feed: captures of its path, and more of its keys. `None` if
/// there is nothing, so that the feed has one topic.
pub(super) fn parameters(
    (feed, request_section): (&Section<'_>, &Section<'_>),
    (path, captures): (&str, Vec<String>),
    request: &PollRequest,
    upstream: &Upstream,
) -> Option<Parameters> {
    let parameters = Parameters {
        path: Template::own_path(path, &captures),
        forward_query: forward_query(request_section, request),
        client_body: client_body(request_section),
        credentials: share(feed, request, upstream),
        topics: TOPICS,
        captures,
    };
    warn_of_unused(feed, &parameters.captures, request);
    let is_plain = parameters.captures.is_empty()
        && parameters.forward_query.is_empty()
        && parameters.client_body.is_none()
        && parameters.credentials.is_empty();
    let node = feed.find("topics");
    if is_plain {
        if let Some(node) = node {
            node.problem(
                "this feed has one topic: all its clients get the same document",
                "remove it, or capture something in `path`, such as \"/orders/{id}\"",
            );
        }
        return None;
    }
    let number = node.and_then(|node| node.integer(1..=MOST_TOPICS));
    let topics = number.and_then(|number| usize::try_from(number).ok());
    Some(Parameters {
        topics: topics.unwrap_or(TOPICS),
        ..parameters
    })
}

/// Refuses to poll for nobody what nobody asked for.
pub(super) fn refuse_keep(feed: &Section<'_>, poll: &Poll) {
    if poll.idle == Idle::Keep
        && let Some(node) = feed.section("poll", &POLL).find("idle")
    {
        node.problem(
            "the topics of this feed exist only while somebody listens",
            "remove it, or write `pause`",
        );
    }
}

fn warn_of_unused(feed: &Section<'_>, captures: &[String], request: &PollRequest) {
    let unused = captures.iter().enumerate().filter(|(number, _)| {
        let in_query = request.query.iter().any(|(_, value)| value.uses(*number));
        !request.path.uses(*number) && !in_query
    });
    let unused: Vec<String> = unused.map(|(_, name)| name.clone()).collect();
    if !unused.is_empty() {
        feed.node.warning(
            format!(
                "the poll does not use {}, so that topics which differ in nothing else are polled \
                 more than once",
                listed(&unused)
            ),
            "write it in `request.path` or `request.query`",
        );
    }
}

fn forward_query(section: &Section<'_>, request: &PollRequest) -> Vec<String> {
    let items = section
        .find("forward_query")
        .map_or_else(Vec::new, |node| node.items());
    let mut names: Vec<String> = Vec::new();
    for item in &items {
        let Some(scalar) = item.text() else {
            continue;
        };
        let shown = scalar.shown();
        if scalar.text.is_empty() {
            item.problem("the parameter has no name", "write one, such as `status`");
        } else if OURS.contains(&scalar.text.as_str()) {
            item.problem(
                format!("{shown} says how pollcast serves the client, and means nothing upstream"),
                "remove it",
            );
        } else if names.contains(&scalar.text) {
            item.problem(format!("{shown} is listed twice"), "remove one");
        } else if request.pages.iter().any(|pages| pages.sends(&scalar.text)) {
            item.problem(
                format!("{shown} is what `pages` counts in, and polls bring every page"),
                "remove it",
            );
        } else if request.query.iter().any(|(name, _)| *name == scalar.text) {
            item.problem(
                format!("{shown} is set by `query`, and a client could say otherwise"),
                "remove one of them",
            );
        } else {
            names.push(scalar.text);
        }
    }
    names
}

fn client_body(section: &Section<'_>) -> Option<usize> {
    let own = section.find("client_body")?.section(&CLIENT_BODY);
    refuse_own_body(section);
    let size = own
        .find("max_bytes")
        .and_then(|node| node.size(1..=1 << 20));
    Some(size.unwrap_or(BODY))
}

/// Refuses what the bodies of clients leave nothing to say of.
fn refuse_own_body(request: &Section<'_>) {
    const REMEDY: &str = "remove it, or `client_body`";
    if let Some(node) = request.find("body") {
        node.problem(
            "polls are sent with the bodies of clients (client_body)",
            REMEDY,
        );
    }
    let method = request.find("method");
    if let Some(node) = method.filter(|node| node.value() == "GET") {
        node.problem(
            "polls with the bodies of clients (client_body) are POSTs",
            REMEDY,
        );
    }
}

/// Reads with whom a topic is shared: the names of the headers in which its clients agree. Warns
/// where that shows a secret's view to everyone, or hides it from everyone.
fn share(feed: &Section<'_>, request: &PollRequest, upstream: &Upstream) -> Vec<HeaderName> {
    const REMEDY: &str =
        "write `everyone`, or a mapping, as in `{per_credential: [authorization]}`";
    let node = feed.find("share");
    let named = match &node {
        None => Vec::new(),
        Some(node) => match node.value() {
            Value::Mapping(_) => {
                let section = node.section(&SHARE);
                let names = section.require(
                    "per_credential",
                    "list the headers, such as [authorization]",
                );
                return names
                    .map_or_else(Vec::new, |node| per_credential(&node, request, upstream));
            }
            _ => {
                if let Some(scalar) = node.text().filter(|scalar| scalar.text != "everyone") {
                    node.problem(format!("{} is no way of sharing", scalar.shown()), REMEDY);
                }
                Vec::new()
            }
        },
    };
    let names = credentials(&request.headers, upstream);
    if !names.is_empty() {
        node.as_ref().unwrap_or(&feed.node).warning(
            format!("polls carry credentials ({}), and everyone who can reach the feed sees what they may see", names.join(", ")),
            "make sure that the document is meant for every client",
        );
    }
    named
}

fn per_credential(node: &Node<'_>, request: &PollRequest, upstream: &Upstream) -> Vec<HeaderName> {
    let mut names: Vec<HeaderName> = Vec::new();
    let own: Vec<HeaderName> = upstream
        .credentials
        .iter()
        .flat_map(Credentials::names)
        .cloned()
        .collect();
    let items = node.items();
    if items.is_empty() && matches!(node.value(), Value::Sequence(_)) {
        node.problem(
            "there is no header in the list",
            "write one, such as `authorization`",
        );
    }
    for item in &items {
        let Some(scalar) = item.text() else {
            continue;
        };
        let Ok(name) = HeaderName::from_bytes(scalar.text.as_bytes()) else {
            item.problem(
                format!("{} is no header name", scalar.shown()),
                "write letters, digits and `-` only",
            );
            continue;
        };
        if let Some((what, remedy)) = refusal(&name, Sent::WithPolls).or_else(|| set_by_us(&name)) {
            item.problem(what, remedy);
        } else if names.contains(&name) {
            item.problem(
                "the header is listed twice",
                "header names ignore case; keep one",
            );
        } else if own.contains(&name) {
            item.problem(
                "`credentials` of the upstream set this header, and clients would see what those may",
                "remove it here, or poll an upstream without them",
            );
        } else {
            if request.headers.contains_key(&name) {
                item.warning(
                    "`headers` sets this header as well; polls carry the client's, or none if it sends \
                     none",
                    "remove it from `headers` of the feed and its upstream",
                );
            }
            names.push(name);
        }
    }
    names
}

/// Why a header cannot be taken from a client, and the remedy.
fn set_by_us(name: &HeaderName) -> Option<(&'static str, &'static str)> {
    const SET: [HeaderName; 8] = [
        header::HOST,
        header::ACCEPT,
        header::ACCEPT_ENCODING,
        header::CONTENT_TYPE,
        header::CONTENT_ENCODING,
        header::EXPECT,
        header::USER_AGENT,
        HeaderName::from_static("last-event-id"),
    ];
    SET.contains(name).then_some((
        "this header says nothing of who asks, and polls have their own",
        "remove it",
    ))
}
