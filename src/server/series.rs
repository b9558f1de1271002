//! Which series there are: those of what the configuration in force has.
//!
//! Promises that their number stays bounded however often the configuration changes. A series goes
//! with what it counts, and once more when the last is gone who could count in it.

use std::any::Any;
use std::collections::HashSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

use crate::config::Config;
use crate::gateway;
use crate::metrics::{Labels, Registry};

/// How often is looked whether somebody is gone.
const LOOK: Duration = Duration::from_secs(1);

/// Somebody who counts, of whom is only known whether he is there.
pub(super) type Counting = Weak<dyn Any + Send + Sync>;

/// The series of one process.
pub(super) struct Series {
    registry: Registry,
    /// Those who may still count in series that were forgotten.
    leaving: Vec<Counting>,
    waiting: Option<AbortOnDropHandle<()>>,
}

/// What there is, by name.
struct Known {
    feeds: HashSet<String>,
    upstreams: HashSet<String>,
    servers: HashSet<(String, String)>,
    /// Where requests go that are passed through: by what, to whom.
    destinations: HashSet<(String, String)>,
    addresses: HashSet<String>,
}

impl Series {
    pub(super) fn new(registry: Registry) -> Self {
        Self {
            registry,
            leaving: Vec::new(),
            waiting: None,
        }
    }

    /// Forgets the series of what this configuration has not, which `leaving` may still count in.
    pub(super) fn follow(
        &mut self,
        config: &Config,
        addresses: Vec<String>,
        leaving: impl IntoIterator<Item = Counting>,
    ) {
        let known = Known::of(config, addresses);
        self.registry.retain(|labels| known.has(labels));
        self.leaving.extend(leaving);
        self.leaving.retain(|counting| counting.strong_count() > 0);
        let (registry, mut leaving) = (self.registry.clone(), self.leaving.clone());
        let wait = async move {
            while !leaving.is_empty() {
                sleep(LOOK).await;
                let before = leaving.len();
                leaving.retain(|counting| counting.strong_count() > 0);
                if leaving.len() < before {
                    registry.retain(|labels| known.has(labels));
                }
            }
        };
        self.waiting = Some(AbortOnDropHandle::new(tokio::spawn(wait)));
    }
}

/// Somebody of whom is only known whether he is there.
pub(super) fn counting<T: Any + Send + Sync>(somebody: &Arc<T>) -> Counting {
    let weak: Weak<T> = Arc::downgrade(somebody);
    weak
}

impl Known {
    fn of(config: &Config, addresses: Vec<String>) -> Self {
        let servers = config.upstreams.iter().flat_map(|upstream| {
            let servers = upstream.servers.list.iter();
            servers.map(|server| (upstream.name.clone(), server.at.to_string()))
        });
        Self {
            feeds: config.feeds.iter().map(|it| it.path.clone()).collect(),
            upstreams: config.upstreams.iter().map(|it| it.name.clone()).collect(),
            servers: servers.collect(),
            destinations: gateway::destinations(config).collect(),
            addresses: addresses.into_iter().collect(),
        }
    }

    /// Whether a series is about what there is. Labels of other names are of fixed words.
    fn has(&self, labels: &Labels<'_>) -> bool {
        let is_in = |label: &str, known: &HashSet<String>| {
            labels.get(label).is_none_or(|value| known.contains(value))
        };
        let pair = |label: &str, known: &HashSet<(String, String)>| {
            let pair = labels.get(label).zip(labels.get("upstream"));
            pair.is_none_or(|(value, upstream)| {
                known.contains(&(value.to_owned(), upstream.to_owned()))
            })
        };
        is_in("feed", &self.feeds)
            && is_in("upstream", &self.upstreams)
            && is_in("address", &self.addresses)
            && pair("server", &self.servers)
            && pair("route", &self.destinations)
    }
}
