//! Services that decide who is let in, as the section `auth.forward` says them.
//!
//! Promises that a service is told nothing but what the configuration names, and that what it may
//! say of a client is known by name, so that no client can say it in its place.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, Method, header};

use super::Upstream;
use super::auth::check_name;
use super::endpoint::{Endpoint, below};
use super::headers::{Sent, name};
use super::keys::FORWARD;
use super::oauth2::is_near;
use super::section::Section;
use super::servers::Servers;
use super::sheet::Node;
use super::upstream::{Upstreams, stand_in};

/// Whom to ask whether a request is let in, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// Its name in the file.
    pub name: String,
    /// The upstream whose servers answer.
    pub upstream: String,
    /// That upstream, if it is there for this alone.
    pub own: Option<Own>,
    /// Where it is asked, at the upstream's first server.
    pub url: Endpoint,
    /// GET, HEAD or POST; without a body.
    pub method: Method,
    /// Which headers of the request it sees; distinct.
    pub request_headers: Vec<HeaderName>,
    /// What else it is told of the request.
    pub told: Vec<Told>,
    /// Which headers of its answer go on to upstreams; distinct. No client may send them.
    pub response_headers: Vec<HeaderName>,
    /// Which header of its answer says who somebody is, for logs and revocations.
    pub who: Option<HeaderName>,
    /// How long a decision holds for requests that would be asked alike; zero for no time.
    pub cache: Duration,
    /// How often it is asked again while a stream lasts.
    pub recheck: Duration,
    /// How long it may take to answer.
    pub timeout: Duration,
}

/// An upstream of a service's own, which is all in its URL.
#[derive(Clone, Debug)]
pub struct Own(pub Arc<Upstream>);

impl PartialEq for Own {
    fn eq(&self, other: &Self) -> bool {
        self.0.url == other.0.url
    }
}

impl Eq for Own {}

/// One of the `X-Forwarded-` headers that a service is told a request by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// Its method.
    Method,
    /// `http` or `https`.
    Proto,
    /// Its host, and port if it is written.
    Host,
    /// Its path and query, without pollcast's own parameters.
    Uri,
    /// The client's address.
    For,
}

impl Told {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Method, Self::Proto, Self::Host, Self::Uri, Self::For];

    /// How it is called in a configuration, and in the header behind `x-forwarded-`.
    pub const fn name(self) -> &'static str {
        match self {
            Told::Method => "method",
            Told::Proto => "proto",
            Told::Host => "host",
            Told::Uri => "uri",
            Told::For => "for",
        }
    }
}

/// The section `auth.forward`.
pub(super) fn forwards(auth: &Section<'_>, upstreams: &Upstreams<'_>) -> Vec<Arc<Forward>> {
    let named = auth
        .find("forward")
        .map_or_else(Vec::new, |node| node.named());
    let read = |(name, node): (String, Node<'_>)| {
        check_name(&name, &node);
        forward(name, &node, upstreams).map(Arc::new)
    };
    named.into_iter().filter_map(read).collect()
}

fn forward(name: String, node: &Node<'_>, upstreams: &Upstreams<'_>) -> Option<Forward> {
    let section = node.section(&FORWARD);
    let place = place(&name, &section, upstreams);
    let duration = |key, least| section.find(key).and_then(|node| node.duration(least));
    let request_headers = section.find("request_headers");
    let request_headers = request_headers.map_or_else(
        || vec![header::AUTHORIZATION, header::COOKIE],
        |node| headers(&node, Sent::WithPolls),
    );
    let response_headers = section.find("response_headers");
    let response_headers =
        response_headers.map_or_else(Vec::new, |node| headers(&node, Sent::WithPassThrough));
    let who = section.find("who").and_then(|node| {
        let written = node.text()?.text;
        super::headers::name(&written, &node, Sent::WithPassThrough)
    });
    let told = section.find("forwarded").map(|node| told(&node));
    let method = section.find("method").and_then(|node| method(&node));
    let cache = duration("cache", Duration::ZERO);
    let recheck = duration("recheck", Duration::from_secs(1));
    let timeout = duration("timeout", Duration::from_millis(10));
    let (upstream, own, url) = place?;
    Some(Forward {
        name,
        upstream,
        own,
        url,
        method: method.unwrap_or(Method::GET),
        request_headers,
        told: told.unwrap_or_else(|| Told::ALL.to_vec()),
        response_headers,
        who,
        cache: cache.unwrap_or(Duration::from_secs(10)),
        recheck: recheck.unwrap_or(Duration::from_secs(60)),
        timeout: timeout.unwrap_or(Duration::from_secs(2)),
    })
}

/// Where it is: at a URL, or at the path of an upstream that has settings of its own.
fn place(
    name: &str,
    section: &Section<'_>,
    upstreams: &Upstreams<'_>,
) -> Option<(String, Option<Own>, Endpoint)> {
    if section.find("upstream").is_some() {
        if let Some(url) = section.find("url") {
            url.problem("there is `upstream` beside it", "keep one of them");
        }
        let upstream = upstreams.refer(section);
        let path = section.require("path", "write where it decides, such as /oauth2/auth");
        let (path, _) = path?.path()?;
        let shown = upstream.url.shown_below(&path, false);
        let url = Endpoint::new(below(&upstream.url, &path, &[]), shown);
        return Some((upstream.name.clone(), None, url));
    }
    if let Some(path) = section.find("path") {
        path.problem(
            "only an `upstream` has a path beside it",
            "write it into `url`",
        );
    }
    let node = section.require(
        "url",
        "write where it decides, such as \"http://127.0.0.1:4180/oauth2/auth\", or `upstream` and `path`",
    )?;
    let url = node.base_url()?;
    if url.scheme() == "http" && !is_near(&url) {
        node.warning(
            "credentials go to it without TLS, for everybody on the way to read",
            "write https",
        );
    }
    // No upstream can be called so.
    let mut upstream = stand_in(format!("auth.forward.{name}"));
    upstream.servers = Servers::only(&url, &node);
    upstream.url = url.clone();
    Some((upstream.name.clone(), Some(Own(Arc::new(upstream))), url))
}

fn headers(node: &Node<'_>, sent: Sent) -> Vec<HeaderName> {
    let mut names: Vec<HeaderName> = Vec::new();
    for item in node.items() {
        let Some(scalar) = item.text() else {
            continue;
        };
        let Some(name) = name(&scalar.text, &item, sent) else {
            continue;
        };
        if name == header::HOST || name.as_str().starts_with("x-forwarded-") {
            item.problem(
                "this header says where a request went, which pollcast tells itself",
                "remove it, and see `forwarded`",
            );
        } else if names.contains(&name) {
            item.problem("the header is listed twice", "remove one");
        } else {
            names.push(name);
        }
    }
    names
}

fn told(node: &Node<'_>) -> Vec<Told> {
    let mut told = Vec::new();
    for item in node.items() {
        let Some(scalar) = item.text() else {
            continue;
        };
        match Told::ALL.into_iter().find(|it| it.name() == scalar.text) {
            Some(known) if told.contains(&known) => {
                item.problem("it is listed twice", "remove one");
            }
            Some(known) => told.push(known),
            None => item.problem(
                format!("{} is nothing that can be told", scalar.shown()),
                "write some of method, proto, host, uri and for",
            ),
        }
    }
    told
}

fn method(node: &Node<'_>) -> Option<Method> {
    let scalar = node.text()?;
    let known = [Method::GET, Method::HEAD, Method::POST];
    let found = known.into_iter().find(|method| *method == *scalar.text);
    if found.is_none() {
        node.problem(
            format!("{} is no method for this", scalar.shown()),
            "write GET, HEAD or POST",
        );
    }
    found
}
