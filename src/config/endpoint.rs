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

    /// What may be printed of a place below, at a path of which `shown` may be.
    pub(super) fn shown_below(&self, shown: &str, has_query: bool) -> String {
        let query = if has_query { "?..." } else { "" };
        format!("{}{shown}{query}", self.shown.trim_end_matches('/'))
    }
}

impl Endpoint {
    /// The same place under another host name.
    pub(super) fn under(&self, host: &str) -> Self {
        let mut url = self.url.clone();
        // Fails only for what is no host, and that was refused.
        let _ = url.set_host(Some(host));
        Self {
            url,
            shown: self.shown.clone(),
        }
    }
}

/// The place below `base` at `path`, which is percent-encoded and begins with `/`, with this query.
pub fn below(base: &Url, path: &str, query: &[(String, String)]) -> Url {
    let mut url = base.clone();
    // Escapes only what cannot stand in a path; what is percent-encoded already stays.
    url.set_path(&format!("{}{path}", base.path().trim_end_matches('/')));
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    url
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
