//! Secrets: texts that are never shown, written out or in a file of their own.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use headers::Authorization;
use headers::authorization::{Bearer, Credentials as _};
use http::HeaderValue;

use super::expand;
use super::section::Section;
use super::sheet::Node;

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
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

    /// One that stands at `node`.
    pub(super) fn written(node: &Node<'_>) -> Option<Self> {
        let text = node.scalar()?.text;
        Some(Self {
            text: text.into(),
            file: None,
        })
    }

    /// Warns of one that stands in the configuration itself: whoever may read that may do `what`.
    pub(super) fn warn_of_plain(node: &Node<'_>, what: &str, remedy: &str) {
        let is_plain = |text: &str| !text.contains("${");
        if node.value().as_str().is_some_and(is_plain) {
            let told = format!("whoever may read this file knows the secret, and {what}");
            node.warning(told, remedy);
        }
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

/// A secret in the file, or the path of one.
pub(super) fn secret(
    section: &Section<'_>,
    key: &'static str,
    file_key: &'static str,
) -> Option<Secret> {
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
        (None, Some(node)) => secret_file(&node, |_| true),
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
pub(super) fn secret_file(node: &Node<'_>, fits: impl Fn(&str) -> bool) -> Option<Secret> {
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
