//! The load: thousands of subscribers in one thread with epoll, from several source addresses.
//!
//! Every one must get every event, in order and once; anything else is an error.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};

use crate::event::MARK;
use crate::member::Member;
use crate::process::now;

/// So many wait for their first bytes at once while a crowd gathers, where the server bears it.
pub const AT_ONCE: usize = 256;
/// Silence after which something is wrong.
const PATIENCE: Duration = Duration::from_secs(60);
/// The longest that one look for what has come may take.
const LOOK: Duration = Duration::from_millis(100);
/// So many connections are begun before what has come is read.
const AT_A_TIME: usize = 32;
/// Bytes taken by one read.
pub const READ: usize = 256 * 1024;

/// What subscribers ask for, and what they may expect.
#[derive(Clone)]
pub struct Subscription {
    pub to: SocketAddr,
    pub path: String,
    /// So many wait for their first bytes at once while a crowd gathers.
    pub at_once: usize,
    pub transport: Transport,
    /// Lines for the head of an HTTP/1.1 request.
    pub headers: String,
    /// The event that the stream begins with; `None` where a new subscriber is told nothing.
    pub greeting: Option<u32>,
    /// The newest event before the first that it will get.
    pub after: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Http1,
    /// HTTP/1.1, with events compressed.
    Gzip,
    /// HTTP/1.1 over TLS.
    Tls,
    /// HTTP/2 without TLS, so many streams a connection.
    Http2(usize),
}

impl Transport {
    /// Subscribers on a connection.
    pub fn streams(self) -> usize {
        match self {
            Self::Http2(streams) => streams,
            _ => 1,
        }
    }
}

/// Subscribers of one system.
pub struct Crowd {
    poll: Poll,
    events: Events,
    batch: Vec<usize>,
    members: Vec<Member>,
    subscription: Subscription,
    ready: usize,
    buffer: Vec<u8>,
    tally: Tally,
}

/// What a crowd was sent.
#[derive(Default)]
pub struct Tally {
    /// Events, but for those that a new subscriber is told.
    pub delivered: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// Bytes of bodies among them, without the frames of HTTP.
    pub payload: u64,
    /// Each event that was read, and when, if wanted.
    pub times: Option<Vec<(u32, u64)>>,
    /// When each connection began to be made, and when its first byte came.
    pub first_bytes: Vec<(u64, u64)>,
    /// The time of the read that is being looked at.
    pub now: u64,
    /// Room for what a decompressor gives.
    pub text: Vec<u8>,
}

impl Tally {
    pub fn delivered(&mut self, number: u32) {
        self.delivered += 1;
        if let Some(times) = &mut self.times {
            times.push((number, self.now));
        }
    }
}

impl Crowd {
    pub fn new(subscription: Subscription) -> Self {
        Self {
            poll: Poll::new().expect("epoll"),
            events: Events::with_capacity(1024),
            batch: Vec::new(),
            members: Vec::new(),
            subscription,
            ready: 0,
            buffer: vec![0; MARK + READ],
            tally: Tally::default(),
        }
    }

    /// What came so far; may be set back.
    pub fn tally(&mut self) -> &mut Tally {
        &mut self.tally
    }

    /// Lets so many more subscribe, and returns when all have begun to get the stream. Not more
    /// than a few are on their way at a time, or all if they are told to.
    ///
    /// # Errors
    /// When a connection or an answer is not as it should be, or nothing more happens.
    pub fn gather(&mut self, more: usize, all_at_once: bool) -> Result<(), String> {
        let streams = self.subscription.transport.streams();
        let all = self.members.len() + more / streams;
        let wanted = all * streams;
        let at_once = if all_at_once {
            wanted
        } else {
            self.subscription.at_once.max(streams)
        };
        self.members.reserve_exact(more / streams);
        self.tally.first_bytes.reserve(more / streams);
        let mut progress = (self.ready, Instant::now());
        while self.ready < wanted {
            for _ in 0..AT_A_TIME {
                let is_full = self.members.len() * streams - self.ready >= at_once;
                if is_full || self.members.len() == all {
                    break;
                }
                let joined = self.join();
                joined.map_err(|failure| format!("connecting: {failure}"))?;
            }
            let can_wait = self.members.len() == all;
            self.turn(if can_wait {
                LOOK
            } else {
                Duration::from_millis(1)
            })?;
            if self.ready > progress.0 {
                progress = (self.ready, Instant::now());
            } else if progress.1.elapsed() > PATIENCE {
                return Err(format!("only {} of {wanted} were served", self.ready));
            }
        }
        Ok(())
    }

    /// Reads for so long.
    ///
    /// # Errors
    /// As [`Crowd::turn`].
    pub fn read_for(&mut self, time: Duration) -> Result<(), String> {
        let until = Instant::now() + time;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            self.turn(left)?;
        }
    }

    /// Reads until so many events in all were delivered.
    ///
    /// # Errors
    /// As [`Crowd::turn`], or when nothing more comes.
    pub fn read_until(&mut self, delivered: u64) -> Result<(), String> {
        let mut progress = (self.tally.delivered, Instant::now());
        while self.tally.delivered < delivered {
            self.turn(LOOK)?;
            if self.tally.delivered > progress.0 {
                progress = (self.tally.delivered, Instant::now());
            } else if progress.1.elapsed() > PATIENCE {
                let missing = delivered - self.tally.delivered;
                return Err(format!("{missing} events have not come for a minute"));
            }
        }
        Ok(())
    }

    /// Checks that everyone has got everything up to this event.
    ///
    /// # Errors
    /// How many have not.
    pub fn have_all(&self, number: u32) -> Result<(), String> {
        let behind = |member: &Member| member.behind(number);
        match self.members.iter().map(behind).sum() {
            0_usize => Ok(()),
            behind => Err(format!("{behind} subscribers have not got event {number}")),
        }
    }

    fn join(&mut self) -> io::Result<()> {
        let index = self.members.len();
        let began = now();
        let mut member = Member::connect(index, &self.subscription, began)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        let registry = self.poll.registry();
        registry.register(member.stream(), Token(index), interest)?;
        self.members.push(member);
        Ok(())
    }

    /// Waits for one batch of readiness, and reads what has come.
    ///
    /// # Errors
    /// When a stream ends, or an event is missing or comes twice.
    pub fn turn(&mut self, wait: Duration) -> Result<(), String> {
        match self.poll.poll(&mut self.events, Some(wait)) {
            Err(failure) if failure.kind() == io::ErrorKind::Interrupted => return Ok(()),
            other => other.map_err(|failure| failure.to_string())?,
        }
        let mut batch = std::mem::take(&mut self.batch);
        batch.extend(self.events.iter().map(|event| event.token().0));
        let served = batch.drain(..).try_for_each(|index| {
            let member = &mut self.members[index];
            let before = member.ready();
            let served = member.serve(&mut self.buffer, &mut self.tally);
            self.ready += member.ready() - before;
            served.map_err(|wrong| format!("subscriber {index}: {wrong}"))
        });
        self.batch = batch;
        served
    }
}
