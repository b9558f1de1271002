//! What polls prove themselves with to an upstream.
//!
//! Promises that no secret enters a message or debug output, and that every file could be read and
//! held something that can be sent.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use headers::Authorization;
use headers::authorization::{Bearer, Credentials as _};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde_yaml::Value;
use url::{Host, Url};

use super::endpoint::Endpoint;
use super::expand;
use super::headers::{Sent, name};
use super::keys::{BASIC, CREDENTIALS, OAUTH2};
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

/// The client credentials grant (RFC 6749 section 4.4).
#[derive(Clone)]
pub struct OAuth2 {
    /// Where tokens are given out; its query, if any, is kept.
    pub token_url: Endpoint,
    /// Who pollcast is there.
    pub client_id: String,
    /// How it proves it.
    pub client_secret: Secret,
    /// What is asked for; the server decides if there is none.
    pub scopes: Vec<String>,
    /// Further parameters of the request, such as `audience`.
    pub parameters: Vec<(String, String)>,
    /// Where id and secret are put.
    pub authentication: Authentication,
}

/// How a client authenticates at the token endpoint (RFC 6749 section 2.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authentication {
    /// As HTTP basic authentication.
    Basic,
    /// As parameters of the body.
    Body,
}

/// A text that is never shown.
#[derive(Clone)]
pub struct Secret {
    /// What it was when the configuration was read.
    text: Arc<str>,
    /// Where it may be another one later.
    file: Option<PathBuf>,
}

impl Secret {
    /// What it was when the configuration was read.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The file that holds it, which may change.
    pub fn file(&self) -> Option<&PathBuf> {
        self.file.as_ref()
    }

    /// A secret out of the text of a file: without one newline at its end. `None` if nothing is left.
    pub fn from_file(text: &str) -> Option<&str> {
        Some(expand::without_newline(text)).filter(|text| !text.is_empty())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            Some(_) => f.write_str("*** of a file"),
            None => f.write_str("***"),
        }
    }
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

impl fmt::Debug for OAuth2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OAuth2")
            .field("token_url", &self.token_url)
            .finish_non_exhaustive()
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

/// `Authorization: Bearer` with this token, marked sensitive; `None` if no header can hold it.
pub fn bearer(token: &str) -> Option<HeaderValue> {
    Authorization::bearer(token)
        .ok()
        .map(|Authorization(it)| sensitive(Bearer::encode(&it)))
}

/// `Authorization: Basic` of these, marked sensitive.
pub fn basic(username: &str, password: &str) -> HeaderValue {
    sensitive(Authorization::basic(username, password).0.encode())
}

/// A header's value out of a secret, marked sensitive; `None` if no header can hold it.
pub fn plain(text: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(text).ok().map(sensitive)
}

fn sensitive(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
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
        "bearer_file" => file(node, |token| bearer(token).is_some()).map(Credentials::Bearer),
        "header_files" => header_files(node),
        _ => oauth2(&node.section(&OAUTH2)),
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
        let value = file(&node, |text| plain(text).is_some());
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

fn oauth2(section: &Section<'_>) -> Option<Credentials> {
    let token_url = section
        .require("token_url", "write where tokens are given out")
        .and_then(|node| token_url(&node));
    let client_id = section
        .require("client_id", "write who pollcast is there")
        .and_then(|node| node.scalar());
    let client_secret = secret(section, "client_secret", "client_secret_file");
    let scopes = section
        .find("scopes")
        .map_or_else(Vec::new, |node| node.items());
    let scopes = scopes.iter().filter_map(scope).collect();
    let mut parameters = Vec::new();
    for (name, node) in section
        .find("parameters")
        .map_or_else(Vec::new, |node| node.named())
    {
        let own = ["grant_type", "scope", "client_id", "client_secret"];
        if own.contains(&name.as_str()) {
            node.problem("this parameter is set by pollcast itself", "remove it");
        }
        if let Some(scalar) = node.scalar() {
            parameters.push((name, scalar.text));
        }
    }
    let authentication = authentication(section);
    Some(Credentials::OAuth2(Arc::new(OAuth2 {
        token_url: token_url?,
        client_id: client_id?.text,
        client_secret: client_secret?,
        scopes,
        parameters,
        authentication,
    })))
}

fn authentication(section: &Section<'_>) -> Authentication {
    let Some((node, scalar)) = section
        .find("authentication")
        .and_then(|node| node.text().map(|scalar| (node, scalar)))
    else {
        return Authentication::Basic;
    };
    match scalar.text.as_str() {
        "basic" => Authentication::Basic,
        "body" => Authentication::Body,
        _ => {
            let what = format!("{} is no way to authenticate", scalar.shown());
            node.problem(what, "write `basic` or `body`");
            Authentication::Basic
        }
    }
}

/// RFC 6749 section 3.3: visible ASCII without quotes and backslashes.
fn scope(node: &Node<'_>) -> Option<String> {
    let scalar = node.text()?;
    let fits = |c: char| c.is_ascii_graphic() && c != '"' && c != '\\';
    if scalar.text.is_empty() || !scalar.text.chars().all(fits) {
        node.problem(
            format!("{} is no scope", scalar.shown()),
            "write one scope for each entry, without spaces",
        );
    }
    Some(scalar.text)
}

/// A secret in the file, or the path of one.
fn secret(section: &Section<'_>, key: &'static str, file_key: &'static str) -> Option<Secret> {
    match (section.find(key), section.find(file_key)) {
        (Some(node), None) => {
            let text = node.scalar()?.text;
            if text.is_empty() {
                node.problem("the secret is empty", "write it, or where it comes from");
            }
            Some(Secret {
                text: text.into(),
                file: None,
            })
        }
        (None, Some(node)) => file(&node, |_| true),
        (Some(_), Some(node)) => {
            node.problem(format!("there is `{key}` beside it"), "keep one of them");
            None
        }
        (None, None) => {
            let remedy = format!("write `{file_key}: FILE`, or `{key}: \"${{VARIABLE}}\"`");
            section.node.problem(format!("`{key}` is missing"), remedy);
            None
        }
    }
}

/// The secret in a file that `node` names, if it `fits`.
fn file(node: &Node<'_>, fits: impl Fn(&str) -> bool) -> Option<Secret> {
    let path = node.text()?;
    let around = node.sheet().around;
    let text = match around.file(&path.text) {
        Ok(text) => text,
        Err(error) => {
            node.problem(
                format!("cannot read {}: {error}", path.shown()),
                "name a file; a relative path starts at the folder of the configuration file",
            );
            return None;
        }
    };
    let Some(secret) = Secret::from_file(&text) else {
        node.problem(
            format!("{} is empty", path.shown()),
            "put the secret into it",
        );
        return None;
    };
    if !fits(secret) {
        node.problem(
            format!("{} holds a character that no header may hold", path.shown()),
            "keep nothing in it but the secret, on one line",
        );
    }
    Some(Secret {
        text: secret.into(),
        file: Some(around.locate(&path.text)),
    })
}

/// A token endpoint (RFC 6749 section 3.2): TLS unless it is near, no fragment.
fn token_url(node: &Node<'_>) -> Option<Endpoint> {
    let scalar = node.text()?;
    let url = Url::parse(&scalar.text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let Some(url) = url else {
        node.problem(
            "this is no URL of a token endpoint",
            "write one such as \"https://id.example/oauth2/token\"",
        );
        return None;
    };
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        node.problem(
            "the URL has a user, a password or a fragment",
            "write `client_id` and `client_secret` instead",
        );
    }
    if url.scheme() == "http" && !is_near(&url) {
        node.warning(
            "the client's secret goes to the token endpoint without TLS, for everybody on the way to read",
            "write https",
        );
    }
    // What may be shown is the URL as written, without a query.
    let shown = scalar.written.split('?').next().unwrap_or_default();
    Some(Endpoint::new(url, shown.to_owned()))
}

/// Whether a host is this machine or in a private network.
fn is_near(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(ip)) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        Some(Host::Ipv6(ip)) => {
            IpAddr::V6(ip).is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local()
        }
        None => false,
    }
}
