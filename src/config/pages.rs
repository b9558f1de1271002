//! Documents that come in pages, and how the next page is asked for.

use serde_yaml::Value;

use super::document::pointer;
use super::keys::{CURSOR, OFFSET, PAGE, PAGES};
use super::section::Section;
use super::sheet::Node;
use crate::core::json::Pointer;

/// A document that comes in pages, which are merged into one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pages {
    /// How the next page is found.
    pub by: Paging,
    /// Where the array that goes on from page to page is in each of them.
    pub items: Pointer,
    /// How many pages there may be; at least one.
    pub max_pages: usize,
}

/// How the next page is found. Parameters are of the query, names not encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Paging {
    /// By a `Link` header with this relation (RFC 8288 section 3).
    Link {
        /// The relation, such as `next`.
        relation: String,
    },
    /// By the number of the page.
    Page {
        /// What the number is sent in.
        parameter: String,
        /// The number of the first page.
        first: u64,
        /// How long a page is; the last one is shorter. Without, the last one is empty.
        size: Option<Size>,
    },
    /// By how many items came before.
    Offset {
        /// What their number is sent in.
        parameter: String,
        /// How long a page is; the last one is shorter. Without, the last one is empty.
        limit: Option<Size>,
    },
    /// By what the page itself says.
    Cursor {
        /// What the cursor is sent in; without, the page holds a URL.
        parameter: Option<String>,
        /// Where it is in the page; null, `false`, `""` or nothing there ends the document.
        next: Pointer,
    },
}

/// How many items a page has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Size {
    /// What it is sent in, if the upstream is to be told.
    pub parameter: Option<String>,
    /// At least one.
    pub items: u64,
}

impl Pages {
    /// Whether polls set this query parameter themselves, for each page. A cursor's first value may
    /// come from elsewhere.
    pub(super) fn counts_in(&self, name: &str) -> bool {
        let (number, size) = match &self.by {
            Paging::Page {
                parameter, size, ..
            } => (parameter, size),
            Paging::Offset { parameter, limit } => (parameter, limit),
            Paging::Link { .. } | Paging::Cursor { .. } => return false,
        };
        let size = size.as_ref().and_then(|size| size.parameter.as_deref());
        number == name || size == Some(name)
    }

    /// Whether this query parameter says which page is meant.
    pub(super) fn sends(&self, name: &str) -> bool {
        let cursor = match &self.by {
            Paging::Cursor { parameter, .. } => parameter.as_deref(),
            _ => None,
        };
        cursor == Some(name) || self.counts_in(name)
    }
}

/// The section `pages` of a feed's request.
pub(super) fn pages(node: &Node<'_>) -> Option<Pages> {
    let section = node.section(&PAGES);
    let ways = ["link", "page", "offset", "cursor"];
    let mut found = ways
        .into_iter()
        .filter_map(|way| Some((way, section.find(way)?)));
    if !matches!(node.value(), Value::Mapping(_)) {
        return None;
    }
    let remedy = "write exactly one of `link`, `page`, `offset` and `cursor`";
    let by = match (found.next(), found.next()) {
        (Some((way, node)), None) => paging(way, &node),
        (Some((first, _)), Some((second, node))) => {
            node.problem(
                format!(
                    "`{first}` says already how the next page is found, and `{second}` another way"
                ),
                remedy,
            );
            None
        }
        (None, _) => {
            node.problem("nothing says how the next page is found", remedy);
            None
        }
    };
    let items = section
        .find("items")
        .and_then(|node| pointer(&node, Pointer::parse));
    let max_pages = section
        .find("max_pages")
        .and_then(|node| node.integer(1..=10_000));
    Some(Pages {
        by: by?,
        items: items.unwrap_or_default(),
        max_pages: max_pages.map_or(20, |number| usize::try_from(number).unwrap_or(usize::MAX)),
    })
}

fn paging(way: &str, node: &Node<'_>) -> Option<Paging> {
    Some(match way {
        "link" => Paging::Link {
            relation: name(node)?,
        },
        "page" => {
            let section = node.section(&PAGE);
            let size = size(&section, "size_parameter", "size");
            let first = section
                .find("first")
                .and_then(|node| node.integer(0..=1 << 32));
            Paging::Page {
                parameter: parameter(&section, "such as `page`")?,
                first: first.unwrap_or(1),
                size,
            }
        }
        "offset" => {
            let section = node.section(&OFFSET);
            let limit = size(&section, "limit_parameter", "limit");
            Paging::Offset {
                parameter: parameter(&section, "such as `offset`")?,
                limit,
            }
        }
        _ => {
            let section = node.section(&CURSOR);
            let parameter = section.find("parameter").and_then(|node| name(&node));
            let next = section.require(
                "next",
                "write where a page says what comes next, such as /meta/next_cursor",
            )?;
            Paging::Cursor {
                parameter,
                next: pointer(&next, Pointer::parse)?,
            }
        }
    })
}

fn parameter(section: &Section<'_>, example: &str) -> Option<String> {
    let remedy = format!("write the query parameter's name, {example}");
    name(&section.require("parameter", remedy)?)
}

fn name(node: &Node<'_>) -> Option<String> {
    let name = node.text()?.text;
    if name.is_empty() {
        node.problem("the name is empty", "write one");
        return None;
    }
    Some(name)
}

fn size(section: &Section<'_>, parameter: &'static str, items: &'static str) -> Option<Size> {
    let sent_in = section.find(parameter);
    let number = section.find(items);
    if let (Some(node), None) = (&sent_in, &number) {
        node.problem(
            format!("there is no `{items}` to be sent in it"),
            format!("write `{items}` beside it, or remove this key"),
        );
    }
    let sent_in = sent_in.and_then(|node| name(&node));
    number
        .and_then(|node| node.integer(1..=1 << 32))
        .map(|items| Size {
            parameter: sent_in,
            items,
        })
}
