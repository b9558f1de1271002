//! Real polls, delivered: what one compressed stream of them costs beside polling, compressed too.

mod recorded;

use std::fmt::Write as _;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use pollcast::core::cursor::Cursor;
use pollcast::core::document::{Document, Observation, View};
use pollcast::core::event::{Mode, Modes, Names};
use pollcast::core::id::Epoch;
use pollcast::core::log::{Bounds, Log};
use pollcast::core::sse::gzip::HEADER;
use pollcast::core::sse::{Coding, Framing, Wire};

use recorded::{bodies, files, name, say};

/// Bytes that a caught-up client takes off the wire, HTTP heads left out.
struct Costs {
    /// Asking for the document each time, with gzip.
    polling: usize,
    /// A stream of which every event is compressed on its own.
    independent: usize,
    /// A stream as it is served.
    chained: usize,
}

#[test]
fn a_compressed_stream_costs_a_fraction_of_compressed_polls() {
    for file in files() {
        let name = name(&file);
        let costs = costs(bodies(&file));
        let ratio = |bytes: usize| costs.polling as f64 / bytes as f64;
        let mut line = format!(
            "{name}: polling with gzip takes {} KB",
            costs.polling / 1000
        );
        for (what, bytes) in [
            ("independent", costs.independent),
            ("chained", costs.chained),
        ] {
            let (kilobytes, ratio) = (bytes / 1000, ratio(bytes));
            write!(line, ", {what} blocks {kilobytes} KB (1/{ratio:.1})").expect("a line");
        }
        say(&line);
        assert!(costs.chained <= costs.independent, "{line}");
        let least = match &*name {
            "fires.ndjson.zst" => 18.0,
            "fpl.ndjson.zst" => 11.0,
            _ => 1.0,
        };
        assert!(ratio(costs.chained) >= least, "{line}: wanted 1/{least}");
    }
}

fn costs(bodies: Vec<String>) -> Costs {
    let mut document = Document::new(View::default());
    document.want(Modes::NONE.with(Mode::Patch));
    let bounds = Bounds {
        events: 1000,
        bytes: 16 << 20,
    };
    let mut log = Log::new(Epoch::from_random(1), Names::default(), bounds);
    let wire = Wire {
        framing: Framing::Chunked,
        coding: Coding::Gzip,
    };
    let (mut cursor, _) = Cursor::open(&log, Mode::Patch, Coding::Gzip, None);
    let (mut alone, _) = Cursor::open(&log, Mode::Patch, Coding::Gzip, None);
    let mut costs = Costs {
        polling: 0,
        independent: HEADER.len(),
        chained: HEADER.len(),
    };
    for body in bodies {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(body.as_bytes()).expect("memory");
        costs.polling += gzip.finish().expect("memory").len();
        // Some answers were no JSON.
        if let Ok(Observation::Changed(change)) = document.observe(body.into()) {
            log.append(change, None);
        }
        while let Some(frame) = cursor.next(&mut log, None) {
            costs.chained += frame.bytes(wire).len();
        }
        while let Some(frame) = alone.next(&mut log, None) {
            alone.interrupted();
            // Where a chain begins, everyone takes its block; this one is small, too.
            costs.independent += frame.bytes(wire).len();
        }
    }
    costs
}
