//! The load: thousands of subscribers in one thread with epoll, from several source addresses.
//!
//! Every one must get every event, in order and once; anything else is an error.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use nix::sys::socket::{setsockopt, sockopt::IpBindAddressNoPort};
use socket2::{Domain, Protocol, Socket, Type};

use crate::event::{Follower, MARK};
use crate::process::now;

/// Connections that share a source address.
const EACH_ADDRESS: usize = 2_000;
/// So many wait for their first bytes at once while a crowd gathers.
const AT_ONCE: usize = 256;
/// Silence after which something is wrong.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes taken by one read.
const READ: usize = 256 * 1024;

/// What subscribers ask for, and what they may expect.
#[derive(Clone)]
pub struct Subscription {
    pub to: SocketAddr,
    /// The head of the request, after which nothing comes.
    pub request: String,
    /// The event that the stream begins with; `None` where a new subscriber is told nothing.
    pub greeting: Option<u32>,
    /// The newest event before the first that it will get.
    pub after: u32,
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
    sources: usize,
    /// Events that were read.
    pub delivered: u64,
    /// Bytes that were read, heads included.
    pub bytes: u64,
    /// Each event that was read, and when, if wanted.
    pub times: Option<Vec<(u32, u64)>>,
    /// When each new member began to connect, and when its first byte came.
    pub first_bytes: Vec<(u64, u64)>,
}

struct Member {
    stream: TcpStream,
    follower: Follower,
    began: u64,
    has_asked: bool,
    is_ready: bool,
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
            sources: 0,
            delivered: 0,
            bytes: 0,
            times: None,
            first_bytes: Vec::new(),
        }
    }

    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Lets so many more subscribe, a few at a time, and returns when all have begun to get the
    /// stream.
    ///
    /// # Errors
    /// When a connection or an answer is not as it should be, or nothing more happens.
    pub fn gather(&mut self, more: usize, at_once: Option<usize>) -> Result<(), String> {
        let all = self.members.len() + more;
        let at_once = at_once.unwrap_or(AT_ONCE);
        self.members.reserve_exact(more);
        self.first_bytes.reserve(more);
        let mut progress = (self.ready, Instant::now());
        while self.ready < all {
            while self.members.len() < all && self.members.len() - self.ready < at_once {
                self.connect()
                    .map_err(|failure| format!("connecting: {failure}"))?;
            }
            self.turn(Duration::from_millis(100))?;
            if self.ready > progress.0 {
                progress = (self.ready, Instant::now());
            } else if progress.1.elapsed() > PATIENCE {
                return Err(format!("only {} of {all} were served", self.ready));
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
        let mut progress = (self.delivered, Instant::now());
        while self.delivered < delivered {
            self.turn(Duration::from_millis(100))?;
            if self.delivered > progress.0 {
                progress = (self.delivered, Instant::now());
            } else if progress.1.elapsed() > PATIENCE {
                let missing = delivered - self.delivered;
                return Err(format!("{missing} events have not come for a minute"));
            }
        }
        Ok(())
    }

    /// Whether everyone has got everything up to this event.
    ///
    /// # Errors
    /// Who has not.
    pub fn have_all(&self, number: u32) -> Result<(), String> {
        let wanted = Some(number);
        let late = self
            .members
            .iter()
            .filter(|member| member.follower.last() != wanted);
        match late.count() {
            0 => Ok(()),
            late => Err(format!("{late} subscribers have not got event {number}")),
        }
    }

    fn connect(&mut self) -> io::Result<()> {
        let socket = Socket::new(
            Domain::IPV4,
            Type::STREAM.nonblocking(),
            Some(Protocol::TCP),
        )?;
        setsockopt(&socket, IpBindAddressNoPort, &true).map_err(io::Error::from)?;
        // What is closed is closed at once: its port can be used again.
        socket.set_linger(Some(Duration::ZERO))?;
        let last = 2 + u8::try_from(self.sources / EACH_ADDRESS % 100).expect("below 100");
        self.sources += 1;
        let source = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)), 0);
        socket.bind(&source.into())?;
        let began = now();
        match socket.connect(&self.subscription.to.into()) {
            Err(failure) if failure.raw_os_error() == Some(nix::libc::EINPROGRESS) => {}
            other => other?,
        }
        let mut stream = TcpStream::from_std(socket.into());
        let token = Token(self.members.len());
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll
            .registry()
            .register(&mut stream, token, interest)?;
        let follower = match self.subscription.greeting {
            Some(_) => Follower::default(),
            None => Follower::after(self.subscription.after),
        };
        self.members.push(Member {
            stream,
            follower,
            began,
            has_asked: false,
            is_ready: false,
        });
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
            let served = self.serve(index);
            served.map_err(|wrong| format!("subscriber {index}: {wrong}"))
        });
        self.batch = batch;
        served
    }

    fn serve(&mut self, index: usize) -> Result<(), String> {
        let member = &mut self.members[index];
        if !member.has_asked {
            match member.stream.write(self.subscription.request.as_bytes()) {
                Ok(written) if written == self.subscription.request.len() => {
                    member.has_asked = true;
                }
                Ok(_) => return Err("the request went out in pieces".to_owned()),
                Err(failure) if is_not_yet(&failure) => return Ok(()),
                Err(failure) => return Err(format!("asking: {failure}")),
            }
        }
        loop {
            let read = match member.stream.read(&mut self.buffer[MARK..]) {
                Ok(0) => return Err("the stream ended".to_owned()),
                Ok(read) => read,
                Err(failure) if is_not_yet(&failure) => return Ok(()),
                Err(failure) => return Err(format!("reading: {failure}")),
            };
            let time = now();
            self.bytes += read as u64;
            if member.began > 0 {
                self.first_bytes.push((member.began, time));
                member.began = 0;
                check_head(&self.buffer[MARK..MARK + read])?;
            }
            let greeting = self.subscription.greeting;
            let (delivered, times) = (&mut self.delivered, &mut self.times);
            let is_ready = &mut member.is_ready;
            let was_ready = *is_ready;
            *is_ready |= greeting.is_none();
            member
                .follower
                .read(&mut self.buffer, MARK, MARK + read, |number| {
                    if greeting.is_some_and(|greeting| greeting >= number) {
                        *is_ready |= greeting == Some(number);
                        return;
                    }
                    *delivered += 1;
                    if let Some(times) = times {
                        times.push((number, time));
                    }
                })?;
            self.ready += usize::from(*is_ready && !was_ready);
            if read < READ {
                // Edge-triggered: a short read has emptied the socket.
                return Ok(());
            }
        }
    }
}

fn is_not_yet(failure: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, NotConnected, WouldBlock};
    matches!(failure.kind(), WouldBlock | NotConnected | Interrupted)
}

fn check_head(first: &[u8]) -> Result<(), String> {
    if first.starts_with(b"HTTP/1.1 200 ") {
        return Ok(());
    }
    let line = first.split(|&byte| byte == b'\r').next().unwrap_or(first);
    Err(format!("answered with {}", String::from_utf8_lossy(line)))
}
