//! Walks through pages, without an upstream.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use http::header::LINK;
use proptest::prelude::*;
use url::Url;

use super::{PagesError, Walk};
use crate::config::{Pages, Paging, Size};
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

/// Rows whose texts look like JSON.
fn rows() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(r#"[\[\]{},:"\\a\u{e9} ]{0,6}"#, 1..40)
}

proptest! {
    #[test]
    fn pages_of_any_size_make_the_whole_again(rows in rows(), per in 1..9_usize) {
        let bodies: Vec<String> = rows
            .chunks(per)
            .map(|rows| serde_json::json!({"n": rows.len(), "d": {"]": rows}}).to_string())
            .collect();
        let pages = Pages {
            by: Paging::Page {
                parameter: "p".to_owned(),
                first: 0,
                size: None,
            },
            items: Pointer::parse("/d/]").unwrap(),
            max_pages: 100,
        };
        let mut walk = Walk::new(Arc::new(pages), Url::parse("http://shop/").unwrap());
        let from = walk.first();
        let mut next = Ok(Some(from.clone()));
        for body in bodies.iter().map(String::as_str).chain([r#"{"d":{"]":[]}}"#]) {
            let body = Bytes::copy_from_slice(body.as_bytes());
            next = walk.turn(&from, &HeaderMap::new(), body);
            // Rows that happen to repeat a page look like an upstream that is deaf.
            prop_assume!(!matches!(next, Err(PagesError::Same(_))));
        }
        prop_assert_eq!(next, Ok(None));
        let whole: serde_json::Value = serde_json::from_slice(&walk.finish().unwrap()).unwrap();
        prop_assert_eq!(&whole["d"]["]"], &serde_json::json!(rows));
    }
}
