//! One row of the table: a job, who does it, and what each run has shown.

use std::time::Duration;

use crate::crowd::Transport;
use crate::measure::{self, Seen, median};
use crate::system::{Job, Kind};

/// Bytes of a small event and of a large one.
pub const SMALL: usize = 220;
pub const LARGE: usize = 20_000;

pub struct Case {
    /// The part of the benchmark that it belongs to.
    pub part: &'static str,
    pub job: Job,
    pub kinds: &'static [Kind],
    /// What each round has shown, or why it failed; in the order of `kinds`.
    pub rounds: Vec<Vec<Result<Seen, String>>>,
}

const EVERYBODY: &[Kind] = &Kind::ALL;
const LARGE_CROWD: &[Kind] = &[Kind::Floor, Kind::Pollcast, Kind::Nchan];
const ALONE: &[Kind] = &[Kind::Floor, Kind::Pollcast];

/// All there are. Pushpin is spared the largest crowds, which take it long.
pub fn all() -> Vec<Case> {
    let http1 =
        |subscribers, size, kinds| Case::new("http1", subscribers, Transport::Http1, size, kinds);
    let http2 =
        |subscribers, kinds| Case::new("http2", subscribers, Transport::Http2(100), SMALL, kinds);
    vec![
        http1(1_000, SMALL, EVERYBODY),
        http1(10_000, SMALL, EVERYBODY),
        http1(19_000, SMALL, LARGE_CROWD),
        http1(10_000, LARGE, LARGE_CROWD),
        Case::new("gzip", 10_000, Transport::Gzip, SMALL, ALONE),
        Case::new("gzip", 10_000, Transport::Gzip, LARGE, ALONE),
        http2(10_000, ALONE),
        http2(100_000, ALONE),
        Case::new("tls", 2_000, Transport::Tls, SMALL, ALONE),
    ]
}

impl Case {
    fn new(
        part: &'static str,
        subscribers: usize,
        transport: Transport,
        size: usize,
        kinds: &'static [Kind],
    ) -> Self {
        Self {
            part,
            job: job(subscribers, transport, size),
            kinds,
            rounds: vec![Vec::new(); kinds.len()],
        }
    }

    /// As a row's name.
    pub fn name(&self) -> String {
        let Job {
            subscribers,
            transport,
            size,
            ..
        } = self.job;
        let transport = match transport {
            Transport::Http1 => "HTTP/1.1",
            Transport::Gzip => "HTTP/1.1, gzip",
            Transport::Tls => "HTTP/1.1, TLS",
            Transport::Http2(_) => "HTTP/2",
        };
        let size = if size == LARGE { "20 KB" } else { "220 B" };
        format!("{transport}, {subscribers}, {size}")
    }

    /// One run of each system, one after the other.
    pub fn round(&mut self, only: &dyn Fn(Kind) -> bool) {
        let name = self.name();
        for (kind, rounds) in self.kinds.iter().zip(&mut self.rounds) {
            if !only(*kind) {
                continue;
            }
            eprintln!("… {}: {}", name, kind.name());
            let job = match kind {
                Kind::Pollcast => self.job.clone(),
                // The others only know HTTP/1.1 without more, and the floor is that.
                _ => Job {
                    transport: Transport::Http1,
                    subscribers: self.job.subscribers.min(19_000),
                    ..self.job.clone()
                },
            };
            let run = kind
                .start(&job)
                .and_then(|mut system| measure::run(&mut *system, &job));
            if let Err(failure) = &run {
                eprintln!("{name}: {}: {failure}", kind.name());
            }
            rounds.push(run);
        }
    }

    /// Why rounds of a system failed, and how many there were.
    pub fn failures(&self, kind: Kind) -> (Vec<&str>, usize) {
        let rounds = self.rounds_of(kind);
        let failures = rounds.iter().filter_map(|round| round.as_ref().err());
        (failures.map(String::as_str).collect(), rounds.len())
    }

    /// The medians of a system, if it was measured.
    pub fn median(&self, kind: Kind) -> Option<Seen> {
        let runs: Vec<Seen> = self.rounds_of(kind).iter().flatten().copied().collect();
        (!runs.is_empty()).then(|| Seen::median(&runs))
    }

    /// The median of one figure's ratios, each of two systems in the same round.
    pub fn ratio(&self, figure: fn(&Seen) -> f64, of: Kind, to: Kind) -> Option<f64> {
        let rounds = self.rounds_of(of).iter().zip(self.rounds_of(to));
        let ratio = |(of, to): (&Result<Seen, _>, &Result<Seen, _>)| {
            Some(figure(of.as_ref().ok()?) / figure(to.as_ref().ok()?))
        };
        let ratios: Vec<f64> = rounds.filter_map(ratio).collect();
        (!ratios.is_empty()).then(|| median(ratios.into_iter()))
    }

    fn rounds_of(&self, kind: Kind) -> &[Result<Seen, String>] {
        let at = self.kinds.iter().position(|of| *of == kind);
        at.map_or(&[], |at| &self.rounds[at])
    }
}

/// Events come so that there is time between them, by half.
pub fn job(subscribers: usize, transport: Transport, size: usize) -> Job {
    let pace = match (subscribers, size) {
        (0..20_000, SMALL) => 500,
        (0..20_000, _) => 1_000,
        _ => 1_500,
    };
    Job {
        subscribers,
        transport,
        size,
        pace: Duration::from_millis(pace),
        interval: 10,
        ballast: size + 2_000,
    }
}
