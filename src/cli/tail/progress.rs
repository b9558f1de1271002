//! What `tail` is doing while nothing comes, and what it has done in the end.

use std::time::{Duration, Instant};

use super::words;
use crate::cli::subscribe::Happening;
use crate::core::json::Json;

/// Counts, and knows what is waited for.
#[derive(Debug)]
pub struct Progress {
    started: Instant,
    events: u64,
    bytes: u64,
    heard: Instant,
    link: Link,
    /// Whether the feed is anything but live, in words.
    state: Option<String>,
}

#[derive(Debug)]
enum Link {
    Connecting,
    Connected,
    Lost { again_at: Instant },
}

impl Progress {
    /// Nothing has happened yet.
    pub fn new(now: Instant) -> Self {
        Self {
            started: now,
            events: 0,
            bytes: 0,
            heard: now,
            link: Link::Connecting,
            state: None,
        }
    }

    /// Takes note of what happened.
    pub fn note(&mut self, happening: &Happening, now: Instant) {
        match happening {
            Happening::Connected { .. } => {
                (self.link, self.heard) = (Link::Connected, now);
            }
            Happening::Heard(bytes) => {
                self.bytes += *bytes as u64;
                self.heard = now;
            }
            Happening::Event(..) => self.events += 1,
            Happening::Lost { again_in, .. } => {
                let again_at = now + *again_in;
                self.link = Link::Lost { again_at };
            }
            Happening::Misfit(_) | Happening::Over => {}
        }
    }

    /// The feed has said how it is.
    pub fn status(&mut self, members: &Json) {
        self.state = words::state(members);
    }

    /// What is waited for, in a line.
    pub fn waiting(&self, now: Instant) -> String {
        let mut text = match &self.link {
            Link::Connecting => format!("connecting for {}", age(now - self.started)),
            Link::Connected => format!("connected; last heard {} ago", age(now - self.heard)),
            Link::Lost { again_at } if *again_at > now => {
                let wait = again_at.saturating_duration_since(now);
                format!("not connected; trying again in {}", age(wait))
            }
            Link::Lost { .. } => "not connected; trying again".to_owned(),
        };
        if let Some(state) = &self.state {
            text = format!("{text}; {state}");
        }
        text
    }

    /// What came, in a line.
    pub fn summary(&self, now: Instant) -> String {
        let s = if self.events == 1 { "" } else { "s" };
        let bytes = bytesize::ByteSize(self.bytes).display().si();
        let time = age(now - self.started);
        format!("{} event{s}, {bytes} in {time}", self.events)
    }
}

/// Whole seconds, as people say them.
fn age(time: Duration) -> String {
    humantime::format_duration(Duration::from_secs(time.as_secs())).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::json::parse;

    #[test]
    fn it_says_what_it_waits_for() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut progress = Progress::new(start);
        assert_eq!(progress.waiting(at(2)), "connecting for 2s");
        progress.note(&Happening::Connected { resumed: false }, at(3));
        progress.note(&Happening::Heard(1200), at(4));
        assert_eq!(progress.waiting(at(76)), "connected; last heard 1m 12s ago");
        progress.status(&parse(br#"{"state":"stale","since":"T1"}"#).unwrap());
        assert_eq!(
            progress.waiting(at(4)),
            "connected; last heard 0s ago; the feed is stale since T1"
        );
        progress.status(&parse(br#"{"state":"live","since":"T2"}"#).unwrap());
        let lost = Happening::Lost {
            why: String::new(),
            again_in: Duration::from_secs(3),
        };
        progress.note(&lost, at(10));
        assert_eq!(
            progress.waiting(at(11)),
            "not connected; trying again in 2s"
        );
        assert_eq!(progress.waiting(at(14)), "not connected; trying again");
        assert_eq!(progress.summary(at(14)), "0 events, 1.2 kB in 14s");
    }
}
