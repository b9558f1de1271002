//! Whether everything that must go on goes on.

/// What something that must go on shows of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// It has nothing to do.
    AtRest,
    /// It has come so far: a number that moves whenever it does anything.
    At(u64),
}

/// The signs that were seen at the last look.
#[derive(Debug, Default)]
pub(super) struct Pulse(Vec<Sign>);

impl Pulse {
    /// Looks again: whether each has moved since the last look, or rests. The first look cannot
    /// tell, and finds everything alive.
    pub(super) fn goes_on(&mut self, signs: Vec<Sign>) -> bool {
        let before = std::mem::replace(&mut self.0, signs);
        let mut pairs = before.iter().zip(&self.0);
        pairs.all(|(before, now)| *now == Sign::AtRest || before != now)
    }
}

#[cfg(test)]
mod tests {
    use super::Sign::{At, AtRest};
    use super::*;

    #[test]
    fn one_that_stands_still_amid_its_work_is_enough() {
        let mut pulse = Pulse::default();
        for (signs, expected) in [
            ([At(1), At(1)], true),
            ([At(2), At(2)], true),
            ([At(3), At(2)], false),
            ([At(4), AtRest], true),
            ([At(5), AtRest], true),
            ([At(6), At(2)], true),
            ([AtRest, At(2)], false),
            ([AtRest, At(3)], true),
        ] {
            assert_eq!(pulse.goes_on(signs.to_vec()), expected, "{signs:?}");
        }
    }
}
