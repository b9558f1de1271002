//! One subscriber.

use std::io::ErrorKind;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::batch::Batch;
use super::closed::Closed;
use super::crowd::Crowd;
use super::transport::{Heard, Progress, Transport};
use super::wheel::{Tick, ticks};
use super::{Newcomer, retry};
use crate::auth::Grant;
use crate::clock::Clock;
use crate::core::event::Timestamp;
use crate::core::sse::gzip::Checksum;
use crate::core::sse::{Coding, Frame, Wire};
use crate::gateway::access::{Sent, Stay};
use crate::gateway::metrics::Connection;
use crate::gateway::seats::Seat;
use crate::hub::{Blocked, Leaving, Subscription, Then};

/// A slow client gets one second more for each of these.
const BYTES_PER_SECOND: usize = 16 * 1024;
/// What a client may send after its request, in bytes; nothing of it is looked at.
const MAX_CHATTER: usize = 64 * 1024;
/// How long the end of a connection may take after its last byte.
const CLOSING: Duration = Duration::from_secs(1);
/// How often a client is asked whether it is there, where its leaving may wake nobody.
const ASKING: Duration = Duration::from_secs(2);
/// When a client whose end of the connection is closed is written to: if it is gone, the first
/// write is answered with a reset, and a later one fails.
const PROBES: [Duration; 4] = [
    Duration::ZERO,
    Duration::from_millis(200),
    Duration::from_secs(1),
    Duration::from_secs(4),
];

/// A connection, a place in a topic, and what is on the way between them.
#[derive(Debug)]
pub struct Client {
    /// The crowd it belongs to, and its place among the members.
    pub crowd: u32,
    pub place: u32,
    /// Whether it waits to be served.
    pub is_queued: bool,
    /// Whether its connection has something to say.
    pub is_woken: bool,
    /// The moment of its one timer that counts.
    pub timer: Option<Tick>,
    wire: Wire,
    /// Of all that it was sent, for the end of a compressed body.
    checksum: Checksum,
    stage: Stage,
    /// Whether it was greeted with its reconnection time.
    is_greeted: bool,
    /// What goes before the greeting.
    head: Bytes,
    /// Whether more is due than was taken last.
    is_behind: bool,
    /// Whether it ever got all there was, so that what it gets since is news.
    is_live: bool,
    /// When it has been open for long enough.
    expires: Option<Tick>,
    /// When it goes, if it was told to.
    leaves: Option<Tick>,
    /// Probes left, if its end of the connection is closed.
    probes: Option<u8>,
    chatter: usize,
    last_write: Tick,
    last_asked: Tick,
    /// Silence after which it gets a sign of life. Not the same for all, so that they do not beat
    /// together after a change that all got at once.
    beat: Tick,
    /// What it was let in by, where not everybody is, and when that ends by itself.
    grant: Option<Arc<Grant>>,
    granted_until: Option<Tick>,
    sending: Option<Sending>,
    /// What its connection took so far.
    sent: Sent,
    waker: Waker,
    // Dropped in this order: whoever is counted as gone demands nothing any more, and who sees its
    // connection closed has no seat any more.
    subscription: Subscription,
    seat: Seat,
    transport: Transport,
    connection: Connection,
    stay: Option<Box<Stay>>,
    _stream: TaskTrackerToken,
}

/// What is being written.
#[derive(Debug)]
struct Sending {
    batch: Arc<Batch>,
    progress: Progress,
    deadline: Tick,
    /// While its connection takes none of it.
    blocked: Option<Blocked>,
}

/// How far a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Open,
    /// What is being sent is the last of the body.
    Ending(Closed),
    /// The connection is being closed, until that moment at most.
    Closing(Closed, Tick),
}

impl Client {
    /// Takes over a connection.
    pub fn new(
        newcomer: Newcomer,
        crowd: u32,
        place: u32,
        waker: Waker,
        (now, clock): (Tick, Clock),
    ) -> Self {
        let (delivery, stream) = newcomer;
        let deliver = &delivery.subscription.topic().feed().deliver;
        let every = deliver.heartbeat.every;
        // Those who came together do not go together.
        let lifetime = deliver
            .max_lifetime
            .map(|longest| ticks(longest.mul_f64(rand::random_range(0.75..1.0))));
        let end = delivery.grant.as_ref().and_then(|grant| grant.expires());
        let left = end.map(|end| Duration::from_millis(end.0.saturating_sub(clock.now().0)));
        Self {
            crowd,
            place,
            is_queued: false,
            is_woken: true,
            timer: None,
            wire: delivery.wire,
            checksum: Checksum::default(),
            stage: Stage::Open,
            is_greeted: false,
            head: delivery.head,
            is_behind: false,
            is_live: false,
            expires: lifetime.map(|lifetime| now.saturating_add(lifetime)),
            leaves: None,
            probes: None,
            chatter: 0,
            last_write: now,
            last_asked: now,
            beat: ticks(every.mul_f64(rand::random_range(0.75..1.0))),
            grant: delivery.grant,
            granted_until: left.map(|left| now.saturating_add(ticks(left))),
            sending: None,
            sent: Sent::default(),
            waker,
            subscription: delivery.subscription,
            transport: delivery.transport,
            seat: delivery.seat,
            connection: delivery.connection,
            stay: delivery.stay,
            _stream: stream,
        }
    }

    /// Whether what it was let in by is over, by the clock that says so to newcomers as well.
    fn is_unauthorized(&mut self, time: Timestamp, now: Tick) -> bool {
        let Some(grant) = &self.grant else {
            return false;
        };
        let is_over = grant.is_over(time);
        if let Some(end) = &mut self.granted_until
            && !is_over
        {
            // Ticks and the clock may be apart by one.
            *end = (*end).max(now.saturating_add(1));
        }
        is_over
    }

    /// Whether what it was let in by was withdrawn.
    pub fn is_withdrawn(&self) -> bool {
        self.grant
            .as_ref()
            .is_some_and(|grant| grant.is_withdrawn())
    }

    /// Whether it waits for its connection rather than for events.
    pub fn is_busy(&self) -> bool {
        self.sending.is_some()
    }

    /// Does what there is to do now, one batch at most. True if there is more.
    ///
    /// # Errors
    /// Why it is over.
    pub fn serve(&mut self, crowd: &mut Crowd, now: Tick) -> Result<bool, Closed> {
        let is_woken = std::mem::take(&mut self.is_woken);
        if is_woken && self.probes.is_none() && !matches!(self.stage, Stage::Closing(..)) {
            self.listen(now)?;
        }
        if self.flush(crowd, now)? && self.stage == Stage::Open {
            self.begin_next(crowd, now)?;
            if self.flush(crowd, now)? && self.stage == Stage::Open {
                return Ok(self.is_behind);
            }
        }
        if self.sending.is_none() {
            self.end(now)?;
        }
        Ok(false)
    }

    /// When it must be looked at again, whatever happens.
    pub fn deadline(&self) -> Tick {
        if let Some(sending) = &self.sending {
            return sending.deadline;
        }
        if let Stage::Closing(_, until) = self.stage {
            return until;
        }
        let mut next = self.last_write.saturating_add(self.silence());
        let ends = [self.expires, self.leaves, self.granted_until];
        for end in ends.into_iter().flatten() {
            next = next.min(end);
        }
        if self.transport.must_be_asked() {
            next = next.min(self.last_asked.saturating_add(ticks(ASKING)));
        }
        next
    }

    /// Counts it as gone.
    pub fn close(self, closed: Closed) {
        let Self {
            subscription,
            transport,
            seat,
            connection,
            stay,
            sent,
            ..
        } = self;
        drop(subscription);
        // Before the client can see that it is over: it may come again at once.
        drop(seat);
        drop(transport);
        connection.closed(closed.reason());
        if let Some(stay) = stay {
            stay.closed(sent, closed.reason());
        }
    }

    /// Silence after which something is written.
    fn silence(&self) -> Tick {
        match self
            .probes
            .and_then(|left| PROBES.iter().rev().nth(usize::from(left).checked_sub(1)?))
        {
            Some(probe) => ticks(*probe).min(self.beat),
            None => self.beat,
        }
    }

    /// Hears what the client has to say.
    fn listen(&mut self, now: Tick) -> Result<(), Closed> {
        self.last_asked = now;
        let mut context = Context::from_waker(&self.waker);
        loop {
            match self.transport.poll_hear(&mut context) {
                Ok(Heard::Silence) => return Ok(()),
                Ok(Heard::Chatter(bytes)) => self.chatter += bytes,
                Ok(Heard::HalfClosed) => {
                    // It may read on; if it does not, a write finds out.
                    self.probes = Some(PROBES.len() as u8);
                    return Ok(());
                }
                Ok(Heard::Left) => return Err(Closed::Left),
                Err(_) => return Err(Closed::Broken),
            }
            if self.chatter > MAX_CHATTER {
                return Err(Closed::Chatter);
            }
        }
    }

    /// Writes what was begun. True if nothing is left of it.
    fn flush(&mut self, crowd: &mut Crowd, now: Tick) -> Result<bool, Closed> {
        let Some(sending) = &mut self.sending else {
            return Ok(true);
        };
        let mut context = Context::from_waker(&self.waker);
        let Sending {
            batch,
            progress,
            blocked,
            deadline,
        } = sending;
        match self.transport.poll_send(&mut context, batch, progress) {
            Poll::Ready(Ok(())) => {
                crowd.delivered(batch, self.is_live);
                self.is_live |= !self.is_behind;
                self.sent.events += batch.tally().count();
                self.sent.bytes += batch.tally().bytes;
                if self.wire.coding == Coding::Gzip {
                    self.checksum.add(batch.sum());
                }
                self.last_write = now;
                self.sending = None;
                Ok(true)
            }
            Poll::Ready(Err(error)) if error.kind() == ErrorKind::TimedOut => {
                Err(Closed::WriteTimeout)
            }
            Poll::Ready(Err(_)) => Err(match self.probes {
                Some(_) => Closed::Left,
                None => Closed::Broken,
            }),
            Poll::Pending if now >= *deadline => Err(Closed::WriteTimeout),
            Poll::Pending => {
                blocked.get_or_insert_with(|| crowd.topic.metrics().delivery().blocked());
                Ok(false)
            }
        }
    }

    /// Begins what comes next, if anything does.
    fn begin_next(&mut self, crowd: &mut Crowd, now: Tick) -> Result<(), Closed> {
        if self.is_unauthorized(crowd.clock.now(), now) {
            self.begin_end(&crowd.unauthorized(self.wire), Closed::Unauthorized, now);
            return Ok(());
        }
        if self.expires.is_some_and(|expires| now >= expires) {
            self.begin_end(&Batch::default(), Closed::Lifetime, now);
            return Ok(());
        }
        let offer = crowd.take(self.subscription.cursor, self.wire);
        self.subscription.cursor = offer.after;
        self.is_behind = offer.then == Then::More;
        match offer.then {
            Then::End => self.begin_end(&offer.batch, Closed::Ended, now),
            Then::Leave(leaving) if !self.is_greeted || now >= self.leaves_at(leaving, now) => {
                self.begin_end(&offer.batch, leaving.why.into(), now);
            }
            Then::Leave(_) => self.stay(crowd, now)?,
            Then::Wait | Then::More if !self.is_greeted => {
                let greeting = self.greeting(&offer.batch);
                self.begin(greeting.into(), now);
            }
            Then::Wait | Then::More if !offer.batch.is_empty() => {
                self.begin(Arc::clone(&offer.batch), now);
            }
            Then::More => {}
            Then::Wait => self.stay(crowd, now)?,
        }
        self.is_greeted = true;
        Ok(())
    }

    /// When it goes, which is another moment for each.
    fn leaves_at(&mut self, leaving: Leaving, now: Tick) -> Tick {
        let chosen = || leaving.within.mul_f64(rand::random_range(0.0..=1.0));
        *self
            .leaves
            .get_or_insert_with(|| now.saturating_add(ticks(chosen())))
    }

    /// Nothing is due but perhaps a sign of life.
    fn stay(&mut self, crowd: &mut Crowd, now: Tick) -> Result<(), Closed> {
        if self.transport.must_be_asked() && now >= self.last_asked.saturating_add(ticks(ASKING)) {
            self.listen(now)?;
        }
        if now >= self.last_write.saturating_add(self.silence()) {
            self.probes = self.probes.map(|left| left.saturating_sub(1));
            self.subscription.cursor.interrupted();
            self.begin(crowd.heartbeat(self.wire), now);
        }
        Ok(())
    }

    /// The first that it gets: when to come back if the connection is lost, and what is due.
    fn greeting(&mut self, batch: &Batch) -> Batch {
        let head = std::mem::take(&mut self.head);
        batch.opened(head, self.retry(), self.wire)
    }

    /// Begins the last of the body: what is due, and when to come back, if that may help.
    fn begin_end(&mut self, last: &Batch, closed: Closed, now: Tick) {
        let last = match self.is_greeted {
            true => {
                let retry = (!closed.is_final()).then(|| self.retry());
                last.after(retry, self.wire)
            }
            false => self.greeting(last),
        };
        let last = last.closed(self.checksum, self.wire);
        self.begin(last.into(), now);
        self.stage = Stage::Ending(closed);
    }

    fn retry(&self) -> Frame {
        retry(self.subscription.topic().feed().deliver.retry)
    }

    fn begin(&mut self, batch: Arc<Batch>, now: Tick) {
        let feed = self.subscription.topic().feed();
        let patience = feed.deliver.write_timeout
            + Duration::from_secs((batch.len() / BYTES_PER_SECOND) as u64);
        self.sending = Some(Sending {
            batch,
            progress: Progress::default(),
            blocked: None,
            deadline: now.saturating_add(ticks(patience)).saturating_add(1),
        });
    }

    /// The body is written; what remains is the connection.
    fn end(&mut self, now: Tick) -> Result<(), Closed> {
        if let Stage::Ending(closed) = self.stage {
            self.stage = Stage::Closing(closed, now.saturating_add(ticks(CLOSING)));
        }
        if let Stage::Closing(closed, until) = self.stage {
            let mut context = Context::from_waker(&self.waker);
            // What could not be said in time is not worth waiting for.
            if self.transport.poll_close(&mut context).is_ready() || now >= until {
                return Err(closed);
            }
        }
        Ok(())
    }
}
