//! What was seen, as Markdown that can be pasted.

use crate::case::FIRST;
use crate::compare::{BY, Compared, Seen};
use crate::exported::Exported;
use crate::large::Large;
use crate::unchanged::Unchanged;
use crate::verify::Size;

/// Patches by the documents' bytes. Of recorded polls twice: the first pairs, and all.
pub fn shares(compared: &[Compared]) {
    println!("\n### Patches, in % of the compact documents");
    println!("In brackets what would be sent if a document went whole where that is smaller.\n");
    header(&["document"], &BY);
    for case in compared {
        if case.recorded {
            row(&format!("{}, first {FIRST}", case.name), &case.by, |seen| {
                share(seen.first())
            });
            row(
                &format!("{}, all {}", case.name, case.pairs),
                &case.by,
                |seen| share(seen.all()) + &fewer(case, seen),
            );
        } else {
            row(&case.name, &case.by, |seen| share(seen.all()));
        }
    }
}

/// How large a patch is by itself.
pub fn patches(compared: &[Compared]) {
    println!("\n### A patch: bytes, operations");
    println!("A document that goes whole counts with its bytes and no operation.\n");
    header(&["document"], &BY);
    for case in compared {
        row(&case.name, &case.by, |seen| {
            let size = seen.all();
            let each = |sum: usize| sum as f64 / size.pairs as f64;
            format!(
                "{}, {:.0}",
                bytes(each(size.patches)),
                each(size.operations)
            )
        });
    }
}

/// Body in, patch text out.
pub fn times(compared: &[Compared]) {
    println!("\n### From body to patch text, parsing included: ms a pair, MB/s\n");
    header(
        &["document"],
        &[&BY[..], &["speed, pollcast / json-patch"]].concat(),
    );
    for case in compared {
        let mut cells = cells(&case.by, |seen| {
            let speed = seen.speed / 1e6;
            let digits = usize::from(speed < 10.0);
            format!("{}, {speed:.digits$}", milliseconds(seen.seconds)) + &fewer(case, seen)
        });
        cells.push(format!("{:.2} x", speedup(case)));
        line(&case.name, &cells);
    }
}

/// How many times json-patch's throughput pollcast has.
pub fn speedup(case: &Compared) -> f64 {
    match &case.by[..] {
        [Ok(ours), Ok(crates), ..] => ours.speed / crates.speed,
        _ => f64::NAN,
    }
}

/// Memory of the two that run in this process.
pub fn memories(compared: &[Compared]) {
    println!("\n### Memory, in multiples of the body");
    println!(
        "Kept between two polls, the body included where it is kept; allocated during one, given back or not; the most held at once, both bodies included.\n"
    );
    header(
        &["document"],
        &[
            "nodes",
            "pollcast keeps",
            "its document beside the body, bytes a node (as jemalloc rounds it)",
            "what it learnt, bytes",
            "Value keeps",
            "pollcast allocates",
            "json-patch allocates",
            "pollcast's peak",
            "json-patch's peak",
        ],
    );
    for case in compared {
        let [ours, crates] = case.memory;
        let peak = |peak: Option<f64>| peak.map_or("–".to_owned(), |peak| format!("{peak:.2}"));
        let cells = [
            ours.nodes.to_string(),
            format!("{:.2}", ours.kept),
            format!("{:.1} ({:.1})", ours.beside, ours.rounded),
            format!("{:.0}", ours.learnt),
            format!("{:.2}", crates.kept),
            format!("{:.2}", ours.allocated),
            format!("{:.2}", crates.allocated),
            peak(ours.peak),
            peak(crates.peak),
        ];
        line(&case.name, &cells);
    }
}

pub fn unchanged(seen: &[(String, usize, Unchanged)]) {
    println!("\n### The same body again: µs\n");
    header(
        &["body"],
        &["bytes", "pollcast", "memcmp", "time, pollcast / memcmp"],
    );
    for (name, length, seen) in seen {
        let micros = |seconds: f64| format!("{:.3}", seconds * 1e6);
        let cells = [
            bytes(*length as f64),
            micros(seen.pollcast),
            micros(seen.memcmp),
            format!("{:.2} x", seen.pollcast / seen.memcmp),
        ];
        line(name, &cells);
    }
}

pub fn large(seen: &[Large]) {
    println!("\n### A large document with one changed leaf: ms\n");
    header(
        &["document"],
        &[
            "bytes",
            "pollcast",
            "syntax check",
            "time, pollcast / syntax check",
        ],
    );
    for seen in seen {
        let cells = [
            bytes(seen.body.len() as f64),
            milliseconds(seen.pollcast),
            milliseconds(seen.syntax),
            format!("{:.2} x", seen.pollcast / seen.syntax),
        ];
        line(seen.name, &cells);
    }
}

pub fn exported(seen: &[Exported]) {
    println!("\n### Numbers exported as metrics: ms a changed body\n");
    header(&["document"], &["bytes", "diff", "export", "export / diff"]);
    for seen in seen {
        let cells = [
            bytes(seen.bytes as f64),
            milliseconds(seen.diff),
            milliseconds(seen.export),
            format!("{:.2} x", seen.export / seen.diff),
        ];
        line(seen.name, &cells);
    }
}

fn header(first: &[&str], columns: &[&str]) {
    println!("| {} | {} |", first.join(" | "), columns.join(" | "));
    println!("|---|{}", "--:|".repeat(columns.len()));
}

fn row(name: &str, by: &[Result<Seen, String>], cell: impl Fn(&Seen) -> String) {
    line(name, &cells(by, cell));
}

fn cells(by: &[Result<Seen, String>], cell: impl Fn(&Seen) -> String) -> Vec<String> {
    let cells = by.iter().map(|seen| match seen {
        Ok(seen) => cell(seen),
        Err(reason) => reason.clone(),
    });
    cells.collect()
}

fn line(name: &str, cells: &[String]) {
    println!("| {name} | {} |", cells.join(" | "));
}

/// Says so where one did not get through all pairs in time.
fn fewer(case: &Compared, seen: &Seen) -> String {
    match seen.sizes.len() {
        pairs if pairs < case.pairs => format!(", first {pairs} only"),
        _ => String::new(),
    }
}

fn share(size: Size) -> String {
    let percent = |bytes: usize| {
        let percent = 100.0 * bytes as f64 / size.whole as f64;
        match percent {
            ..0.01 => "< 0.01".to_owned(),
            ..1.0 => format!("{percent:.2}"),
            _ => format!("{percent:.1}"),
        }
    };
    let (patches, sent) = (percent(size.patches), percent(size.sent));
    match patches == sent {
        true => patches,
        false => format!("{patches} ({sent})"),
    }
}

fn milliseconds(seconds: f64) -> String {
    match seconds * 1e3 {
        ms @ ..1.0 => format!("{ms:.3}"),
        ms @ ..100.0 => format!("{ms:.1}"),
        ms => format!("{ms:.0}"),
    }
}

fn bytes(count: f64) -> String {
    match count {
        ..1e3 => format!("{count:.0}"),
        ..1e6 => format!("{:.1} KB", count / 1e3),
        _ => format!("{:.1} MB", count / 1e6),
    }
}
