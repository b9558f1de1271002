//! Where requests go, in a form that can be shown.

use std::fmt;
use std::ops::Deref;

use url::Url;

/// A URL that may hold secrets. It is shown as it was written, `${...}` unexpanded, and without
/// its query.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    url: Url,
    shown: String,
}

impl Endpoint {
    /// `url`, of which `shown` may be printed.
    pub(super) fn new(url: Url, shown: String) -> Self {
        Self { url, shown }
    }

    /// The same place below, at `path`, of which `shown` may be printed, with this query.
    pub(crate) fn below(&self, path: &str, shown: &str, query: &[(String, String)]) -> Self {
        let mut url = self.url.clone();
        // Escapes only what cannot stand in a path; what is percent-encoded already stays.
        url.set_path(&format!("{}{path}", self.url.path().trim_end_matches('/')));
        let mut shown = format!("{}{shown}", self.shown.trim_end_matches('/'));
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
            shown.push_str("?...");
        }
        Self { url, shown }
    }
}

impl From<Url> for Endpoint {
    /// A URL without secrets.
    fn from(url: Url) -> Self {
        let shown = url.to_string();
        Self { url, shown }
    }
}

impl Deref for Endpoint {
    type Target = Url;

    fn deref(&self) -> &Url {
        &self.url
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
