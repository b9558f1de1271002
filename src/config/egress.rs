//! The way out through an HTTP proxy as it is written.

use http::HeaderValue;
use url::Url;

use super::secret::basic;
use super::sheet::Node;

/// An HTTP proxy on the way to the servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EgressProxy {
    /// Where it is: `http`, a host and a port, without user and password.
    pub url: Url,
    /// Who asks (RFC 9110 section 11.7.2). Marked sensitive.
    pub authorization: Option<HeaderValue>,
}

/// Reads `http://HOST:PORT`, with `USER:PASSWORD@` if need be. Shows nothing of it.
pub(super) fn egress_proxy(node: &Node<'_>) -> Option<EgressProxy> {
    let scalar = node.text()?;
    let refuse = |what: &str| {
        node.problem(what, "write one such as \"http://proxy.internal:3128\"");
        None
    };
    let Ok(mut url) = Url::parse(&scalar.text) else {
        return refuse("this is no URL");
    };
    if url.scheme() != "http" || url.host().is_none() {
        return refuse("the proxy's URL does not begin with http:// and a host");
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return refuse("the proxy's URL has a path or more behind its port");
    }
    let decoded = |text: &str| {
        percent_encoding::percent_decode_str(text)
            .decode_utf8_lossy()
            .into_owned()
    };
    let authorization = (!url.username().is_empty()).then(|| {
        let password = decoded(url.password().unwrap_or_default());
        basic(&decoded(url.username()), &password)
    });
    // Both fail only for URLs without a host.
    let _ = (url.set_username(""), url.set_password(None));
    Some(EgressProxy { url, authorization })
}
