//! The client credentials grant of OAuth 2.0, as it is written in a configuration.

use std::fmt;
use std::net::IpAddr;

use url::{Host, Url};

use super::endpoint::Endpoint;
use super::secret::{Secret, secret};
use super::section::Section;
use super::sheet::Node;

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

impl fmt::Debug for OAuth2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OAuth2")
            .field("token_url", &self.token_url)
            .finish_non_exhaustive()
    }
}

/// The section `oauth2` of an upstream's credentials.
pub(super) fn oauth2(section: &Section<'_>) -> Option<OAuth2> {
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
    Some(OAuth2 {
        token_url: token_url?,
        client_id: client_id?.text,
        client_secret: client_secret?,
        scopes,
        parameters,
        authentication,
    })
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
pub(super) fn is_near(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(ip)) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        Some(Host::Ipv6(ip)) => {
            IpAddr::V6(ip).is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local()
        }
        None => false,
    }
}
