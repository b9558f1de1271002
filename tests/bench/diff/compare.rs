//! One case, everybody: patches made, verified, counted and timed.

use std::time::Duration;

use bytes::Bytes;

use crate::case::{Case, FIRST};
use crate::contenders::{json_patch, pollcast};
use crate::memory::{Memory, memory};
use crate::peers::{LIBRARIES, Outcome, Peers};
use crate::race::race;
use crate::verify::{Size, verify};

/// The columns of the tables, in order.
pub const BY: [&str; 5] = [
    "pollcast",
    "json-patch",
    LIBRARIES[0],
    LIBRARIES[1],
    LIBRARIES[2],
];
/// How long pollcast and the crate take turns over one case.
const LONG: Duration = Duration::from_secs(8);

/// How everybody did on one case.
pub struct Compared {
    pub name: String,
    pub recorded: bool,
    pub pairs: usize,
    /// In the order of [`BY`]; a reason where there is nothing to see.
    pub by: Vec<Result<Seen, String>>,
    /// pollcast's and the crate's.
    pub memory: [Memory; 2],
}

/// How one did on the pairs it took in.
pub struct Seen {
    /// What it came to after each pair.
    pub sizes: Vec<Size>,
    /// For a pair, in the mean.
    pub seconds: f64,
    /// New bodies, in bytes a second.
    pub speed: f64,
}

impl Seen {
    /// The sizes of the first `pairs` pairs, or of all it took in.
    pub fn size(&self, pairs: usize) -> Size {
        self.sizes[pairs.min(self.sizes.len()) - 1]
    }

    pub fn first(&self) -> Size {
        self.size(FIRST)
    }

    pub fn all(&self) -> Size {
        self.size(usize::MAX)
    }
}

/// Compares on one case.
///
/// # Errors
/// A sentence, for a wrong patch.
pub fn compare(case: &Case, peers: Option<&mut Peers>) -> Result<Compared, String> {
    let mut by = Vec::new();
    let runs = race(&case.bodies, [pollcast, json_patch], LONG);
    for (run, name) in runs.into_iter().zip(BY) {
        by.push(Ok(seen(case, name, &run.patches, run.seconds)?));
    }
    match peers {
        Some(peers) => {
            for (library, name) in LIBRARIES.iter().enumerate() {
                by.push(match peers.run(library, case) {
                    Outcome::Done { patches, seconds } => {
                        let patches: Vec<_> = patches.into_iter().map(Some).collect();
                        Ok(seen(case, name, &patches, seconds)?)
                    }
                    Outcome::None(reason) => Err(reason),
                });
            }
        }
        None => by.extend(LIBRARIES.map(|_| Err("skipped".to_owned()))),
    }
    Ok(Compared {
        name: case.name.clone(),
        recorded: case.recorded,
        pairs: case.pairs(),
        by,
        memory: [pollcast, json_patch].map(|fresh| memory(case, fresh)),
    })
}

fn seen(case: &Case, by: &str, patches: &[Option<Bytes>], seconds: f64) -> Result<Seen, String> {
    let sizes = verify(case, patches).map_err(|why| format!("{by}: {why}"))?;
    Ok(Seen {
        seconds: seconds / patches.len() as f64,
        speed: case.bytes(patches.len()) as f64 / seconds,
        sizes,
    })
}
