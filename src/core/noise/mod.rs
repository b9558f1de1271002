//! Values that change at every poll, whether or not anything happened: `generated_at`, counters of
//! the answer itself.
//!
//! Owns the finding of them, and what they have cost since. Promises to look only now and then, so
//! that it costs little beside the diff, and to stay small whatever an upstream makes up. Must
//! never drop anything: what clients need is not for us to know.
//!
//! A look begins with every value that differs between two documents. At each further change
//! those that did not change are let go, and what is left after enough of them is told. A poll
//! that changes nothing ends the look.

mod alike;
mod places;
#[cfg(test)]
mod tests;
mod watch;

use super::change::Change;
use super::diff::{Known, Memory};
use super::event::Mode;
use super::json::{Pattern, Value};
use places::{Places, scalars};
use watch::{Found, Verdict, Watch};

/// Changes in a row before a look begins: a document that rarely changes has no noise.
const FIRST_CHANGES: u32 = 2;

/// Changes in a row that make noise. What changes at every other poll gets through ten of them by
/// chance once in a thousand looks. Each further look asks for more, up to the most: who looks
/// often enough sees everything.
const LEAST: u32 = 10;
const MORE: u32 = 2;
const MOST: u32 = 30;

/// Polls between two looks: each time twice as many, up to the most.
const FIRST_REST: u32 = 8;
const LONGEST_REST: u32 = 256;

/// Polls in a row without a change after which a place is no noise any more.
const LONG_STILL: u32 = 100;

/// Of so many changes one is looked at for what places inside arrays cost; the others are taken to
/// cost the same.
const MEASURED: u32 = 32;

/// The most places that are told at a time.
const MAX_FOUND: usize = 32;

/// Looks for noise in the documents of a topic.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    places: Places,
    /// Polls in a row that changed the document.
    changes: u32,
    /// Looks that ended.
    looks: u32,
    stage: Stage,
    /// Changes since the places were last compared.
    passed: u32,
    /// Whether nothing but noise differed when they were.
    only_noise: bool,
    /// What found places have cost since this was last taken.
    wasted: f64,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    /// Not before so many polls.
    Resting { polls: u32 },
    /// So many comparisons so far.
    Looking { comparisons: u32 },
}

impl Default for Stage {
    fn default() -> Self {
        Stage::Resting { polls: 0 }
    }
}

/// A place whose value changes at every poll.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where it is, as `document.ignore` writes it.
    pub place: Pattern,
    /// The bytes of events that it has cost since it was found, about; each event counted once,
    /// however many clients got it.
    pub bytes: u64,
}

impl Survey {
    /// A poll left the document as it was.
    #[inline]
    pub(super) fn rested(&mut self) {
        // Most polls bring nothing, and nothing is going on: they must cost no more than they do.
        let is_idle = self.changes == 0 && matches!(self.stage, Stage::Resting { polls: 0 });
        if !is_idle || !self.places.is_empty() {
            self.interrupted();
        }
    }

    fn interrupted(&mut self) {
        self.changes = 0;
        self.places.retain(&mut |watch| match &mut watch.found {
            Some(found) => found.stays(1),
            None => false,
        });
        match &mut self.stage {
            Stage::Resting { polls } => *polls = polls.saturating_sub(1),
            Stage::Looking { .. } => self.end_look(),
        }
    }

    /// A poll changed the document; `change` is what was made of that.
    pub(super) fn changed(
        &mut self,
        old: Value<'_>,
        new: Value<'_>,
        memory: &Memory,
        change: &Change,
    ) {
        self.changes = self.changes.saturating_add(1);
        if self.is_due() {
            self.places.compare(old, new, Known::root(memory));
            self.only_noise = change.patch.is_none() && self.places.cover(old, new);
            self.account(change);
            self.judge(new);
            self.passed = 0;
        } else {
            self.account(change);
            self.passed = self.passed.saturating_add(1);
        }
        match &mut self.stage {
            Stage::Looking { comparisons } => {
                *comparisons += 1;
                let is_over = *comparisons >= 2 * needed(self.looks);
                if is_over || !self.watches_any(|watch| !watch.is_found()) {
                    self.places.retain(&mut |watch| watch.is_found());
                    self.end_look();
                }
            }
            Stage::Resting { polls: 0 } if self.changes >= FIRST_CHANGES => {
                self.places.collect(old, new, Known::root(memory));
                self.stage = Stage::Looking { comparisons: 0 };
            }
            Stage::Resting { polls } => *polls = polls.saturating_sub(1),
        }
    }

    /// Whether it is time to compare.
    fn is_due(&self) -> bool {
        let is_cheap = !self.places.have_rows();
        let is_looking = matches!(self.stage, Stage::Looking { .. });
        !self.places.is_empty() && (is_looking || is_cheap || self.passed + 1 >= MEASURED)
    }

    fn end_look(&mut self) {
        let polls = FIRST_REST << self.looks.min(8);
        self.stage = Stage::Resting {
            polls: polls.min(LONGEST_REST),
        };
        self.looks = self.looks.saturating_add(1);
    }

    /// Adds up what would not have been sent without the places that were found.
    fn account(&mut self, change: &Change) {
        let is_patch = change.patch.is_some();
        let cost = |watch: &Watch| match is_patch {
            true => watch.cost().patch,
            false => watch.cost().text,
        };
        let mut sum = 0.0;
        self.places.each(&mut |watch| {
            sum += if watch.is_found() { cost(watch) } else { 0.0 };
        });
        if sum <= 0.0 {
            return;
        }
        let sent = Mode::ALL.into_iter().find_map(|mode| change.size(mode));
        let sent = sent.unwrap_or_default() as f64;
        // A patch of nothing else is its operations and one byte more. Of other forms it was asked.
        let is_all = sum + 1.0 >= sent || (self.only_noise && !is_patch);
        let share = if is_all { sent / sum } else { 1.0 };
        self.places.each(&mut |watch| {
            let bytes = share * cost(watch);
            if let Some(found) = &mut watch.found {
                found.bytes += bytes;
            }
        });
        self.wasted += share * sum;
    }

    fn judge(&mut self, new: Value<'_>) {
        let (needed, passed) = (needed(self.looks), self.passed);
        let (mut ripe, mut values) = (false, 0.0);
        self.places.retain(&mut |watch| {
            let verdict = watch.verdict();
            let stays = match (&mut watch.found, verdict) {
                (Some(found), Verdict::Changed) => {
                    found.still = 0;
                    true
                }
                (Some(found), _) => found.stays(1 + passed),
                (None, Verdict::Changed) => {
                    watch.seen += 1;
                    true
                }
                (None, verdict) => verdict == Verdict::Unknown,
            };
            let is_ripe = watch.found.is_none() && watch.seen >= needed;
            ripe |= is_ripe;
            if stays && (is_ripe || watch.is_found()) {
                values += watch.values();
            }
            stays
        });
        if ripe {
            // Where half of all values change at every poll, they are what the feed is for.
            self.tell(needed, 2.0 * values < scalars(new) as f64);
        }
    }

    /// Takes in the places that have changed often enough, or lets go of them.
    fn tell(&mut self, needed: u32, is_noise: bool) {
        let mut found = 0;
        self.places
            .each(&mut |watch| found += usize::from(watch.is_found()));
        self.places.retain(&mut |watch| {
            if watch.is_found() || watch.seen < needed {
                return true;
            }
            let room = is_noise && found < MAX_FOUND;
            watch.found = room.then(Found::default);
            found += usize::from(room);
            room
        });
    }

    fn watches_any(&mut self, is_it: impl Fn(&Watch) -> bool) -> bool {
        let mut any = false;
        self.places.each(&mut |watch| any |= is_it(watch));
        any
    }

    /// The places that are noise at present.
    pub fn findings(&self) -> Vec<Finding> {
        let finding = |(place, watch): (Pattern, &Watch)| {
            let bytes = whole(watch.found?.bytes);
            Some(Finding { place, bytes })
        };
        let list = self.places.list().into_iter();
        list.filter_map(finding).collect()
    }

    /// The bytes that found places have cost since this was last asked.
    pub fn take_wasted(&mut self) -> u64 {
        let taken = self.wasted.floor();
        self.wasted -= taken;
        whole(taken)
    }
}

impl Found {
    /// So many more polls at which it did not change. False if they are too many.
    fn stays(&mut self, polls: u32) -> bool {
        self.still += polls;
        self.still < LONG_STILL
    }
}

/// Whole bytes.
#[expect(clippy::cast_sign_loss)] // Costs are sums of lengths.
fn whole(bytes: f64) -> u64 {
    bytes as u64
}

fn needed(looks: u32) -> u32 {
    MOST.min(LEAST + MORE * looks.min(MOST))
}
