//! From page to page.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use url::Url;

use super::PagesError;
use super::link;
use super::splice::{Page, Unfit, Whole};
use crate::config::{Pages, Paging, Size};
use crate::upstream::client::is_anonymous;

/// The way through the pages of one poll.
#[derive(Debug)]
pub(in crate::upstream) struct Walk {
    pages: Arc<Pages>,
    /// What the poll asks for, without what names a page.
    start: Url,
    /// Where pages were asked for.
    asked: HashSet<Url>,
    /// How many pages were read.
    read: usize,
    /// How many items they had together.
    items: u64,
    /// The items of the last one, as they are written.
    last: Option<Page>,
    whole: Option<Whole>,
}

impl Walk {
    /// A walk that starts at `start`.
    pub(in crate::upstream) fn new(pages: Arc<Pages>, start: Url) -> Self {
        Self {
            pages,
            start,
            asked: HashSet::new(),
            read: 0,
            items: 0,
            last: None,
            whole: None,
        }
    }

    /// Where the first page is.
    pub(in crate::upstream) fn first(&mut self) -> Url {
        let url = match &self.pages.by {
            Paging::Link { .. } | Paging::Cursor { .. } => self.start.clone(),
            Paging::Page {
                parameter,
                first,
                size,
            } => self.numbered(parameter, *first, size.as_ref()),
            Paging::Offset { parameter, limit } => self.numbered(parameter, 0, limit.as_ref()),
        };
        self.asked.insert(url.clone());
        url
    }

    /// Takes in a page that came from `from` with this header section. Where the next one is, unless
    /// it was the last.
    ///
    /// # Errors
    /// [`PagesError`] if the document cannot be made whole.
    pub(in crate::upstream) fn turn(
        &mut self,
        from: &Url,
        head: &HeaderMap,
        body: Bytes,
    ) -> Result<Option<Url>, PagesError> {
        self.read += 1;
        let number = self.read;
        let page = Page::read(body, &self.pages.items).map_err(|unfit| match unfit {
            Unfit::NoItems => PagesError::NoItems(number),
            Unfit::Syntax { line, column } => PagesError::Syntax {
                page: number,
                line,
                column,
            },
        })?;
        let next = self.next(from, head, &page)?;
        self.keep(page)?;
        let Some(next) = next else { return Ok(None) };
        if number >= self.pages.max_pages {
            return Err(PagesError::TooMany(number));
        }
        if !self.asked.insert(next.clone()) {
            return Err(PagesError::Circle(number));
        }
        Ok(Some(next))
    }

    /// The document, once the last page was turned; nothing before the first one was.
    pub(in crate::upstream) fn finish(self) -> Option<Bytes> {
        self.whole.map(Whole::finish)
    }

    fn next(&self, from: &Url, head: &HeaderMap, page: &Page) -> Result<Option<Url>, PagesError> {
        let items = self.items + page.count();
        Ok(match &self.pages.by {
            Paging::Link { relation } => match link::target(head, relation) {
                Ok(Some(target)) => Some(self.within(from, &target)?),
                Ok(None) => None,
                Err(link::Unreadable) => return Err(PagesError::Link(self.read)),
            },
            Paging::Page {
                parameter,
                first,
                size,
            } => is_full(page, size.as_ref())
                .then(|| self.numbered(parameter, first + self.read as u64, size.as_ref())),
            Paging::Offset { parameter, limit } => is_full(page, limit.as_ref())
                .then(|| self.numbered(parameter, items, limit.as_ref())),
            Paging::Cursor { parameter, next } => {
                match (self.cursor(page.value(next))?, parameter) {
                    (Some(cursor), Some(name)) => Some(with(&self.start, &[(name, &cursor)])),
                    (Some(target), None) => Some(self.within(from, &target)?),
                    (None, _) => None,
                }
            }
        })
    }

    fn keep(&mut self, page: Page) -> Result<(), PagesError> {
        self.items += page.count();
        // An upstream that ignores the parameter answers the same for ever.
        let again = |last: &Page| last.count() > 0 && last.items() == page.items();
        if self.last.as_ref().is_some_and(again) {
            return Err(PagesError::Same(self.read));
        }
        match &mut self.whole {
            Some(whole) => whole.append(&page),
            None => self.whole = Some(Whole::new(page.clone())),
        }
        self.last = Some(page);
        Ok(())
    }

    fn numbered(&self, parameter: &str, number: u64, size: Option<&Size>) -> Url {
        let number = number.to_string();
        let sent_in =
            size.and_then(|size| Some((size.parameter.as_ref()?, size.items.to_string())));
        match &sent_in {
            Some((name, size)) => with(&self.start, &[(name, size), (parameter, &number)]),
            None => with(&self.start, &[(parameter, &number)]),
        }
    }

    /// What a page's link points to, if that is within the origin.
    fn within(&self, from: &Url, target: &str) -> Result<Url, PagesError> {
        let mut url = from
            .join(target)
            .map_err(|_| PagesError::NoUrl(self.read))?;
        if url.origin() != self.start.origin() || !is_anonymous(&url) {
            return Err(PagesError::Elsewhere(self.read));
        }
        url.set_fragment(None);
        Ok(url)
    }

    /// The cursor that this JSON text is; nothing is the end.
    fn cursor(&self, text: Option<&str>) -> Result<Option<String>, PagesError> {
        let text = match text {
            None | Some("null" | "false") => return Ok(None),
            Some(text) => text,
        };
        let cursor = match text.as_bytes() {
            // A number is sent as the upstream wrote it.
            [b'-' | b'0'..=b'9', ..] => Some(text.to_owned()),
            [b'"', ..] => serde_json::from_str::<String>(text).ok(),
            _ => None,
        };
        let cursor = cursor.ok_or(PagesError::NoCursor(self.read))?;
        Ok(Some(cursor).filter(|cursor| !cursor.is_empty()))
    }
}

/// Whether another page may follow.
fn is_full(page: &Page, size: Option<&Size>) -> bool {
    page.count() >= size.map_or(1, |size| size.items)
}

/// The URL with these parameters instead of any of the same names.
fn with(url: &Url, parameters: &[(&str, &str)]) -> Url {
    let named = |name: &str| parameters.iter().any(|(each, _)| *each == name);
    let kept: Vec<_> = url
        .query_pairs()
        .into_owned()
        .filter(|(name, _)| !named(name))
        .collect();
    let mut url = url.clone();
    url.query_pairs_mut()
        .clear()
        .extend_pairs(kept)
        .extend_pairs(parameters);
    url
}
