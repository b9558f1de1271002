//! Event ids: a position in one life of one topic.
//!
//! A position is an offset and the epoch it counts in. The epoch is random for every topic
//! incarnation, so that an id of another feed, node or life can never be taken for one of ours.

use std::fmt;

use super::event::Timestamp;

/// The longest id that is looked at, in bytes; anything longer is foreign.
const MAX_LEN: usize = 128;

/// One topic incarnation: 64 random bits, printed as 16 lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(u64);

impl Epoch {
    /// Takes 64 bits that the caller drew at random.
    pub const fn from_random(bits: u64) -> Self {
        Self(bits)
    }

    /// The bits that it was made of, to be kept outside of this process.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Reads what was printed, and nothing else.
    fn parse(text: &str) -> Option<Self> {
        let epoch = Self(u64::from_str_radix(text, 16).ok()?);
        (epoch.to_string() == text).then_some(epoch)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// `<epoch>-<sequence>`; only characters of `[A-Za-z0-9._-]`, safe in any header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EventId {
    /// The life in which `sequence` counts.
    pub epoch: Epoch,
    /// 1 for the first event, one more for each further one.
    pub sequence: u64,
}

impl EventId {
    /// Reads an id as a client sent it; `None` for anything that we cannot have issued.
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.len() > MAX_LEN {
            return None;
        }
        let text = std::str::from_utf8(text).ok()?;
        let (epoch, sequence) = text.split_once('-')?;
        let id = Self {
            epoch: Epoch::parse(epoch)?,
            sequence: sequence.parse().ok()?,
        };
        // One spelling only: no plus sign, no leading zero, no capital letter.
        (id.sequence > 0 && id.to_string() == text).then_some(id)
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.sequence)
    }
}

/// Which topic one is for those who look from outside: `<made>.<epoch>`, hexadecimal. Later topics
/// are greater, so that a list of them can go on after one that is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicId {
    /// When the topic was made.
    pub made: Timestamp,
    /// Its life.
    pub epoch: Epoch,
}

impl TopicId {
    /// Reads what was printed, and nothing else.
    pub fn parse(text: &str) -> Option<Self> {
        let (made, epoch) = text.split_once('.')?;
        let id = Self {
            made: Timestamp(u64::from_str_radix(made, 16).ok()?),
            epoch: Epoch::parse(epoch)?,
        };
        (id.to_string() == text).then_some(id)
    }
}

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}.{}", self.made.0, self.epoch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topics_id_reads_back_and_later_ones_are_greater() {
        let id = |made, epoch| TopicId {
            made: Timestamp(made),
            epoch: Epoch::from_random(epoch),
        };
        for id in [id(0, 0), id(0x19b, 7), id(u64::MAX, u64::MAX)] {
            assert_eq!(TopicId::parse(&id.to_string()), Some(id));
        }
        assert!(id(0xff, 9) < id(0x100, 1) && id(1, 1) < id(1, 2));
        for text in [
            "",
            ".",
            "1.1",
            "01.0000000000000001",
            "1.+000000000000001",
            "x",
        ] {
            assert_eq!(TopicId::parse(text), None, "{text}");
        }
    }

    #[test]
    fn an_id_reads_back_as_it_was_written() {
        let id = EventId {
            epoch: Epoch::from_random(0x1f),
            sequence: 42,
        };
        assert_eq!(id.to_string(), "000000000000001f-42");
        assert_eq!(EventId::parse(id.to_string().as_bytes()), Some(id));
    }

    #[test]
    fn text_that_we_never_issued_is_foreign() {
        let long = "0".repeat(10_240);
        for text in [
            "",
            "-",
            "42",
            "000000000000001f-0",
            "000000000000001f-01",
            "000000000000001f-+1",
            "000000000000001F-1",
            "1f-1",
            "000000000000001f-1-2",
            "000000000000001f-99999999999999999999",
            "000000000000001f-1\0",
            &long,
        ] {
            assert_eq!(EventId::parse(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(EventId::parse(b"\xff\xfe"), None);
    }
}
