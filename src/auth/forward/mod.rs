//! Services of the user's own that decide who is let in (as nginx' `auth_request` and Traefik's
//! `forwardAuth` have them).
//!
//! Promises that no answer lets in nobody: a service that is down, slow, or says something else than
//! yes or no. Equal questions are asked once, and of a stream again and again for as long as it
//! lasts. A redirect is an answer, never followed; a body is not read.

mod memory;
mod question;
mod verdict;
mod watch;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use openssl::error::ErrorStack;
use reqwest::{Request, Response};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use tracing::{info, warn};

use super::asking::Asking;
use super::grant::Grant;
use super::metrics::Metrics;
use super::{Denied, Proof};
use crate::config::Forward;
use crate::peers::{Group, Server};
use memory::Memory;
use question::{Key, Question, Seal};
use verdict::Verdict;
pub use verdict::{Admission, Refusal};
use watch::Watched;
pub use watch::keep_asking;

/// How many questions a service is asked at once.
const AT_ONCE: usize = 64;
/// How long a service that gave no answer is not asked the same again.
const REST: Duration = Duration::from_secs(1);
/// What is read of a body, in bytes, so that its connection can be used again.
const MOST_BODY: usize = 64 << 10;

/// One service.
#[derive(Debug)]
pub struct Service {
    rules: Arc<Forward>,
    /// Who answers; another one after a reload.
    group: ArcSwap<GroupOf>,
    seal: Seal,
    memory: Memory<Decision>,
    places: Semaphore,
    watched: Watched,
    is_failing: AtomicBool,
    metrics: Metrics,
}

/// A group of servers, which has nothing to show.
pub struct GroupOf(pub Arc<Group>);

impl std::fmt::Debug for GroupOf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GroupOf")
    }
}

/// What became of a question.
#[derive(Clone, Debug)]
enum Decision {
    Made(Arc<Verdict>),
    /// There was no answer.
    Missing,
}

/// What was asked about a request, to be asked again.
#[derive(Clone, Debug)]
pub struct Asked {
    question: Arc<Question>,
    key: Key,
}

impl Service {
    /// A service that these servers give.
    ///
    /// # Errors
    /// If the system has no randomness.
    pub fn new(
        rules: Arc<Forward>,
        group: Arc<Group>,
        metrics: &Metrics,
    ) -> Result<Arc<Self>, ErrorStack> {
        metrics.begin_forward(&rules.name);
        Ok(Arc::new(Self {
            rules,
            group: ArcSwap::from_pointee(GroupOf(group)),
            seal: Seal::new()?,
            memory: Memory::default(),
            places: Semaphore::new(AT_ONCE),
            watched: Watched::default(),
            is_failing: AtomicBool::new(false),
            metrics: metrics.clone(),
        }))
    }

    /// Its name in the configuration.
    pub fn name(&self) -> &str {
        &self.rules.name
    }

    /// Whether it is asked by these rules.
    pub fn is(&self, rules: &Forward) -> bool {
        *self.rules == *rules
    }

    /// Other servers give it now.
    pub fn is_given_by(&self, group: GroupOf) {
        self.group.store(Arc::new(group));
    }

    /// What it says of a request.
    ///
    /// # Errors
    /// [`Denied`] as it says, or as there is no answer.
    pub async fn proof(self: &Arc<Self>, asking: &Asking<'_>) -> Result<Proof, Denied> {
        let question = Question::about(asking, &self.rules).ok_or(Denied::Invalid)?;
        let key = question.key(&self.seal);
        let question = Arc::new(question);
        match self.decide(&key, &question).await {
            Decision::Missing => Err(Denied::Unavailable),
            Decision::Made(verdict) => match &*verdict {
                Verdict::Refused(refusal) => Err(Denied::Elsewhere(Arc::new(refusal.clone()))),
                Verdict::Admitted(admission) => Ok(Proof::Forward {
                    service: Arc::clone(self),
                    admission: admission.clone(),
                    asked: Asked { question, key },
                }),
            },
        }
    }

    /// Asks, unless the answer is known; equal questions one after the other.
    async fn decide(&self, key: &Key, question: &Question) -> Decision {
        if let Some(known) = self.memory.recall(key, Instant::now()) {
            self.metrics.forwarded(&self.rules.name, "cached");
            return known;
        }
        let turn = self.memory.turn(key);
        let Ok(_turn) = timeout(self.rules.timeout * 2, turn.lock()).await else {
            return Decision::Missing;
        };
        if let Some(known) = self.memory.recall(key, Instant::now()) {
            self.metrics.forwarded(&self.rules.name, "cached");
            return known;
        }
        self.ask(key, question).await
    }

    /// Asks, and keeps the answer.
    async fn ask(&self, key: &Key, question: &Question) -> Decision {
        let answer = timeout(self.rules.timeout, self.answer(question)).await;
        let answer = answer.unwrap_or_else(|_| Err("no answer in time".to_owned()));
        let (decision, lifetime) = match answer {
            Ok((status, headers)) => match verdict::read(status, &headers, &self.rules) {
                Some(verdict) => {
                    self.answered(&verdict);
                    let lifetime = verdict::lifetime(&verdict, &headers, &self.rules);
                    (Decision::Made(Arc::new(verdict)), lifetime)
                }
                None => self.failed(&format!("it answered {status}, which is no decision")),
            },
            Err(cause) => self.failed(&cause),
        };
        let now = Instant::now();
        self.memory
            .learn(*key, decision.clone(), (now, now + lifetime));
        decision
    }

    /// One exchange, with another server where one does not accept a connection.
    async fn answer(&self, question: &Question) -> Result<(StatusCode, HeaderMap), String> {
        let told = |error: &dyn std::fmt::Display| error.to_string();
        let _place = self.places.acquire().await.map_err(|error| told(&error))?;
        let group = Arc::clone(&self.group.load().0);
        let mut server = group.pick(b"").await.map_err(|error| told(&error))?;
        let mut tried = Vec::new();
        loop {
            let request = self.request(&server, question);
            let error = match server.http().execute(request).await {
                Ok(mut answer) => {
                    server.succeeded();
                    let (status, headers) = (answer.status(), std::mem::take(answer.headers_mut()));
                    tokio::spawn(finish(answer, self.rules.timeout));
                    return Ok((status, headers));
                }
                Err(error) => error,
            };
            let cause = crate::peers::root_cause(&error);
            if !error.is_connect() {
                return Err(cause);
            }
            server.failed(&cause);
            tried.push(server);
            server = group.other(b"", &tried).ok_or(cause)?;
        }
    }

    fn request(&self, server: &Server, question: &Question) -> Request {
        let mut request = Request::new(self.rules.method.clone(), server.url(&self.rules.url));
        *request.headers_mut() = question.headers.clone();
        request
            .headers_mut()
            .insert(header::ACCEPT, HeaderValue::from_static("*/*"));
        request
    }

    fn answered(&self, verdict: &Verdict) {
        let outcome = match verdict {
            Verdict::Admitted(_) => "admitted",
            Verdict::Refused(_) => "refused",
        };
        self.metrics.forwarded(&self.rules.name, outcome);
        if self.is_failing.swap(false, Ordering::AcqRel) {
            info!(service = self.rules.name, "decides again who is let in");
        }
    }

    /// Told once until it answers again.
    fn failed(&self, cause: &str) -> (Decision, Duration) {
        self.metrics.forwarded(&self.rules.name, "failed");
        if !self.is_failing.swap(true, Ordering::AcqRel) {
            let service = &self.rules.name;
            warn!(
                service,
                cause, "nobody is let in by this service (auth.forward) until it answers"
            );
        }
        (Decision::Missing, REST.min(self.rules.timeout))
    }

    /// Asks again of a stream's grant for as long as it lives.
    pub fn follow(&self, asked: &Asked, grant: &Arc<Grant>) {
        self.watched
            .add(asked, grant, Instant::now() + self.rules.recheck);
    }
}

/// Reads what is left of a short answer, so that its connection can be used again.
async fn finish(mut answer: Response, patience: Duration) {
    let read = async {
        let mut length = 0;
        while let Ok(Some(piece)) = answer.chunk().await {
            length += piece.len();
            if length > MOST_BODY {
                break;
            }
        }
    };
    // What takes longer is cut off.
    let _ = timeout(patience, read).await;
}
