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
        let own = |url: &Url| {
            (
                url.origin(),
                url.username().is_empty(),
                url.password().is_none(),
            )
        };
        if own(&url) != (self.start.origin(), true, true) {
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

#[cfg(test)]
mod tests {
    use http::header::LINK;

    use super::*;
    use crate::core::json::Pointer;

    fn walk(by: Paging, items: &str) -> Walk {
        let items = Pointer::parse(items).unwrap();
        let pages = Pages {
            by,
            items,
            max_pages: 4,
        };
        Walk::new(Arc::new(pages), Url::parse("http://shop/a?q=1").unwrap())
    }

    /// Turns pages whose bodies are `bodies`; what was asked for, and the document or why there is
    /// none.
    fn read(mut walk: Walk, bodies: &[&str]) -> (Vec<String>, Result<String, PagesError>) {
        let mut asked = Vec::new();
        let mut next = Some(walk.first());
        for body in bodies {
            let url = next.take().expect("another page is asked for");
            asked.push(url.as_str().trim_start_matches("http://shop").to_owned());
            let body = Bytes::copy_from_slice(body.as_bytes());
            match walk.turn(&url, &HeaderMap::new(), body) {
                Ok(found) => next = found,
                Err(error) => return (asked, Err(error)),
            }
        }
        assert_eq!(next, None, "the last page");
        let whole = walk.finish().unwrap();
        (asked, Ok(String::from_utf8(whole.to_vec()).unwrap()))
    }

    fn size(parameter: Option<&str>, items: u64) -> Option<Size> {
        let parameter = parameter.map(str::to_owned);
        Some(Size { parameter, items })
    }

    fn page(first: u64, size: Option<Size>) -> Walk {
        let parameter = "page".to_owned();
        let by = Paging::Page {
            parameter,
            first,
            size,
        };
        walk(by, "")
    }

    fn offset(limit: Option<Size>) -> Walk {
        let parameter = "from".to_owned();
        walk(Paging::Offset { parameter, limit }, "")
    }

    fn cursor(parameter: Option<&str>) -> Walk {
        let next = Pointer::parse("/next").unwrap();
        let parameter = parameter.map(str::to_owned);
        walk(Paging::Cursor { parameter, next }, "/d")
    }

    #[test]
    fn numbered_pages_end_with_one_that_is_not_full() {
        let (asked, whole) = read(page(1, size(Some("per"), 2)), &["[1,2]", "[3,4]", "[5]"]);
        assert_eq!(whole.unwrap(), "[1,2,3,4,5]");
        assert_eq!(
            asked,
            [
                "/a?q=1&per=2&page=1",
                "/a?q=1&per=2&page=2",
                "/a?q=1&per=2&page=3"
            ]
        );
        let (asked, whole) = read(page(0, size(None, 2)), &["[1,2]", "[]"]);
        assert_eq!(whole.unwrap(), "[1,2]");
        assert_eq!(asked, ["/a?q=1&page=0", "/a?q=1&page=1"]);
    }

    #[test]
    fn without_a_size_they_end_with_an_empty_one() {
        let (asked, whole) = read(page(1, None), &["[1,2]", "[3]", "[]"]);
        assert_eq!((asked.len(), whole.unwrap().as_str()), (3, "[1,2,3]"));
    }

    #[test]
    fn an_offset_is_how_many_items_came_before() {
        let (asked, whole) = read(offset(size(Some("n"), 2)), &["[1,2]", "[3]"]);
        assert_eq!(whole.unwrap(), "[1,2,3]");
        assert_eq!(asked, ["/a?q=1&n=2&from=0", "/a?q=1&n=2&from=2"]);
        let (asked, _) = read(offset(None), &["[1,2,3]", "[4]", "[]"]);
        assert_eq!(asked[1..], ["/a?q=1&from=3", "/a?q=1&from=4"]);
    }

    #[test]
    fn a_cursor_leads_on_until_there_is_none() {
        for last in ["null", "false", "\"\""] {
            let last = format!(r#"{{"d":[3],"next":{last}}}"#);
            let pages = [
                r#"{"d":[1],"next":"a/=\u0026"}"#,
                r#"{"d":[2],"next":10000000000000000000001}"#,
                &last,
            ];
            let (asked, whole) = read(cursor(Some("c")), &pages);
            assert_eq!(whole.unwrap(), r#"{"d":[1,2,3],"next":"a/=\u0026"}"#);
            assert_eq!(
                asked,
                [
                    "/a?q=1",
                    "/a?q=1&c=a%2F%3D%26",
                    "/a?q=1&c=10000000000000000000001"
                ]
            );
        }
        let (_, whole) = read(cursor(Some("c")), &[r#"{"d":[]}"#]);
        assert_eq!(whole.unwrap(), r#"{"d":[]}"#);
    }

    #[test]
    fn a_cursor_without_a_parameter_is_a_url_within_the_origin() {
        let pages = [
            r#"{"d":[1],"next":"http://shop:80/b?p=2#x"}"#,
            r#"{"d":[2],"next":"?p=3"}"#,
            r#"{"d":[3]}"#,
        ];
        let (asked, _) = read(cursor(None), &pages);
        assert_eq!(asked, ["/a?q=1", "/b?p=2", "/b?p=3"]);
        for (target, error) in [
            ("https://shop/a", PagesError::Elsewhere(1)),
            ("//other/a", PagesError::Elsewhere(1)),
            ("http://shop:81/a", PagesError::Elsewhere(1)),
            ("http://me@shop/a", PagesError::Elsewhere(1)),
            ("data:x", PagesError::Elsewhere(1)),
            ("http://:1", PagesError::NoUrl(1)),
            ("/a?q=1", PagesError::Circle(1)),
        ] {
            let page = format!(r#"{{"d":[],"next":"{target}"}}"#);
            assert_eq!(read(cursor(None), &[&page]).1, Err(error), "{target}");
        }
    }

    #[test]
    fn a_link_leads_on_from_where_its_page_came_from() {
        let relation = "next".to_owned();
        let mut walk = walk(Paging::Link { relation }, "");
        assert_eq!(walk.first().as_str(), "http://shop/a?q=1");
        let came_from = Url::parse("http://shop/moved/a").unwrap();
        let mut turn = |link: &'static str, body: &'static str| {
            let head = HeaderMap::from_iter([(LINK, http::HeaderValue::from_static(link))]);
            walk.turn(&came_from, &head, Bytes::from_static(body.as_bytes()))
        };
        let next = turn("<b?p=2>; rel=\"next\"", "[1]").unwrap().unwrap();
        assert_eq!(next.as_str(), "http://shop/moved/b?p=2");
        assert_eq!(turn("b?p=3", "[2]"), Err(PagesError::Link(2)));
        assert_eq!(turn("<b?p=2>; rel=prev", "[3]"), Ok(None));
    }

    #[test]
    fn what_would_cut_the_document_is_an_error() {
        let failure = |walk, pages: &[&str]| read(walk, pages).1.unwrap_err();
        assert_eq!(failure(page(1, None), &["[1]", "[1]"]), PagesError::Same(2));
        let more = ["[1]", "[2]", "[3]", "[4]"];
        assert_eq!(failure(page(1, None), &more), PagesError::TooMany(4));
        assert_eq!(
            failure(page(1, None), &["[1]", "{}"]),
            PagesError::NoItems(2)
        );
        let syntax = PagesError::Syntax {
            page: 2,
            line: 1,
            column: 2,
        };
        assert_eq!(failure(page(1, None), &["[1]", "[x]"]), syntax);
        for odd in ["true", "{}", "[\"a\"]", "\"\\ud800\""] {
            let odd = format!(r#"{{"d":[],"next":{odd}}}"#);
            assert_eq!(failure(cursor(Some("c")), &[&odd]), PagesError::NoCursor(1));
        }
        let again = [r#"{"d":[1],"next":"a"}"#, r#"{"d":[2],"next":"a"}"#];
        assert_eq!(failure(cursor(Some("c")), &again), PagesError::Circle(2));
    }
}
