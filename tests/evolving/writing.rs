//! The many ways to write one document.

use proptest::prelude::*;
use proptest::sample::select;

use super::Numbers;
use super::tree::{Decimal, Tree};

/// How a body is written.
#[derive(Clone, Debug)]
pub struct Style {
    spaces: Spaces,
    escapes: Escapes,
    /// Every number in some other way than the plain one.
    odd_numbers: bool,
    /// Zero may be written as `-0`.
    negative_zero: bool,
    order: Order,
    /// Some names come twice; the last one counts.
    doubled: bool,
    byte_order_mark: bool,
    seed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Spaces {
    None,
    /// A line for each value.
    Lines(&'static str, &'static str),
    /// After each comma and colon.
    Python,
    Anywhere,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Escapes {
    Fewest,
    NotAscii,
    All,
    Mixed,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Order {
    AsIs,
    Reversed,
    Rotated,
}

impl Style {
    /// Mostly as documents are written, and mostly the same from poll to poll.
    pub fn any(numbers: Numbers) -> impl Strategy<Value = Self> {
        let spaces = prop_oneof![
            6 => Just(Spaces::None),
            1 => select(&[
                Spaces::Lines("\n", "  "),
                Spaces::Lines("\r\n", "\t"),
                Spaces::Lines("\n", ""),
                Spaces::Python,
            ][..]),
            1 => Just(Spaces::Anywhere),
        ];
        let escapes = prop_oneof![
            6 => Just(Escapes::Fewest),
            1 => select(&[Escapes::NotAscii, Escapes::All][..]),
            1 => Just(Escapes::Mixed),
        ];
        let order = prop_oneof![
            6 => Just(Order::AsIs),
            1 => select(&[Order::Reversed, Order::Rotated][..]),
        ];
        let rarely = || prop::bool::weighted(0.1);
        let flags = (rarely(), rarely(), rarely(), any::<u64>());
        (spaces, escapes, order, flags).prop_map(move |(spaces, escapes, order, flags)| {
            let (odd_numbers, doubled, byte_order_mark, seed) = flags;
            Self {
                spaces,
                escapes,
                odd_numbers,
                negative_zero: numbers == Numbers::Any,
                order,
                doubled,
                byte_order_mark: byte_order_mark && numbers == Numbers::Any,
                seed,
            }
        })
    }

    pub fn write(&self, tree: &Tree) -> Vec<u8> {
        let mut writer = Writer {
            style: self,
            dice: Dice(self.seed),
            out: String::new(),
        };
        if self.byte_order_mark {
            writer.out.push('\u{feff}');
        }
        writer.space(0);
        writer.value(tree, 0);
        if self.spaces != Spaces::None && self.seed.is_multiple_of(2) {
            writer.out.push('\n');
        }
        writer.out.into_bytes()
    }
}

/// Chance from a seed: splitmix64.
pub struct Dice(pub u64);

impl Dice {
    /// 0 to `sides - 1`.
    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((z ^ (z >> 31)) % sides as u64).unwrap()
    }

    pub fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.roll(from.len())]
    }
}

struct Writer<'a> {
    style: &'a Style,
    dice: Dice,
    out: String,
}

impl Writer<'_> {
    fn value(&mut self, tree: &Tree, level: usize) {
        match tree {
            Tree::Null => self.out.push_str("null"),
            Tree::Bool(value) => self.out.push_str(if *value { "true" } else { "false" }),
            Tree::Number(number) => {
                let text = self.number(number);
                self.out.push_str(&text);
            }
            Tree::String(string) => self.string(string),
            Tree::Array(items) => self.list("[]", items.len(), level, |writer, index| {
                writer.value(&items[index], level + 1);
            }),
            Tree::Object(members) => {
                let mut members: Vec<(&String, &Tree)> = members.iter().collect();
                match self.style.order {
                    Order::AsIs => {}
                    Order::Reversed => members.reverse(),
                    Order::Rotated => {
                        let by = self.dice.roll(members.len().max(1));
                        members.rotate_left(by);
                    }
                }
                if self.style.doubled && !members.is_empty() && self.dice.roll(3) == 0 {
                    let name = members[self.dice.roll(members.len())].0;
                    members.insert(0, (name, &Tree::Null));
                }
                self.list("{}", members.len(), level, |writer, index| {
                    let (name, value) = members[index];
                    writer.string(name);
                    writer.gap();
                    writer.out.push(':');
                    if writer.style.spaces == Spaces::None {
                    } else if writer.style.spaces == Spaces::Anywhere {
                        writer.gap();
                    } else {
                        writer.out.push(' ');
                    }
                    writer.value(value, level + 1);
                });
            }
        }
    }

    fn list(
        &mut self,
        brackets: &str,
        length: usize,
        level: usize,
        mut item: impl FnMut(&mut Self, usize),
    ) {
        self.out.push_str(&brackets[..1]);
        for index in 0..length {
            if index > 0 {
                self.out.push(',');
                if self.style.spaces == Spaces::Python {
                    self.out.push(' ');
                }
            }
            self.space(level + 1);
            item(self, index);
            self.gap();
        }
        if length > 0 {
            self.space(level);
        } else {
            self.gap();
        }
        self.out.push_str(&brackets[1..]);
    }

    /// White space where a pretty printer begins a line.
    fn space(&mut self, level: usize) {
        match self.style.spaces {
            Spaces::Lines(line, indent) if !self.out.is_empty() => {
                self.out.push_str(line);
                self.out.push_str(&indent.repeat(level));
            }
            _ => self.gap(),
        }
    }

    /// White space where hardly anybody writes some.
    fn gap(&mut self) {
        if self.style.spaces == Spaces::Anywhere {
            let gap = self
                .dice
                .pick(&["", "", "", " ", "\t", "\r\n", "\n\n  ", "\r", "        "]);
            self.out.push_str(gap);
        }
    }

    fn number(&mut self, number: &Decimal) -> String {
        let Decimal {
            negative,
            digits,
            exponent,
        } = number;
        if digits.is_empty() {
            return match (self.style.odd_numbers, self.style.negative_zero) {
                (false, _) => "0",
                (true, false) => self.dice.pick(&["0.0", "0e5", "0.00E-3"]),
                (true, true) => self
                    .dice
                    .pick(&["-0", "-0.0", "0.0", "-0e7", "0E-3", "0e999"]),
            }
            .to_owned();
        }
        let sign = if *negative { "-" } else { "" };
        let way = if self.style.odd_numbers {
            self.dice.roll(4)
        } else {
            3
        };
        let text = match way {
            0 => format!("{digits}e{exponent}"),
            1 => format!(
                "{digits}00E{}{}",
                if *exponent < 2 { "" } else { "+" },
                exponent - 2
            ),
            2 => {
                let places = i64::try_from(digits.len()).unwrap();
                format!("0.{digits}e{}", exponent + places)
            }
            _ => plain(digits, *exponent),
        };
        format!("{sign}{text}")
    }

    fn string(&mut self, string: &str) {
        if self.style.escapes == Escapes::Fewest {
            self.out.push_str(&serde_json::to_string(string).unwrap());
            return;
        }
        self.out.push('"');
        for c in string.chars() {
            let must = matches!(c, '"' | '\\' | '\0'..='\x1f');
            let escape = match self.style.escapes {
                Escapes::Fewest => must,
                Escapes::NotAscii => must || !c.is_ascii(),
                Escapes::All => true,
                Escapes::Mixed => must || self.dice.roll(2) == 0,
            };
            if escape {
                self.escape(c);
            } else {
                self.out.push(c);
            }
        }
        self.out.push('"');
    }

    fn escape(&mut self, c: char) {
        const SHORT: [(char, &str); 8] = [
            ('"', "\\\""),
            ('\\', "\\\\"),
            ('/', "\\/"),
            ('\u{8}', "\\b"),
            ('\u{c}', "\\f"),
            ('\n', "\\n"),
            ('\r', "\\r"),
            ('\t', "\\t"),
        ];
        if let Some((_, short)) = SHORT.iter().find(|(short, _)| *short == c)
            && self.dice.roll(2) == 0
        {
            self.out.push_str(short);
            return;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            let text = match self.dice.roll(2) {
                0 => format!("\\u{unit:04x}"),
                _ => format!("\\u{unit:04X}"),
            };
            self.out.push_str(&text);
        }
    }
}

/// As most would write it.
fn plain(digits: &str, exponent: i64) -> String {
    let places = usize::try_from(exponent.unsigned_abs()).unwrap();
    match exponent {
        0..=20 => format!("{digits}{}", "0".repeat(places)),
        -20..0 => {
            let padded = format!("{digits:0>width$}", width = places + 1);
            let (whole, fraction) = padded.split_at(padded.len() - places);
            format!("{whole}.{fraction}")
        }
        _ => format!("{digits}e{exponent}"),
    }
}
