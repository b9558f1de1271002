//! The open store, with what is known of each topic in it.
//!
//! Promises that an epoch is gone on with only where the store is known to hold all events of it:
//! whatever else happens, the next event is of a fresh one.

use std::collections::HashMap;
use std::path::Path;

use bytes::Bytes;
use rand::random;

use super::codec::Written;
use super::error::OpenError;
use super::life::Life;
use super::table::{Addition, Found, Mark, Table, Whole};
use crate::config::Store;
use crate::core::change::Change;
use crate::core::id::{Epoch, TopicId};
use crate::core::json::{Patch, parse};
use crate::core::past::{Kept, Past};
use crate::hub::{Topic, Upcoming};

/// A document is written again when the patches since then are so many times as long.
const PATCHES: usize = 4;

/// The open store.
#[derive(Debug)]
pub(super) struct Desk {
    table: Table,
    life: Life,
    /// Events that were ever written.
    count: u64,
    rows: HashMap<Mark, Row>,
    /// Whether something was written that is not synced.
    pub(super) is_dirty: bool,
}

/// A store that was just opened.
pub(super) struct Opened {
    pub(super) desk: Desk,
    /// What its digests are made with.
    pub(super) secret: [u8; 32],
    /// What topics were, by their marks.
    pub(super) pasts: HashMap<Mark, Past>,
}

/// A topic of which the store has everything up to `newest`.
#[derive(Debug)]
struct Row {
    number: i64,
    ring: u32,
    epoch: Epoch,
    newest: u64,
    /// The oldest event that may stand there.
    oldest: u64,
    /// The event whose document stands there.
    documented: u64,
    /// What the patches since then cost, in bytes.
    patched: usize,
    /// The topic that it is of; none until one is made.
    owner: Option<TopicId>,
}

/// Why an event was not written.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// An event that is about to be published.
pub(super) struct Event<'a> {
    pub(super) mark: Mark,
    pub(super) topic: &'a Topic,
    pub(super) upcoming: Upcoming,
    pub(super) change: &'a Change,
}

impl Desk {
    /// Opens the store, and reads what stands there. `keeps` says of a feed's path whether anything of
    /// it is kept.
    pub(super) fn open(
        config: &Store,
        always: bool,
        keeps: impl Fn(&str) -> bool,
    ) -> Result<Opened, OpenError> {
        let folder = &config.path;
        let mut table = Table::open(folder, always)?;
        let secret = table.secret(random())?;
        let mut found = table.topics()?;
        let counts = found.iter().flat_map(|it| &it.events);
        let count = counts.map(|event| event.count).max().unwrap_or(0);
        let broken = |source| OpenError::Sqlite {
            path: folder.to_owned(),
            source,
        };
        if !Life::goes_on(folder, count) {
            go_on_afresh(&mut table, &mut found).map_err(broken)?;
        }
        let (mut rows, mut pasts, mut gone) = (HashMap::new(), HashMap::new(), Vec::new());
        for it in found {
            match (keeps(&it.feed), it.mark) {
                (true, mark) => {
                    let (row, past) = read(it).ok_or_else(|| OpenError::Damaged {
                        path: folder.to_owned(),
                    })?;
                    rows.insert(mark, row);
                    pasts.insert(mark, past);
                }
                (false, mark) => gone.push(mark),
            }
        }
        table.forget(&gone).map_err(broken)?;
        table.checkpoint().map_err(broken)?;
        let life = Life::begin(folder, count, always).map_err(|source| OpenError::Folder {
            path: folder.to_owned(),
            source,
        })?;
        let desk = Self {
            table,
            life,
            count,
            rows,
            is_dirty: false,
        };
        Ok(Opened {
            desk,
            secret,
            pasts,
        })
    }

    /// Whether the store has everything of this topic.
    pub(super) fn is_in_step(&self, event: &Event<'_>) -> bool {
        self.rows.get(&event.mark).is_some_and(|row| {
            let Upcoming {
                sequence, epoch, ..
            } = event.upcoming;
            (row.epoch, row.newest + 1) == (epoch, sequence)
                && row.ring == ring(event.topic)
                && row.owner.is_none_or(|id| id == event.topic.identity().id())
        })
    }

    /// This topic is the one that stands there under this mark.
    pub(super) fn claim(&mut self, mark: &Mark, id: TopicId) {
        if let Some(row) = self.rows.get_mut(mark) {
            row.owner = Some(id);
        }
    }

    /// Writes an event of a topic that is in step.
    pub(super) fn add(&mut self, event: &Event<'_>) -> Result<(), WriteError> {
        let Some(row) = self.rows.get(&event.mark) else {
            return self.put(event);
        };
        let sequence = event.upcoming.sequence;
        let written = written(event, self.count + 1);
        let patch = event.change.patch.as_ref().map(Bytes::len);
        let patched = patch.map(|length| row.patched + length);
        let is_in_ring = sequence - row.documented < u64::from(row.ring);
        let most = PATCHES.saturating_mul(event.change.snapshot.len());
        let patched = patched.filter(|it| is_in_ring && *it <= most);
        let document = patched.is_none().then(|| event.change.snapshot.encode());
        let documented = document.as_ref().map_or(row.documented, |_| sequence);
        // What the ring has not overwritten, the log no longer has, and the document does not need.
        let overwritten = (sequence + 1).saturating_sub(u64::from(row.ring));
        let oldest = row.oldest.max(overwritten);
        let gone = oldest..event.upcoming.oldest.min(documented + 1).min(sequence);
        let addition = Addition {
            number: row.number,
            ring: row.ring,
            event: &written,
            document: document.as_deref(),
            gone: gone.clone(),
        };
        self.table.add(&addition)?;
        self.count += 1;
        if let Some(row) = self.rows.get_mut(&event.mark) {
            row.newest = sequence;
            row.oldest = gone.end.max(oldest);
            row.documented = documented;
            row.patched = patched.unwrap_or(0);
            row.owner = Some(event.topic.identity().id());
        }
        self.wrote()
    }

    /// Writes a topic whole, with this event as its newest.
    pub(super) fn put(&mut self, event: &Event<'_>) -> Result<(), WriteError> {
        self.rows.remove(&event.mark);
        let sequence = event.upcoming.sequence;
        let kept = event.topic.past();
        let kept = kept.as_ref().map_or(&[][..], |past| past.kept());
        let first = sequence - kept.len() as u64;
        let ring = ring(event.topic);
        let past = kept.iter().zip(first..).map(|(kept, sequence)| Written {
            sequence,
            count: self.count,
            kept: kept.clone(),
        });
        let mut events: Vec<_> = past.collect();
        events.push(written(event, self.count + 1));
        let begin = events.len().saturating_sub(ring as usize);
        let number = self.table.put(&Whole {
            mark: &event.mark,
            feed: &event.topic.feed().path,
            ring,
            lineage: &event.topic.lineage(),
            document: (sequence, &event.change.snapshot.encode()),
            events: &events[begin..],
        })?;
        self.count += 1;
        let row = Row {
            number,
            ring,
            epoch: event.upcoming.epoch,
            newest: sequence,
            oldest: events[begin].sequence,
            documented: sequence,
            patched: 0,
            owner: Some(event.topic.identity().id()),
        };
        self.rows.insert(event.mark, row);
        self.wrote()
    }

    /// From now on the store may not have everything of this topic.
    pub(super) fn lose(&mut self, mark: &Mark) {
        self.rows.remove(mark);
    }

    /// Nothing that stands there is in step with a topic.
    pub(super) fn estrange(&mut self) {
        self.rows.clear();
    }

    /// What was written may be lost.
    pub(super) fn doubt(&mut self) {
        self.life.doubt();
    }

    /// Forgets topics, each only if it is still the one that is meant.
    pub(super) fn forget(&mut self, topics: &[(Mark, Option<TopicId>)]) -> Result<(), WriteError> {
        let is_meant = |(mark, id): &&(Mark, Option<TopicId>)| {
            self.rows.get(mark).is_some_and(|row| row.owner == *id)
        };
        let marks: Vec<_> = topics.iter().filter(is_meant).map(|it| it.0).collect();
        for mark in &marks {
            self.rows.remove(mark);
        }
        self.is_dirty |= !marks.is_empty();
        Ok(self.table.forget(&marks)?)
    }

    /// What was appended so far, to be synced while others go on.
    pub(super) fn take_unsynced(&mut self) -> std::io::Result<Option<std::fs::File>> {
        match std::mem::take(&mut self.is_dirty) {
            true => self.table.log().map(Some),
            false => Ok(None),
        }
    }

    /// Moves what was appended to its place if it is much.
    pub(super) fn tidy(&self, most: u64) -> Result<u64, WriteError> {
        if self.table.appended()? > most {
            self.table.turn()?;
        }
        Ok(self.table.size())
    }

    /// Everything is on the disk itself, and the store is free for others.
    pub(super) fn close(self) -> Result<(), WriteError> {
        self.table.close()?;
        Ok(self.life.end()?)
    }

    fn wrote(&mut self) -> Result<(), WriteError> {
        self.is_dirty = true;
        Ok(self.life.counts(self.count)?)
    }
}

/// The store may lack events that somebody got: from the next event of each topic on there is another
/// epoch.
fn go_on_afresh(table: &mut Table, found: &mut [Found]) -> rusqlite::Result<()> {
    for it in &mut *found {
        let newest = it.events.last().map_or(0, |event| event.sequence);
        it.lineage.go_on(newest, fresh());
    }
    let lineages = found.iter().map(|it| (it.number, it.lineage.clone()));
    table.go_on_in(&lineages.collect::<Vec<_>>())
}

/// Which events a topic has room for.
fn ring(topic: &Topic) -> u32 {
    u32::try_from(topic.feed().events.history.events).unwrap_or(u32::MAX)
}

fn written(event: &Event<'_>, count: u64) -> Written {
    let change = event.change;
    Written {
        sequence: event.upcoming.sequence,
        count,
        kept: Kept {
            patch: change.patch.clone(),
            merge: change.merge.clone(),
            items: change.items.clone(),
            at: event.upcoming.at,
        },
    }
}

/// What stands in the store of a topic; none where it does not fit together.
fn read(found: Found) -> Option<(Row, Past)> {
    let (documented, document) = found.document;
    let newest = found.events.last()?.sequence;
    let oldest = found.events.first()?.sequence;
    let since = found.events.iter().filter(|it| it.sequence > documented);
    let patches: Vec<_> = since.map(|it| it.kept.patch.clone()).collect();
    let is_whole = documented <= newest && patches.len() as u64 == newest - documented;
    let patches: Vec<Bytes> = patches
        .into_iter()
        .collect::<Option<_>>()
        .filter(|_| is_whole)?;
    let row = Row {
        number: found.number,
        ring: found.ring,
        epoch: found.lineage.current(),
        newest,
        oldest,
        documented,
        patched: patches.iter().map(Bytes::len).sum(),
        owner: None,
    };
    let document = match patches.is_empty() {
        true => document,
        false => patched(&document, &patches)?,
    };
    let kept = found.events.into_iter().map(|event| event.kept).collect();
    Some((row, Past::new(found.lineage, newest, document, kept)?))
}

/// The document after these patches.
fn patched(document: &[u8], patches: &[Bytes]) -> Option<Bytes> {
    let mut document = parse(document).ok()?;
    for patch in patches {
        Patch::parse(patch).ok()?.apply(&mut document).ok()?;
    }
    Some(document.encode().into())
}

pub(super) fn fresh() -> Epoch {
    Epoch::from_random(random())
}

/// Where a store lies, for messages.
pub(super) fn place(config: &Store) -> &Path {
    &config.path
}
