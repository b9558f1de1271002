//! What was seen, as Markdown that can be pasted.

use crate::case::Case;
use crate::fires::Bytes;
use crate::measure::{Latency, Seen, median};
use crate::storm::Storm;
use crate::system::Kind;

const COLUMNS: [&str; 11] = [
    "accepted a second",
    "resident KiB each",
    "kernel KiB each, both ends",
    "CPU µs an event",
    "× floor",
    "× nchan",
    "events a second, saturated",
    "latency ms p50",
    "p99",
    "max",
    "body bytes an event",
];

pub fn cases(cases: &[Case]) {
    println!("\n### Delivery\n");
    println!("| subscribers, event | by | {} |", COLUMNS.join(" | "));
    println!("|---|---|{}", "--:|".repeat(COLUMNS.len()));
    for case in cases {
        for kind in case.kinds {
            let cells = match (case.median(*kind), case.failures(*kind)) {
                (Some(seen), _) => row(case, *kind, &seen),
                (None, (failures, _)) if failures.is_empty() => continue,
                (None, _) => vec!["–".to_owned(); COLUMNS.len()],
            };
            println!(
                "| {} | {} | {} |",
                case.name(),
                kind.name(),
                cells.join(" | ")
            );
        }
    }
    for (case, kind) in cases
        .iter()
        .flat_map(|case| case.kinds.iter().map(move |kind| (case, *kind)))
    {
        let (failures, rounds) = case.failures(kind);
        if let Some(first) = failures.first() {
            let (name, by, failed) = (case.name(), kind.name(), failures.len());
            println!("\n**{name}, {by}: {failed} of {rounds} runs failed: {first}**");
        }
    }
}

fn row(case: &Case, kind: Kind, seen: &Seen) -> Vec<String> {
    let ratio = |to: Kind| match case.ratio(|seen| seen.processor, kind, to) {
        Some(ratio) => format!("{ratio:.2}"),
        None => "–".to_owned(),
    };
    let Seen { latency, .. } = seen;
    vec![
        thousands(seen.accepted),
        format!("{:.1}", seen.resident / 1024.0),
        match seen.kernel.is_nan() {
            true => "–".to_owned(),
            false => format!("{:.1}", seen.kernel / 1024.0),
        },
        format!("{:.2}", seen.processor / 1e3),
        ratio(Kind::Floor),
        ratio(Kind::Nchan),
        thousands(seen.saturated),
        milliseconds(latency.p50),
        milliseconds(latency.p99),
        milliseconds(latency.max),
        format!("{:.0}", seen.payload),
    ]
}

pub fn storms(subscribers: usize, runs: &[Storm]) {
    let first = Latency::median(runs.iter().map(|run| run.first_byte));
    let of = |figure: fn(&Storm) -> f64| median(runs.iter().map(figure));
    println!("\n### {subscribers} clients come back at once, each 50 events behind\n");
    println!(
        "| first byte ms p50 | p99 | max | all served, s | resident when idle, MiB | most resident, MiB |"
    );
    println!("|--:|--:|--:|--:|--:|--:|");
    println!(
        "| {} | {} | {} | {:.2} | {:.1} | {:.1} |",
        milliseconds(first.p50),
        milliseconds(first.p99),
        milliseconds(first.max),
        of(|run| run.served),
        of(|run| run.idle) / 1_048_576.0,
        of(|run| run.peak) / 1_048_576.0,
    );
}

pub fn idle(subscribers: usize, seen: &[(Kind, f64)]) {
    println!("\n### {subscribers} idle subscribers, a heartbeat every 15 s: % of a core\n");
    println!("| by | CPU |\n|---|--:|");
    for (kind, share) in seen {
        println!("| {} | {share:.2} % |", kind.name());
    }
}

pub fn fires(bytes: &Bytes) {
    println!("\n### The recording `fires` to one subscriber with gzip, who is caught up: bytes\n");
    println!("| polls | polling with gzip | pollcast with gzip | polling / pollcast |");
    println!("|--:|--:|--:|--:|");
    println!(
        "| {} | {} | {} | {:.1} |",
        bytes.polls,
        bytes.polling,
        bytes.stream,
        bytes.polling as f64 / bytes.stream as f64
    );
}

fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let groups = digits.as_bytes().rchunks(3).rev();
    let groups: Vec<_> = groups.map(String::from_utf8_lossy).collect();
    groups.join(",")
}

fn milliseconds(time: f64) -> String {
    let digits = if time < 10.0 { 1 } else { 0 };
    format!("{time:.digits$}")
}
