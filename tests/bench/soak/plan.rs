//! What a client is going to do at its next visit.

use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;

use crate::reader::Held;
use crate::truth::{SOURCES, Source};

/// One visit.
#[derive(Debug)]
pub struct Plan {
    pub source: &'static Source,
    pub mode: &'static str,
    pub gzip: bool,
    pub old: bool,
    pub h2: bool,
    pub like_a_browser: bool,
    pub chatter: bool,
    pub narrow: bool,
    /// After the first event, read nothing for so long.
    pub stall: Option<Duration>,
    pub stay: Duration,
    pub leave: Leave,
}

#[derive(Clone, Copy, Debug)]
pub enum Leave {
    Close,
    Break,
    HalfClose,
    Vanish,
}

impl Plan {
    /// Leaves it to chance; `source` is what the client holds already.
    pub fn throw(dice: &mut StdRng, source: Option<&'static Source>, can_h2: bool) -> Self {
        let any = match dice.random_range(0..20) {
            0..10 => &SOURCES[0],
            10..17 => &SOURCES[1],
            _ => &SOURCES[2],
        };
        let stall = Duration::from_millis(dice.random_range(500..30_000));
        let stalls = dice.random_range(0..5) == 0;
        Self {
            source: source.unwrap_or(any),
            mode: ["patch", "patch", "merge", "snapshot"][dice.random_range(0..4)],
            gzip: dice.random_range(0..2) == 0,
            old: dice.random_range(0..10) == 0,
            h2: can_h2 && dice.random_range(0..3) == 0,
            like_a_browser: dice.random_range(0..2) == 0,
            chatter: dice.random_range(0..20) == 0,
            narrow: stalls || dice.random_range(0..10) == 0,
            stall: stalls.then_some(stall),
            stay: Duration::from_millis(dice.random_range(0..25_000)),
            leave: match dice.random_range(0..50) {
                0..20 => Leave::Close,
                20..40 => Leave::Break,
                40..49 => Leave::HalfClose,
                _ => Leave::Vanish,
            },
        }
    }

    /// Path and query, and the headers.
    fn wishes(&self, held: Option<&Held>) -> (String, Vec<(&'static str, String)>) {
        let mut target = format!("{}?mode={}", self.source.path, self.mode);
        let mut headers = vec![("accept", "text/event-stream".to_owned())];
        if self.gzip {
            headers.push(("accept-encoding", "gzip".to_owned()));
        }
        if self.like_a_browser {
            headers.push(("cache-control", "no-cache".to_owned()));
        }
        match held {
            Some(held) if self.like_a_browser => {
                headers.push(("last-event-id", held.last_id.clone()));
            }
            // Programs that say it in the header are taken for browsers.
            Some(held) => target += &format!("&last_event_id={}", held.last_id),
            None => {}
        }
        (target, headers)
    }

    /// The request by HTTP/1.
    pub fn request(&self, held: Option<&Held>) -> String {
        let (target, headers) = self.wishes(held);
        let version = if self.old { "1.0" } else { "1.1" };
        let mut text = format!("GET {target} HTTP/{version}\r\nhost: a\r\n");
        for (name, value) in headers {
            text += &format!("{name}: {value}\r\n");
        }
        text + "\r\n"
    }

    /// The same by HTTP/2.
    pub fn h2_request(&self, held: Option<&Held>) -> http::Request<()> {
        let (target, headers) = self.wishes(held);
        let mut request = http::Request::get(format!("http://a{target}"));
        for (name, value) in headers {
            request = request.header(name, value);
        }
        request.body(()).expect("a request")
    }
}
