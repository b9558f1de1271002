//! Numbers: kept as written, compared by value.

use std::hash::{Hash, Hasher};

/// A number of RFC 8259 section 6, exactly as the upstream wrote it.
///
/// `==` and hashing go by the decimal value, of any length: `1`, `1.0` and `10e-1` are equal, and
/// so are `0` and `-0`. Only where an exponent itself has more than 30 digits is it the text.
#[derive(Clone, Debug)]
pub struct Number(Box<str>);

impl Number {
    /// `text` must follow the number grammar of RFC 8259; [`super::parse`] has checked it.
    pub(super) fn from_checked(text: &str) -> Self {
        Self(text.into())
    }

    /// The number as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0 || Value::of(&self.0) == Value::of(&other.0)
    }
}

impl Eq for Number {}

impl Hash for Number {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match Value::of(&self.0) {
            Value::Zero => state.write_u8(0),
            Value::Decimal(decimal) => {
                state.write_u8(1);
                state.write_u8(u8::from(decimal.negative));
                state.write_i128(decimal.point);
                decimal.digits().for_each(|digit| state.write_u8(digit));
            }
            Value::Beyond(text) => text.hash(state),
        }
    }
}

/// Whether two texts that follow the number grammar of RFC 8259 mean the same.
pub(super) fn same(a: &[u8], b: &[u8]) -> bool {
    match (std::str::from_utf8(a), std::str::from_utf8(b)) {
        (Ok(a), Ok(b)) => Value::of(a) == Value::of(b),
        _ => false,
    }
}

/// What a number's text means, in a form in which equal numbers are equal.
#[derive(PartialEq)]
enum Value<'a> {
    Zero,
    Decimal(Decimal<'a>),
    /// The exponent has more than [`MAX_EXPONENT_DIGITS`] digits; nobody computes with these.
    Beyond(&'a str),
}

/// `0.d₁d₂d₃… × 10^point`, without zeros at either end of the digits.
struct Decimal<'a> {
    negative: bool,
    whole: &'a [u8],
    fraction: &'a [u8],
    point: i128,
}

/// Leaves room in an `i128` for the length of any text in memory.
const MAX_EXPONENT_DIGITS: usize = 30;

impl<'a> Value<'a> {
    fn of(text: &'a str) -> Self {
        let (negative, unsigned) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let mut whole = whole.trim_start_matches('0');
        let mut fraction = fraction.trim_end_matches('0');
        let mut shift = whole.len() as i128;
        if whole.is_empty() {
            let digits = fraction.trim_start_matches('0');
            shift -= (fraction.len() - digits.len()) as i128;
            fraction = digits;
        }
        if fraction.is_empty() {
            whole = whole.trim_end_matches('0');
        }
        if whole.is_empty() && fraction.is_empty() {
            return Value::Zero;
        }
        match exponent_of(exponent) {
            Some(exponent) => Value::Decimal(Decimal {
                negative,
                whole: whole.as_bytes(),
                fraction: fraction.as_bytes(),
                point: exponent + shift,
            }),
            None => Value::Beyond(text),
        }
    }
}

fn exponent_of(text: &str) -> Option<i128> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let digits = digits.trim_start_matches('0');
    match digits.len() {
        0 => Some(0),
        1..=MAX_EXPONENT_DIGITS => digits.parse::<i128>().ok().map(|n| sign * n),
        _ => None,
    }
}

impl Decimal<'_> {
    fn digits(&self) -> impl Iterator<Item = u8> {
        self.whole.iter().chain(self.fraction).copied()
    }
}

impl PartialEq for Decimal<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.negative == other.negative
            && self.point == other.point
            && self.digits().eq(other.digits())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::{BuildHasher, RandomState};

    #[test]
    fn equal_values_are_equal_however_written_and_hash_alike() {
        let hashes = RandomState::new();
        let classes: &[&[&str]] = &[
            &["1", "1.0", "10e-1", "0.1e1", "1E0", "1e+0", "0.001e003"],
            &[
                "0",
                "-0",
                "0.0",
                "-0e7",
                "0e99999999999999999999999999999999999999999",
            ],
            &["-1", "-1.00"],
            &["120", "1.2e2", "12e1", "120.0", "0.12E+3"],
            &[
                "100000",
                "1e5",
                "1e0000000000000000000000000000000000000005",
            ],
            &["0.05", "5e-2", "0.50e-1"],
            &[
                "123456789012345678901234567890",
                "123456789012345678901234567890.0",
            ],
            &["123456789012345678901234567891"],
            &["1e400", "10e399"],
            &["1e-400"],
            &["1e99999999999999999999", "10e99999999999999999998"],
            &["1e-99999999999999999999"],
            &["1e9999999999999999999999999999999999999999999"],
            &["1.1", "1.10"],
            &["1.01"],
        ];
        let numbers: Vec<(usize, Number)> = classes
            .iter()
            .enumerate()
            .flat_map(|(class, texts)| texts.iter().map(move |t| (class, Number::from_checked(t))))
            .collect();
        for (class, a) in &numbers {
            for (other, b) in &numbers {
                assert_eq!(a == b, class == other, "{a:?} {b:?}");
                if class == other {
                    assert_eq!(hashes.hash_one(a), hashes.hash_one(b), "{a:?} {b:?}");
                }
            }
        }
    }
}
