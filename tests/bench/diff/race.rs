//! Two contenders in turns over the same bodies, and what each took.

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::contenders::Fresh;

/// One contender's way through a case.
pub struct Run {
    /// Of each pair; None where the whole document is to be sent.
    pub patches: Vec<Option<Bytes>>,
    /// Median of the rounds, all pairs.
    pub seconds: f64,
}

/// Rounds by turns for about so long together, three at least, after one that warms up.
pub fn race(bodies: &[Bytes], contenders: [Fresh; 2], long: Duration) -> [Run; 2] {
    let firsts = contenders.map(|fresh| {
        let mut patches = Vec::with_capacity(bodies.len());
        let seconds = round(fresh, bodies, |patch| patches.push(patch));
        (patches, seconds)
    });
    let one: f64 = firsts.iter().map(|(_, seconds)| seconds).sum();
    let mut rounds = [Vec::new(), Vec::new()];
    let end = Instant::now() + long;
    let most = if one < 0.01 { 301 } else { 11 };
    while rounds[0].len() < 3 || (rounds[0].len() < most && Instant::now() < end) {
        for (fresh, seconds) in contenders.iter().zip(&mut rounds) {
            // Let go of as they come: fresh memory for each would be what is measured.
            seconds.push(round(*fresh, bodies, drop));
        }
    }
    let mut rounds = rounds.into_iter();
    firsts.map(|(patches, _)| Run {
        patches,
        seconds: median(rounds.next().expect("a contender's rounds")),
    })
}

/// The seconds of one way through all pairs. Both contenders take in a body and let go of the one
/// before within their time.
fn round(fresh: Fresh, bodies: &[Bytes], mut take: impl FnMut(Option<Bytes>)) -> f64 {
    let mut contender = fresh();
    contender.take_in(bodies[0].clone());
    let mut seconds = 0.0;
    for body in &bodies[1..] {
        let body = body.clone();
        let (patch, took) = timed(|| contender.take_in(body));
        take(patch);
        seconds += took;
    }
    seconds
}

/// What `work` gives, and its seconds.
pub fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let start = Instant::now();
    let result = black_box(work());
    (result, start.elapsed().as_secs_f64())
}

/// The middle one; the mean of the two for an even number.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    if values.len() % 2 == 1 {
        values[half]
    } else {
        f64::midpoint(values[half - 1], values[half])
    }
}
