//! The sockets of a configuration, and what holds on them.
//!
//! Promises that an entrance which two configurations have in common is not touched, and that
//! whatever can fail does so before anything is another way.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pingora::protocols::http::v2::server::{H2Options, default_h2_options};
use pingora::proxy::HttpProxy;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::task::TaskTracker;

use super::StartError;
use crate::admin::Admin;
use crate::config::{Config, Feed, Listener};
use crate::gateway::Gateway;
use crate::listen::{Accepting, Entrance, Manner, Metrics, OpenError, Rate, Rules};

/// Sent bytes of which nobody acknowledges any for this long break the connection: TCP's user
/// timeout, which also ends a peer that is alive and reads nothing.
const LEAST_SILENCE: Duration = Duration::from_secs(90);
const SILENCE_MARGIN: Duration = Duration::from_secs(30);
/// Requests and event streams on one HTTP/2 connection: browsers open every feed of a page on one.
const HTTP2_STREAMS: u32 = 256;
/// What one HTTP/2 stream may hold unsent, in bytes; a subscriber needs no more, its log does.
const HTTP2_SEND_BUFFER: usize = 16 << 10;
/// What a client may send ahead of whoever reads it, in bytes: on a stream, on a connection.
const HTTP2_STREAM_WINDOW: u32 = 128 << 10;
const HTTP2_CONNECTION_WINDOW: u32 = 256 << 10;

/// The entrances of a configuration that is not in force yet.
pub(super) struct Prepared {
    public: Vec<(Listener, Entry)>,
    admin: (Listener, Entry),
}

/// One entrance.
enum Entry {
    /// Its address is taken hold of.
    New(Entrance),
    /// It is in use, the one of this number; spoken to in another manner from now on, if there is
    /// one.
    Kept(usize, Option<Manner>),
}

/// The entrances in use.
pub(super) struct Listeners {
    public: Vec<(Listener, Accepting)>,
    admin: Vec<(Listener, Accepting)>,
    tasks: JoinSet<()>,
    proxy: Arc<HttpProxy<Gateway>>,
    page: Arc<Admin>,
    metrics: Metrics,
    leaving: watch::Receiver<bool>,
    unfinished: TaskTracker,
}

impl Prepared {
    /// Takes hold of every address.
    ///
    /// # Errors
    /// [`StartError::Listen`] or [`StartError::Certificate`] for the first that is not to be had.
    pub(super) fn first(config: &Config) -> Result<Self, StartError> {
        Self::after(&[], &[], config)
    }

    fn after(
        public: &[(Listener, Accepting)],
        admin: &[(Listener, Accepting)],
        config: &Config,
    ) -> Result<Self, StartError> {
        let mut taken = Vec::new();
        let wanted = config.server.listen.iter();
        let entries = wanted.map(|wanted| {
            let entry = enter(wanted, public, &mut taken, "server.listen")?;
            Ok((wanted.clone(), entry))
        });
        let public = entries.collect::<Result<_, StartError>>()?;
        let wanted = Listener::plain(config.admin.listen);
        let entry = enter(&wanted, admin, &mut Vec::new(), "admin.listen")?;
        Ok(Self {
            public,
            admin: (wanted, entry),
        })
    }

    /// Where clients will be accepted that are accepted nowhere yet, as beginnings of URLs.
    pub(super) fn origins(&self) -> impl Iterator<Item = String> {
        let origin = |entry: &(_, Entry)| match &entry.1 {
            Entry::New(entrance) => Some(format!("{}://{}", entrance.scheme(), entrance.address())),
            Entry::Kept(..) => None,
        };
        self.public.iter().filter_map(origin)
    }

    /// The address of metrics and health, if it is a new one.
    pub(super) fn admin_address(&self) -> Option<SocketAddr> {
        match &self.admin.1 {
            Entry::New(entrance) => Some(entrance.address()),
            Entry::Kept(..) => None,
        }
    }
}

/// The entrance for what is wanted: one in use that nobody else has taken, if there is one at its
/// address.
fn enter(
    wanted: &Listener,
    used: &[(Listener, Accepting)],
    taken: &mut Vec<usize>,
    key: &'static str,
) -> Result<Entry, StartError> {
    let is_free = |(number, (listener, _)): &(usize, &(Listener, _))| {
        listener.address == wanted.address && !taken.contains(number)
    };
    let Some((number, (listener, _))) = used.iter().enumerate().find(is_free) else {
        return open(wanted, key).map(Entry::New);
    };
    taken.push(number);
    let manner = (listener != wanted).then(|| Manner::of(wanted));
    let manner = manner
        .transpose()
        .map_err(|source| StartError::Certificate {
            address: wanted.address,
            source,
        })?;
    Ok(Entry::Kept(number, manner))
}

impl Listeners {
    /// Nobody is accepted yet; public listeners lead to the proxy, the private one to the page.
    /// `leaving` turns true when the process is about to; `unfinished` counts what must be finished
    /// before it does.
    pub(super) fn new(
        proxy: HttpProxy<Gateway>,
        page: Arc<Admin>,
        metrics: Metrics,
        leaving: watch::Receiver<bool>,
        unfinished: TaskTracker,
    ) -> Self {
        let mut proxy = proxy;
        proxy.h2_options = Some(http2_options());
        Self {
            public: Vec::new(),
            admin: Vec::new(),
            tasks: JoinSet::new(),
            proxy: Arc::new(proxy),
            page,
            metrics,
            leaving,
            unfinished,
        }
    }

    /// What holds at every entrance.
    fn rules(&self, config: &Config) -> Rules {
        Rules {
            quiet_for: longest_silence(config),
            header_timeout: config.server.header_timeout,
            rate: None,
            metrics: self.metrics.clone(),
            leaving: self.leaving.clone(),
            unfinished: self.unfinished.clone(),
        }
    }

    /// Makes ready for another configuration: every new address is taken hold of, every other
    /// certificate read.
    ///
    /// # Errors
    /// As [`Prepared::first`].
    pub(super) fn prepare(&self, config: &Config) -> Result<Prepared, StartError> {
        Prepared::after(&self.public, &self.admin, config)
    }

    /// Accepts where this configuration says so, and nowhere else. Connections live on.
    ///
    /// # Errors
    /// If the runtime does not take a socket; the others are served.
    pub(super) fn follow(&mut self, config: &Config, prepared: Prepared) -> std::io::Result<()> {
        let mut outcome = Ok(());
        let private = self.rules(config);
        let accepts = config.server.limits.accepts_per_second;
        let public = Rules {
            rate: accepts.map(|number| Arc::new(Rate::per_second(number))),
            ..private.clone()
        };
        let used = std::mem::take(&mut self.public);
        self.public = follow(used, prepared.public, &public, |entrance| {
            let proxy = Arc::clone(&self.proxy);
            let accepting = Accepting::begin(entrance, proxy, public.clone(), &mut self.tasks);
            accepting.map_err(|error| outcome = Err(error)).ok()
        });
        let used = std::mem::take(&mut self.admin);
        self.admin = follow(used, vec![prepared.admin], &private, |entrance| {
            let page = Arc::clone(&self.page);
            let accepting = Accepting::begin(entrance, page, private.clone(), &mut self.tasks);
            accepting.map_err(|error| outcome = Err(error)).ok()
        });
        outcome
    }

    /// Where clients are accepted, as beginnings of URLs.
    pub(super) fn origins(&self) -> Vec<String> {
        let public = self.public.iter();
        public.map(|(_, accepting)| accepting.origin()).collect()
    }

    /// Every address, the private one too.
    pub(super) fn addresses(&self) -> Vec<String> {
        let all = self.public.iter().chain(&self.admin);
        all.map(|(_, accepting)| accepting.address().to_string())
            .collect()
    }

    /// Ready when a listener stopped by itself, which it never should.
    pub(super) async fn stopped(&mut self) {
        loop {
            match self.tasks.join_next().await {
                // It was told to.
                Some(Err(end)) if end.is_cancelled() => {}
                Some(_) => return,
                None => std::future::pending().await,
            }
        }
    }
}

/// From the entrances in use to those of another configuration. Those that nobody wants are dropped.
fn follow(
    used: Vec<(Listener, Accepting)>,
    wanted: Vec<(Listener, Entry)>,
    rules: &Rules,
    mut begin: impl FnMut(Entrance) -> Option<Accepting>,
) -> Vec<(Listener, Accepting)> {
    let mut used: Vec<_> = used.into_iter().map(|(_, used)| Some(used)).collect();
    let mut entrance = |(listener, entry)| {
        let accepting = match entry {
            Entry::New(entrance) => begin(entrance)?,
            Entry::Kept(number, manner) => {
                let mut accepting = used.get_mut(number)?.take()?;
                accepting.follow(manner, rules.clone());
                accepting
            }
        };
        Some((listener, accepting))
    };
    wanted.into_iter().filter_map(&mut entrance).collect()
}

/// Takes hold of a listener's address; `key` is where the configuration says so.
///
/// # Errors
/// [`StartError::Listen`] and [`StartError::Certificate`].
fn open(listener: &Listener, key: &'static str) -> Result<Entrance, StartError> {
    let address = listener.address;
    Entrance::open(listener).map_err(|error| match error {
        OpenError::Certificate(source) => StartError::Certificate { address, source },
        OpenError::Bind(source) => StartError::Listen {
            address,
            key,
            hint: match source.kind() {
                std::io::ErrorKind::AddrInUse => "stop what listens there, or choose another port",
                std::io::ErrorKind::PermissionDenied => {
                    "choose a port above 1023, or grant the right"
                }
                std::io::ErrorKind::AddrNotAvailable => "this machine has no such address",
                _ => "see the cause",
            },
            source,
        },
    })
}

/// Bounds for one connection. Pingora's and `h2`'s own stay where they are: the size of a head,
/// streams that were reset but not noticed yet, answers to them.
fn http2_options() -> H2Options {
    let mut options = default_h2_options();
    options
        .max_concurrent_streams(HTTP2_STREAMS)
        .max_send_buffer_size(HTTP2_SEND_BUFFER)
        .initial_window_size(HTTP2_STREAM_WINDOW)
        .initial_connection_window_size(HTTP2_CONNECTION_WINDOW);
    options
}

/// How long a peer may acknowledge nothing: longer than any writer of ours waits for it, so that
/// the writer decides.
fn longest_silence(config: &Config) -> Duration {
    let patience = |feed: &Arc<Feed>| feed.deliver.write_timeout;
    let longest = config.feeds.iter().map(patience).max().unwrap_or_default();
    LEAST_SILENCE.max(longest + SILENCE_MARGIN)
}
