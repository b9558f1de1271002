//! Who may come in, as the section `auth` says it: API keys by name, and issuers of tokens.
//!
//! Promises that no secret and no hash enters a message or debug output, and that each issuer has keys
//! of one kind, and only algorithms that go with them.

use std::fmt;
use std::sync::Arc;

use serde_yaml::Value;

use super::forward::{Forward, forwards};
use super::jwt::{Issuer, issuer};
use super::keys::{API_KEY, AUTH};
use super::section::Section;
use super::sheet::Node;
use super::tickets::{Tickets, tickets};
use super::upstream::Upstreams;
use crate::core::event::Timestamp;

/// Whoever may be let in, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Auth {
    /// The API keys, in the file's order; names distinct.
    pub keys: Vec<Arc<ApiKey>>,
    /// The issuers of tokens, in the file's order; names distinct.
    pub issuers: Vec<Arc<Issuer>>,
    /// Services that decide, in the file's order; names distinct.
    pub forwards: Vec<Arc<Forward>>,
    /// How tickets are given out, if they are.
    pub tickets: Option<Tickets>,
}

/// A static API key, of which only hashes are known.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Its name in the file.
    pub name: String,
    /// SHA-256 of each key that goes by this name; several while a key is changed for another.
    pub hashes: Vec<[u8; 32]>,
    /// When it ends to be valid.
    pub expires: Option<Timestamp>,
    /// The parameter of the query in which it may come, too.
    pub query: Option<String>,
}

/// Shows no hash.
impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKey")
            .field("name", &self.name)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

impl Auth {
    /// The API key of this name.
    pub fn key(&self, name: &str) -> Option<&Arc<ApiKey>> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// The issuer of this name.
    pub fn issuer(&self, name: &str) -> Option<&Arc<Issuer>> {
        self.issuers.iter().find(|issuer| issuer.name == name)
    }
}

/// The section `auth`.
pub(super) fn auth(top: &Section<'_>, upstreams: &Upstreams<'_>) -> Auth {
    let Some(node) = top.find("auth") else {
        return Auth::default();
    };
    let section = node.section(&AUTH);
    let named = |key| {
        let node: Option<Node<'_>> = section.find(key);
        node.map_or_else(Vec::new, |node| node.named())
    };
    let mut auth = Auth::default();
    for (name, node) in named("keys") {
        check_name(&name, &node);
        auth.keys.push(Arc::new(api_key(name, &node)));
    }
    for (name, node) in named("jwt") {
        check_name(&name, &node);
        auth.issuers.push(Arc::new(issuer(name, &node)));
    }
    auth.forwards = forwards(&section, upstreams);
    auth.tickets = tickets(&section);
    auth
}

pub(super) fn check_name(name: &str, node: &Node<'_>) {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !(1..=64).contains(&name.len()) || !name.chars().all(plain) {
        node.problem(
            "this is no name (it stands in logs and metrics)",
            "use 1 to 64 letters, digits, `_` or `-`",
        );
    }
}

fn api_key(name: String, node: &Node<'_>) -> ApiKey {
    let section = node.section(&API_KEY);
    let remedy = "write the key's hash, which `pollcast hash-key` prints";
    let hashes = section
        .require("sha256", remedy)
        .map_or_else(Vec::new, |node| {
            let items = match matches!(node.value(), Value::Sequence(_)) {
                true => node.items(),
                false => vec![node.clone()],
            };
            if items.is_empty() {
                node.problem("there is no hash", remedy);
            }
            items.iter().filter_map(hash).collect()
        });
    ApiKey {
        name,
        hashes,
        expires: section.find("expires").and_then(|node| moment(&node)),
        query: section.find("query").and_then(|node| parameter(&node)),
    }
}

/// 64 hexadecimal digits.
fn hash(node: &Node<'_>) -> Option<[u8; 32]> {
    let text = node.text()?.text;
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect();
    let bytes = digits.map(|digits| {
        digits
            .chunks(2)
            .map(|pair| pair.iter().fold(0, |sum, digit| sum << 4 | digit))
            .collect::<Vec<u8>>()
    });
    let hash = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    if hash.is_none() || text.len() != 64 {
        node.problem(
            "this is no SHA-256 (64 hexadecimal digits)",
            "write what `pollcast hash-key` prints, not the key itself",
        );
        return None;
    }
    hash
}

/// A moment of RFC 3339.
fn moment(node: &Node<'_>) -> Option<Timestamp> {
    let scalar = node.text()?;
    let read: Option<jiff::Timestamp> = scalar.text.parse().ok();
    let milliseconds = read.and_then(|moment| u64::try_from(moment.as_millisecond()).ok());
    if milliseconds.is_none() {
        node.problem(
            format!("{} is no moment", scalar.shown()),
            "write one such as \"2027-01-01T00:00:00Z\"",
        );
    }
    milliseconds.map(Timestamp)
}

/// The name of a parameter of the query, such as need not be encoded.
pub(super) fn parameter(node: &Node<'_>) -> Option<String> {
    let scalar = node.text()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.~".contains(c);
    let taken = ["mode", "last_event_id"].contains(&scalar.text.as_str());
    if scalar.text.is_empty() || taken || !scalar.text.chars().all(plain) {
        node.problem(
            format!("{} is no name for this parameter", scalar.shown()),
            "use letters, digits, `_`, `-`, `.` and `~`; `mode` and `last_event_id` mean something else",
        );
        return None;
    }
    Some(scalar.text)
}
