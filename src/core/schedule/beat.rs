//! The beat on which a document changes, learned from polls.
//!
//! A poll that finds a change tells that it came after the poll before was sent and before this one
//! was answered. From such windows the period and the place of the next change are narrowed as sets
//! of what is possible, not as averages: one window that does not fit, and the beat is no longer
//! believed in. While the place is known but roughly, polls are aimed at the middle of what is
//! possible, which halves it with every change; then at its end.
//!
//! Promises that polls follow this only where it costs nothing: they are an interval apart or up to
//! a quarter more. Where one has to be moved to an earlier time, that is paid for by what was saved
//! so, and by one poll at most for each beat that is learned.

use crate::core::event::Timestamp;

/// Changes on the beat, one after the other, before it is believed in.
const TRUSTED_AFTER: u32 = 8;
/// Beats on which the document may stay as it is, one after the other.
const MOST_SILENT: u32 = 1;
/// Milliseconds to which the place of a change need not be known better.
const CLOSE_ENOUGH: u64 = 20;

/// What is known of the times of changes, in milliseconds.
#[derive(Clone, Debug, Default)]
pub struct Beat {
    /// When the last poll was sent that the upstream answered.
    last_poll: Option<Timestamp>,
    /// The change that the period is measured from: the first, or a later one that is known better.
    anchor: Option<Window>,
    /// The newest one; narrower than what polls saw, by all that was seen before.
    newest: Option<Window>,
    /// Beats from there to the newest.
    beats: u32,
    /// Changes that fitted.
    fitted: u32,
    /// The least and the greatest period that all of them allow.
    period: Option<(u64, u64)>,
    /// Milliseconds by which polls may still come early.
    spare: u64,
}

/// A change came later than `after`, and not later than `until`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Window {
    after: u64,
    until: u64,
}

impl Beat {
    /// A poll was sent at `sent` and answered at `answered`, with another document or the same,
    /// while polls are `interval` apart.
    pub fn observe(&mut self, sent: Timestamp, answered: Timestamp, changed: bool, interval: u64) {
        let Some(last) = self.last_poll.replace(sent) else {
            return;
        };
        if changed {
            let seen = Window {
                after: last.0,
                until: answered.0,
            };
            if !self.fits(seen, interval / 32) {
                self.begin(seen);
            }
            if self.fitted == TRUSTED_AFTER {
                self.spare = interval;
            }
        } else if self.is_overdue(sent) {
            self.begin_anew();
        }
    }

    /// The period, if changes come on a beat.
    pub fn period(&self) -> Option<u64> {
        let (least, most) = self.period.filter(|_| self.fitted >= TRUSTED_AFTER)?;
        Some(least.midpoint(most))
    }

    /// When to poll next, after a poll that was sent at `sent`, with this interval; `None` for the
    /// usual time. To be asked once for each poll.
    pub fn aim(&mut self, sent: Timestamp, interval: u64) -> Option<Timestamp> {
        let period = self.period()?.max(1);
        let (target, is_known) = self.target(sent, interval)?;
        // Where every poll finds a change, there is no room to look for its place.
        let is_short = period < interval + interval / 2;
        if is_short && !is_known {
            return None;
        }
        let mut away = target.saturating_sub(sent.0);
        let least = interval.saturating_sub(self.spare).max(interval / 2).max(1);
        if away < least {
            away += period * (least - away).div_ceil(period);
        }
        // There may be no beat at all, but change all the time: then polls move by small steps.
        let most = interval + interval / if is_short { 16 } else { 4 };
        let polls = (away / interval).max(1);
        let mut steps = [away / polls, away / (polls + 1)].into_iter();
        let step = steps.find(|step| (least..=most).contains(step))?;
        self.spare = (self.spare + step).saturating_sub(interval).min(interval);
        Some(sent.after(step))
    }

    /// Where a poll would tell most, and whether the place of the next change is known well: the end
    /// of what is possible for it, else the middle.
    fn target(&self, sent: Timestamp, interval: u64) -> Option<(u64, bool)> {
        let next = (1..=1 + MOST_SILENT)
            .filter_map(|beats| self.predicted(beats))
            .find(|next| next.until > sent.0)?;
        // A change before this poll would have been seen by it.
        let after = next.after.max(sent.0);
        let width = next.until - after;
        if width > 2 * interval {
            return None;
        }
        Some(match width > CLOSE_ENOUGH.max(interval / 4) {
            true => (after.midpoint(next.until), false),
            false => (next.until, true),
        })
    }

    /// When the change so many beats after the newest one comes.
    fn predicted(&self, beats: u32) -> Option<Window> {
        let (newest, (least, most)) = (self.newest?, self.period?);
        Some(Window {
            after: newest.after + least * u64::from(beats),
            until: newest.until + most * u64::from(beats),
        })
    }

    /// Takes in a change, if it came on the beat so far, give or take `slack`.
    fn fits(&mut self, seen: Window, slack: u64) -> bool {
        let Some(anchor) = self.anchor else {
            return false;
        };
        let Some((_, most)) = self.period else {
            return self.measure(anchor, seen, 1);
        };
        // Two changes between two polls cannot be told from one.
        if seen.width() > most + most / 2 {
            return false;
        }
        (1..=1 + MOST_SILENT).any(|beats| {
            let next = self.predicted(beats);
            let exact = next.and_then(|next| next.both(seen));
            let narrow = exact.or_else(|| next?.wider(slack).both(seen));
            narrow.is_some_and(|narrow| self.measure(anchor, narrow, beats))
        })
    }

    /// Takes `newest` for the change so many beats after the newest before it, and narrows the
    /// period, unless that cannot be.
    fn measure(&mut self, anchor: Window, newest: Window, beats: u32) -> bool {
        let beats = self.beats + beats;
        let count = u64::from(beats);
        let (least, most) = self.period.unwrap_or((1, u64::MAX));
        let least = least.max(newest.after.saturating_sub(anchor.until) / count);
        let most = most.min(newest.until.saturating_sub(anchor.after).div_ceil(count));
        if least > most {
            return false;
        }
        self.period = Some((least, most));
        (self.beats, self.newest) = (beats, Some(newest));
        self.fitted = self.fitted.saturating_add(1);
        if 2 * newest.width() <= anchor.width() {
            (self.anchor, self.beats) = (Some(newest), 0);
        }
        true
    }

    fn begin(&mut self, seen: Window) {
        self.begin_anew();
        (self.anchor, self.newest) = (Some(seen), Some(seen));
    }

    fn begin_anew(&mut self) {
        *self = Self {
            last_poll: self.last_poll,
            ..Self::default()
        };
    }

    /// Whether the document stayed the same on more beats than it may.
    fn is_overdue(&self, sent: Timestamp) -> bool {
        let last_chance = self.predicted(1 + MOST_SILENT);
        last_chance.is_some_and(|window| window.until < sent.0)
    }
}

impl Window {
    fn width(self) -> u64 {
        self.until - self.after
    }

    /// So much more on both sides.
    fn wider(self, by: u64) -> Self {
        Self {
            after: self.after.saturating_sub(by),
            until: self.until + by,
        }
    }

    /// What both allow.
    fn both(self, other: Self) -> Option<Self> {
        let both = Self {
            after: self.after.max(other.after),
            until: self.until.min(other.until),
        };
        (both.after < both.until).then_some(both)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: u64 = 15;
    const START: u64 = 1_700_000_000_000;

    /// Polls of a document by an interval, with the beat learned or without.
    #[derive(Default)]
    struct Polls {
        times: Vec<u64>,
        /// From each change to the answer that brought it, in order.
        delays: Vec<u64>,
    }

    /// Polls a document that changes at these times, until `end`.
    fn poll(changes: &[u64], interval: u64, end: u64, learn: bool) -> Polls {
        let (mut beat, mut polls) = (Beat::default(), Polls::default());
        let (mut now, mut seen) = (START + 137, 0);
        while now < START + end {
            polls.times.push(now);
            let served = now + RTT / 2;
            let version = changes.partition_point(|at| START + at <= served);
            let answered = now + RTT;
            let delay = |at: &u64| answered - START - at;
            polls
                .delays
                .extend(changes[seen..version].iter().map(delay));
            let changed = version != seen;
            beat.observe(Timestamp(now), Timestamp(answered), changed, interval);
            seen = version;
            let aimed = beat.aim(Timestamp(now), interval).filter(|_| learn);
            now = aimed.map_or(now + interval, |at| at.0.max(answered));
        }
        polls
    }

    fn steady(period: u64, count: u64) -> Vec<u64> {
        (0..count).map(|n| 777 + n * period).collect()
    }

    fn mean(values: &[u64]) -> u64 {
        values.iter().sum::<u64>() / values.len() as u64
    }

    #[test]
    fn polls_move_to_just_after_a_steady_beat_and_become_no_more() {
        for (period, interval) in [
            (10_000, 2000),
            (60_000, 2000),
            (30_000, 10_000),
            (4000, 2000),
            (2000, 2000),
            (2070, 2000),
            (9300, 2000),
            (5000, 5000),
        ] {
            let told = format!("every {period}, polled every {interval}");
            let (changes, end) = (steady(period, 200), 200 * period);
            let learned = poll(&changes, interval, end, true);
            let plain = poll(&changes, interval, end, false);
            let counts = (learned.times.len(), plain.times.len());
            assert!(counts.0 <= counts.1 + 1, "{told}: {counts:?}");
            let late = [&learned, &plain].map(|polls| mean(&polls.delays[100..]));
            // A beat that is the interval itself leaves no room to look for its place.
            let bound = match period == interval {
                true => late[1],
                false => interval / 5 + RTT,
            };
            assert!(late[0] <= bound, "{told}: {late:?}");
            let gaps = learned.times.windows(2).map(|pair| pair[1] - pair[0]);
            assert!(gaps.max() <= Some(interval + interval / 4), "{told}");
        }
    }

    #[test]
    fn a_beat_that_wavers_a_little_still_counts() {
        let mut changes = steady(10_000, 300);
        for (n, at) in changes.iter_mut().enumerate() {
            *at += [0, 30, 12, 45, 7][n % 5];
        }
        let learned = poll(&changes, 2000, 3_000_000, true);
        let plain = poll(&changes, 2000, 3_000_000, false);
        assert!(learned.times.len() <= plain.times.len() + 1);
        let late = mean(&learned.delays[100..]);
        assert!(late < 500, "{late}");
    }

    #[test]
    fn a_beat_that_ends_is_given_up() {
        let mut changes = steady(10_000, 30);
        // From then on another one.
        changes.extend((0..200).map(|n| 303_333 + n * 7000));
        let learned = poll(&changes, 2000, 1_700_000, true);
        let plain = poll(&changes, 2000, 1_700_000, false);
        assert!(learned.times.len() <= plain.times.len() + 2);
        let late = mean(&learned.delays[130..]);
        assert!(late < 500, "{late}");
        assert!(learned.delays.iter().max() <= Some(&(2500 + RTT)));
    }

    #[test]
    fn what_comes_at_any_time_has_no_beat() {
        let mut dice = 11_u64;
        for mean_gap in [1500, 6000, 40_000] {
            let mut at = 0;
            let mut any_time = |_| {
                dice = dice
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                at += 1 + (dice >> 33) % (2 * mean_gap);
                at
            };
            let changes: Vec<u64> = (0..400).map(&mut any_time).collect();
            let learned = poll(&changes, 2000, at, true);
            let plain = poll(&changes, 2000, at, false);
            let counts = (learned.times.len(), plain.times.len());
            assert!(
                counts.0 <= counts.1 + counts.1 / 100,
                "{mean_gap}: {counts:?}"
            );
            let delays = (mean(&learned.delays), mean(&plain.delays));
            assert!(
                delays.0 <= delays.1 + delays.1 / 8,
                "{mean_gap}: {delays:?}"
            );
        }
    }

    #[test]
    fn a_document_that_always_changes_is_polled_no_more_often() {
        let changes: Vec<u64> = (0..40_000).map(|n| n * 50).collect();
        let learned = poll(&changes, 2000, 2_000_000, true);
        let plain = poll(&changes, 2000, 2_000_000, false);
        let counts = (learned.times.len(), plain.times.len());
        assert!(counts.0 <= counts.1 + 1, "{counts:?}");
    }
}
