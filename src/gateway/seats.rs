//! How many may subscribe at once: in all, to one feed, from one address.
//!
//! Owns the count of those who do. Promises that it is exact under any concurrency, that nobody who
//! has a seat loses it to another, and that a count which is zero takes no memory. Must never wait.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard};

use arc_swap::ArcSwap;

use super::client::Client;
use crate::config::{Feed, Limits};

/// The seats of all feeds.
#[derive(Debug)]
pub struct Seats {
    limits: ArcSwap<Limits>,
    /// A std mutex: held for some look-ups, never across an await.
    taken: Mutex<Taken>,
}

/// Who sits; of what has no limit nothing is counted.
#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_feed: HashMap<String, usize>,
    by_client: HashMap<Client, usize>,
}

/// One subscriber's place, given back when this is dropped.
#[derive(Debug)]
pub struct Seat {
    seats: Arc<Seats>,
    /// Where the feed has a limit of its own.
    feed: Option<Arc<Feed>>,
    /// Where addresses have one, and this one is known.
    client: Option<Client>,
}

/// Why there is no seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// All feeds together have as many subscribers as they may.
    Total,
    /// The feed has.
    Feed,
    /// The client's address has.
    Client,
    /// The client asks for a document of which there is no topic yet, and as many others.
    Topics,
    /// The same, and those there are take all the memory that they may.
    Memory,
}

impl Full {
    /// Every reason.
    pub const ALL: [Full; 5] = [
        Full::Total,
        Full::Feed,
        Full::Client,
        Full::Topics,
        Full::Memory,
    ];

    /// The word for metrics.
    pub fn reason(self) -> &'static str {
        match self {
            Full::Total => "limit_total",
            Full::Feed => "limit_feed",
            Full::Client => "limit_client",
            Full::Topics => "limit_topics",
            Full::Memory => "limit_memory",
        }
    }

    /// The explanation for people.
    pub fn detail(self) -> &'static str {
        match self {
            Full::Total => "there are as many subscribers as this server may have; try again later",
            Full::Feed => "this feed has as many subscribers as it may have; try again later",
            Full::Client => {
                "your address has as many subscriptions as it may have; end some, or try again \
                 later"
            }
            Full::Topics => {
                "as many different documents are followed as may be, of this feed or in all; try again \
                 later"
            }
            Full::Memory => {
                "the documents that are followed take as much memory as they may; try again later"
            }
        }
    }
}

impl Seats {
    /// Nobody sits yet.
    pub fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            limits: ArcSwap::from_pointee(limits),
            taken: Mutex::default(),
        })
    }

    /// These limits hold from now on. Who sits stays, and is not counted in what had no limit before.
    pub fn follow(&self, limits: Limits) {
        self.limits.store(Arc::new(limits));
    }

    /// A seat for a subscriber of this feed; `client` is who it belongs to, if that is known.
    ///
    /// # Errors
    /// The first limit that is reached, the widest first; nothing is taken then.
    pub fn take(self: &Arc<Self>, feed: &Arc<Feed>, client: Option<Client>) -> Result<Seat, Full> {
        let limits = self.limits.load();
        let client = client.filter(|_| limits.subscribers_per_client.is_some());
        let own = feed.deliver.max_subscribers;
        let mut taken = self.lock();
        let Taken {
            all,
            by_feed,
            by_client,
        } = &mut *taken;
        if limits.subscribers.is_some_and(|most| *all >= most) {
            return Err(Full::Total);
        }
        if own.is_some_and(|most| held(by_feed, &feed.path) >= most) {
            return Err(Full::Feed);
        }
        if let (Some(client), Some(most)) = (&client, limits.subscribers_per_client)
            && held(by_client, client) >= most
        {
            return Err(Full::Client);
        }
        *all += 1;
        let feed = own.is_some().then(|| Arc::clone(feed));
        if let Some(feed) = &feed {
            *by_feed.entry(feed.path.clone()).or_default() += 1;
        }
        if let Some(client) = client {
            *by_client.entry(client).or_default() += 1;
        }
        drop(taken);
        Ok(Seat {
            seats: Arc::clone(self),
            feed,
            client,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken
            .lock()
            .expect("invariant: nobody panics while counting")
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.lock();
        taken.all -= 1;
        if let Some(feed) = &self.feed {
            release(&mut taken.by_feed, feed.path.clone());
        }
        if let Some(client) = self.client {
            release(&mut taken.by_client, client);
        }
    }
}

fn held<K: Hash + Eq>(counts: &HashMap<K, usize>, key: &K) -> usize {
    counts.get(key).copied().unwrap_or(0)
}

fn release<K: Hash + Eq>(counts: &mut HashMap<K, usize>, key: K) {
    if let Entry::Occupied(mut count) = counts.entry(key) {
        *count.get_mut() -= 1;
        if *count.get() == 0 {
            count.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::config::Config;

    fn feed(max_subscribers: Option<usize>) -> Arc<Feed> {
        let (config, _) = Config::quick("http://shop", &["/orders".to_owned()]).unwrap();
        let mut feed = Feed::clone(&config.feeds[0]);
        feed.deliver.max_subscribers = max_subscribers;
        Arc::new(feed)
    }

    fn client(text: &str) -> Option<Client> {
        let address: IpAddr = text.parse().unwrap();
        Some(Client::from(address))
    }

    #[test]
    fn each_limit_is_reached_by_itself_and_the_widest_is_told() {
        let seats = Seats::new(Limits {
            subscribers: Some(4),
            subscribers_per_client: Some(2),
            ..Limits::default()
        });
        let (small, large) = (feed(Some(1)), feed(None));
        let first = seats.take(&small, client("192.0.2.1")).unwrap();
        assert_eq!(seats.take(&small, None).unwrap_err(), Full::Feed);
        let _second = seats.take(&large, client("192.0.2.1")).unwrap();
        let refused = seats.take(&large, client("192.0.2.1")).unwrap_err();
        assert_eq!(refused, Full::Client);
        // Nobody knows whose these are.
        let _third = seats.take(&large, None).unwrap();
        let _fourth = seats.take(&large, None).unwrap();
        let refused = seats.take(&small, client("192.0.2.1")).unwrap_err();
        assert_eq!(refused, Full::Total);
        drop(first);
        assert!(seats.take(&small, client("192.0.2.1")).is_ok());
    }

    #[test]
    fn who_left_leaves_nothing_behind() {
        let seats = Seats::new(Limits {
            subscribers: None,
            subscribers_per_client: Some(3),
            ..Limits::default()
        });
        let feed = feed(Some(10_000));
        let taken: Vec<_> = (0..1000)
            .map(|n: u32| {
                let address = IpAddr::from(n.to_be_bytes());
                seats.take(&feed, Some(Client::from(address))).unwrap()
            })
            .collect();
        assert_eq!(seats.lock().by_client.len(), 1000);
        drop(taken);
        let left = seats.lock();
        assert_eq!(left.all, 0);
        assert!(left.by_client.is_empty() && left.by_feed.is_empty());
    }

    #[test]
    fn what_has_no_limit_is_not_counted() {
        let seats = Seats::new(Limits::default());
        let _seat = seats.take(&feed(None), client("192.0.2.1")).unwrap();
        let taken = seats.lock();
        assert!(taken.by_client.is_empty() && taken.by_feed.is_empty());
    }

    #[test]
    fn a_crowd_takes_exactly_the_seats_there_are() {
        let seats = Seats::new(Limits {
            subscribers: Some(50),
            subscribers_per_client: Some(50),
            ..Limits::default()
        });
        let feed = feed(Some(50));
        for _ in 0..20 {
            let taken: usize = std::thread::scope(|scope| {
                let crowd: Vec<_> = (0..8)
                    .map(|_| {
                        let take = || seats.take(&feed, client("192.0.2.1")).ok();
                        scope.spawn(move || (0..25).filter_map(|_| take()).collect::<Vec<_>>())
                    })
                    .collect();
                let seated: Vec<_> = crowd.into_iter().map(|one| one.join().unwrap()).collect();
                seated.iter().map(Vec::len).sum()
            });
            assert_eq!(taken, 50);
        }
        assert_eq!(seats.lock().all, 0);
    }
}
