//! What taking in a case's bodies costs in memory, by jemalloc's own count for one thread.

use std::thread;

use bytes::Bytes;
use pollcast::core::json::Tape;
use serde_json::Value;
use tikv_jemalloc_ctl::{Access, AsName, thread as allocations};

use crate::case::{Case, FIRST};
use crate::contenders::Fresh;

/// Below so many bytes the peak, which jemalloc looks at every 64 KiB, says nothing.
const PEAK_SEEN_FROM: usize = 1_000_000;

/// A contender's memory, in the largest share over the bodies of a case.
#[derive(Clone, Copy, Default)]
pub struct Memory {
    pub nodes: usize,
    /// What stays until the next body, the body included if it is kept, by the body's bytes.
    pub kept: f64,
    /// What a document takes beside its body in the form in which pollcast keeps it, in bytes for
    /// each node: JSON values of every kind.
    pub beside: f64,
    /// The same as jemalloc rounds it up.
    pub rounded: f64,
    /// What stays besides, in bytes: of pollcast, what was learnt of the documents so far.
    pub learnt: f64,
    /// What is allocated on the way and mostly given back, by the body's bytes.
    pub allocated: f64,
    /// The most that was held at a time, by the body's bytes.
    pub peak: Option<f64>,
}

/// In a thread of its own, whose counters begin at nothing.
pub fn memory(case: &Case, fresh: Fresh) -> Memory {
    let bodies = &case.bodies[..case.bodies.len().min(FIRST + 1)];
    let nodes: Vec<usize> = bodies.iter().map(nodes).collect();
    let measured = thread::scope(|scope| scope.spawn(|| measure(bodies, &nodes, fresh)).join());
    measured.expect("nothing here panics")
}

fn measure(bodies: &[Bytes], nodes: &[usize], fresh: Fresh) -> Memory {
    let counter = Counter::of_this_thread();
    let empty = counter.held();
    let mut contender = fresh();
    let mut seen = Memory::default();
    for (turn, (body, nodes)) in bodies.iter().zip(nodes).enumerate() {
        let before = counter.held();
        let copy = Bytes::copy_from_slice(body);
        let cost = counter.held() - before;
        let allocated = counter.allocated();
        let patch = contender.take_in(copy);
        let allocated = counter.allocated() - allocated;
        drop(patch);
        let kept = counter.held() - empty;
        let by_body = |bytes: f64| bytes / body.len() as f64;
        seen.nodes = seen.nodes.max(*nodes);
        seen.kept = seen.kept.max(by_body(kept as f64));
        let (asked, document) = beside(&counter, body);
        seen.beside = seen.beside.max(asked / *nodes as f64);
        seen.rounded = seen.rounded.max(document / *nodes as f64);
        seen.learnt = seen.learnt.max((kept - cost) as f64 - document);
        if turn > 0 {
            seen.allocated = seen.allocated.max(by_body(allocated as f64));
        }
    }
    let largest = bodies.iter().map(Bytes::len).max().unwrap_or(0);
    let peak = counter.peak() as f64 / largest as f64;
    seen.peak = (largest >= PEAK_SEEN_FROM).then_some(peak);
    seen
}

/// What a document takes beside its body, in bytes: what it asks for, and what that costs.
fn beside(counter: &Counter, body: &Bytes) -> (f64, f64) {
    let before = counter.held();
    let tape = Tape::read(body.clone()).expect("JSON");
    let held = counter.held() - before;
    (tape.overhead() as f64, held as f64)
}

fn nodes(body: &Bytes) -> usize {
    fn count(value: &Value) -> usize {
        1 + match value {
            Value::Array(items) => items.iter().map(count).sum(),
            Value::Object(members) => members.values().map(count).sum(),
            _ => 0,
        }
    }
    count(&serde_json::from_slice(body).expect("JSON"))
}

/// jemalloc rounds up to its size classes, and counts what it really hands out.
struct Counter {
    allocated: allocations::ThreadLocal<u64>,
    deallocated: allocations::ThreadLocal<u64>,
}

impl Counter {
    fn of_this_thread() -> Self {
        Self {
            allocated: allocations::allocatedp::read().expect("jemalloc counts"),
            deallocated: allocations::deallocatedp::read().expect("jemalloc counts"),
        }
    }

    /// Bytes ever allocated.
    fn allocated(&self) -> u64 {
        self.allocated.get()
    }

    /// Bytes that were not given back; less than nothing is possible in between.
    fn held(&self) -> i64 {
        self.allocated().cast_signed() - self.deallocated.get().cast_signed()
    }

    fn peak(&self) -> u64 {
        let name = b"thread.peak.read\0".name();
        name.read().expect("jemalloc counts")
    }
}
