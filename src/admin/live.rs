//! Documents about pollcast itself, for those who watch them.
//!
//! Owns what is watched: each is made anew at most once a second while somebody watches, and its
//! changes are kept for those who come back soon. The road is that of a feed, without the feed:
//! document, change, log, cursor. Promises that nobody watching costs nothing, that watchers are
//! bounded in number, and that they count in no feed's metrics.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::block_in_place;
use tokio::time::{Instant, sleep, timeout};
use tracing::error;

use super::view::View;
use crate::core::cursor::Cursor;
use crate::core::document::{self, Document, Observation};
use crate::core::event::{Mode, Names};
use crate::core::id::{Epoch, TopicId};
use crate::core::log::{Bounds, Log};
use crate::core::sse::{Coding, Frame, Kind};

/// How many may watch at once. A browser has one stream for each view that it shows.
const SEATS: usize = 64;
/// From one making to the next, at least.
const BEAT: Duration = Duration::from_secs(1);
/// How long changes are kept for those who come back.
const LINGER: Duration = Duration::from_secs(60);
/// What is kept of them; a document with its changes may be a megabyte.
const KEPT: Bounds = Bounds {
    events: 100,
    bytes: 512 << 10,
};

/// What can be watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Subject {
    /// `/api/status`.
    Status,
    /// `/api/topic` of one topic.
    Topic(TopicId),
}

/// Why nobody can watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unwatched {
    /// As many watch as may.
    Full,
    /// There is no such thing, or no more.
    Gone,
}

/// Everything that is watched, or was a moment ago.
pub(super) struct Gallery {
    view: Arc<View>,
    /// A std mutex: held for a look-up, never across an await.
    open: Mutex<HashMap<Subject, Arc<Live>>>,
    seats: Arc<Semaphore>,
}

/// One thing that is watched.
struct Live {
    subject: Subject,
    /// A std mutex: held for one making or one frame, never across an await.
    held: Mutex<Held>,
    /// Counts the changes of `held`.
    version: watch::Sender<u64>,
    watchers: watch::Sender<usize>,
}

struct Held {
    document: Document,
    log: Log,
    made: Option<Instant>,
    is_over: bool,
}

/// One who watches.
pub(super) struct Watcher {
    live: Arc<Live>,
    cursor: Cursor,
    version: watch::Receiver<u64>,
    is_told: bool,
    _seat: OwnedSemaphorePermit,
}

impl Gallery {
    /// Nobody watches yet.
    pub(super) fn new(view: Arc<View>) -> Arc<Self> {
        Arc::new(Self {
            view,
            open: Mutex::default(),
            seats: Arc::new(Semaphore::new(SEATS)),
        })
    }

    /// Places a watcher, who resumes after `last_id` if that can be.
    ///
    /// # Errors
    /// [`Unwatched`].
    pub(super) fn watch(
        self: &Arc<Self>,
        subject: Subject,
        last_id: Option<&[u8]>,
    ) -> Result<Watcher, Unwatched> {
        let seat = Arc::clone(&self.seats).try_acquire_owned();
        let seat = seat.map_err(|_| Unwatched::Full)?;
        let live = self.enter(subject);
        live.renew(&self.view);
        let held = live.lock();
        let (cursor, _) = Cursor::open(&held.log, Mode::Patch, Coding::Identity, last_id);
        let is_over = held.is_over;
        drop(held);
        let watcher = Watcher {
            version: live.version.subscribe(),
            live,
            cursor,
            is_told: false,
            _seat: seat,
        };
        match is_over {
            true => Err(Unwatched::Gone),
            false => Ok(watcher),
        }
    }

    /// What is watched, with one watcher more.
    fn enter(self: &Arc<Self>, subject: Subject) -> Arc<Live> {
        let mut open = self.lock();
        if open.len() >= SEATS && !open.contains_key(&subject) {
            open.retain(|_, live| live.is_watched());
        }
        let live = open.entry(subject).or_insert_with(|| {
            let live = Live::new(subject);
            let watchers = live.watchers.subscribe();
            tokio::spawn(Arc::clone(self).keep(Arc::downgrade(&live), watchers));
            live
        });
        live.watchers.send_modify(|watchers| *watchers += 1);
        Arc::clone(live)
    }

    /// Makes it anew while somebody watches, until nobody has for long, it is over, or it had to give
    /// way to another.
    async fn keep(self: Arc<Self>, live: Weak<Live>, mut watchers: watch::Receiver<usize>) {
        loop {
            let came = timeout(LINGER, watchers.wait_for(|watchers| *watchers > 0));
            let is_watched = came.await.is_ok();
            let closes = |live: Arc<Live>| !is_watched && self.close(&live, false);
            if live.upgrade().is_none_or(closes) {
                return;
            }
            sleep(BEAT).await;
            let Some(live) = live.upgrade() else {
                return;
            };
            if live.is_watched() {
                live.renew(&self.view);
            }
            if live.lock().is_over {
                self.close(&live, true);
                return;
            }
        }
    }

    /// Forgets it, unless somebody watches and it is not over.
    fn close(&self, live: &Arc<Live>, is_over: bool) -> bool {
        let mut open = self.lock();
        let closes = is_over || !live.is_watched();
        if closes
            && open
                .get(&live.subject)
                .is_some_and(|it| Arc::ptr_eq(it, live))
        {
            open.remove(&live.subject);
        }
        closes
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Subject, Arc<Live>>> {
        self.open
            .lock()
            .expect("invariant: nobody panics while holding what is watched")
    }
}

impl Live {
    fn new(subject: Subject) -> Arc<Self> {
        let epoch = Epoch::from_random(rand::random());
        Arc::new(Self {
            subject,
            held: Mutex::new(Held {
                document: Document::new(document::View::default()),
                log: Log::new(epoch, Names::default(), KEPT),
                made: None,
                is_over: false,
            }),
            version: watch::Sender::new(0),
            watchers: watch::Sender::new(0),
        })
    }

    fn is_watched(&self) -> bool {
        *self.watchers.borrow() > 0
    }

    /// Makes it anew, unless that was done a moment ago.
    fn renew(&self, view: &View) {
        let mut held = self.lock();
        let is_fresh = |made: Instant| made.elapsed() < BEAT;
        if held.is_over || held.made.is_some_and(is_fresh) {
            return;
        }
        held.made = Some(Instant::now());
        // Thousands of topics take a while to be asked.
        let is_news = block_in_place(|| match view.text(self.subject) {
            None => {
                held.is_over = true;
                true
            }
            Some(text) => held.observe(text.into()),
        });
        drop(held);
        if is_news {
            self.version.send_modify(|version| *version += 1);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held
            .lock()
            .expect("invariant: nobody panics while holding a live document")
    }
}

impl Held {
    /// True if it is another one.
    fn observe(&mut self, text: Bytes) -> bool {
        match self.document.observe(text) {
            Ok(Observation::Unchanged) => false,
            Ok(Observation::Changed(change)) => {
                self.log.append(change, None);
                true
            }
            Err(rejected) => {
                error!(%rejected, "what is shown of pollcast itself is no document; please report it");
                false
            }
        }
    }
}

impl Watcher {
    /// The next frame; none if there is nothing new.
    pub(super) fn next(&mut self) -> Option<Arc<Frame>> {
        let mut held = self.live.lock();
        let frame = self.cursor.next(&mut held.log, None);
        if frame.is_none() && held.is_over && !self.is_told {
            self.is_told = true;
            let (name, data) = (&held.log.names().end, br#"{"reason":"not_found"}"#);
            return Some(Arc::new(Frame::event(Kind::End, name, None, data)));
        }
        frame
    }

    /// Whether all was told that ever will be.
    pub(super) fn is_over(&self) -> bool {
        self.is_told
    }

    /// Waits until there may be something new.
    pub(super) async fn changed(&mut self) {
        // Whoever watches holds the sender.
        let _ = self.version.changed().await;
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.live.watchers.send_modify(|watchers| *watchers -= 1);
    }
}
