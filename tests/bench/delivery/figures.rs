//! The figures we want, and whether this run has shown them.

use crate::case::{Case, SMALL};
use crate::crowd::Transport;
use crate::fires::Bytes;
use crate::measure::Seen;
use crate::system::Kind;

const KIB: f64 = 1024.0;

#[derive(Default)]
pub struct Figures {
    rows: Vec<[String; 3]>,
}

impl Figures {
    pub fn cases(&mut self, cases: &[Case]) {
        let seen = |transport, subscribers, kind| -> Option<Seen> {
            let is_it = |case: &&Case| {
                let job = &case.job;
                job.transport == transport && job.size == SMALL && job.subscribers == subscribers
            };
            cases.iter().find(is_it)?.median(kind)
        };
        let plain = |kind| seen(Transport::Http1, 10_000, kind);
        let (ours, floor, nchan) = (
            plain(Kind::Pollcast),
            plain(Kind::Floor),
            plain(Kind::Nchan),
        );
        let ratio = |of: fn(&Seen) -> f64, to: Option<Seen>| Some(of(&ours?) / of(&to?));
        let cpu = |seen: &Seen| seen.processor;
        self.at_most("CPU an event, × floor", ratio(cpu, floor), 1.1);
        self.at_most("CPU an event, × nchan", ratio(cpu, nchan), 0.85);
        self.at_most(
            "latency p99, × nchan",
            ratio(|seen| seen.latency.p99, nchan),
            0.65,
        );
        self.at_least(
            "accept rate, × nchan",
            ratio(|seen| seen.accepted, nchan),
            1.0,
        );
        let resident = |seen: Seen| seen.resident / KIB;
        self.at_most("KiB a connection, HTTP/1.1", ours.map(resident), 2.5);
        let tls = seen(Transport::Tls, 2_000, Kind::Pollcast);
        self.at_most("KiB a connection, TLS", tls.map(resident), 26.0);
        let streams = Transport::Http2(100);
        let http2 = seen(streams, 10_000, Kind::Pollcast);
        self.at_most(
            "KiB a stream, HTTP/2, 100 a connection",
            http2.map(resident),
            2.5,
        );
        let beside = seen(streams, 10_000, Kind::Floor);
        let share = http2
            .zip(beside)
            .map(|(ours, floor)| ours.processor / floor.processor);
        self.at_most("CPU an event over HTTP/2, × floor on HTTP/1.1", share, 0.3);
    }

    pub fn idle(&mut self, share: f64) {
        self.at_most("% of a core with heartbeats every 15 s", Some(share), 2.0);
    }

    pub fn fires(&mut self, bytes: &Bytes) {
        let ratio = bytes.polling as f64 / bytes.stream as f64;
        self.at_least(
            "`fires`: polling with gzip / pollcast with gzip",
            Some(ratio),
            18.0,
        );
    }

    fn at_most(&mut self, what: &str, seen: Option<f64>, wanted: f64) {
        self.add(format!("{what}: at most {wanted}"), seen, |seen| {
            seen <= wanted
        });
    }

    fn at_least(&mut self, what: &str, seen: Option<f64>, wanted: f64) {
        self.add(format!("{what}: at least {wanted}"), seen, |seen| {
            seen >= wanted
        });
    }

    fn add(&mut self, wanted: String, seen: Option<f64>, is_met: impl Fn(f64) -> bool) {
        let row = match seen {
            Some(seen) if is_met(seen) => [format!("{seen:.2}"), "yes".to_owned()],
            Some(seen) => [format!("{seen:.2}"), "**no**".to_owned()],
            None => ["not measured".to_owned(), "–".to_owned()],
        };
        let [seen, met] = row;
        self.rows.push([wanted, seen, met]);
    }

    pub fn print(&self) {
        println!("\n### Figures, for 10,000 subscribers and events of 220 bytes\n");
        println!("| wanted | seen | met |\n|---|--:|---|");
        for row in &self.rows {
            println!("| {} |", row.join(" | "));
        }
    }
}
