//! One live document: its log, its health, and who waits for it.
//!
//! `told` is what its poller and the backplane say, `asked` what subscribers want of it, `seen` what
//! those learn who look from outside, and `succession` how one topic takes over from another.

mod asked;
mod seen;
mod succession;
mod told;

use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::common::Common;
use super::demand::Audience;
use super::followers::Followers;
use super::identity::Identity;
use super::metrics::{FeedMetrics, Shares};
use super::report::Lessons;
use super::spared::Spared;
use crate::config::{Feed, Idle};
use crate::core::cursor::Notice;
use crate::core::document::Document;
use crate::core::event::{State, Timestamp};
use crate::core::health::{Denial, Health};
use crate::core::id::{Epoch, EventId};
use crate::core::lineage::Lineage;
use crate::core::log::Log;
use crate::core::past::Past;
use crate::core::schedule::Next;
use crate::core::sse::{Frame, Kind};
use crate::core::trail::Trail;

/// One topic. Its poller tells it what polls brought; subscriptions read it.
#[derive(Debug)]
pub struct Topic {
    common: Arc<Common>,
    identity: Identity,
    /// A std mutex: held for a few field accesses or one encoding, never across an await.
    inner: Mutex<Inner>,
    /// Counts every change of `inner`; whoever waits for the first poll waits on it.
    version: watch::Sender<u64>,
    /// Woken by every change of `inner`.
    followers: Followers,
    /// Who listens.
    audience: watch::Sender<Audience>,
    /// How often somebody asked for a poll.
    pokes: watch::Sender<u64>,
    /// What the store knows it by.
    mark: OnceLock<[u8; 32]>,
    /// The one that it takes over from, until it did.
    predecessor: Mutex<Option<Arc<Topic>>>,
    /// Told when another takes over, or nobody does.
    left_behind: CancellationToken,
    /// Told once nobody polls for it any more.
    at_rest: CancellationToken,
}

#[derive(Debug)]
struct Inner {
    log: Log,
    health: Health,
    /// What subscribers are told of the state; there is one as soon as the topic is made.
    notice: Option<Notice>,
    /// Whether it is polled, or will be until somebody notices that nobody listens.
    polled: bool,
    /// When the last one who listened left.
    quiet_since: Option<Instant>,
    /// Whether a poll was answered since polling last began.
    warm: bool,
    /// The refusal with which polling began, until a poll succeeds.
    refused: Option<Denial>,
    /// Why and how its subscribers are sent away, if they are.
    leaving: Option<Leaving>,
    /// What its last poller compared with.
    document: Option<Document>,
    /// When the poll succeeded that brought the newest change.
    changed: Option<Timestamp>,
    lessons: Lessons,
    spared: Spared,
    shares: Shares,
    /// The next poll, once it is known.
    next: Option<Next>,
    trail: Trail,
}

/// The event that a topic will have next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upcoming {
    /// Its sequence.
    pub sequence: u64,
    /// Its epoch.
    pub epoch: Epoch,
    /// Sequence of the oldest event that is kept now.
    pub oldest: u64,
    /// When the answer came that brings it, if that is known.
    pub at: Option<Timestamp>,
}

/// What a new subscriber finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Warmth {
    /// The topic can be read: it holds a document, or says why not.
    Ready,
    /// The upstream refuses the feed.
    Denied(Denial),
    /// Whoever listens is sent away.
    Draining,
}

/// Why subscribers are sent away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departure {
    /// The process is about to leave.
    Process,
    /// The configuration has the feed in another way.
    Changed,
    /// The configuration has the feed no more.
    Removed,
}

/// Sending subscribers away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaving {
    /// Why.
    pub why: Departure,
    /// Each goes at a moment of its own within this time, so that they do not come back together.
    pub within: Duration,
}

impl Topic {
    /// A topic that was never polled.
    pub fn new(common: Arc<Common>, identity: Identity) -> Arc<Self> {
        Self::from_past(common, identity, None)
    }

    /// A topic that goes on where another one was: cold, as after a pause, with the last good
    /// document, and the changes before it for whoever resumes.
    pub fn continued(common: Arc<Common>, identity: Identity, past: Past) -> Arc<Self> {
        Self::from_past(common, identity, Some(past))
    }

    fn from_past(common: Arc<Common>, identity: Identity, past: Option<Past>) -> Arc<Self> {
        let now = identity.made();
        let feed = common.feed();
        let changed = past.as_ref().and_then(Past::changed);
        let mut health = Health::new(feed.poll.interval, feed.deliver.end_after, now);
        if feed.is_private() {
            health = health.of_one_client();
        }
        if past.is_some() {
            health = health.continued(changed);
        }
        let (names, bounds) = (feed.events.names.clone(), feed.events.history);
        let log = match past {
            Some(past) => Log::resume(past, names, bounds),
            None => Log::new(identity.epoch(), names, bounds),
        };
        let mut inner = Inner {
            log,
            health,
            notice: None,
            polled: feed.poll.idle == Idle::Keep,
            quiet_since: None,
            warm: false,
            refused: None,
            leaving: None,
            document: None,
            changed,
            lessons: Lessons::default(),
            spared: Spared::default(),
            shares: Shares::new(Arc::clone(common.metrics())),
            next: None,
            trail: Trail::default(),
        };
        inner.shares.holds(inner.log.held());
        inner.renew_notice();
        Arc::new(Self {
            common,
            identity,
            inner: Mutex::new(inner),
            version: watch::Sender::new(0),
            followers: Followers::default(),
            audience: watch::Sender::new(Audience::default()),
            pokes: watch::Sender::new(0),
            mark: OnceLock::new(),
            predecessor: Mutex::default(),
            left_behind: CancellationToken::new(),
            at_rest: CancellationToken::new(),
        })
    }

    // What anybody may know.

    /// The configuration that this topic follows.
    pub fn feed(&self) -> &Arc<Feed> {
        self.common.feed()
    }

    /// Which topic of its feed it is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    pub(super) fn common(&self) -> &Arc<Common> {
        &self.common
    }

    /// Whether somebody listens.
    pub(super) fn is_demanded(&self) -> bool {
        self.listening() > 0
    }

    /// How many do.
    pub(super) fn listening(&self) -> usize {
        self.audience.borrow().listening()
    }

    /// Whether a poll ever brought a document.
    pub(super) fn has_document(&self) -> bool {
        self.lock().log.has_document()
    }

    /// Since when nobody listens; `None` before the first came.
    pub(super) fn quiet_since(&self) -> Option<Instant> {
        self.lock().quiet_since
    }

    /// What is counted for this topic's feed.
    pub fn metrics(&self) -> &FeedMetrics {
        self.common.metrics()
    }

    /// The sign of life that all of its subscribers share.
    pub fn heartbeat(&self) -> &Arc<Frame> {
        self.common.heartbeat()
    }

    /// Asks for a poll that begins from now on. False if there will be none: nobody has listened for
    /// `linger`, so that the feed is not polled.
    pub fn poke(&self) -> bool {
        self.metrics().poked();
        let is_wanted = self.is_wanted();
        if is_wanted {
            self.pokes.send_modify(|pokes| *pokes += 1);
        }
        is_wanted
    }

    fn is_wanted(&self) -> bool {
        let poll = &self.feed().poll;
        let is_demanded = self.is_demanded();
        let inner = self.lock();
        let lingers = |since: Instant| since.elapsed() < poll.linger;
        inner.polled
            && (poll.idle == Idle::Keep || is_demanded || inner.quiet_since.is_some_and(lingers))
    }

    /// Follows what [`Self::poke`] asks for.
    pub fn pokes(&self) -> watch::Receiver<u64> {
        self.pokes.subscribe()
    }

    /// Follows who listens.
    pub fn audience(&self) -> watch::Receiver<Audience> {
        self.audience.subscribe()
    }

    /// What another topic needs to go on where this one is; none before the first document.
    pub fn past(&self) -> Option<Past> {
        self.lock().log.past()
    }

    /// The newest document, compact JSON; none before the first.
    pub fn held(&self) -> Option<Bytes> {
        self.lock().log.document(usize::MAX)?.1
    }

    /// What `make` made of it when it was first asked.
    pub fn mark(&self, make: impl FnOnce() -> [u8; 32]) -> [u8; 32] {
        *self.mark.get_or_init(make)
    }

    /// What the next event will be; to be asked by whoever publishes it.
    pub fn upcoming(&self) -> Upcoming {
        let inner = self.lock();
        Upcoming {
            sequence: inner.log.newest() + 1,
            epoch: inner.log.lineage().current(),
            oldest: inner.log.oldest(),
            at: inner.health.last_success(),
        }
    }

    /// From the next event on there is another epoch; those so far keep their ids.
    pub fn go_on_in(&self, fresh: Epoch) {
        self.lock().log.go_on_in(fresh);
    }

    /// The epochs of its events.
    pub fn lineage(&self) -> Lineage {
        self.lock().log.lineage().clone()
    }

    /// The id of the event with this sequence.
    pub fn event_id(&self, sequence: u64) -> EventId {
        self.lock().log.id(sequence)
    }

    /// What the polls so far say of the feed.
    pub fn health(&self) -> Health {
        self.lock().health.clone()
    }

    /// Failures in a row.
    pub fn failures(&self) -> u32 {
        self.lock().health.failures()
    }

    /// When it will be down unless a poll succeeds.
    pub fn down_at(&self) -> Option<Timestamp> {
        self.lock().health.down_at()
    }

    fn update(&self, change: impl FnOnce(&mut Health) -> bool) -> bool {
        let mut inner = self.lock();
        let ended = inner.health.ended();
        let changed = change(&mut inner.health);
        let state = inner.health.state();
        let is_news = inner.renew_notice() || inner.health.ended() != ended;
        let last_success = inner.health.last_success();
        inner.shares.state(state, last_success);
        drop(inner);
        // Most polls change nothing, and nobody is woken for them.
        if is_news {
            self.wake();
        }
        changed
    }

    fn wake(&self) {
        self.version.send_modify(|version| *version += 1);
        self.followers.wake();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner
            .lock()
            .expect("invariant: nobody panics while holding a topic")
    }
}

impl Inner {
    /// The refusal that newcomers are answered with: one that ended the feed, one with which
    /// polling began, or the last where there is no document.
    fn denied(&self) -> Option<Denial> {
        let is_empty = !self.log.has_document();
        let last = || self.health.denied().filter(|_| is_empty);
        self.health.ended().or(self.refused).or_else(last)
    }

    /// Sees to it that subscribers, who assume `live` until told otherwise, learn the state.
    /// True if there is something new to tell.
    fn renew_notice(&mut self) -> bool {
        let state = self.health.state();
        let told = self
            .notice
            .as_ref()
            .map_or(State::Live, |notice| notice.state);
        // Before the first answer the frame is no news to anybody, and its reason still unknown.
        let is_news = told != state || (!self.warm && state != State::Live);
        if is_news {
            let name = &self.log.names().status;
            let data = self.health.to_json();
            self.notice = Some(Notice {
                state,
                after: self.log.newest(),
                frame: Arc::new(Frame::event(Kind::Status, name, None, data.as_bytes())),
            });
        }
        is_news
    }
}
