//! The configuration in force as it may be shown: the file as written, defaults filled in, secrets
//! hidden.
//!
//! Promises that nothing which came from outside the file is in it (`${TOKEN}` stands there as
//! written), and nothing of the file's own text that may be a secret: values of headers and of
//! query parameters, bodies, passwords, user names, and what a URL holds before `@` and after `?`
//! are `***`. Written back as a file, it means the same, but for what is hidden.

mod veil;

use std::sync::LazyLock;

use serde_json::Value as Json;
use serde_json::value::RawValue;
use serde_yaml::{Mapping, Value};

use super::expand::Surroundings;
use super::keys::{ALL, Keys};
pub(super) use veil::{Veils, digest, unmarked};

/// Stands for what is hidden.
const HIDDEN: &str = "***";

/// What holds where nothing is said: section by section, in the form of [`Keys::at`].
static DEFAULTS: LazyLock<Mapping> = LazyLock::new(|| {
    serde_yaml::from_str(include_str!("defaults.yaml")).expect("invariant: defaults.yaml is YAML")
});

/// Keys of which nothing but references is shown, at any depth.
const SECRET: &[&str] = &[
    "upstreams.NAME.headers",
    "upstreams.NAME.credentials.basic.username",
    "upstreams.NAME.credentials.basic.password",
    "upstreams.NAME.credentials.oauth2.client_secret",
    "upstreams.NAME.credentials.oauth2.parameters",
    "feeds[].request.headers",
    "feeds[].request.query",
    "feeds[].request.body",
    "proxy[].headers",
    "traces.otlp.headers",
];

/// Keys that hold a URL, or a list in which texts are URLs.
const URLS: &[&str] = &[
    "upstreams.NAME.url",
    "upstreams.NAME.servers",
    "upstreams.NAME.servers[].url",
    "upstreams.NAME.egress_proxy",
    "upstreams.NAME.credentials.oauth2.token_url",
    "traces.otlp.endpoint",
];

/// Shows a configuration without problems; with what is not shown as it is meant.
pub(super) fn shown(file: &Value, around: &dyn Surroundings) -> (Json, Veils) {
    let tree = place(file, "");
    let veils = Veils::of(file, &tree, around);
    (tree, veils)
}

/// A tree as text.
pub(super) fn text(tree: &Json) -> Box<RawValue> {
    RawValue::from_string(tree.to_string()).expect("invariant: a tree is written as JSON")
}

/// Shows what stands at `at`, a place in the form of [`Keys::at`].
fn place(value: &Value, at: &str) -> Json {
    match value {
        _ if SECRET.contains(&at) => hidden(value, at),
        Value::Mapping(entries) => match ALL.iter().find(|keys| keys.at == at) {
            Some(keys) => section(entries, keys),
            None => free(entries, at, place),
        },
        Value::Sequence(items) => {
            let below = format!("{at}[]");
            Json::Array(items.iter().map(|item| place(item, &below)).collect())
        }
        Value::String(text) if URLS.contains(&at.trim_end_matches("[]")) => {
            without_user(text).into()
        }
        other => scalar(other),
    }
}

/// A mapping with fixed keys, in the order of the reference.
fn section(entries: &Mapping, keys: &Keys) -> Json {
    let mut entries = entries.clone();
    entries.retain(|_, value| !value.is_null());
    let standard = DEFAULTS.get(keys.at).and_then(Value::as_mapping);
    for (key, value) in standard.into_iter().flatten() {
        if !entries.contains_key(key) {
            entries.insert(key.clone(), value.clone());
        }
    }
    derive(&mut entries, keys.at);
    let found = keys.known.iter().filter_map(|key| {
        let at = match keys.at {
            "" => (*key).to_owned(),
            above => format!("{above}.{key}"),
        };
        Some(((*key).to_owned(), place(entries.get(*key)?, &at)))
    });
    Json::Object(found.collect())
}

/// A mapping with keys of the operator's choice.
fn free(entries: &Mapping, at: &str, show: fn(&Value, &str) -> Json) -> Json {
    let below = match at {
        "upstreams" => "upstreams.NAME",
        at => at,
    };
    let named =
        |(key, value): (&Value, &Value)| Some((key.as_str()?.to_owned(), show(value, below)));
    Json::Object(entries.iter().filter_map(named).collect())
}

/// Defaults that depend on other keys.
fn derive(entries: &mut Mapping, at: &str) {
    let has = |entries: &Mapping, key: &str| entries.contains_key(key);
    match at {
        "" if !has(entries, "proxy") => {
            let proxy = only_route(entries);
            entries.insert("proxy".into(), proxy);
        }
        "server.listen[]" if !has(entries, "http2") => {
            let tls = has(entries, "tls");
            entries.insert("http2".into(), tls.into());
        }
        "upstreams.NAME" if !has(entries, "tls") && is_https(entries) => {
            entries.insert("tls".into(), Mapping::new().into());
        }
        "feeds[]" => derive_feed(entries),
        // With the bodies of clients it is POST, and nothing else can be written.
        "feeds[].request" if !has(entries, "method") && !has(entries, "client_body") => {
            entries.insert("method".into(), "GET".into());
        }
        "feeds[].poll" => {
            let others = ["interval", "freshness", "min_interval", "max_interval"];
            if !others.iter().any(|key| has(entries, key)) {
                entries.insert("interval".into(), "2s".into());
            }
        }
        "feeds[].document" => {
            let most = entries.get("max_bytes").cloned().unwrap_or_default();
            if let Some(Value::Mapping(transform)) = entries.get_mut("transform")
                && !has(transform, "max_bytes")
            {
                transform.insert("max_bytes".into(), most);
            }
        }
        "feeds[].events" if !has(entries, "mode") => {
            let modes = entries.get("modes").and_then(Value::as_sequence);
            let first = modes.and_then(|modes| match modes.iter().any(|mode| mode == "patch") {
                true => Some("patch".into()),
                false => modes.first().cloned(),
            });
            entries.insert("mode".into(), first.unwrap_or_default());
        }
        _ => {}
    }
}

/// `/` to the only upstream, nothing where there are several.
fn only_route(top: &Mapping) -> Value {
    let mut names = top
        .get("upstreams")
        .and_then(Value::as_mapping)
        .into_iter()
        .flatten();
    let routes = match (names.next(), names.next()) {
        (Some((only, _)), None) => {
            let route = [
                ("path".into(), "/".into()),
                ("upstream".into(), only.clone()),
            ];
            vec![Value::Mapping(route.into_iter().collect())]
        }
        _ => Vec::new(),
    };
    Value::Sequence(routes)
}

/// Whether an upstream's servers speak TLS, as far as the file says so itself.
fn is_https(upstream: &Mapping) -> bool {
    let servers = upstream.get("servers").and_then(|servers| servers.get(0));
    let first = servers.map(|server| server.get("url").unwrap_or(server));
    let url = upstream.get("url").or(first).and_then(Value::as_str);
    url.is_some_and(|url| url.to_ascii_lowercase().starts_with("https://"))
}

fn derive_feed(feed: &mut Mapping) {
    let path = feed.get("path").cloned().unwrap_or_default();
    let given = |part: &Value, key: &str| {
        let value = part.get(key);
        value.is_some_and(|value| !value.is_null() && value.as_sequence() != Some(&Vec::new()))
    };
    let captures = path.as_str().is_some_and(|path| path.contains("/{"));
    let shared = feed.get("share").is_none_or(Value::is_string);
    let exports = feed.get("export").and_then(Value::as_sequence);
    let keeps = exports.is_some_and(|entries| !entries.is_empty());
    if let Some(Value::Mapping(poll)) = feed.get_mut("poll")
        && keeps
        && !poll.contains_key("idle")
    {
        poll.insert("idle".into(), "keep".into());
    }
    if let Some(request) = feed.get_mut("request") {
        let asked = given(request, "forward_query") || given(request, "client_body");
        if let Value::Mapping(request) = request
            && !given(&Value::Mapping(request.clone()), "path")
        {
            request.insert("path".into(), path);
        }
        if (captures || asked || !shared) && !feed.contains_key("topics") {
            feed.insert("topics".into(), 1000.into());
        }
    }
}

/// A value of which only references are shown.
fn hidden(value: &Value, at: &str) -> Json {
    match value {
        Value::String(text) => references(text).into(),
        // A body may be of any form, and names in it may tell something, too.
        Value::Mapping(entries) if !at.ends_with(".body") => free(entries, at, hidden),
        Value::Sequence(items) if !at.ends_with(".body") => {
            Json::Array(items.iter().map(|item| hidden(item, at)).collect())
        }
        _ => HIDDEN.into(),
    }
}

/// The references in a text, without their defaults; `***` for what is around them.
fn references(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text;
    let mut plain = false;
    while let Some(at) = rest.find('$') {
        let after = &rest[at + 1..];
        let reference = after.strip_prefix('{').and_then(|it| it.split_once('}'));
        plain |= at > 0;
        let Some((reference, behind)) = reference else {
            plain = true;
            // `$$` is a plain `$`.
            rest = after.strip_prefix('$').unwrap_or(after);
            continue;
        };
        if std::mem::take(&mut plain) {
            shown.push_str(HIDDEN);
        }
        match reference.split_once(":-") {
            Some((name, default)) if !default.is_empty() => {
                shown.push_str(&format!("${{{name}:-{HIDDEN}}}"));
            }
            _ => shown.push_str(&format!("${{{reference}}}")),
        }
        rest = behind;
    }
    if plain || !rest.is_empty() {
        shown.push_str(HIDDEN);
    }
    shown
}

/// A URL without what stands before `@` and after `?` in it.
fn without_user(text: &str) -> String {
    let (address, query) = match text.split_once('?') {
        Some((address, query)) => (address, format!("?{}", references(query))),
        None => (text, String::new()),
    };
    let Some((before, host)) = address.rsplit_once('@') else {
        return format!("{address}{query}");
    };
    let (scheme, user) = match before.split_once("://") {
        Some((scheme, user)) if !scheme.contains('$') => (format!("{scheme}://"), user),
        _ => (String::new(), before),
    };
    format!("{scheme}{}@{host}{query}", references(user))
}

/// A scalar as JSON; text that is no text in JSON, such as `.inf`, cannot be in a valid file.
fn scalar(value: &Value) -> Json {
    serde_json::to_value(value).unwrap_or(Json::Null)
}

#[cfg(test)]
mod tests;
