//! The poll that brings nothing new: the same bytes in another buffer, beside their comparison.

use std::hint::black_box;

use bytes::Bytes;

use crate::contenders::Held;
use crate::race::{median, timed};

/// Bytes compared in one timed batch, about: a single comparison is too short to be timed.
const BATCH: usize = 4_000_000;
const ROUNDS: usize = 31;

/// Seconds for one body.
pub struct Unchanged {
    pub pollcast: f64,
    pub memcmp: f64,
}

/// By turns over the same two buffers.
pub fn unchanged(body: &Bytes) -> Unchanged {
    let held = Bytes::copy_from_slice(body);
    // Counting who holds a buffer, and giving it back, is not what is measured.
    let again: &'static [u8] = body.to_vec().leak();
    let mut document = Held::new(held.clone());
    let times = (BATCH / body.len()).max(1);
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let ((), seconds) = timed(|| {
            for _ in 0..times {
                assert!(document.is(Bytes::from_static(black_box(again))));
            }
        });
        ours.push(seconds / times as f64);
        let ((), seconds) = timed(|| {
            for _ in 0..times {
                assert!(black_box(&held[..]) == black_box(again));
            }
        });
        bare.push(seconds / times as f64);
    }
    Unchanged {
        pollcast: median(ours),
        memcmp: median(bare),
    }
}
