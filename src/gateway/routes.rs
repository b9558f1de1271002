//! Where a request goes that is no subscription.

use std::sync::Arc;

use crate::config::{Feed, Route, Upstream};

/// The `proxy` entries, longest path first.
#[derive(Debug)]
pub struct Routes {
    routes: Vec<Arc<Route>>,
}

/// Where one request goes.
#[derive(Clone, Debug)]
pub struct Destination {
    /// The `proxy` entry that says so; without one it is the feed's upstream.
    route: Option<Arc<Route>>,
    /// The feed whose path it is, if it is one.
    feed: Option<Arc<Feed>>,
}

impl Routes {
    /// `routes` are sorted by falling length of their paths.
    pub fn new(routes: Vec<Arc<Route>>) -> Self {
        Self { routes }
    }

    /// The longest entry that covers `path`, else the upstream of the feed at that path.
    pub fn destination(&self, path: &str, feed: Option<&Arc<Feed>>) -> Option<Destination> {
        let route = self.routes.iter().find(|route| covers(&route.path, path));
        (route.is_some() || feed.is_some()).then(|| Destination {
            route: route.cloned(),
            feed: feed.cloned(),
        })
    }

    /// Wherever requests may go: each entry, and each feed's own place, which may be covered by one.
    pub fn destinations(&self, feeds: &[Arc<Feed>]) -> impl Iterator<Item = Destination> {
        let routes = self.routes.iter().map(|route| Destination {
            route: Some(Arc::clone(route)),
            feed: None,
        });
        let feeds = feeds
            .iter()
            .filter_map(|feed| self.destination(&feed.path, Some(feed)));
        routes.chain(feeds)
    }
}

impl Destination {
    /// Who gets the request.
    pub fn upstream(&self) -> &Arc<Upstream> {
        match (&self.route, &self.feed) {
            (Some(route), _) => &route.upstream,
            (None, Some(feed)) => &feed.upstream,
            (None, None) => unreachable!("invariant: a destination has a route or a feed"),
        }
    }

    /// The path of what routes it, as the configuration has it.
    pub fn name(&self) -> &str {
        match (&self.route, &self.feed) {
            (Some(route), _) => &route.path,
            (None, Some(feed)) => &feed.path,
            (None, None) => unreachable!("invariant: a destination has a route or a feed"),
        }
    }

    /// The entry that routes it, if it is not the feed alone.
    pub fn route(&self) -> Option<&Route> {
        self.route.as_deref()
    }

    /// The feed that is there, too, if one is.
    pub fn feed(&self) -> Option<&Arc<Feed>> {
        self.feed.as_ref()
    }

    /// The path of the feed that is there, too, as it is configured.
    pub fn feed_path(&self) -> Option<&str> {
        self.feed.as_ref().map(|feed| feed.path.as_str())
    }

    /// Whether the path is also a feed's.
    pub fn is_feed(&self) -> bool {
        self.feed.is_some()
    }
}

/// Whether `prefix` covers `path`, at a boundary between segments.
pub(super) fn covers(prefix: &str, path: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || prefix.ends_with('/'))
}

#[cfg(test)]
mod tests {
    use super::covers;

    #[test]
    fn a_prefix_ends_at_a_segment() {
        for (prefix, path, covered) in [
            ("/", "/", true),
            ("/", "/orders", true),
            ("/api", "/api", true),
            ("/api", "/api/x", true),
            ("/api/", "/api/x", true),
            ("/api/", "/api", false),
            ("/api", "/apiary", false),
            ("/api", "/", false),
            ("/", "*", false),
        ] {
            assert_eq!(covers(prefix, path), covered, "{prefix} {path}");
        }
    }
}
