//! Paths with captures, and texts that captures are put into.
//!
//! A feed's path may hold `{name}` in the place of a whole segment. What a client has there is put
//! in where the request's path or query holds `{name}` again. Promises that what is put into a path
//! stays one piece of one segment, whatever it is. In a query, `{{name}}` is the text `{name}`, and
//! every other brace is a plain one.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::scalar::Scalar;
use super::sheet::Node;

/// RFC 3986 section 2.3: what needs no encoding anywhere.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A text into which captures are put. Not shown: it may hold what came from outside the file.
#[derive(Clone, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

#[derive(Clone, PartialEq, Eq)]
enum Piece {
    Plain(String),
    /// The capture with this number.
    Capture(usize),
}

/// Why a text is no template.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum TemplateError {
    /// Braces around what is no name, or around none.
    Braces,
    /// There is no capture of this name.
    Unknown(String),
}

impl Template {
    /// A path as it stands in a request, with these values put in, percent-encoded.
    ///
    /// # Panics
    /// If there are fewer values than captures, which a configuration rules out.
    pub fn path(&self, values: &[String]) -> String {
        self.fill(values, |text, value| {
            text.extend(utf8_percent_encode(value, RESERVED));
        })
    }

    /// A text with these values put in as they are.
    ///
    /// # Panics
    /// As [`Self::path`].
    pub fn text(&self, values: &[String]) -> String {
        self.fill(values, String::push_str)
    }

    fn fill(&self, values: &[String], put: impl Fn(&mut String, &str)) -> String {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Plain(plain) => text.push_str(plain),
                Piece::Capture(number) => put(&mut text, &values[*number]),
            }
        }
        text
    }

    /// Whether this capture is put in.
    pub(super) fn uses(&self, number: usize) -> bool {
        self.0.contains(&Piece::Capture(number))
    }

    /// A text that is no template, whatever its braces.
    pub(super) fn plain(text: String) -> Self {
        Self(vec![Piece::Plain(text)])
    }

    /// The path in which these captures were found.
    pub(super) fn own_path(path: &str, names: &[String]) -> Self {
        Self::of_path(path, names).unwrap_or_else(|_| Self::plain(path.to_owned()))
    }

    /// Reads a path, in which braces have no other use.
    pub(super) fn of_path(text: &str, names: &[String]) -> Result<Self, TemplateError> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((plain, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').ok_or(TemplateError::Braces)?;
            if plain.contains('}') || !is_name(name) {
                return Err(TemplateError::Braces);
            }
            pieces.push(Piece::Plain(plain.to_owned()));
            pieces.push(Piece::Capture(number(name, names)?));
            rest = after;
        }
        if rest.contains('}') {
            return Err(TemplateError::Braces);
        }
        pieces.push(Piece::Plain(rest.to_owned()));
        Ok(Self(pieces))
    }

    /// Reads a value of the query, in which braces may mean something to the upstream.
    pub(super) fn of_text(text: &str, names: &[String]) -> Result<Self, TemplateError> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('{') {
            plain.push_str(&rest[..at]);
            rest = &rest[at..];
            if let Some((name, after)) = braced(rest, "{{", "}}") {
                plain.push_str(&format!("{{{name}}}"));
                rest = after;
            } else if let Some((name, after)) = braced(rest, "{", "}") {
                pieces.push(Piece::Plain(std::mem::take(&mut plain)));
                pieces.push(Piece::Capture(number(name, names)?));
                rest = after;
            } else {
                plain.push('{');
                rest = &rest[1..];
            }
        }
        plain.push_str(rest);
        pieces.push(Piece::Plain(plain));
        Ok(Self(pieces))
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Template")
    }
}

/// The names of the captures of a public path, in order.
pub(super) fn captures(path: &str) -> Result<Vec<String>, &'static str> {
    let mut names: Vec<String> = Vec::new();
    for segment in path.split('/') {
        let Some(inside) = segment.strip_prefix('{') else {
            if segment.contains(['{', '}']) {
                return Err("has a capture that is no whole segment");
            }
            continue;
        };
        let name = inside.strip_suffix('}').filter(|name| is_name(name));
        let name = name.ok_or("has a capture without a proper name")?;
        if names.iter().any(|other| other == name) {
            return Err("has two captures of one name");
        }
        names.push(name.to_owned());
    }
    Ok(names)
}

/// Reads the path of a poll's request.
pub(super) fn path(node: &Node<'_>, names: &[String]) -> Option<(Template, Scalar)> {
    let (path, scalar) = node.path_with_captures()?;
    match Template::of_path(&path, names) {
        Ok(template) => Some((template, scalar)),
        Err(error) => refuse(node, &scalar, error, names),
    }
}

/// Reads a value of a poll's query. Where the feed's path captures nothing, it is plain text.
pub(super) fn value(node: &Node<'_>, names: &[String]) -> Option<Template> {
    let scalar = node.scalar()?;
    if names.is_empty() {
        return Some(Template::plain(scalar.text));
    }
    match Template::of_text(&scalar.text, names) {
        Ok(template) => Some(template),
        Err(error) => refuse(node, &scalar, error, names),
    }
}

/// Reads a text in which every brace must be a capture.
pub(super) fn strict(node: &Node<'_>, names: &[String]) -> Option<Template> {
    let scalar = node.scalar()?;
    match Template::of_text(&scalar.text, names) {
        Ok(template) => Some(template),
        Err(error) => refuse(node, &scalar, error, names),
    }
}

fn refuse<T>(
    node: &Node<'_>,
    scalar: &Scalar,
    error: TemplateError,
    names: &[String],
) -> Option<T> {
    let shown = scalar.shown();
    let remedy = match names {
        [] => "the feed's `path` captures nothing; write `{name}` there as well".to_owned(),
        _ => format!("the feed's `path` has {}", listed(names)),
    };
    match error {
        TemplateError::Unknown(name) if !scalar.foreign => {
            node.problem(
                format!("{shown} has an unknown capture `{{{name}}}`"),
                remedy,
            );
        }
        TemplateError::Unknown(_) => {
            node.problem(format!("{shown} has an unknown capture"), remedy);
        }
        TemplateError::Braces => node.problem(
            format!("{shown} has braces that are no capture"),
            "write captures as `{name}`, and percent-encode other braces as %7B and %7D",
        ),
    }
    None
}

/// Names in braces, for messages.
pub(super) fn listed(names: &[String]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("`{{{name}}}`")).collect();
    names.join(", ")
}

fn number(name: &str, names: &[String]) -> Result<usize, TemplateError> {
    let found = names.iter().position(|other| other == name);
    found.ok_or_else(|| TemplateError::Unknown(name.to_owned()))
}

/// The name at the beginning of `text` between these braces, and what follows.
fn braced<'t>(text: &'t str, open: &str, close: &str) -> Option<(&'t str, &'t str)> {
    let inside = text.strip_prefix(open)?;
    let (name, after) = inside.split_once(close)?;
    is_name(name).then_some((name, after))
}

fn is_name(text: &str) -> bool {
    let mut chars = text.chars();
    chars
        .next()
        .is_some_and(|c| c.is_ascii_lowercase() || c == '_')
        && chars.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Vec<String> {
        vec!["id".to_owned(), "part".to_owned()]
    }

    #[test]
    fn what_is_put_into_a_path_stays_in_its_segment() {
        let template = Template::of_path("/api/{id}.json/{part}", &names()).unwrap();
        let filled = |id: &str, part: &str| template.path(&[id.to_owned(), part.to_owned()]);
        assert_eq!(filled("7", "x"), "/api/7.json/x");
        assert_eq!(filled("a/../b", "%2e"), "/api/a%2F..%2Fb.json/%252e");
        assert_eq!(
            filled("?a#b;c", "\r\n\0"),
            "/api/%3Fa%23b%3Bc.json/%0D%0A%00"
        );
        assert_eq!(filled("é", "{id}"), "/api/%C3%A9.json/%7Bid%7D");
    }

    #[test]
    fn a_path_has_no_braces_but_those_of_known_captures() {
        let error = |text| Template::of_path(text, &names()).unwrap_err();
        for text in [
            "/{", "/}", "/{id", "/id}", "/{}", "/{Id}", "/{{id}}", "/{id}}", "/{*id}",
        ] {
            assert_eq!(error(text), TemplateError::Braces, "{text}");
        }
        assert_eq!(error("/{idd}"), TemplateError::Unknown("idd".into()));
    }

    #[test]
    fn braces_of_other_languages_stay_in_a_query() {
        let values = ["7".to_owned(), "x".to_owned()];
        for (text, filled) in [
            ("id eq {id}", "id eq 7"),
            ("{id}{part}", "7x"),
            ("{{id}}", "{id}"),
            (r#"up{job="a"}"#, r#"up{job="a"}"#),
            (r#"{"a":{"b":"{id}"}}"#, r#"{"a":{"b":"7"}}"#),
            ("{ id }", "{ id }"),
            ("{}{", "{}{"),
            ("}}", "}}"),
        ] {
            let template = Template::of_text(text, &names()).unwrap();
            assert_eq!(template.text(&values), filled, "{text}");
        }
        let unknown = Template::of_text("{idd}", &names()).unwrap_err();
        assert_eq!(unknown, TemplateError::Unknown("idd".into()));
    }

    #[test]
    fn a_capture_is_a_whole_segment_with_a_name_of_its_own() {
        assert_eq!(captures("/a/{id}/b/{_p2}").unwrap(), ["id", "_p2"]);
        assert_eq!(captures("/a").unwrap(), [""; 0]);
        for path in [
            "/a{id}",
            "/{id}.json",
            "/{}",
            "/{2a}",
            "/{A}",
            "/{a",
            "/a}",
            "/{a}/{a}",
            "/{*a}",
        ] {
            assert!(captures(path).is_err(), "{path}");
        }
    }
}
