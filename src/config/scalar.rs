//! Scalars: text, whole numbers, true or false, with everything put in that they refer to.

use std::ops::RangeInclusive;
use std::str::FromStr;

use serde_yaml::Value;

use super::expand::expand;
use super::sheet::Node;

/// A scalar as text.
pub(super) struct Scalar {
    /// What it means, everything put in. Never show this: it may hold a secret.
    pub(super) text: String,
    /// Whether some of the text came from outside the file.
    pub(super) foreign: bool,
    /// What messages show: the text as it stands in the file, with `$$` put in where nothing else is.
    pub(super) written: String,
}

impl Scalar {
    /// The text as it stands in the file, for messages: quoted, on one line, not too long.
    pub(super) fn shown(&self) -> String {
        const LONGEST: usize = 80;
        match self.written.char_indices().nth(LONGEST) {
            Some((end, _)) => format!("{:?}...", &self.written[..end]),
            None => format!("{:?}", self.written),
        }
    }
}

impl Node<'_> {
    /// Reads text; a number or a boolean is a problem.
    pub(super) fn text(&self) -> Option<Scalar> {
        match self.value() {
            Value::String(written) => self.expand(written),
            Value::Number(_) | Value::Bool(_) => {
                self.wrong_type("text", "write it in quotes");
                None
            }
            _ => {
                self.wrong_type("text", "write one value");
                None
            }
        }
    }

    /// Reads any scalar whose text is certain. Fractions are refused: YAML would turn 1.10 into 1.1.
    pub(super) fn scalar(&self) -> Option<Scalar> {
        let plain = |text: String| Scalar {
            written: text.clone(),
            text,
            foreign: false,
        };
        match self.value() {
            Value::Number(number) if !number.is_f64() => Some(plain(number.to_string())),
            Value::Bool(flag) => Some(plain(flag.to_string())),
            Value::Null => {
                self.wrong_type("text", "write \"\" for an empty value, or remove the key");
                None
            }
            _ => self.text(),
        }
    }

    /// Reads a whole number.
    pub(super) fn integer(&self, range: RangeInclusive<u64>) -> Option<u64> {
        let remedy = format!("write one from {} to {}", range.start(), range.end());
        let number = match self.value() {
            Value::Number(number) => number.as_u64(),
            Value::String(_) => {
                return self.put_in("a whole number", &remedy, |n| range.contains(n));
            }
            _ => None,
        };
        match number {
            Some(number) if range.contains(&number) => return Some(number),
            Some(_) => self.problem("the number is out of range", remedy),
            None if self.value().is_f64() => self.problem("this is no whole number", remedy),
            None if self.value().is_number() => self.problem("the number is out of range", remedy),
            None => self.wrong_type("a whole number", remedy),
        }
        None
    }

    /// Reads `true` or `false`.
    pub(super) fn flag(&self) -> Option<bool> {
        match self.value() {
            Value::Bool(flag) => Some(*flag),
            Value::String(_) => {
                self.put_in("true or false", "write one of them, without quotes", |_| {
                    true
                })
            }
            _ => {
                self.wrong_type("true or false", "write one of them");
                None
            }
        }
    }

    /// Reads what YAML took for text, which it is only because it comes from outside the file.
    fn put_in<T: FromStr>(
        &self,
        wanted: &str,
        remedy: &str,
        fits: impl Fn(&T) -> bool,
    ) -> Option<T> {
        let scalar = self.text()?;
        if !scalar.foreign {
            self.wrong_type(wanted, remedy);
            return None;
        }
        let found = scalar.text.trim().parse().ok().filter(fits);
        if found.is_none() {
            let what = format!(
                "the value of {} cannot stand for {wanted} here",
                scalar.shown()
            );
            self.problem(what, "change it where it is set");
        }
        found
    }

    fn expand(&self, written: &str) -> Option<Scalar> {
        match expand(written, self.sheet().around) {
            Ok(it) => Some(Scalar {
                written: if it.foreign {
                    written.to_owned()
                } else {
                    it.text.clone()
                },
                text: it.text,
                foreign: it.foreign,
            }),
            Err(error) => {
                self.problem(error, "");
                None
            }
        }
    }
}
