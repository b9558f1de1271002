//! JSONPath (RFC 9535): parts of a document, cut out as they are written.
//!
//! `serde_json_path` decides which nodes a query finds, over a view of the document whose numbers
//! may be rounded; the nodes' own text is then taken from the document.

use std::collections::HashMap;
use std::fmt;

use bytes::Bytes;
use serde_json::{Map, Number};
use serde_json_path::JsonPath;

use super::encode::member_name;
use super::tape::{Kind, Value};
use super::{ParseError, Tape};

/// A JSONPath query.
#[derive(Clone, PartialEq, Eq)]
pub struct Path {
    text: String,
    query: JsonPath,
    /// Whether it can find one node at most (RFC 9535 section 2.3.5.1).
    is_singular: bool,
}

/// The longest path, in bytes: reading one descends as deep as it nests.
const LONGEST: usize = 1 << 10;

/// Why a text is no JSONPath.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at character {position}: {problem}")]
pub struct PathError {
    /// From 1.
    pub position: usize,
    /// What is wrong there.
    pub problem: String,
}

/// Why a query cuts nothing out of a document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CutError {
    /// The document is none.
    #[error("the answer is {0}")]
    Parse(#[from] ParseError),
    /// A singular query found no node.
    #[error("nothing at \"{path}\" (document.select)")]
    NotFound {
        /// The query.
        path: String,
    },
    /// The nodes are too long together: a query may find a node many times.
    #[error(
        "what \"{path}\" (document.select) finds is longer than {limit} bytes (document.max_bytes)"
    )]
    TooLong {
        /// The query.
        path: String,
        /// The bound, in bytes.
        limit: usize,
    },
}

impl Path {
    /// Parses a query; it begins with `$`.
    ///
    /// # Errors
    /// [`PathError`].
    pub fn parse(text: &str) -> Result<Self, PathError> {
        if text.len() > LONGEST {
            return Err(PathError {
                position: LONGEST + 1,
                problem: format!("a path may have {LONGEST} bytes"),
            });
        }
        let query = JsonPath::parse(text).map_err(|error| PathError {
            position: error.position(),
            problem: error.message().to_owned(),
        })?;
        // Only singular queries can be compared with something (RFC 9535 section 2.3.5.1).
        let is_singular = JsonPath::parse(&format!("$[?{text}==0]")).is_ok();
        let text = text.to_owned();
        Ok(Self {
            text,
            query,
            is_singular,
        })
    }

    /// Whether the query may find a node many times, so that even a short document takes long: it
    /// descends (RFC 9535 section 2.5.2) from where it has descended to.
    pub fn is_steep(&self) -> bool {
        self.text.matches("..").nth(1).is_some()
    }

    /// The nodes that the query finds, in its order.
    pub(in crate::core) fn find<'t>(&self, document: &'t Tape) -> Vec<Value<'t>> {
        let view = view(document.root());
        let mut found = Found::of(&self.query.query(&view).all());
        found.locate(&view, document.root());
        found.places.into_iter().flatten().collect()
    }

    /// What the query finds in `body`, as it is written there: of a singular query the node, of
    /// any other the array of all nodes, which may be empty. At most `limit` bytes.
    ///
    /// # Errors
    /// [`CutError`].
    pub fn cut(&self, body: Bytes, limit: usize) -> Result<Bytes, CutError> {
        let document = Tape::read(body)?;
        let found = self.find(&document);
        if self.is_singular {
            let place = found.first().ok_or_else(|| CutError::NotFound {
                path: self.text.clone(),
            })?;
            return Ok(document.text().slice_ref(place.raw()));
        }
        let mut out = vec![b'['];
        for place in found {
            if out.len() + place.raw().len() + 1 > limit {
                return Err(CutError::TooLong {
                    path: self.text.clone(),
                    limit,
                });
            }
            if out.len() > 1 {
                out.push(b',');
            }
            out.extend_from_slice(place.raw());
        }
        out.push(b']');
        Ok(out.into())
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Path({:?})", self.text)
    }
}

impl CutError {
    /// A short word for a metric's label; one of a fixed few.
    pub const fn reason(&self) -> &'static str {
        match self {
            CutError::Parse(error) => error.reason(),
            CutError::NotFound { .. } => "select",
            CutError::TooLong { .. } => "too_large",
        }
    }
}

/// The nodes that a query found, by where the view holds them.
struct Found<'a> {
    /// At which places among the nodes one is; a query may find it more than once.
    wanted: HashMap<*const serde_json::Value, Vec<usize>>,
    places: Vec<Option<Value<'a>>>,
}

impl<'a> Found<'a> {
    fn of(nodes: &[&serde_json::Value]) -> Self {
        let mut wanted: HashMap<_, Vec<_>> = HashMap::new();
        for (index, node) in nodes.iter().enumerate() {
            wanted
                .entry(std::ptr::from_ref(*node))
                .or_default()
                .push(index);
        }
        Self {
            wanted,
            places: vec![None; nodes.len()],
        }
    }

    /// Walks over the view and the document that it shows, side by side.
    fn locate(&mut self, view: &serde_json::Value, value: Value<'a>) {
        for index in self
            .wanted
            .get(&std::ptr::from_ref(view))
            .into_iter()
            .flatten()
        {
            self.places[*index] = Some(value);
        }
        match view {
            serde_json::Value::Array(items) => {
                for (item, value) in items.iter().zip(value.children()) {
                    self.locate(item, value);
                }
            }
            serde_json::Value::Object(members) => {
                for value in value.children() {
                    if let Some(member) = members.get(&name(value)) {
                        self.locate(member, value);
                    }
                }
            }
            _ => {}
        }
    }
}

/// The document for a reader who takes numbers for what a float can hold.
fn view(value: Value<'_>) -> serde_json::Value {
    match value.kind() {
        Kind::Array => value.children().map(view).collect(),
        Kind::Object => {
            let members = value.children().map(|value| (name(value), view(value)));
            serde_json::Value::Object(members.collect::<Map<_, _>>())
        }
        Kind::Number => number(value.raw()).into(),
        Kind::Null | Kind::Bool | Kind::String => {
            serde_json::from_slice(value.raw()).unwrap_or_default()
        }
    }
}

fn name(value: Value<'_>) -> String {
    member_name(value.name().raw()).unwrap_or_default()
}

fn number(raw: &[u8]) -> Number {
    let text = std::str::from_utf8(raw).unwrap_or("0");
    if let Ok(whole) = text.parse::<i64>() {
        return whole.into();
    }
    if let Ok(whole) = text.parse::<u64>() {
        return whole.into();
    }
    let float: f64 = text.parse().unwrap_or_default();
    Number::from_f64(float.clamp(f64::MIN, f64::MAX)).unwrap_or_else(|| 0.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(path: &str, body: &str) -> Result<String, CutError> {
        let body = Bytes::copy_from_slice(body.as_bytes());
        let cut = Path::parse(path).unwrap().cut(body, 1000)?;
        Ok(String::from_utf8(cut.to_vec()).unwrap())
    }

    const STORE: &str = r#"{ "items": [
        {"id": 1, "price": 1.50, "tags": ["a"]},
        {"id": 2, "price": 123456789012345678901234567890.10},
        {"price": 1e400, "id": 3, "id": 4} ], "0": "zero", "\u0061b": null }"#;

    #[test]
    fn a_path_that_nests_for_ever_is_refused() {
        for piece in ["(", "[?@", "[?(", "[?!", "[?@[?"] {
            let text = format!("$[?{}", piece.repeat(LONGEST / piece.len() - 1));
            assert!(Path::parse(&text).is_err(), "{piece}");
            let text = format!("$[?{}", piece.repeat(20_000));
            let error = Path::parse(&text).unwrap_err();
            assert!(error.problem.contains("1024 bytes"), "{error}");
        }
    }

    #[test]
    fn whoever_descends_twice_is_steep() {
        let steep = |path: &str| Path::parse(path).unwrap().is_steep();
        assert!(!steep("$.items[*].price") && !steep("$..price"));
        assert!(steep("$..*..price") && steep("$..a[?@..b]"));
    }

    #[test]
    fn a_singular_query_cuts_one_node_out_as_it_is_written() {
        for (path, node) in [
            ("$.items[1].price", "123456789012345678901234567890.10"),
            ("$['items'][-1]['price']", "1e400"),
            ("$.items[2].id", "4"),
            ("$.items[0]", r#"{"id": 1, "price": 1.50, "tags": ["a"]}"#),
            ("$['0']", r#""zero""#),
            ("$.ab", "null"),
            ("$ .items [0] .id", "1"),
            ("$", STORE),
        ] {
            assert_eq!(cut(path, STORE).as_deref(), Ok(node), "{path}");
        }
        for path in ["$.items[3]", "$.items['0']", "$[0]", "$.items[-4]", "$.x.y"] {
            let told = cut(path, STORE).unwrap_err();
            assert_eq!(told.reason(), "select");
            assert_eq!(
                told.to_string(),
                format!("nothing at \"{path}\" (document.select)")
            );
        }
    }

    #[test]
    fn any_other_query_cuts_an_array_of_nodes_out() {
        for (path, nodes) in [
            ("$.items[*].id", "[1,2,4]"),
            ("$.items[?@.price > 2].id", "[2,4]"),
            ("$.items[?@.id == 1.0].price", "[1.50]"),
            ("$..price", "[1.50,123456789012345678901234567890.10,1e400]"),
            ("$.items[::-1].id", "[4,2,1]"),
            ("$.items[0]['id','id']", "[1,1]"),
            ("$.items[2].*", "[1e400,4]"),
            ("$.nothing[*]", "[]"),
            ("$.items[?match(@.tags[0], 'a|b')].id", "[1]"),
            ("$['0','ab']", "[\"zero\",null]"),
        ] {
            assert_eq!(cut(path, STORE).as_deref(), Ok(nodes), "{path}");
        }
    }

    #[test]
    fn what_cannot_be_cut_is_told() {
        let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
        assert_eq!(
            cut("$..*..*", &deep).unwrap_err().to_string(),
            "what \"$..*..*\" (document.select) finds is longer than 1000 bytes (document.max_bytes)"
        );
        assert_eq!(
            cut("$.a", "{").unwrap_err().to_string(),
            "the answer is invalid JSON at line 1 column 1: EOF while parsing an object"
        );
    }

    #[test]
    fn a_text_that_is_no_query_is_refused_with_its_place() {
        for (text, position) in [
            ("$.", 2),
            ("$.items[?@.a = 1]", 13),
            ("$[01]", 3),
            ("$x", 1),
        ] {
            let error = Path::parse(text).unwrap_err();
            assert!(error.position <= text.len() + 1, "{text}: {error}");
            assert_eq!(error.position, position, "{text}: {error}");
        }
    }
}
