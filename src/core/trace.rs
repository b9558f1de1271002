//! Which trace a request belongs to: W3C Trace Context, <https://www.w3.org/TR/trace-context/>.
//!
//! Promises to take what the recommendation calls valid, a later version of it included, and nothing
//! else. Must never decide what is recorded.

use std::fmt;

/// `00-` and the three fields of that version, in bytes.
const LENGTH: usize = 55;
/// The most members of a `tracestate`.
const MAX_MEMBERS: usize = 32;
/// The longest key and the longest value of one of them, in bytes.
const MAX_MEMBER: usize = 256;

/// One operation of a trace, as `traceparent` names it to whoever does the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parent {
    trace: u128,
    operation: u64,
    flags: u8,
}

impl Parent {
    /// Its caller may have recorded it.
    pub const SAMPLED: u8 = 1;
    /// The trace's id is random, which stays known for as long as it is the same trace.
    pub const RANDOM: u8 = 2;

    /// An operation of a trace; `None` if one of the ids is zero. Unknown flags are left out.
    pub fn new(trace: u128, operation: u64, flags: u8) -> Option<Self> {
        (trace != 0 && operation != 0).then_some(Self {
            trace,
            operation,
            flags: flags & (Self::SAMPLED | Self::RANDOM),
        })
    }

    /// Reads a `traceparent`. Of a version that is not known yet the fields of version 00 are read,
    /// and the rest is not looked at.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let value = trim(value);
        let (known, rest) = value.split_at_checked(LENGTH)?;
        let fields = std::str::from_utf8(known).ok()?;
        let mut fields = fields.split('-');
        let version = hex(fields.next()?, 2)?;
        let trace = hex(fields.next()?, 32)?;
        let operation = hex(fields.next()?, 16)?;
        let flags = hex(fields.next()?, 2)?;
        let goes_on = matches!(rest, [b'-', ..]) && version > 0;
        if fields.next().is_some() || version == 0xff || !(rest.is_empty() || goes_on) {
            return None;
        }
        Self::new(
            trace,
            u64::try_from(operation).ok()?,
            u8::try_from(flags).ok()?,
        )
    }

    /// The id of the trace.
    pub fn trace(&self) -> u128 {
        self.trace
    }

    /// The id of the operation.
    pub fn operation(&self) -> u64 {
        self.operation
    }

    /// [`Self::SAMPLED`] and [`Self::RANDOM`].
    pub fn flags(&self) -> u8 {
        self.flags
    }

    /// The id of the trace as everybody writes it.
    pub fn trace_id(&self) -> String {
        format!("{:032x}", self.trace)
    }
}

impl fmt::Display for Parent {
    /// The value of `traceparent`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (trace, operation, flags) = (self.trace, self.operation, self.flags);
        write!(f, "00-{trace:032x}-{operation:016x}-{flags:02x}")
    }
}

/// Whether these lines are a valid `tracestate` together.
pub fn is_state<'a>(lines: impl Iterator<Item = &'a [u8]>) -> bool {
    let members = lines.flat_map(|line| line.split(|byte| *byte == b','));
    let mut count = 0;
    members
        .map(trim)
        .filter(|member| !member.is_empty())
        .all(|member| {
            count += 1;
            count <= MAX_MEMBERS && is_member(member)
        })
}

fn is_member(member: &[u8]) -> bool {
    let Some(equals) = member.iter().position(|byte| *byte == b'=') else {
        return false;
    };
    let (key, value) = (&member[..equals], &member[equals + 1..]);
    let begins = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_key = key.len() <= MAX_MEMBER
        && key.first().is_some_and(begins)
        && key
            .iter()
            .all(|byte| begins(byte) || b"_-*/@".contains(byte));
    let printable = |byte: &u8| matches!(byte, b' '..=b'~') && *byte != b'=';
    is_key && (1..=MAX_MEMBER).contains(&value.len()) && value.iter().all(printable)
}

/// A number of exactly so many digits, in lower case.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f');
    let is_number = text.len() == digits && text.bytes().all(is_digit);
    is_number.then(|| u128::from_str_radix(text, 16).ok())?
}

/// Without the white space that may surround a value (RFC 9110 section 5.6.3).
fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "12345678901234567890123456789012";

    fn parsed(value: &str) -> Option<String> {
        Parent::parse(value.as_bytes()).map(|parent| parent.to_string())
    }

    #[test]
    fn what_is_valid_is_continued_and_unknown_flags_are_left_out() {
        let value = |flags| format!("00-{TRACE}-1234567890123456-{flags}");
        for (given, read) in [
            (value("00"), value("00")),
            (value("01"), value("01")),
            (value("02"), value("02")),
            (value("ff"), value("03")),
            (format!(" \t {} \t", value("01")), value("01")),
            (format!("cc{}", &value("01")[2..]), value("01")),
            (
                format!("cc{}-what-the-future-will-be-like", &value("01")[2..]),
                value("01"),
            ),
            (format!("01{}-", &value("09")[2..]), value("01")),
        ] {
            assert_eq!(parsed(&given).as_deref(), Some(&*read), "{given:?}");
        }
        let example = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let parent = Parent::parse(example.as_bytes()).unwrap();
        assert_eq!(parent.to_string(), example);
        assert_eq!(parent.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(parent.operation(), 0x00f0_67aa_0ba9_02b7);
    }

    #[test]
    fn what_is_not_valid_is_nobodys_trace() {
        for value in [
            "",
            "00",
            "00-12345678901234567890123456789012-1234567890123456-01.",
            "00-12345678901234567890123456789012-1234567890123456-01-what",
            "cc-12345678901234567890123456789012-1234567890123456-01.what",
            "ff-12345678901234567890123456789012-1234567890123456-01",
            ".0-12345678901234567890123456789012-1234567890123456-01",
            "0.-12345678901234567890123456789012-1234567890123456-01",
            "000-12345678901234567890123456789012-1234567890123456-01",
            "0-12345678901234567890123456789012-1234567890123456-01",
            "00-00000000000000000000000000000000-1234567890123456-01",
            "00-.2345678901234567890123456789012-1234567890123456-01",
            "00-1234567890123456789012345678901.-1234567890123456-01",
            "00-123456789012345678901234567890123-1234567890123456-01",
            "00-1234567890123456789012345678901-1234567890123456-01",
            "00-12345678901234567890123456789012-0000000000000000-01",
            "00-12345678901234567890123456789012-.234567890123456-01",
            "00-12345678901234567890123456789012-123456789012345.-01",
            "00-12345678901234567890123456789012-12345678901234567-01",
            "00-12345678901234567890123456789012-123456789012345-01",
            "00-12345678901234567890123456789012-1234567890123456-.0",
            "00-12345678901234567890123456789012-1234567890123456-0.",
            "00-12345678901234567890123456789012-1234567890123456-001",
            "00-12345678901234567890123456789012-1234567890123456-1",
            "00-1234567890123456789012345678901A-1234567890123456-01",
            "00-+2345678901234567890123456789012-1234567890123456-01",
            "00-12345678901234567890123456789012 1234567890123456 01",
            "00-1234567890123456789012345678901\u{e9}-123456789012345-01",
        ] {
            assert_eq!(parsed(value), None, "{value:?}");
        }
        assert_eq!(Parent::parse(&[0xff; 55]), None);
    }

    #[test]
    fn a_state_is_a_list_of_members_within_their_limits() {
        let valid = |lines: &[&str]| is_state(lines.iter().map(|line| line.as_bytes()));
        let long = |length: usize| format!("{}=1", "z".repeat(length));
        let many = |number| {
            let members: Vec<_> = (0..number).map(|n| format!("bar{n}={n}")).collect();
            members.join(",")
        };
        for lines in [
            &["foo=1,bar=2"][..],
            &["foo=1", "bar=2"],
            &["foo=1", ""],
            &[""],
            &[",,foo=1, \t ,"],
            &["foo=1 \t , \t bar=2, \t baz=3"],
            &["foo@=1,bar=2", "foo@@bar=1", "t@v=1", "1a-_*/=x"],
            &["foo= !\"#$%&'()*+-./:;<>?@[\\]^_`{|}~"],
            &["foo=1,foo=2"],
            &[&long(256)],
            &[&many(32)],
        ] {
            assert!(valid(lines), "{lines:?}");
        }
        for lines in [
            &["foo =1"][..],
            &["FOO=1"],
            &["foo.bar=1"],
            &["@foo=1,bar=2"],
            &["foo=bar=baz"],
            &["foo=,bar=3"],
            &["foo"],
            &["=1"],
            &["foo=\u{7f}"],
            &["foo=a\tb"],
            &["foo=\u{e9}"],
            &[&long(257)],
            &[&format!("a={}", "v".repeat(257))],
            &[&many(33)],
            &[&many(32), "x=1"],
        ] {
            assert!(!valid(lines), "{lines:?}");
        }
    }
}
