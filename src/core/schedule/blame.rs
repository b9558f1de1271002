//! Whose fault a failed poll is: the upstream's, or that of what was asked for.
//!
//! Clients choose what a feed with parameters asks for. Promises that nobody opens the upstream's
//! circuit breaker for everybody else by asking for what makes the upstream fail.

use super::Ending;

/// What became of a poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// An answer below 500.
    Answered,
    /// A 5xx, or no answer in time: so may end what asks for too much.
    Unserved,
    /// No connection: whatever was asked for.
    Unreachable,
    /// Nothing that tells of the upstream.
    None,
}

/// One topic as a witness of how its upstream is.
#[derive(Clone, Copy, Debug)]
pub struct Witness {
    /// Whether clients choose what it asks for.
    is_on_demand: bool,
    /// Whether it was ever answered.
    was_answered: bool,
    /// Whether it has spoken of a failure since it was last answered.
    has_spoken: bool,
}

impl Witness {
    /// A topic that was never polled; on demand if clients choose what it asks for.
    pub fn new(is_on_demand: bool) -> Self {
        Self {
            is_on_demand,
            was_answered: false,
            has_spoken: false,
        }
    }

    /// What the upstream's circuit breaker is told of a poll. Of a topic on demand it hears of one
    /// failure until the next answer, and of none before the first answer unless there was no
    /// connection. A probe, the one poll that is let through, speaks for all others.
    pub fn tell(&mut self, sign: Sign, is_probe: bool) -> Ending {
        match sign {
            Sign::None => return Ending::Unknown,
            Sign::Answered => {
                self.was_answered = true;
                self.has_spoken = false;
                return Ending::Answered;
            }
            Sign::Unserved | Sign::Unreachable => {}
        }
        let is_believed = sign == Sign::Unreachable || self.was_answered;
        let is_old = self.has_spoken && !is_probe;
        if self.is_on_demand && (is_old || !is_believed) {
            return Ending::Unknown;
        }
        self.has_spoken = true;
        Ending::Failed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn told(is_on_demand: bool, signs: &[Sign]) -> Vec<Ending> {
        let mut witness = Witness::new(is_on_demand);
        signs
            .iter()
            .map(|sign| witness.tell(*sign, false))
            .collect()
    }

    use Ending::{Answered, Failed, Unknown};
    use Sign::{Unreachable, Unserved};

    #[test]
    fn a_feed_that_the_operator_chose_is_believed_each_time() {
        let signs = [Unserved, Unserved, Unreachable, Sign::Answered, Sign::None];
        let endings = [Failed, Failed, Failed, Answered, Unknown];
        assert_eq!(told(false, &signs), endings);
    }

    #[test]
    fn what_a_client_chose_and_never_worked_is_its_own_fault() {
        assert_eq!(told(true, &[Unserved, Unserved]), [Unknown, Unknown]);
    }

    #[test]
    fn what_a_client_chose_counts_once_until_it_works_again() {
        let signs = [Sign::Answered, Unserved, Unserved, Unreachable];
        assert_eq!(told(true, &signs), [Answered, Failed, Unknown, Unknown]);
        let signs = [Unreachable, Unreachable, Sign::Answered, Unserved];
        assert_eq!(told(true, &signs), [Failed, Unknown, Answered, Failed]);
    }

    #[test]
    fn a_probe_is_heard_each_time_unless_what_it_asks_for_never_worked() {
        let mut witness = Witness::new(true);
        assert_eq!(witness.tell(Unserved, true), Unknown);
        assert_eq!(witness.tell(Unreachable, true), Failed);
        assert_eq!(witness.tell(Unreachable, true), Failed);
        assert_eq!(witness.tell(Unreachable, false), Unknown);
    }
}
