//! One run: a system, a crowd, and what the one needs to serve the other.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::crowd::Crowd;
use crate::process;
use crate::system::{Job, System};

/// Subscribers who come before anything is measured.
const WARM_UP: usize = 256;
/// Buffers of the connections' first moments are given back meanwhile.
const SETTLE: Duration = Duration::from_secs(2);
/// Events at a pace that leaves time between them.
const PACED: u32 = 6;
/// How long a system is kept busy.
const SATURATED: Duration = Duration::from_secs(3);
/// Events that may be on their way at once while it is.
const AHEAD: u32 = 4;

/// What one run has shown.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    /// Subscribers that began to be served, a second.
    pub accepted: f64,
    /// Resident bytes of the server for each idle subscriber.
    pub resident: f64,
    /// The kernel's, both ends of a connection; `NAN` where it does not say.
    pub kernel: f64,
    /// Nanoseconds of processor time for each event delivered, at a pace.
    pub processor: f64,
    /// Milliseconds from handing in to reading, at a pace.
    pub latency: Latency,
    /// Events delivered a second, one after the other.
    pub saturated: f64,
    /// Bytes of the body for each event delivered.
    pub payload: f64,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Latency {
    pub p50: f64,
    pub p99: f64,
    pub max: f64,
}

impl Seen {
    /// The median of each figure by itself.
    pub fn median(runs: &[Self]) -> Self {
        let of = |figure: &dyn Fn(&Self) -> f64| median(runs.iter().map(figure));
        Self {
            accepted: of(&|seen| seen.accepted),
            resident: of(&|seen| seen.resident),
            kernel: of(&|seen| seen.kernel),
            processor: of(&|seen| seen.processor),
            latency: Latency::median(runs.iter().map(|seen| seen.latency)),
            saturated: of(&|seen| seen.saturated),
            payload: of(&|seen| seen.payload),
        }
    }
}

/// The one in the middle, or `NAN` of nothing.
pub fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

impl Latency {
    /// The median of each figure by itself.
    pub fn median(runs: impl Iterator<Item = Self> + Clone) -> Self {
        let of = |figure: fn(Self) -> f64| median(runs.clone().map(figure));
        Self {
            p50: of(|seen| seen.p50),
            p99: of(|seen| seen.p99),
            max: of(|seen| seen.max),
        }
    }

    /// Of nanoseconds.
    pub fn of(times: impl Iterator<Item = u64>) -> Self {
        let mut histogram = Histogram::<u64>::new(3).expect("three digits are allowed");
        for time in times {
            histogram.record(time / 1_000).expect("the histogram grows");
        }
        let at = |micros: u64| micros as f64 / 1e3;
        Self {
            p50: at(histogram.value_at_quantile(0.5)),
            p99: at(histogram.value_at_quantile(0.99)),
            max: at(histogram.max()),
        }
    }
}

/// Gathers the subscribers, lets them rest, and sends them events at a pace and without one.
///
/// # Errors
/// When a subscriber does not get exactly what was sent.
pub fn run(system: &mut dyn System, job: &Job) -> Result<Seen, String> {
    let mut seen = Seen::default();
    let mut crowd = Crowd::new(system.subscription());
    // What the first cause, as the server's memory for as many requests as are under way at once,
    // is not what each of many costs.
    let first = WARM_UP.next_multiple_of(job.transport.streams());
    crowd.gather(first, false)?;
    gather(system, &mut crowd, job, &mut seen)?;
    let all = (first + job.subscribers) as u64;
    let number = paced(system, &mut crowd, job, all, &mut seen)?;
    let number = saturated(system, &mut crowd, number, all, &mut seen)?;
    crowd.have_all(number)?;
    Ok(seen)
}

fn gather(
    system: &dyn System,
    crowd: &mut Crowd,
    job: &Job,
    seen: &mut Seen,
) -> Result<(), String> {
    crowd.read_for(SETTLE / 2)?;
    let processes = system.processes();
    let measure = || (process::resident(&processes), process::kernel_memory());
    let (resident, kernel) = measure();
    let began = Instant::now();
    crowd.gather(job.subscribers, false)?;
    let subscribers = job.subscribers as f64;
    seen.accepted = subscribers / began.elapsed().as_secs_f64();
    crowd.read_for(SETTLE)?;
    let (resident_after, kernel_after) = measure();
    let each = |before: usize, after: usize| (after as f64 - before as f64) / subscribers;
    seen.resident = each(resident, resident_after);
    seen.kernel = match kernel.zip(kernel_after) {
        Some((before, after)) => each(before, after),
        None => f64::NAN,
    };
    Ok(())
}

fn paced(
    system: &mut dyn System,
    crowd: &mut Crowd,
    job: &Job,
    all: u64,
    seen: &mut Seen,
) -> Result<u32, String> {
    let processes = system.processes();
    let before = process::processor_time(&processes);
    let tally = crowd.tally();
    let (delivered, payload) = (tally.delivered, tally.payload);
    tally.times = Some(Vec::with_capacity(
        usize::try_from(all).unwrap_or(0) * PACED as usize,
    ));
    for number in 1..=PACED {
        let began = Instant::now();
        system.publish(number);
        crowd.read_until(delivered + all * u64::from(number))?;
        crowd.read_for(job.pace.saturating_sub(began.elapsed()))?;
    }
    let processor = process::processor_time(&processes) - before;
    let tally = crowd.tally();
    let events = (tally.delivered - delivered) as f64;
    seen.processor = processor as f64 / events;
    seen.payload = (tally.payload - payload) as f64 / events;
    let published: HashMap<u32, u64> = system.published().into_iter().collect();
    let times = tally.times.take().unwrap_or_default();
    let times = times.into_iter().map(|(number, time)| {
        let published = published[&number];
        // Clocks of two processors may be a little apart.
        time.saturating_sub(published)
    });
    seen.latency = Latency::of(times);
    Ok(PACED)
}

fn saturated(
    system: &mut dyn System,
    crowd: &mut Crowd,
    mut number: u32,
    all: u64,
    seen: &mut Seen,
) -> Result<u32, String> {
    let began = Instant::now();
    let before = crowd.tally().delivered;
    let first = number;
    while began.elapsed() < SATURATED {
        number += 1;
        system.publish(number);
        let behind = u64::from((number - first).saturating_sub(AHEAD - 1));
        crowd.read_until(before + behind * all)?;
    }
    crowd.read_until(before + u64::from(number - first) * all)?;
    let delivered = crowd.tally().delivered - before;
    seen.saturated = delivered as f64 / began.elapsed().as_secs_f64();
    system.published();
    Ok(number)
}
