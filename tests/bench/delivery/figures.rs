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
        let case = |transport, subscribers| {
            cases.iter().find(|case| {
                let job = &case.job;
                job.transport == transport && job.size == SMALL && job.subscribers == subscribers
            })
        };
        let plain = case(Transport::Http1, 10_000);
        let ratio = |figure, to| plain.and_then(|case| case.ratio(figure, Kind::Pollcast, to));
        let cpu: fn(&Seen) -> f64 = |seen| seen.processor;
        self.at_most("CPU an event, × floor", ratio(cpu, Kind::Floor), 1.1);
        self.at_most("CPU an event, × nchan", ratio(cpu, Kind::Nchan), 0.85);
        let p99: fn(&Seen) -> f64 = |seen| seen.latency.p99;
        self.at_most("latency p99, × nchan", ratio(p99, Kind::Nchan), 0.65);
        let accepted: fn(&Seen) -> f64 = |seen| seen.accepted;
        self.at_least("accept rate, × nchan", ratio(accepted, Kind::Nchan), 1.0);
        let resident = |case: Option<&Case>| {
            let seen = case.and_then(|case| case.median(Kind::Pollcast));
            seen.map(|seen| seen.resident / KIB)
        };
        self.at_most("KiB a connection, HTTP/1.1", resident(plain), 2.5);
        let tls = case(Transport::Tls, 2_000);
        self.at_most("KiB a connection, TLS", resident(tls), 26.0);
        let http2 = case(Transport::Http2(100), 10_000);
        self.at_most(
            "KiB a stream, HTTP/2, 100 a connection",
            resident(http2),
            2.5,
        );
        let share = http2.and_then(|case| case.ratio(cpu, Kind::Pollcast, Kind::Floor));
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
