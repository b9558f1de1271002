//! One reader's place in a topic: the only thing kept per subscriber.
//!
//! Owns the order in which a client learns things. Promises that a client which applies what it
//! gets only ever holds documents that were published, in order, ending with the newest; that a
//! position which cannot be continued is answered by `reset` and a snapshot, never silently.

use std::sync::Arc;

use super::event::{Mode, ResetReason, State};
use super::id::EventId;
use super::log::Log;
use super::sse::{Coding, Frame, Kind};

/// A place in a log and what the client was told so far. It holds no event. Readers whose cursors
/// are equal get the same frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    mode: Mode,
    coding: Coding,
    /// Whether the last that the client got was the newest block of the mode's gzip chain.
    is_in_chain: bool,
    /// Sequence of the newest event that the client has.
    sequence: u64,
    reset: Option<ResetReason>,
    /// `reset` was told, and nothing may come between it and its snapshot.
    reset_told: bool,
    snapshot_due: bool,
    /// The state that the client believes in.
    told: State,
    losses: Losses,
}

/// What a client did not get, since it was last asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Events that a newer snapshot replaced.
    pub skipped: u64,
    /// How often the log moved past the client.
    pub lagged: u64,
}

/// How a subscription begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// The client has nothing: a snapshot.
    Fresh,
    /// Exactly the missed events.
    Resumed,
    /// The position is ours, but the snapshot is smaller than the missed events, or these have no
    /// form in the client's mode.
    Condensed,
    /// The position cannot be continued.
    Reset(ResetReason),
}

impl Opening {
    /// Every way. Nobody begins as one who lagged.
    pub const ALL: [Opening; 5] = [
        Opening::Fresh,
        Opening::Resumed,
        Opening::Condensed,
        Opening::Reset(ResetReason::UnknownId),
        Opening::Reset(ResetReason::Expired),
    ];

    /// The word in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Opening::Fresh => "fresh",
            Opening::Resumed => "resumed",
            Opening::Condensed => "condensed",
            Opening::Reset(reason) => reason.name(),
        }
    }
}

/// The state that subscribers should know, and where among the events it became so.
#[derive(Clone, Debug)]
pub struct Notice {
    /// The state.
    pub state: State,
    /// The sequence of the newest event at that moment; events up to it are told first.
    pub after: u64,
    /// The event.
    pub frame: Arc<Frame>,
}

impl Cursor {
    /// Places a new reader. `last_id` is what the client sent as its last event id, if anything.
    pub fn open(log: &Log, mode: Mode, coding: Coding, last_id: Option<&[u8]>) -> (Self, Opening) {
        let opening = match last_id {
            None => Opening::Fresh,
            Some(text) => resume(log, mode, text),
        };
        let sequence = match (opening, last_id.and_then(EventId::parse)) {
            (Opening::Fresh | Opening::Reset(ResetReason::UnknownId), _) | (_, None) => {
                log.newest()
            }
            (_, Some(id)) => id.sequence,
        };
        let reset = match opening {
            Opening::Reset(reason) => Some(reason),
            _ => None,
        };
        let cursor = Self {
            mode,
            coding,
            is_in_chain: false,
            sequence,
            reset,
            reset_told: false,
            snapshot_due: opening != Opening::Resumed,
            told: State::Live,
            losses: Losses::default(),
        };
        (cursor, opening)
    }

    /// The next frame for this client, or `None` when it is up to date.
    pub fn next(&mut self, log: &mut Log, notice: Option<&Notice>) -> Option<Arc<Frame>> {
        let was_in_chain = std::mem::take(&mut self.is_in_chain);
        let (was_at, was_due) = (self.sequence, self.snapshot_due);
        let frame = self.next_frame(log, notice);
        match &frame {
            None => self.is_in_chain = was_in_chain,
            // Just the next event, as everyone gets it who has all before.
            Some(_) if self.coding == Coding::Gzip && !was_due && self.sequence == was_at + 1 => {
                if let Some((chained, begins)) = log.chained(self.mode, self.sequence)
                    && (begins || was_in_chain)
                {
                    self.is_in_chain = true;
                    return Some(chained);
                }
            }
            Some(_) => {}
        }
        frame
    }

    /// Sequence of the newest event that the client has.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The client got something that is not from here, such as a sign of life.
    pub fn interrupted(&mut self) {
        self.is_in_chain = false;
    }

    fn next_frame(&mut self, log: &mut Log, notice: Option<&Notice>) -> Option<Arc<Frame>> {
        if !self.snapshot_due && !log.reaches(self.sequence) {
            self.reset = Some(ResetReason::Lagged);
            self.snapshot_due = true;
            self.losses.lagged += 1;
        }
        let jumps = self.jumps(log);
        if let Some(notice) = notice.filter(|notice| self.is_next(notice, jumps)) {
            self.told = notice.state;
            return Some(Arc::clone(&notice.frame));
        }
        if jumps {
            return match self.reset.take() {
                Some(reason) => {
                    self.reset_told = true;
                    Some(Arc::new(reset(log, reason)))
                }
                None => self.jump(log),
            };
        }
        if self.snapshot_due || self.sequence >= log.newest() {
            return None;
        }
        self.sequence += 1;
        log.change(self.mode, self.sequence)
    }

    /// Whether the next event is a snapshot, which may hold several changes.
    fn jumps(&self, log: &Log) -> bool {
        if self.snapshot_due {
            return log.has_document();
        }
        let behind = self.sequence < log.newest();
        behind && !log.has_change(self.mode, self.sequence + 1)
    }

    /// Recovery is told before the document that proves it, trouble after the last good one.
    fn is_next(&self, notice: &Notice, jumps: bool) -> bool {
        let in_place = match jumps {
            true => notice.state == State::Live && !self.reset_told,
            false => notice.after <= self.sequence,
        };
        in_place && notice.state != self.told
    }

    fn jump(&mut self, log: &mut Log) -> Option<Arc<Frame>> {
        let frame = log.snapshot()?;
        self.losses.skipped += log.newest().saturating_sub(self.sequence + 1);
        self.snapshot_due = false;
        self.reset_told = false;
        self.sequence = log.newest();
        Some(frame)
    }

    /// What this reader lost since the last call; to be asked before cursors are compared.
    pub fn take_losses(&mut self) -> Losses {
        std::mem::take(&mut self.losses)
    }
}

impl std::ops::AddAssign for Losses {
    fn add_assign(&mut self, other: Self) {
        self.skipped += other.skipped;
        self.lagged += other.lagged;
    }
}

fn resume(log: &Log, mode: Mode, text: &[u8]) -> Opening {
    match EventId::parse(text) {
        Some(id) if id.sequence <= log.newest() && log.lineage().holds(id) => {
            if !log.reaches(id.sequence) {
                Opening::Reset(ResetReason::Expired)
            } else if id.sequence == log.newest() || log.replay_pays(mode, id.sequence) {
                Opening::Resumed
            } else {
                Opening::Condensed
            }
        }
        _ => Opening::Reset(ResetReason::UnknownId),
    }
}

fn reset(log: &Log, reason: ResetReason) -> Frame {
    let data = format!(r#"{{"reason":"{}"}}"#, reason.name());
    Frame::event(Kind::Reset, &log.names().reset, None, data.as_bytes())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::change::{Change, Snapshot};
    use super::super::event::Names;
    use super::super::id::Epoch;
    use super::super::log::Bounds;
    use super::*;

    #[test]
    fn what_a_returning_reader_skips_is_counted() {
        let bounds = Bounds {
            events: 3,
            bytes: 1 << 20,
        };
        let mut log = Log::new(Epoch::from_random(1), Names::default(), bounds);
        for _ in 0..6 {
            log.append(
                Change::of_snapshot(Snapshot::from(Bytes::from("[1]"))),
                None,
            );
        }
        for (sequence, opening, skipped) in [
            (6, Opening::Resumed, 0),
            (4, Opening::Condensed, 1),
            (1, Opening::Reset(ResetReason::Expired), 4),
            (7, Opening::Reset(ResetReason::UnknownId), 0),
        ] {
            let id = format!("{}-{sequence}", log.lineage().current());
            let (mut cursor, opened) =
                Cursor::open(&log, Mode::Patch, Coding::Identity, Some(id.as_bytes()));
            while cursor.next(&mut log, None).is_some() {}
            let losses = cursor.take_losses();
            assert_eq!(
                (opened, losses.skipped, losses.lagged),
                (opening, skipped, 0),
                "{id}"
            );
        }
    }
}
