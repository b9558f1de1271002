//! What polls prove themselves with to an upstream.
//!
//! Promises that no secret enters a message or debug output, and that every file could be read and
//! held something that can be sent.

use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, header};
use serde_yaml::Value;

use super::headers::{Sent, name};
use super::keys::{BASIC, CREDENTIALS, OAUTH2};
use super::oauth2::{OAuth2, oauth2};
use super::secret::{Secret, bearer, plain, secret, secret_file};
use super::section::Section;
use super::sheet::Node;

/// What polls prove themselves with.
#[derive(Clone)]
pub enum Credentials {
    /// `Authorization: Basic` (RFC 7617).
    Basic {
        /// Holds no colon.
        username: String,
        /// The password.
        password: Secret,
    },
    /// `Authorization: Bearer` with this token (RFC 6750).
    Bearer(Secret),
    /// Headers of these names, distinct.
    Headers(Vec<(HeaderName, Secret)>),
    /// A bearer token from an authorization server.
    OAuth2(Arc<OAuth2>),
}

/// Shows the kind and no value, since any of them may come from outside the file.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Basic { password, .. } => f.debug_tuple("Basic").field(password).finish(),
            Self::Bearer(token) => f.debug_tuple("Bearer").field(token).finish(),
            Self::Headers(headers) => f.debug_tuple("Headers").field(headers).finish(),
            Self::OAuth2(grant) => grant.fmt(f),
        }
    }
}

impl Credentials {
    /// The names of the headers that they become.
    pub fn names(&self) -> Vec<&HeaderName> {
        match self {
            Self::Headers(headers) => headers.iter().map(|(name, _)| name).collect(),
            _ => vec![&header::AUTHORIZATION],
        }
    }
}

/// The section `credentials` of an upstream whose own headers are `headers`.
pub(super) fn credentials(node: &Node<'_>, headers: &HeaderMap) -> Option<Credentials> {
    let section = node.section(&CREDENTIALS);
    if !matches!(node.value(), Value::Mapping(_)) {
        return None;
    }
    let remedy = "write exactly one of `basic`, `bearer_file`, `header_files` and `oauth2`";
    let ways = ["basic", "bearer_file", "header_files", "oauth2"];
    let mut found = ways
        .into_iter()
        .filter_map(|way| Some((way, section.find(way)?)));
    let credentials = match (found.next(), found.next()) {
        (Some((way, node)), None) => one_of(way, &node)?,
        (Some((first, _)), Some((second, node))) => {
            node.problem(format!("there is `{first}` beside `{second}`"), remedy);
            return None;
        }
        (None, _) => {
            node.problem("there are no credentials", remedy);
            return None;
        }
    };
    for name in credentials.names() {
        if headers.contains_key(name) {
            node.problem(
                format!("`headers` of this upstream sets {name}, too"),
                "keep one of them",
            );
        }
    }
    Some(credentials)
}

fn one_of(way: &str, node: &Node<'_>) -> Option<Credentials> {
    match way {
        "basic" => basic_of(&node.section(&BASIC)),
        "bearer_file" => {
            secret_file(node, |token| bearer(token).is_some()).map(Credentials::Bearer)
        }
        "header_files" => header_files(node),
        _ => oauth2(&node.section(&OAUTH2)).map(|grant| Credentials::OAuth2(Arc::new(grant))),
    }
}

fn basic_of(section: &Section<'_>) -> Option<Credentials> {
    let username = section.require("username", "write who polls");
    let password = secret(section, "password", "password_file");
    let node = username?;
    let username = node.scalar()?.text;
    if username.contains(|c: char| c == ':' || c.is_control()) {
        node.problem(
            "the name holds a colon or a control character, which basic authentication cannot send",
            "write another one",
        );
    }
    Some(Credentials::Basic {
        username,
        password: password?,
    })
}

fn header_files(node: &Node<'_>) -> Option<Credentials> {
    let mut headers: Vec<(HeaderName, Secret)> = Vec::new();
    let named = node.named();
    if named.is_empty() && node.value().is_mapping() {
        node.problem(
            "there is no header",
            "write `x-api-key: FILE`, for instance",
        );
    }
    for (written, node) in named {
        let name = name(&written, &node, Sent::WithPolls);
        let value = secret_file(&node, |text| plain(text).is_some());
        let (Some(name), Some(value)) = (name, value) else {
            continue;
        };
        if headers.iter().any(|(other, _)| *other == name) {
            node.problem(
                "the header is set twice",
                "header names ignore case; keep one",
            );
        }
        headers.push((name, value));
    }
    Some(Credentials::Headers(headers))
}
