//! Event ids: a position in one life of one topic.
//!
//! A position is an offset and the epoch it counts in. The epoch is random for every topic
//! incarnation, so that an id of another feed, node or life can never be taken for one of ours.

use std::fmt;

/// The longest id that is looked at, in bytes; anything longer is foreign.
const MAX_LEN: usize = 128;

/// One topic incarnation: 64 random bits, printed as 16 lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Epoch(u64);

impl Epoch {
    /// Takes 64 bits that the caller drew at random.
    pub const fn from_random(bits: u64) -> Self {
        Self(bits)
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
            epoch: Epoch(u64::from_str_radix(epoch, 16).ok()?),
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

#[cfg(test)]
mod tests {
    use super::*;

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
