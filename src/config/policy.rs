//! Who may have a feed or take a route: the key `access`.
//!
//! Promises that every name in it is one of the section `auth`, and every capture one of the path.

use std::sync::Arc;

use serde_json::Value as Json;
use serde_yaml::Value;

use super::auth::Auth;
use super::keys::{ADMIN_ACCESS, FEED_ACCESS, Keys, ROUTE_ACCESS, nearest};
use super::section::Section;
use super::servers::ServerAddress;
use super::sheet::Node;
use super::template::{self, Template};
use super::{Feed, Route, Upstream};

/// Says that everybody is let in, as nothing does.
const EVERYONE: &str = "everyone";

/// Who is let in.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Any of these is enough; at least one.
    pub any: Vec<Requirement>,
}

/// What must all hold at once; at least one of its parts is there.
#[derive(Clone, Debug, Default)]
pub struct Requirement {
    /// One of these API keys; any if there is none.
    pub keys: Vec<String>,
    /// A token of this issuer.
    pub jwt: Option<String>,
    /// What its claims must be.
    pub claims: Vec<ClaimRule>,
    /// This service lets in.
    pub forward: Option<String>,
}

/// What one claim of a token must be.
#[derive(Clone, Debug)]
pub struct ClaimRule {
    /// The way to it, from the outermost member; at least one name.
    pub path: Vec<String>,
    /// It must be one of these, or, as a list, contain one; at least one.
    pub wanted: Vec<Wanted>,
}

/// A value that a claim may have.
#[derive(Clone, Debug)]
pub enum Wanted {
    /// A text, into which captures are put.
    Text(Template),
    /// A number, true or false.
    Exactly(Json),
}

/// The policy of a feed whose path has these captures; `None` lets in everybody.
pub(super) fn of_feed(feed: &Section<'_>, auth: &Auth, captures: &[String]) -> Option<Arc<Policy>> {
    policy(feed, &FEED_ACCESS, auth, captures)
}

/// Warns of what stays open where something else is not: perhaps it was forgotten.
pub(super) fn warn_of_open(top: &Section<'_>, feeds: &[Arc<Feed>], routes: &[Arc<Route>]) {
    let guarded: Vec<&Arc<Feed>> = feeds.iter().filter(|feed| feed.access.is_some()).collect();
    let items = |key| top.find(key).map_or_else(Vec::new, |node| node.items());
    let says_nothing = |item: &Node<'_>| item.value().get("access").is_none();
    let text = |item: &Node<'_>, key| {
        item.value()
            .get(key)
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    if guarded.is_empty() && routes.iter().all(|route| route.access.is_none()) {
        return;
    }
    let open: Vec<String> = items("feeds")
        .iter()
        .filter(|item| says_nothing(item))
        .filter_map(|item| text(item, "path"))
        .collect();
    if let (false, Some(node)) = (open.is_empty(), top.find("feeds")) {
        node.warning(
            format!(
                "open to everybody, while others are not: {}",
                open.join(", ")
            ),
            "give them `access`, too, or say `access: everyone`",
        );
    }
    let leaks = |route: &Arc<Route>| {
        let is_its = |feed: &&Arc<Feed>| same_server(&feed.upstream, &route.upstream);
        route.access.is_none() && guarded.iter().any(is_its)
    };
    let said = items("proxy");
    let said: Vec<_> = said
        .iter()
        .filter(|item| !says_nothing(item))
        .filter_map(|item| text(item, "path"))
        .collect();
    for route in routes
        .iter()
        .filter(|route| leaks(route) && !said.contains(&route.path))
    {
        let node = top.find("proxy").unwrap_or_else(|| top.node.clone());
        node.warning(
            format!(
                "everybody may ask the upstream of a feed that has `access`, at any path below {:?} \
                 that is no feed's",
                route.path
            ),
            "give the route `access`, too, or say `access: everyone`; without `proxy` there is a route \
             for everything",
        );
    }
}

/// Whether the two share a server, perhaps under two names and at different paths.
fn same_server(one: &Upstream, other: &Upstream) -> bool {
    let place = |server: &ServerAddress| {
        let at = &server.at;
        (at.host_str().map(str::to_owned), at.port_or_known_default())
    };
    let places: Vec<_> = other.servers.list.iter().map(place).collect();
    let mut servers = one.servers.list.iter();
    servers.any(|server| places.contains(&place(server)))
}

/// The policy of a route; `None` lets in everybody.
pub(super) fn of_route(route: &Section<'_>, auth: &Auth) -> Option<Arc<Policy>> {
    policy(route, &ROUTE_ACCESS, auth, &[])
}

/// The policy of the admin listener; `None` if nothing is said of it.
pub(super) fn of_admin(admin: &Section<'_>, auth: &Auth) -> Option<Arc<Policy>> {
    policy(admin, &ADMIN_ACCESS, auth, &[])
}

fn policy(
    section: &Section<'_>,
    keys: &'static Keys,
    auth: &Auth,
    captures: &[String],
) -> Option<Arc<Policy>> {
    let node = section.find("access")?;
    if matches!(node.value(), Value::String(text) if text == EVERYONE) {
        return None;
    }
    let items = node.items();
    if matches!(node.value(), Value::Sequence(_)) && items.is_empty() {
        node.problem(
            "nobody would be let in",
            "write what lets in, as in `- {keys: [NAME]}`, or remove `access` for everybody",
        );
    }
    let read = |item: &Node<'_>| requirement(&item.section(keys), auth, captures);
    Some(Arc::new(Policy {
        any: items.iter().map(read).collect(),
    }))
}

fn requirement(section: &Section<'_>, auth: &Auth, captures: &[String]) -> Requirement {
    let node = &section.node;
    let keys: Vec<&str> = auth.keys.iter().map(|key| key.name.as_str()).collect();
    let issuers: Vec<&str> = auth.issuers.iter().map(|it| it.name.as_str()).collect();
    let services: Vec<&str> = auth.forwards.iter().map(|it| it.name.as_str()).collect();
    let named = section.find("keys");
    let items = named.as_ref().map_or_else(Vec::new, Node::items);
    if let Some(node) =
        named.filter(|node| matches!(node.value(), Value::Sequence(_)) && items.is_empty())
    {
        node.problem("there is no key", "write the names of keys of `auth.keys`");
    }
    let claims = section.find("claims");
    let jwt = section.find("jwt");
    if let (Some(claims), None) = (&claims, &jwt) {
        claims.problem("claims are part of a token", "name its issuer in `jwt`");
    }
    let forward = section.find("forward");
    let is_empty = items.is_empty() && jwt.is_none() && forward.is_none();
    if matches!(node.value(), Value::Mapping(_)) && is_empty {
        node.problem(
            "this would let in everybody",
            "write `keys`, `jwt` or `forward`, or several of them if all must hold",
        );
    }
    let claims = claims.map_or_else(Vec::new, |node| node.named());
    Requirement {
        keys: items
            .iter()
            .filter_map(|item| refer(item, &keys, "key", "auth.keys"))
            .collect(),
        forward: forward.and_then(|node| refer(&node, &services, "service", "auth.forward")),
        jwt: jwt.and_then(|node| refer(&node, &issuers, "issuer", "auth.jwt")),
        claims: claims
            .iter()
            .map(|(name, node)| claim(name, node, captures))
            .collect(),
    }
}

/// The name of something that `auth` defines.
fn refer(node: &Node<'_>, known: &[&str], what: &str, at: &str) -> Option<String> {
    let scalar = node.text()?;
    if known.contains(&scalar.text.as_str()) {
        return Some(scalar.text);
    }
    let defined = match known.is_empty() {
        true => format!("define it under `{at}`"),
        false => format!("defined are: {}", known.join(", ")),
    };
    let remedy = match nearest(&scalar.text, known).filter(|_| !scalar.foreign) {
        Some(nearest) => format!("did you mean `{nearest}`? {defined}"),
        None => defined,
    };
    node.problem(format!("there is no {what} {}", scalar.shown()), remedy);
    None
}

/// A name with dots, or a JSON pointer where names have dots in them (RFC 6901).
fn claim(name: &str, node: &Node<'_>, captures: &[String]) -> ClaimRule {
    let path: Vec<String> = match name.strip_prefix('/') {
        Some(pointer) => {
            let plain = |name: &str| name.replace("~1", "/").replace("~0", "~");
            pointer.split('/').map(plain).collect()
        }
        None => name.split('.').map(str::to_owned).collect(),
    };
    if path.iter().any(String::is_empty) {
        node.problem(
            "this is no way to a claim",
            "write its name, with dots as in `realm.roles`, or a JSON pointer as in `/https:~1~1x/roles`",
        );
    }
    let items = match matches!(node.value(), Value::Sequence(_)) {
        true => node.items(),
        false => vec![node.clone()],
    };
    if items.is_empty() {
        node.problem("no value would do", "write one value, or several");
    }
    ClaimRule {
        path,
        wanted: items
            .iter()
            .filter_map(|item| wanted(item, captures))
            .collect(),
    }
}

fn wanted(node: &Node<'_>, captures: &[String]) -> Option<Wanted> {
    match node.value() {
        Value::Bool(flag) => Some(Wanted::Exactly((*flag).into())),
        Value::Number(number) if !number.is_f64() => {
            serde_json::to_value(number).ok().map(Wanted::Exactly)
        }
        _ => template::strict(node, captures).map(Wanted::Text),
    }
}
