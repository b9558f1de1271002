//! What is asked, and how: the arguments that `tail` and `record` share.

use std::fmt;
use std::io::Read as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Method};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Certificate, RequestBuilder, Url};

use super::SubscribeError;

/// For the connection; a cold feed may take its time with the head.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How soon the system looks whether the other side is still there.
const KEEPALIVE: Duration = Duration::from_secs(30);
const MOST_REDIRECTS: usize = 10;

#[derive(Args, Debug)]
pub struct Source {
    /// The feed, such as http://127.0.0.1:8080/orders
    #[arg(value_parser = web_url)]
    pub url: Url,
    /// The form of changes to ask for; the feed's own choice without it
    #[arg(long, value_enum, value_name = "MODE")]
    pub mode: Option<Mode>,
    /// A header to send, as "Name: value", or @FILE with one on each line; may be given more than
    /// once
    #[arg(short = 'H', long = "header", value_name = "HEADER")]
    pub headers: Vec<Secret>,
    /// Subscribe by POST with this body, or with that of @FILE (@- is standard input); JSON unless
    /// a header says otherwise
    #[arg(short, long, value_name = "BODY")]
    pub data: Option<Secret>,
    /// Trust the certificates in this PEM file as well
    #[arg(long, value_name = "FILE")]
    pub cacert: Option<PathBuf>,
    /// Trust any certificate: anybody may answer then
    #[arg(long)]
    pub insecure: bool,
}

/// The form of changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// What changed, RFC 6902
    Patch,
    /// What changed, RFC 7396
    Merge,
    /// Which items came, changed and went
    Items,
    /// The whole document each time
    Snapshot,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value();
        f.write_str(value.as_ref().map_or("", |value| value.get_name()))
    }
}

/// What may be a secret: no message shows it, nor what is wrong with it.
#[derive(Clone)]
pub struct Secret(String);

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Asks what the arguments say, any number of times.
#[derive(Clone, Debug)]
pub struct Asker {
    http: reqwest::Client,
    url: Url,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Option<Vec<u8>>,
}

impl Source {
    /// Whether changes are asked for in a form that does not tell the whole document.
    pub fn tells_items(&self) -> bool {
        self.mode == Some(Mode::Items)
    }

    /// Makes the HTTP client.
    ///
    /// # Errors
    /// [`SubscribeError::Certificate`], [`SubscribeError::Arguments`], [`SubscribeError::Client`].
    pub fn asker(&self) -> Result<Asker, SubscribeError> {
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("pollcast/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_keepalive(KEEPALIVE)
            .tls_danger_accept_invalid_certs(self.insecure)
            .tls_danger_accept_invalid_hostnames(self.insecure)
            .no_proxy();
        if !self.headers.is_empty() || self.data.is_some() {
            builder = builder.redirect(Policy::custom(same_host));
        }
        if let Some(file) = &self.cacert {
            let unusable = |why: String| SubscribeError::Certificate {
                file: file.clone(),
                why,
            };
            let pem = std::fs::read(file).map_err(|error| unusable(error.to_string()))?;
            let certificates =
                Certificate::from_pem_bundle(&pem).map_err(|error| unusable(error.to_string()))?;
            if certificates.is_empty() {
                return Err(unusable("it holds no certificate in PEM".to_owned()));
            }
            builder = builder.tls_certs_merge(certificates);
        }
        let mut url = self.url.clone();
        if let Some(mode) = self.mode {
            url.query_pairs_mut().append_pair("mode", &mode.to_string());
        }
        let mut given = Vec::new();
        for text in &self.headers {
            given.extend(headers(&text.0).map_err(SubscribeError::Arguments)?);
        }
        let body = self.data.as_ref().map(|data| body(&data.0)).transpose();
        Ok(Asker {
            http: builder.build().map_err(SubscribeError::Client)?,
            url,
            headers: given,
            body: body.map_err(SubscribeError::Arguments)?,
        })
    }
}

impl Asker {
    /// The request with these headers, over which the arguments' own win.
    pub fn request(&self, mut headers: Vec<(HeaderName, HeaderValue)>) -> RequestBuilder {
        let method = match self.body {
            Some(_) => Method::POST,
            None => Method::GET,
        };
        if self.body.is_some() {
            headers.push((CONTENT_TYPE, HeaderValue::from_static("application/json")));
        }
        headers.retain(|(name, _)| self.headers.iter().all(|(own, _)| own != name));
        let mut request = self.http.request(method, self.url.clone());
        for (name, value) in headers.iter().chain(&self.headers) {
            request = request.header(name, value);
        }
        match &self.body {
            Some(body) => request.body(body.clone()),
            None => request,
        }
    }

    /// Where, without anything that may be a secret.
    pub fn place(&self) -> String {
        place(&self.url)
    }
}

/// A URL without user, password, query and fragment.
pub fn place(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.into()
}

/// What was given for one host goes to no other, and not over a road that anybody can read.
fn same_host(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let from = attempt.previous().first();
    let same = from.is_some_and(|from| {
        let safe = attempt.url().scheme() == "https" || from.scheme() == "http";
        safe && from.host_str() == attempt.url().host_str()
            && (from.port() == attempt.url().port() || from.scheme() != attempt.url().scheme())
    });
    if attempt.previous().len() > MOST_REDIRECTS {
        attempt.error("too many redirects")
    } else if same {
        attempt.follow()
    } else {
        attempt.stop()
    }
}

fn web_url(text: &str) -> Result<Url, String> {
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(url),
        Ok(_) => Err("it begins with neither http:// nor https://".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn headers(text: &str) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
    let lines = match text.strip_prefix('@') {
        Some(file) => String::from_utf8(read(file)?).map_err(|_| format!("{file} is no text"))?,
        None => text.to_owned(),
    };
    let lines = lines.lines().filter(|line| !line.trim().is_empty());
    lines.map(header).collect()
}

/// No message repeats the line: it may be all secret.
fn header(line: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = line
        .split_once(':')
        .ok_or("a header is written \"Name: value\"")?;
    let name = HeaderName::from_bytes(name.trim().as_bytes())
        .map_err(|_| "what stands before the colon is no header name")?;
    let mut value = HeaderValue::from_str(value.trim())
        .map_err(|_| format!("the value of {name} is none that a header may have"))?;
    value.set_sensitive(true);
    Ok((name, value))
}

fn body(text: &str) -> Result<Vec<u8>, String> {
    match text.strip_prefix('@') {
        Some(file) => read(file),
        None => Ok(text.as_bytes().to_vec()),
    }
}

fn read(file: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    match file {
        "-" => std::io::stdin().read_to_end(&mut bytes).map(|_| bytes),
        file => std::fs::read(file),
    }
    .map_err(|error| format!("cannot read {file}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_shown_by_nothing() {
        let given = headers("Authorization: Bearer s3cret").unwrap();
        assert!(!format!("{given:?}").contains("s3cret"), "{given:?}");
        let given = Secret("s3cret".to_owned());
        assert!(!format!("{given:?}").contains("s3cret"), "{given:?}");
        for wrong in ["s3cret", "s3 cret: x", "X: s3cret\u{1}"] {
            let told = headers(wrong).unwrap_err();
            assert!(
                !told.contains("s3cret") && !told.contains("cret:"),
                "{told}"
            );
        }
        let url = Url::parse("http://me:s3cret@host:1/a?token=s3cret#s3cret").unwrap();
        assert_eq!(place(&url), "http://host:1/a");
    }
}
