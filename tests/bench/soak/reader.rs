//! One visit's reading: every state is judged, and so is the way in which it ends.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::client::{Crowd, PATIENCE};
use crate::plan::{Leave, Plan};
use crate::stream::{Event, Stream};
use crate::truth::Source;
use crate::wire::Wire;

/// What a client holds of a source.
pub struct Held {
    pub source: &'static Source,
    document: Value,
    number: u64,
    pub last_id: String,
}

/// Why a visit was over before its time; only a wrong one is a failure.
pub enum Over {
    /// It ended as it may.
    Ended(&'static str),
    Wrong(String),
}

/// One visit's reading.
pub struct Reader<'a> {
    crowd: &'a Crowd,
    plan: &'a Plan,
    stream: Stream,
    /// What came so far.
    events: u64,
    /// Whether the server may cut it off: it did not read, or did not behave.
    is_excused: bool,
}

impl<'a> Reader<'a> {
    pub fn new(crowd: &'a Crowd, plan: &'a Plan, stream: Stream) -> Self {
        Self {
            crowd,
            plan,
            stream,
            events: 0,
            // A large document through a small window may take longer than a write may.
            is_excused: plan.chatter || plan.narrow,
        }
    }

    /// Reads as planned, and leaves as planned.
    pub async fn read(mut self, mut wire: Wire, held: &mut Option<Held>) -> Over {
        let until = Instant::now() + self.plan.stay;
        let mut last_sign = Instant::now();
        loop {
            if self.crowd.is_ending() {
                let newest = self.crowd.truth.newest(self.plan.source);
                if held.as_ref().is_some_and(|held| held.number == newest) {
                    return Over::Ended("holds the newest");
                }
            } else if Instant::now() >= until {
                return self.leave(wire, held).await;
            } else if let Some(stall) = self.plan.stall.filter(|_| self.events == 1) {
                sleep(stall).await;
                self.events += 1;
                self.is_excused = true;
            }
            if self.plan.chatter && self.events < 5 {
                wire.chatter().await;
            }
            let wait = Duration::from_millis(500);
            match timeout(wait, wire.read()).await {
                Err(_) if last_sign.elapsed() > PATIENCE => {
                    return Over::Wrong(format!("{:?}: silence", self.plan));
                }
                Err(_) => {}
                Ok(Ok(bytes)) if bytes.is_empty() => return self.ended(),
                Ok(Ok(bytes)) => {
                    last_sign = Instant::now();
                    if let Err(why) = self.take(&bytes, held) {
                        return Over::Wrong(format!("{why}: {:?}", self.plan));
                    }
                }
                Ok(Err(_)) if self.is_excused => return Over::Ended("cut off"),
                Ok(Err(error)) => return Over::Wrong(format!("{error}: {:?}", self.plan)),
            }
        }
    }

    fn ended(&self) -> Over {
        let is_proper = self.stream.is_finished() && self.stream.is_between_events();
        match (is_proper, self.events) {
            (true, 0) => Over::Ended("refused, told to come back"),
            (true, _) => Over::Ended("ended by the server"),
            (false, _) if self.is_excused => Over::Ended("cut off"),
            (false, _) => Over::Wrong(format!("ended in the middle: {:?}", self.plan)),
        }
    }

    fn take(&mut self, bytes: &[u8], held: &mut Option<Held>) -> Result<(), String> {
        let events = self.stream.take(bytes).map_err(|error| error.to_string())?;
        for event in events.iter().filter(|event| event.data.is_some()) {
            self.events += 1;
            self.crowd.count("events");
            self.event(event, held)?;
        }
        Ok(())
    }

    fn event(&self, event: &Event, held: &mut Option<Held>) -> Result<(), String> {
        let source = self.plan.source;
        let data = event.data.as_deref().unwrap_or_default();
        let data: Value = serde_json::from_str(data).map_err(|error| error.to_string())?;
        let document = match (event.name.as_str(), held.as_mut()) {
            ("snapshot", _) => data,
            ("patch", Some(held)) => {
                let patch: json_patch::Patch =
                    serde_json::from_value(data).map_err(|error| error.to_string())?;
                let patched = json_patch::patch(&mut held.document, &patch);
                patched.map_err(|error| format!("{}: {error}", source.path))?;
                held.document.take()
            }
            ("merge", Some(held)) => {
                json_patch::merge(&mut held.document, &data);
                held.document.take()
            }
            ("reset", _) => {
                self.crowd.count(match data["reason"].as_str() {
                    Some("lagged") => "lagged",
                    Some("expired") => "expired",
                    reason => return Err(format!("a reset for no good reason: {reason:?}")),
                });
                return Ok(());
            }
            ("status", _) => {
                self.crowd.count("status");
                return Ok(());
            }
            (name, _) => return Err(format!("{name:?} at the wrong moment")),
        };
        let number = self.crowd.truth.judge(source, &document)?;
        let last = held.as_ref().map_or(0, |held| held.number);
        if number < last || (event.name != "snapshot" && number == last) {
            return Err(format!("{}: {number} after {last}", source.path));
        }
        *held = Some(Held {
            source,
            document,
            number,
            last_id: event.id.clone().ok_or("a state without an id")?,
        });
        Ok(())
    }

    async fn leave(mut self, mut wire: Wire, held: &mut Option<Held>) -> Over {
        match self.plan.leave {
            Leave::Close => Over::Ended("closed"),
            Leave::Break => {
                wire.break_off();
                Over::Ended("broken")
            }
            Leave::HalfClose => {
                // What comes afterwards must be right as well; nothing has to.
                wire.half_close().await;
                let until = Instant::now() + Duration::from_secs(2);
                while let Ok(Ok(bytes)) = timeout_at(until, wire.read()).await {
                    if bytes.is_empty() {
                        break;
                    }
                    if let Err(why) = self.take(&bytes, held) {
                        return Over::Wrong(format!("after half a close: {why}: {:?}", self.plan));
                    }
                }
                Over::Ended("half closed")
            }
            Leave::Vanish => match wire.vanish() {
                Ok(kept) => {
                    self.crowd.keep(kept);
                    Over::Ended("vanished")
                }
                Err(error) => Over::Wrong(format!("cannot vanish: {error}")),
            },
        }
    }
}
