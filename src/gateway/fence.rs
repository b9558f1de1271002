//! Other ways to write a path that is not for everybody.
//!
//! pollcast takes a path as it is written. Servers behind it may not: they decode what needs no
//! encoding, some twice; merge slashes, drop parameters (`;a=b`) and a slash at the end, and do not
//! tell `A` from `a`. Promises that a request which one of them could read as one to a guarded feed or
//! route is judged by that guard, or goes nowhere. What is open to everybody is passed through as it
//! is written.

use std::borrow::Cow;

use matchit::Router;
use percent_encoding::percent_decode;

use super::routes::covers;
use crate::config::{Feed, Route};
use crate::hub::Place;

/// How often a path may be encoded over and over.
const LAYERS: usize = 4;
/// What is said of a path that is refused.
pub(super) const REFUSAL: &str = "this path can be read as another one that is not for everybody; \
                                  write it plainly, without dots, doubled slashes and encoded letters";

/// The guarded places of one configuration, among the others. Their paths are plain.
#[derive(Debug, Default)]
pub(super) struct Fence {
    /// Whether the feed at a path is guarded, with that path.
    feeds: Router<(String, bool)>,
    /// The same of routes, longest path first.
    routes: Vec<(String, bool)>,
    /// Whether anything is guarded.
    stands: bool,
}

impl Fence {
    /// `routes` are sorted by falling length of their paths.
    pub(super) fn new<'a>(
        feeds: impl Iterator<Item = &'a Feed> + Clone,
        routes: impl Iterator<Item = &'a Route>,
    ) -> Self {
        let mut fence = Self::default();
        let guarded = |wanted: bool| {
            let feeds = feeds.clone();
            feeds.filter(move |feed| feed.access.is_some() == wanted)
        };
        // Where two are the same but for how they are written, the guarded one counts.
        for feed in guarded(true).chain(guarded(false)) {
            let path = pattern(&feed.path);
            let is_guarded = feed.access.is_some();
            let _ = fence.feeds.insert(path.clone(), (path, is_guarded));
            fence.stands |= is_guarded;
        }
        for route in routes {
            let is_guarded = route.access.is_some();
            fence.routes.push((plain(&route.path), is_guarded));
            fence.stands |= is_guarded;
        }
        fence
    }

    /// Whether a request with this path, which is for `place` or else taken by `route`, has no other
    /// guard that it would have to pass.
    pub(super) fn lets_by(&self, path: &str, place: Option<&Place>, route: Option<&Route>) -> bool {
        if !self.stands {
            return true;
        }
        let place = place.map(|place| pattern(&place.feed().path));
        let route = route.map(|route| plain(&route.path));
        let is_judged = |reading: &str| {
            if has_dots(reading) {
                return false;
            }
            let path = plain(reading);
            let feed = self.feeds.at(&path).ok().map(|found| found.value);
            let taken = self.routes.iter().find(|(route, _)| covers(route, &path));
            is_same(feed, place.as_ref()) && is_same(taken, route.as_ref())
        };
        readings(path).is_some_and(|readings| readings.iter().all(|reading| is_judged(reading)))
    }
}

/// Whether what a path may mean is what judges it, or wants no judge.
fn is_same(meant: Option<&(String, bool)>, judge: Option<&String>) -> bool {
    meant.is_none_or(|(path, is_guarded)| !is_guarded || Some(path) == judge)
}

/// The path as it is, decoded once, twice and so on; `None` if that has no end.
fn readings(path: &str) -> Option<Vec<Cow<'_, str>>> {
    let mut readings = vec![Cow::Borrowed(path)];
    for _ in 0..LAYERS {
        let last = readings.last()?;
        let decoded = percent_decode(last.as_bytes()).decode_utf8_lossy();
        if decoded == *last {
            return Some(readings);
        }
        let decoded = decoded.into_owned();
        readings.push(decoded.into());
    }
    None
}

/// The segments of a path, without their parameters.
fn segments(path: &str) -> impl Iterator<Item = &str> {
    let bare = |segment: &'_ str| segment.find(';').unwrap_or(segment.len());
    path.split(['/', '\\'])
        .map(move |segment| &segment[..bare(segment)])
}

/// Whether it holds `.` or `..`, which servers resolve in more than one way beside empty segments.
fn has_dots(path: &str) -> bool {
    segments(path).any(|segment| segment == "." || segment == "..")
}

/// The path in small letters, with single slashes between its segments and nothing else.
fn plain(path: &str) -> String {
    let segments = segments(path).filter(|segment| !segment.is_empty());
    let path: String = segments
        .flat_map(|segment| ["/", segment])
        .collect::<String>()
        .to_lowercase();
    match path.is_empty() {
        true => "/".to_owned(),
        false => path,
    }
}

/// A feed's path, with captures, decoded and plain.
fn pattern(path: &str) -> String {
    let literal = |segment: &str| {
        let decoded = percent_decode(segment.as_bytes()).decode_utf8_lossy();
        decoded.replace('{', "{{").replace('}', "}}")
    };
    let segments = path
        .split('/')
        .map(|segment| match segment.starts_with('{') {
            true => segment.to_owned(),
            false => literal(segment),
        });
    plain(&segments.collect::<Vec<_>>().join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_servers_read_alike_is_written_alike() {
        for (path, alike) in [
            ("/", "/"),
            ("", "/"),
            ("//", "/"),
            ("/Orders//7/", "/orders/7"),
            ("/orders;a=b/7;c", "/orders/7"),
            ("\\orders\\7", "/orders/7"),
            ("/;/orders", "/orders"),
        ] {
            assert_eq!(plain(path), alike, "{path}");
        }
        assert_eq!(pattern("/A%20b/{id}/%7Bx%7D"), "/a b/{id}/{{x}}");
    }

    #[test]
    fn a_path_is_read_as_often_as_it_is_encoded_and_not_for_ever() {
        assert_eq!(readings("/a%20b").unwrap(), ["/a%20b", "/a b"]);
        assert_eq!(readings("/%").unwrap(), ["/%"]);
        assert_eq!(readings("/%2561").unwrap(), ["/%2561", "/%61", "/a"]);
        let deep = format!("/%{}61", "25".repeat(20));
        assert_eq!(readings(&deep), None);
    }

    #[test]
    fn dots_are_seen_behind_what_hides_them() {
        for path in ["/.", "/a/../b", "/..;x/a", "\\..\\a", ".."] {
            assert!(has_dots(path), "{path}");
        }
        for path in ["/a.b", "/...", "/.well-known", "/a..b"] {
            assert!(!has_dots(path), "{path}");
        }
    }
}
