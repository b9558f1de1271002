//! The command line.

use crate::system::Kind;

pub const USAGE: &str = "usage: delivery [http1] [gzip] [http2] [tls] [storm] [idle] [fires] \
    [--runs N] [--only floor,pollcast,nchan,pushpin] [--subscribers N]";
const PARTS: [&str; 7] = ["http1", "gzip", "http2", "tls", "storm", "idle", "fires"];

/// What is measured: everything unless something is named.
pub struct Options {
    parts: Vec<String>,
    only: Vec<Kind>,
    subscribers: Option<usize>,
    pub runs: usize,
}

impl Options {
    /// `None` where something is not understood.
    pub fn of(mut arguments: impl Iterator<Item = String>) -> Option<Self> {
        let mut options = Self {
            parts: Vec::new(),
            only: Vec::new(),
            subscribers: None,
            runs: 5,
        };
        while let Some(argument) = arguments.next() {
            match &*argument {
                "--bench" => {} // says cargo
                "--runs" => {
                    let runs = arguments.next()?.parse().ok();
                    options.runs = runs.filter(|runs| *runs > 0)?;
                }
                "--subscribers" => options.subscribers = Some(arguments.next()?.parse().ok()?),
                "--only" => {
                    let names = arguments.next()?;
                    let only = names.split(',').map(|name| {
                        let mut kinds = Kind::ALL.into_iter();
                        kinds.find(|kind| kind.name().eq_ignore_ascii_case(name))
                    });
                    options.only = only.collect::<Option<_>>()?;
                }
                part if PARTS.contains(&part) => options.parts.push(argument),
                _ => return None,
            }
        }
        Some(options)
    }

    pub fn wants(&self, part: &str) -> bool {
        self.parts.is_empty() || self.parts.iter().any(|wanted| wanted == part)
    }

    pub fn wants_of(&self, kind: Kind) -> bool {
        self.only.is_empty() || self.only.contains(&kind)
    }

    /// Whether a case with so many subscribers is wanted.
    pub fn has_size(&self, subscribers: usize) -> bool {
        self.subscribers.is_none_or(|wanted| wanted == subscribers)
    }
}
