//! What polling once spares an upstream.
//!
//! Owns who is counted as spared. Promises a lower bound: an answer to a poll stands for the
//! request of one client, and only the others that it served are spared theirs. A poll that serves
//! nobody spares nothing, and neither does one that fails.

/// Whom the newest answer has served.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Spared {
    /// Nobody listened when it came, and nobody asked for it since.
    is_unused: bool,
}

impl Spared {
    /// A poll was answered while so many listened. Returns how many requests that spared.
    pub(super) fn polled(&mut self, listening: usize) -> u64 {
        self.is_unused = listening == 0;
        listening.saturating_sub(1) as u64
    }

    /// Somebody who did not wait for a poll was told what the newest answer said. Returns how many
    /// requests that spared.
    pub(super) fn asked(&mut self) -> u64 {
        u64::from(!std::mem::take(&mut self.is_unused))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_spares_all_whom_it_serves_but_one() {
        for (listening, asking, spared) in [
            (0, 0, 0),
            (1, 0, 0),
            (2, 0, 1),
            (100, 0, 99),
            (0, 1, 0),
            (0, 3, 2),
            (1, 3, 3),
            (5, 3, 7),
        ] {
            let mut this = Spared::default();
            for _ in 0..2 {
                let polled = this.polled(listening);
                let asked: u64 = (0..asking).map(|_| this.asked()).sum();
                assert_eq!(polled + asked, spared, "{listening} {asking}");
            }
        }
    }

    #[test]
    fn polls_for_nobody_spare_nothing_however_many_there_are() {
        let mut spared = Spared::default();
        let polled: u64 = (0..10).map(|_| spared.polled(0)).sum();
        assert_eq!((polled, spared.asked(), spared.asked()), (0, 0, 1));
    }
}
