//! Issuers of tokens (JSON Web Tokens, RFC 7519), as the section `auth.jwt` says them.

use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderName, header};
use jsonwebtoken::{Algorithm, AlgorithmFamily};
use openssl::pkey::{Id, PKey};
use url::Url;

use super::Endpoint;
use super::auth::parameter;
use super::headers::{Sent, name};
use super::keys::{JWT, JWT_FROM, JWT_REFRESH};
use super::oauth2::is_near;
use super::secret::{Secret, secret};
use super::section::Section;
use super::sheet::Node;
use serde_yaml::Value;

/// The shortest shared secret, in bytes: as long as the hash (RFC 7518 section 3.2).
const SHORTEST_SECRET: usize = 32;

/// Who gives out tokens, and what one must be like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer {
    /// Its name in the file.
    pub name: String,
    /// What `iss` must be.
    pub issuer: String,
    /// One of these must be in `aud`; at least one.
    pub audience: Vec<String>,
    /// The only ones that are taken, all for keys of one source; at least one.
    pub algorithms: Vec<Algorithm>,
    /// Where the keys are.
    pub keys: KeySource,
    /// How far clocks may be apart.
    pub leeway: Duration,
    /// Whether a token must say when it ends.
    pub must_expire: bool,
    /// Where in a request a token is looked for.
    pub from: Whence,
    /// How keys that are fetched are kept.
    pub refresh: Refresh,
}

/// Where an issuer's keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// A JWK set (RFC 7517 section 5), fetched.
    Url(Endpoint),
    /// A JWK set in a file that may change.
    Jwks(PathBuf),
    /// One public key in a PEM file that may change.
    Pem(PathBuf),
    /// A secret shared with the issuer.
    Secret(Secret),
}

/// Where in a request a token is looked for, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whence {
    /// A header; in `Authorization` behind `Bearer`.
    pub header: Option<HeaderName>,
    /// A cookie.
    pub cookie: Option<String>,
    /// A parameter of the query.
    pub query: Option<String>,
}

/// How keys that are fetched are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refresh {
    /// They are fetched again after so long at the latest.
    pub every: Duration,
    /// From one fetch to the next, whatever tokens name keys that nobody knows.
    pub at_most_every: Duration,
    /// So long they are used when none can be fetched.
    pub keep: Duration,
}

impl Default for Refresh {
    fn default() -> Self {
        Self {
            every: Duration::from_secs(10 * 60),
            at_most_every: Duration::from_secs(10),
            keep: Duration::from_secs(24 * 60 * 60),
        }
    }
}

/// One entry of `auth.jwt`. Where something is wrong, something else takes its place.
pub(super) fn issuer(name: String, node: &Node<'_>) -> Issuer {
    let section = node.section(&JWT);
    let issuer = section
        .require("issuer", "write what `iss` of its tokens is")
        .and_then(|node| word(&node));
    let audience = section.require("audience", "write what `aud` of tokens for pollcast is");
    let audience = audience.map_or_else(Vec::new, |node| words(&node));
    let algorithms = section
        .require("algorithms", "write those that its tokens are signed with")
        .map_or_else(Vec::new, |node| algorithms(&node));
    let keys = key_source(&section, &algorithms);
    let leeway = section.find("leeway");
    let leeway = leeway.and_then(|node| node.duration(Duration::ZERO));
    Issuer {
        name,
        issuer: issuer.unwrap_or_default(),
        audience,
        algorithms,
        keys: keys.unwrap_or_else(|| KeySource::Pem(PathBuf::new())),
        leeway: leeway.unwrap_or(Duration::from_secs(30)),
        must_expire: must_expire(&section),
        from: whence(&section),
        refresh: refresh(&section),
    }
}

/// Text that is not empty.
fn word(node: &Node<'_>) -> Option<String> {
    let scalar = node.text()?;
    if scalar.text.is_empty() {
        node.problem("this is empty", "write what it is");
        return None;
    }
    Some(scalar.text)
}

/// One word or a list of them, at least one.
fn words(node: &Node<'_>) -> Vec<String> {
    if !matches!(node.value(), Value::Sequence(_)) {
        return word(node).into_iter().collect();
    }
    let items = node.items();
    if items.is_empty() {
        node.problem("there is nothing in this list", "write at least one");
    }
    items.iter().filter_map(word).collect()
}

fn algorithms(node: &Node<'_>) -> Vec<Algorithm> {
    const KNOWN: &str = "write some of HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, \
                         PS512, ES256, ES384 and EdDSA";
    let items = node.items();
    if matches!(node.value(), Value::Sequence(_)) && items.is_empty() {
        node.problem("there is no algorithm", KNOWN);
    }
    let read = |item: &Node<'_>| {
        let scalar = item.text()?;
        let found = scalar.text.parse().ok();
        if found.is_none() {
            item.problem(
                format!("{} is no algorithm that is taken", scalar.shown()),
                KNOWN,
            );
        }
        found
    };
    items.iter().filter_map(read).collect()
}

fn key_source(section: &Section<'_>, algorithms: &[Algorithm]) -> Option<KeySource> {
    const REMEDY: &str = "write exactly one of `jwks_url`, `jwks_file`, `public_key_file`, `secret` and `secret_file`";
    let ways = [
        "jwks_url",
        "jwks_file",
        "public_key_file",
        "secret",
        "secret_file",
    ];
    let mut found = ways
        .into_iter()
        .filter_map(|way| Some((way, section.find(way)?)));
    let (way, node) = match (found.next(), found.next()) {
        (Some(one), None) => one,
        (Some((first, _)), Some((_, node))) => {
            node.problem(format!("there is `{first}` beside it"), REMEDY);
            return None;
        }
        (None, _) => {
            section
                .node
                .problem("there are no keys to verify tokens with", REMEDY);
            return None;
        }
    };
    let is_shared = way.starts_with("secret");
    let fits = |it: &Algorithm| (it.family() == AlgorithmFamily::Hmac) == is_shared;
    if let (false, Some(at)) = (algorithms.iter().all(fits), section.find("algorithms")) {
        at.problem(
            format!("an algorithm in it cannot be used with `{way}`"),
            "HS256, HS384 and HS512 go with a secret, all others with public keys: a public key \
             taken for a secret would let in everybody",
        );
    }
    match way {
        "jwks_url" => jwks_url(&node).map(KeySource::Url),
        "jwks_file" => jwks_file(&node).map(KeySource::Jwks),
        "public_key_file" => public_key(&node, algorithms).map(KeySource::Pem),
        _ => shared(section, &node).map(KeySource::Secret),
    }
}

fn shared(section: &Section<'_>, node: &Node<'_>) -> Option<Secret> {
    let secret = secret(section, "secret", "secret_file")?;
    if let Some(node) = section.find("secret") {
        let remedy = "write `secret_file: FILE`, or `secret: \"${VARIABLE}\"`";
        Secret::warn_of_plain(&node, "can make tokens for anybody", remedy);
    }
    if secret.text().len() < SHORTEST_SECRET {
        node.problem(
            "the secret is shorter than 32 bytes, so that whoever has a token could guess it (it is \
             not shown)",
            "agree with the issuer on a random one, as from `openssl rand -hex 32`",
        );
    }
    Some(secret)
}

fn jwks_url(node: &Node<'_>) -> Option<Endpoint> {
    let scalar = node.text()?;
    let url = Url::parse(&scalar.text).ok();
    let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let Some(url) = url else {
        node.problem(
            "this is no URL of a JWK set",
            "write one such as \"https://id.example/.well-known/jwks.json\"",
        );
        return None;
    };
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        node.problem("the URL has a user, a password or a fragment", "remove it");
    }
    if url.scheme() == "http" && !is_near(&url) {
        node.warning(
            "keys come without TLS: whoever is on the way can let in anybody",
            "write https",
        );
    }
    let shown = scalar.written.split('?').next().unwrap_or_default();
    Some(Endpoint::new(url, shown.to_owned()))
}

/// A file that can be read, and where it is.
fn file(node: &Node<'_>) -> Option<(String, PathBuf)> {
    let scalar = node.text()?;
    let around = node.sheet().around;
    match around.file(&scalar.text) {
        Ok(text) => Some((text, around.locate(&scalar.text))),
        Err(cause) => {
            node.problem(
                format!("cannot read {}: {cause}", scalar.shown()),
                "name a file; a relative path starts at the folder of the configuration file",
            );
            None
        }
    }
}

fn jwks_file(node: &Node<'_>) -> Option<PathBuf> {
    let (text, path) = file(node)?;
    let set: Option<serde_json::Value> = serde_json::from_str(&text).ok();
    let keys = set.as_ref().and_then(|set| set.get("keys")?.as_array());
    if keys.is_none_or(Vec::is_empty) {
        node.problem(
            "the file holds no JWK set",
            "put `{\"keys\": [...]}` into it (RFC 7517 section 5)",
        );
        return None;
    }
    Some(path)
}

fn public_key(node: &Node<'_>, algorithms: &[Algorithm]) -> Option<PathBuf> {
    let (text, path) = file(node)?;
    let Ok(key) = PKey::public_key_from_pem(text.as_bytes()) else {
        node.problem(
            "the file holds no public key in PEM",
            "name a file that begins with -----BEGIN PUBLIC KEY-----",
        );
        return None;
    };
    let family = match key.id() {
        Id::RSA => AlgorithmFamily::Rsa,
        Id::EC => AlgorithmFamily::Ec,
        _ => AlgorithmFamily::Ed,
    };
    if algorithms
        .iter()
        .any(|algorithm| algorithm.family() != family)
    {
        node.problem(
            "the key is of another type than an algorithm in `algorithms`",
            "RS and PS go with RSA keys, ES with EC keys, EdDSA with Ed25519 keys",
        );
    }
    if family == AlgorithmFamily::Rsa && key.bits() < 2048 {
        node.problem(
            "the key is shorter than 2048 bits (RFC 7518 section 3.3)",
            "use a longer one",
        );
    }
    Some(path)
}

fn must_expire(section: &Section<'_>) -> bool {
    let Some((node, scalar)) = section
        .find("expiry")
        .and_then(|node| node.text().map(|scalar| (node, scalar)))
    else {
        return true;
    };
    match scalar.text.as_str() {
        "required" => true,
        "optional" => {
            node.warning(
                "a token without `exp` lets in for ever",
                "write `required`, if the issuer says when its tokens end",
            );
            false
        }
        _ => {
            let what = format!("{} is none of the choices", scalar.shown());
            node.problem(what, "write `required` or `optional`");
            true
        }
    }
}

fn whence(section: &Section<'_>) -> Whence {
    let standard = Whence {
        header: Some(header::AUTHORIZATION),
        cookie: None,
        query: None,
    };
    let Some(node) = section.find("from") else {
        return standard;
    };
    let section = node.section(&JWT_FROM);
    let header = section.find("header").and_then(|node| {
        let written = node.text()?.text;
        name(&written, &node, Sent::WithPassThrough)
    });
    let whence = Whence {
        header,
        cookie: section.find("cookie").and_then(|node| cookie(&node)),
        query: section.find("query").and_then(|node| parameter(&node)),
    };
    if matches!(node.value(), Value::Mapping(_))
        && whence
            == (Whence {
                header: None,
                ..standard
            })
    {
        node.problem(
            "tokens are looked for nowhere",
            "write `header`, `cookie` or `query`, or remove `from`",
        );
    }
    whence
}

/// RFC 6265 section 4.1.1: a token of RFC 9110.
fn cookie(node: &Node<'_>) -> Option<String> {
    let scalar = node.text()?;
    if HeaderName::from_bytes(scalar.text.as_bytes()).is_err() {
        node.problem(
            format!("{} is no name of a cookie", scalar.shown()),
            "use letters, digits, `_` and `-`",
        );
        return None;
    }
    Some(scalar.text)
}

fn refresh(section: &Section<'_>) -> Refresh {
    let standard = Refresh::default();
    let Some(node) = section.find("refresh") else {
        return standard;
    };
    if section.find("jwks_url").is_none() {
        node.problem(
            "only keys that are fetched (jwks_url) are refreshed",
            "remove it",
        );
    }
    let section = node.section(&JWT_REFRESH);
    let read = |key, least| section.find(key).and_then(|node| node.duration(least));
    Refresh {
        every: read("every", Duration::from_secs(1)).unwrap_or(standard.every),
        at_most_every: read("at_most_every", Duration::from_millis(100))
            .unwrap_or(standard.at_most_every),
        keep: read("keep", Duration::ZERO).unwrap_or(standard.keep),
    }
}
