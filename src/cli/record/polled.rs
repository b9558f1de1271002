//! Recording what can only be asked: polls, and tells what changed as pollcast would.

use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, CACHE_CONTROL, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED};
use http::{HeaderName, HeaderValue, StatusCode};

use crate::cli::subscribe::{Asker, Change, Event, Replica, SubscribeError};
use crate::core::document::{Document, Observation, View};
use crate::peers::root_cause;

/// For a whole poll.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The longest answer, in bytes.
const LONGEST: usize = 256 << 20;

/// An event as pollcast would have sent it, and what to say about it.
pub struct Observed {
    pub event: Event,
    pub change: Change,
    pub problem: Option<String>,
}

/// Asks again and again, conditionally.
pub struct Poller {
    asker: Asker,
    document: Document,
    replica: Replica,
    /// What to ask with, so that the same answer is not sent twice.
    validators: Vec<(HeaderName, HeaderValue)>,
    last_success: Option<SystemTime>,
    failing: bool,
}

impl Poller {
    /// Nothing asked yet.
    pub fn new(asker: Asker) -> Self {
        Self {
            asker,
            document: Document::new(View::default()),
            replica: Replica::default(),
            validators: Vec::new(),
            last_success: None,
            failing: false,
        }
    }

    /// One poll; none if there is nothing new to tell.
    ///
    /// # Errors
    /// [`SubscribeError`] if the first answer already says that there is nothing to poll.
    pub async fn poll(&mut self) -> Result<Option<Observed>, SubscribeError> {
        let why = match self.ask().await {
            Ok(None) => return Ok(self.well(None)),
            Ok(Some(body)) => match self.document.observe(body) {
                Ok(Observation::Unchanged) => return Ok(self.well(None)),
                Ok(Observation::Changed(change)) => {
                    let (name, data) = match change.patch {
                        Some(patch) => ("patch", patch),
                        None => ("snapshot", change.snapshot.encode()),
                    };
                    let observed = self.observed(name, &data, None);
                    return Ok(self.well(observed));
                }
                Err(rejected) => {
                    self.validators.clear();
                    rejected.to_string()
                }
            },
            Err(Failure::Refused(status)) if self.last_success.is_none() => {
                return Err(SubscribeError::Refused {
                    place: self.asker.place(),
                    status,
                    detail: String::new(),
                });
            }
            Err(Failure::Refused(status)) => format!("the answer is {status}"),
            Err(Failure::Passing(why)) => why,
        };
        Ok(self.ill(&why))
    }

    /// The next body; none if it is still the last one.
    async fn ask(&mut self) -> Result<Option<Bytes>, Failure> {
        let mut headers = vec![
            (
                ACCEPT,
                HeaderValue::from_static("application/json, */*;q=0.5"),
            ),
            (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        ];
        headers.extend(self.validators.iter().cloned());
        let request = self.asker.request(headers).timeout(TIMEOUT);
        let broken = |error: reqwest::Error| Failure::Passing(root_cause(&error));
        let mut response = request.send().await.map_err(broken)?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_MODIFIED => return Ok(None),
            status if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS => {
                return Err(Failure::Refused(status));
            }
            status => return Err(Failure::Passing(format!("the answer is {status}"))),
        }
        let validators = [(ETAG, IF_NONE_MATCH), (LAST_MODIFIED, IF_MODIFIED_SINCE)];
        let given = |(told, asked): (HeaderName, HeaderName)| {
            Some((asked, response.headers().get(told)?.clone()))
        };
        let validators = validators.into_iter().filter_map(given).collect();
        let mut body = BytesMut::new();
        while let Some(piece) = response.chunk().await.map_err(broken)? {
            if body.len() + piece.len() > LONGEST {
                let why = format!("the answer has more than {LONGEST} bytes");
                return Err(Failure::Passing(why));
            }
            body.extend_from_slice(&piece);
        }
        self.validators = validators;
        Ok(Some(body.freeze()))
    }

    /// A poll succeeded: `observed` is what is new, unless it is that polls succeed again.
    fn well(&mut self, observed: Option<Observed>) -> Option<Observed> {
        self.last_success = Some(SystemTime::now());
        let recovered = std::mem::take(&mut self.failing);
        match (observed, recovered) {
            // A change says as much.
            (Some(observed), _) => Some(observed),
            (None, true) => {
                let problem = "it answers again".to_owned();
                let status = self.status("live", None);
                self.observed("status", &status, Some(problem))
            }
            (None, false) => None,
        }
    }

    fn ill(&mut self, why: &str) -> Option<Observed> {
        if std::mem::replace(&mut self.failing, true) {
            return None;
        }
        let state = if self.last_success.is_some() {
            "stale"
        } else {
            "down"
        };
        let problem = format!("a poll failed ({why}); asking on");
        let status = self.status(state, Some(why));
        self.observed("status", &status, Some(problem))
    }

    /// As pollcast tells it.
    fn status(&self, state: &str, why: Option<&str>) -> Bytes {
        let time = |at: SystemTime| humantime::format_rfc3339_millis(at).to_string();
        let status = serde_json::json!({
            "state": state,
            "since": time(SystemTime::now()),
            "last_success": self.last_success.map(time),
            "reason": why,
        });
        status.to_string().into()
    }

    fn observed(&mut self, name: &str, data: &[u8], problem: Option<String>) -> Option<Observed> {
        let event = Event {
            name: name.to_owned(),
            id: String::new(),
            data: String::from_utf8_lossy(data).into_owned(),
        };
        let change = self.replica.take(&event);
        let change =
            change.expect("invariant: our own patch fits the document that it was made of");
        Some(Observed {
            event,
            change,
            problem,
        })
    }
}

/// Why there is no body.
enum Failure {
    /// The server knows no such thing, or not for us.
    Refused(StatusCode),
    /// Anything that may pass.
    Passing(String),
}
