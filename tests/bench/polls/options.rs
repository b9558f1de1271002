//! The command line.

use crate::round::Kind;

pub const USAGE: &str = "usage: polls [--topics N] [--interval MILLISECONDS] [--seconds N] \
    [--runs N] [--only floor,bare,pollcast] [--captures]";

pub struct Options {
    pub topics: usize,
    /// From one poll of a topic to the next, in milliseconds; at least 10.
    pub interval: usize,
    /// How long each system is measured.
    pub seconds: u64,
    pub runs: usize,
    pub systems: Vec<Kind>,
    /// Whether pollcast's topics are all of one feed whose path captures, instead of a feed each.
    pub captures: bool,
}

impl Options {
    /// `None` where something is not understood.
    pub fn of(mut arguments: impl Iterator<Item = String>) -> Option<Self> {
        let mut options = Self {
            topics: 10_000,
            interval: 1000,
            seconds: 20,
            runs: 3,
            systems: Kind::ALL.to_vec(),
            captures: false,
        };
        while let Some(argument) = arguments.next() {
            if argument == "--bench" {
                continue; // says cargo
            }
            if argument == "--captures" {
                options.captures = true;
                continue;
            }
            let value = arguments.next()?;
            let number = |least: usize| value.parse().ok().filter(|number| *number >= least);
            match &*argument {
                "--topics" => options.topics = number(1)?,
                "--interval" => options.interval = number(10)?,
                "--seconds" => options.seconds = number(1)? as u64,
                "--runs" => options.runs = number(1)?,
                "--only" => {
                    let named = value.split(',').map(Kind::of);
                    options.systems = named.collect::<Option<_>>()?;
                }
                _ => return None,
            }
        }
        Some(options)
    }
}
