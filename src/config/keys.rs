//! Every key that a configuration may hold, section by section.
//!
//! Promises that a key is either read, or refused: as not supported yet where the design has a
//! place for it, else as unknown, with the nearest key that exists. The tests hold `full.yaml` and
//! the reference table of `config/README.md` to these tables.

/// The keys of one mapping.
#[derive(Debug)]
pub(super) struct Keys {
    /// Where the mapping stands, such as `feeds[].poll`; empty for the top of the file.
    pub(super) at: &'static str,
    /// Keys that are read.
    pub(super) known: &'static [&'static str],
    /// Keys that have a meaning in a later version.
    pub(super) later: &'static [&'static str],
}

macro_rules! sections {
    ($($name:ident at $at:literal: [$($known:literal),*] later [$($later:literal),*];)*) => {
        $(pub(super) const $name: Keys =
            Keys { at: $at, known: &[$($known),*], later: &[$($later),*] };)*
        /// Every section, outermost first.
        pub(super) const ALL: &[Keys] = &[$($name),*];
    };
}

sections! {
    TOP at "": ["server", "admin", "logs", "traces", "backplane", "auth", "upstreams", "feeds", "proxy"]
        later [];
    SERVER at "server":
        ["listen", "threads", "drain", "header_timeout", "limits", "trusted_proxies", "client"] later [];
    LISTEN at "server.listen[]": ["address", "tls", "http2", "proxy_protocol"] later [];
    LISTEN_TLS at "server.listen[].tls": ["certificate", "key"] later [];
    LIMITS at "server.limits":
        ["subscribers", "subscribers_per_client", "accepts_per_second", "topics", "memory"] later [];
    ADMIN at "admin": ["listen", "hosts", "access"] later [];
    ADMIN_ACCESS at "admin.access[]": ["keys", "jwt", "claims", "forward"] later [];
    LOGS at "logs": ["format", "access"] later [];
    TRACES at "traces": ["otlp"] later [];
    OTLP at "traces.otlp": ["endpoint", "headers", "sample", "service_name"] later [];
    BACKPLANE at "backplane": ["file"] later ["redis"];
    STORE at "backplane.file": ["path", "sync", "private"] later [];
    AUTH at "auth": ["keys", "jwt", "forward", "tickets"] later [];
    API_KEY at "auth.keys.NAME": ["sha256", "expires", "query"] later [];
    JWT at "auth.jwt.NAME":
        [
            "issuer", "audience", "algorithms", "jwks_url", "jwks_file", "public_key_file", "secret",
            "secret_file", "leeway", "expiry", "from", "refresh"
        ] later [];
    JWT_FROM at "auth.jwt.NAME.from": ["header", "cookie", "query"] later [];
    JWT_REFRESH at "auth.jwt.NAME.refresh": ["every", "at_most_every", "keep"] later [];
    FORWARD at "auth.forward.NAME":
        [
            "url", "upstream", "path", "method", "request_headers", "forwarded", "response_headers",
            "who", "cache", "recheck", "timeout"
        ] later [];
    TICKETS at "auth.tickets":
        ["path", "ttl", "use", "bind", "secret"] later [];
    UPSTREAM at "upstreams.NAME":
        [
            "url", "servers", "balance", "host", "health_check", "resolve_every", "tls",
            "egress_proxy", "addresses", "headers", "credentials", "max_in_flight",
            "max_requests_per_second", "budget", "circuit_breaker"
        ] later [];
    BREAKER at "upstreams.NAME.circuit_breaker": ["failures", "open"] later [];
    SERVER_OF_UPSTREAM at "upstreams.NAME.servers[]": ["url", "weight"] later [];
    HEALTH_CHECK at "upstreams.NAME.health_check":
        ["path", "interval", "timeout", "healthy_after", "unhealthy_after", "status"] later [];
    UPSTREAM_TLS at "upstreams.NAME.tls": ["ca", "certificate", "key", "verify"] later [];
    ADDRESSES at "upstreams.NAME.addresses": ["allow", "deny"] later [];
    CREDENTIALS at "upstreams.NAME.credentials":
        ["basic", "bearer_file", "header_files", "oauth2"] later [];
    BASIC at "upstreams.NAME.credentials.basic":
        ["username", "password", "password_file"] later [];
    OAUTH2 at "upstreams.NAME.credentials.oauth2":
        [
            "token_url", "client_id", "client_secret", "client_secret_file", "scopes", "parameters",
            "authentication"
        ] later [];
    FEED at "feeds[]":
        [
            "path", "upstream", "access", "request", "poll", "document", "events", "deliver", "export",
            "json", "share", "topics"
        ] later [];
    FEED_ACCESS at "feeds[].access[]": ["keys", "jwt", "claims", "forward"] later [];
    SHARE at "feeds[].share": ["per_credential"] later [];
    REQUEST at "feeds[].request":
        [
            "method", "path", "query", "headers", "body", "pages", "forward_query", "client_body"
        ] later [];
    CLIENT_BODY at "feeds[].request.client_body": ["max_bytes"] later [];
    PAGES at "feeds[].request.pages":
        ["link", "page", "offset", "cursor", "items", "max_pages"] later [];
    PAGE at "feeds[].request.pages.page":
        ["parameter", "first", "size_parameter", "size"] later [];
    OFFSET at "feeds[].request.pages.offset":
        ["parameter", "limit_parameter", "limit"] later [];
    CURSOR at "feeds[].request.pages.cursor": ["parameter", "next"] later [];
    POLL at "feeds[].poll":
        [
            "interval", "min_interval", "max_interval", "freshness", "align", "respect",
            "revalidate", "timeout", "idle", "linger"
        ] later [];
    DOCUMENT at "feeds[].document":
        ["format", "transform", "select", "ignore", "key", "items", "max_bytes"] later [];
    FORMAT at "feeds[].document.format": ["csv", "xml"] later [];
    CSV at "feeds[].document.format.csv": ["delimiter", "header", "numbers"] later [];
    XML at "feeds[].document.format.xml": ["arrays", "numbers"] later [];
    TRANSFORM at "feeds[].document.transform": ["jq", "timeout", "max_bytes"] later [];
    EVENTS at "feeds[].events": ["mode", "modes", "names", "history"] later [];
    NAMES at "feeds[].events.names": [
        "snapshot", "patch", "merge", "added", "changed", "removed", "reset", "status", "end"
    ] later [];
    HISTORY at "feeds[].events.history": ["events", "bytes"] later [];
    DELIVER at "feeds[].deliver":
        [
            "retry", "heartbeat", "write_timeout", "max_lifetime", "max_subscribers", "end_after",
            "compression", "cors"
        ] later [];
    HEARTBEAT at "feeds[].deliver.heartbeat": ["every", "event"] later [];
    CORS at "feeds[].deliver.cors": ["origins", "credentials"] later [];
    EXPORT at "feeds[].export[]":
        ["metric", "help", "each", "value", "labels", "constants", "max_series"] later [];
    ROUTE at "proxy[]":
        ["path", "upstream", "access", "forward_credentials", "headers", "preserve_host"] later [];
    ROUTE_ACCESS at "proxy[].access[]": ["keys", "jwt", "claims", "forward"] later [];
}

impl Keys {
    /// What to tell someone who wrote `key` here: nothing if it is known, else what is wrong and
    /// the remedy.
    pub(super) fn refusal(&self, key: &str) -> Option<(&'static str, String)> {
        if self.known.contains(&key) {
            return None;
        }
        if self.later.contains(&key) {
            return Some(("not supported yet", "remove it".to_owned()));
        }
        let known = format!("known keys: {}", self.known.join(", "));
        let remedy = match (nearest(key, self.known), self.below(key)) {
            (_, Some(section)) => format!("write it under `{section}`; {known}"),
            (Some(nearest), None) => format!("did you mean `{nearest}`? {known}"),
            (None, None) => known,
        };
        Some(("unknown key", remedy))
    }

    /// The only section inside this one that knows `key`, relative to this one.
    fn below(&self, key: &str) -> Option<&'static str> {
        let mut sections = ALL[1..].iter().filter_map(|section| {
            let inside = match self.at {
                "" => section.at,
                at => section.at.strip_prefix(at)?.strip_prefix('.')?,
            };
            section.known.contains(&key).then_some(inside)
        });
        sections.next().filter(|_| sections.next().is_none())
    }
}

/// The candidate that `word` was most likely meant to be, if one is close enough.
pub(super) fn nearest<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    // A long word is no typing error, and its distance would take long to find.
    if word.len() > 64 {
        return None;
    }
    let word = word.to_lowercase();
    let close = |candidate: &&str| 1.max(candidate.len() / 3);
    candidates
        .iter()
        .map(|candidate| (distance(&word, &candidate.to_lowercase()), *candidate))
        .filter(|(distance, candidate)| *distance <= close(candidate))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The edit distance in characters, in which swapping two neighbours is one edit.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let above = &rows[i - 1];
            let replaced = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_yaml::Value;

    use super::*;
    use crate::config::Config;
    use crate::config::expand::tests::Fixed;

    const FULL: &str = include_str!("../../config/full.yaml");
    const TRACES: &str = include_str!("../../config/traces.yaml");
    const README: &str = include_str!("../../config/README.md");

    /// The full example, and the section that has an example of its own.
    fn full() -> Value {
        let mut value: Value = serde_yaml::from_str(FULL).unwrap();
        let traces: Value = serde_yaml::from_str(TRACES).unwrap();
        value["traces"] = traces["traces"].clone();
        value
    }

    /// Every key of every section, as `config/README.md` writes them.
    fn known() -> BTreeSet<String> {
        let keys = |section: &Keys| {
            let at = section.at;
            section.known.iter().map(move |key| match at {
                "" => (*key).to_owned(),
                at => format!("{at}.{key}"),
            })
        };
        ALL.iter().flat_map(keys).collect()
    }

    /// Calls `visit` for every key of a mapping, with its place in the form of [`known`].
    fn walk(value: &mut Value, at: &str, visit: &mut dyn FnMut(&str, &mut Value)) {
        match value {
            Value::Mapping(entries) => {
                for (key, value) in entries.iter_mut() {
                    let key =
                        if ["upstreams", "auth.keys", "auth.jwt", "auth.forward"].contains(&at) {
                            "NAME"
                        } else {
                            key.as_str().unwrap()
                        };
                    let place = if at.is_empty() {
                        key.to_owned()
                    } else {
                        format!("{at}.{key}")
                    };
                    visit(&place, value);
                    walk(value, &place, visit);
                }
            }
            Value::Sequence(items) => {
                for item in items {
                    walk(item, &format!("{at}[]"), visit);
                }
            }
            _ => {}
        }
    }

    #[test]
    fn the_full_example_names_every_key() {
        let mut named = BTreeSet::new();
        walk(&mut full(), "", &mut |place, _| {
            named.insert(place.to_owned());
        });
        let missing: Vec<_> = known().difference(&named).cloned().collect();
        assert!(missing.is_empty(), "config/full.yaml lacks {missing:?}");
    }

    #[test]
    fn the_reference_table_names_every_key_and_no_other() {
        // An upstream is a section, and `proxy[]` and `feeds[]` are entries: none is a key itself.
        let (_, section) = README.split_once("\n## Every key\n").unwrap();
        let (table, _) = section.split_once("\n## ").unwrap();
        let rows = table
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
        let named: BTreeSet<_> = rows.map(|(key, _)| key.to_owned()).collect();
        assert_eq!(named, known());
    }

    /// The full example with another value under one key.
    fn full_with(key: &str, odd: &str) -> String {
        let odd: Value = serde_yaml::from_str(odd).unwrap();
        let mut value = full();
        walk(&mut value, "", &mut |place, value| {
            if place == key {
                *value = odd.clone();
            }
        });
        serde_yaml::to_string(&value).unwrap()
    }

    /// Where problems are, in the form of [`known`].
    fn places(problems: &str) -> BTreeSet<String> {
        let plain = |line: &str| {
            let place = line.split(' ').next().unwrap_or_default();
            let place = (0..30).fold(place.to_owned(), |place, index| {
                place.replace(&format!("[{index}]"), "[]")
            });
            let named = ["upstreams", "auth.keys", "auth.jwt", "auth.forward"]
                .into_iter()
                .find_map(|at| {
                    let (_, key) = place.strip_prefix(at)?.strip_prefix('.')?.split_once('.')?;
                    Some(format!("{at}.NAME.{key}"))
                });
            named.unwrap_or(place)
        };
        problems.lines().map(plain).collect()
    }

    #[test]
    fn every_known_key_is_read() {
        for key in known() {
            let problems = Config::parse(&full_with(&key, "!odd [[1.5]]"), &Fixed);
            let problems = problems.expect_err(&key).to_string();
            assert!(places(&problems).contains(&key), "{key}:\n{problems}");
        }
    }

    #[test]
    fn no_key_tells_what_was_put_in_from_outside() {
        for key in known() {
            for odd in [
                "'${TOKEN}'",
                "['${TOKEN}']",
                "'http://${TOKEN}:${TOKEN}@x'",
                "'/{${TOKEN}'",
            ] {
                let told = match Config::parse(&full_with(&key, odd), &Fixed) {
                    Ok((config, warnings)) => format!("{warnings:?} {}", config.shown().get()),
                    Err(problems) => problems.to_string(),
                };
                assert!(!told.contains("s3cret"), "{key}:\n{told}");
            }
        }
    }

    #[test]
    fn an_unknown_key_is_answered_with_the_nearest_or_its_proper_place() {
        let remedy = |keys: &Keys, key| keys.refusal(key).unwrap().1;
        assert!(remedy(&POLL, "intervall").starts_with("did you mean `interval`?"));
        assert!(remedy(&DOCUMENT, "max-bytes").starts_with("did you mean `max_bytes`?"));
        assert!(remedy(&UPSTREAM, "ulr").starts_with("did you mean `url`?"));
        assert!(remedy(&FEED, "interval").starts_with("write it under `poll`"));
        assert!(remedy(&TOP, "drain").starts_with("write it under `server`"));
        assert!(remedy(&ADMIN, "colour").starts_with("known keys: listen"));
        assert_eq!(BACKPLANE.refusal("redis").unwrap().0, "not supported yet");
    }
}
