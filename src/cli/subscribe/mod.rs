//! Following a feed from outside, as any client would.
//!
//! Owns the connection and what becomes of the document. Behaves as EventSource does (WHATWG HTML
//! section 9.2): resumes with the last id, waits as long as it was told to, stops for good on 204.
//! Unlike it, goes on after 5xx and 429, which pass. Promises a document that is never wrong: a
//! change that does not fit ends the connection, and the next one asks for the whole document.

mod parser;
mod refusal;
mod replica;
mod source;

use std::path::PathBuf;
use std::time::Duration;

use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use http::{HeaderValue, StatusCode};
use reqwest::Response;
use tokio::sync::mpsc;

use self::refusal::refused;

use crate::core::json::Json;
use crate::peers::{UNTRUSTED, root_cause};

pub use self::parser::{Event, Parser};
pub use self::replica::{Change, Misfit, Replica};
pub use self::source::{Asker, Source};

/// Until the server says otherwise.
const FIRST_RETRY: Duration = Duration::from_secs(3);
/// The least time between two connections, whatever the server says.
const LEAST_RETRY: Duration = Duration::from_millis(10);
/// What may wait to be shown; beyond, the connection is read no further.
const AHEAD: usize = 16;
/// The longest event, in bytes.
const LONGEST: usize = 1 << 30;
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Why following a feed makes no sense.
#[derive(Debug, thiserror::Error)]
pub enum SubscribeError {
    /// The HTTP client cannot be set up.
    #[error("cannot set up the HTTP client")]
    Client(#[source] reqwest::Error),
    /// A header or a body is not usable.
    #[error("{0}")]
    Arguments(String),
    /// `--cacert` is of no use.
    #[error("cannot use the certificates of {} (--cacert): {why}", file.display())]
    Certificate {
        /// The file as it was named.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Any status that will not pass: a browser's EventSource would give up as well.
    #[error("{place} answers {status}{detail}")]
    Refused {
        /// Who.
        place: String,
        /// What.
        status: StatusCode,
        /// What the answer says about it, if anything.
        detail: String,
    },
    /// 200, but no event stream.
    #[error("{0} answers, but not with an event stream; is it a feed of pollcast?")]
    NoStream(String),
}

impl SubscribeError {
    /// Whether the arguments are wrong.
    pub fn is_misuse(&self) -> bool {
        matches!(self, Self::Arguments(_) | Self::Certificate { .. })
    }
}

/// What there is to tell.
#[derive(Debug)]
pub enum Happening {
    /// A stream has begun.
    Connected {
        /// Whether it goes on after an id that we had.
        resumed: bool,
    },
    /// An event, and what it did to the document.
    Event(Event, Change),
    /// So many bytes came, events or signs of life.
    Heard(usize),
    /// An event cannot be believed. The connection ends, and the next one asks for everything.
    Misfit(Misfit),
    /// There is no stream at present.
    Lost {
        /// Why.
        why: String,
        /// When it is tried again.
        again_in: Duration,
    },
    /// There will be no more.
    Over,
}

/// What became of one connection.
enum Outcome {
    /// It ended or broke, or never came up: try again.
    Lost(String),
    /// 204, or the stream's end after an `end`.
    Over,
    /// Nobody listens to us any more.
    Unheard,
}

/// A feed under observation.
#[derive(Debug)]
pub struct Subscription {
    happenings: mpsc::Receiver<Result<Happening, SubscribeError>>,
}

impl Subscription {
    /// Begins to follow, after the event with this id if there is one. Within a runtime.
    pub fn start(asker: Asker, last_id: Option<&str>) -> Self {
        let (told, happenings) = mpsc::channel(AHEAD);
        let mut parser = Parser::default();
        parser.resume_after(last_id.unwrap_or_default());
        let follower = Follower {
            asker,
            parser,
            replica: Replica::default(),
            told,
            ended: false,
        };
        tokio::spawn(follower.follow());
        Self { happenings }
    }

    /// What happens next; none after [`Happening::Over`] or an error. May be dropped unfinished.
    ///
    /// # Errors
    /// [`SubscribeError`] where it makes no sense to go on.
    pub async fn next(&mut self) -> Result<Option<Happening>, SubscribeError> {
        self.happenings.recv().await.transpose()
    }
}

struct Follower {
    asker: Asker,
    parser: Parser,
    replica: Replica,
    told: mpsc::Sender<Result<Happening, SubscribeError>>,
    /// Whether the stream has said that there will be no more.
    ended: bool,
}

impl Follower {
    async fn follow(mut self) {
        loop {
            let happening = match self.connection().await {
                Err(error) => {
                    let _ = self.told.send(Err(error)).await;
                    return;
                }
                Ok(Outcome::Unheard) => return,
                Ok(Outcome::Over) => {
                    let _ = self.told.send(Ok(Happening::Over)).await;
                    return;
                }
                Ok(Outcome::Lost(why)) => Happening::Lost {
                    why,
                    again_in: self.wait(),
                },
            };
            if !self.tell(happening).await {
                return;
            }
            self.parser.disconnected();
            tokio::time::sleep(self.wait()).await;
        }
    }

    fn wait(&self) -> Duration {
        self.parser.retry().unwrap_or(FIRST_RETRY).max(LEAST_RETRY)
    }

    /// Whether anybody listens.
    async fn tell(&self, happening: Happening) -> bool {
        self.told.send(Ok(happening)).await.is_ok()
    }

    async fn connection(&mut self) -> Result<Outcome, SubscribeError> {
        let mut headers = vec![
            (ACCEPT, HeaderValue::from_static("text/event-stream")),
            (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        ];
        let last_id = HeaderValue::from_bytes(self.parser.last_id().as_bytes());
        let resumed = !self.parser.last_id().is_empty();
        if let (Ok(id), true) = (last_id, resumed) {
            headers.push((LAST_EVENT_ID, id));
        }
        let response = match self.asker.request(headers).send().await {
            Ok(response) => response,
            Err(error) if error.is_builder() => return Err(SubscribeError::Client(error)),
            Err(error) => return Ok(Outcome::Lost(no_connection(&error))),
        };
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NO_CONTENT => return Ok(Outcome::Over),
            status if passes(status) => {
                return Ok(Outcome::Lost(format!("the answer is {status}")));
            }
            _ => return Err(refused(response, self.asker.place()).await),
        }
        let media_type = response.headers().get(CONTENT_TYPE);
        if !media_type.is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream")) {
            return Err(SubscribeError::NoStream(self.asker.place()));
        }
        if !self.tell(Happening::Connected { resumed }).await {
            return Ok(Outcome::Unheard);
        }
        Ok(self.stream(response).await)
    }

    async fn stream(&mut self, mut response: Response) -> Outcome {
        loop {
            let bytes = match response.chunk().await {
                Ok(Some(bytes)) => bytes,
                Ok(None) if self.ended => return Outcome::Over,
                Ok(None) => return Outcome::Lost("the stream ended".to_owned()),
                Err(_) => return Outcome::Lost("the connection broke".to_owned()),
            };
            let mut happenings = vec![Happening::Heard(bytes.len())];
            let (replica, ended) = (&mut self.replica, &mut self.ended);
            let mut misfit = false;
            self.parser.feed(&bytes, |event| {
                // What follows is told again from the beginning.
                if misfit {
                    return;
                }
                happenings.push(match replica.take(&event) {
                    Ok(change) => {
                        *ended = event.name == "end" && matches!(change, Change::Word(_));
                        Happening::Event(event, change)
                    }
                    Err(error) => {
                        misfit = true;
                        Happening::Misfit(error)
                    }
                });
            });
            for happening in happenings {
                if !self.tell(happening).await {
                    return Outcome::Unheard;
                }
            }
            if self.parser.pending() > LONGEST {
                return Outcome::Lost("an event has more than a gigabyte".to_owned());
            }
            if misfit {
                self.parser.resume_after("");
                return Outcome::Lost("asking for the whole document".to_owned());
            }
        }
    }
}

/// Whether this answer is another one some time later.
fn passes(status: StatusCode) -> bool {
    status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS
}

fn no_connection(error: &reqwest::Error) -> String {
    let cause = root_cause(error);
    let hint = match cause.starts_with(UNTRUSTED) {
        true => "; to trust it, name its PEM file with --cacert, or in SSL_CERT_FILE",
        false => "",
    };
    format!("no connection ({cause}{hint})")
}

/// The text at this member of an object.
pub fn member<'a>(members: &'a Json, name: &str) -> Option<&'a str> {
    match members.child(name)? {
        Json::String(text) => Some(text),
        _ => None,
    }
}
