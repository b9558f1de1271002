//! What we want of the diff, and whether this run saw it.

use crate::compare::{BY, Compared};
use crate::large::Large;
use crate::tables::speedup;
use crate::unchanged::Unchanged;

/// The least throughput, in multiples of `serde_json::Value` with `json-patch`, by recorded file.
const SPEEDUPS: [(&str, f64); 4] = [("fires", 5.0), ("chp", 2.5), ("fpl", 5.0), ("tampa", 5.0)];
/// The most for the same body again, in multiples of comparing its bytes.
const UNCHANGED: f64 = 1.2;
/// The most for a large document with one changed leaf, in multiples of a syntax check.
const LARGE: f64 = 3.0;
/// The most that is kept of a recorded document, in multiples of its bytes.
const KEPT: f64 = 2.5;
/// The most that is kept beside a recorded body, in bytes a node.
const BESIDE: f64 = 16.0;

/// The table's rows, as far as their parts were run.
#[derive(Default)]
pub struct Figures {
    rows: Vec<[String; 3]>,
}

impl Figures {
    /// Of the recorded files.
    pub fn compared(&mut self, case: &Compared) {
        if !case.recorded {
            return;
        }
        self.size(case);
        if let Some((name, wanted)) = SPEEDUPS.iter().find(|(name, _)| *name == case.name) {
            let seen = speedup(case);
            self.add(
                &format!("{name}: at least {wanted} x the throughput of Value and json-patch"),
                &format!("{seen:.2} x"),
                seen >= *wanted,
            );
        }
        let memory = case.memory[0];
        self.add(
            &format!(
                "{}: at most {KEPT} x the body kept, {BESIDE} bytes a node beside it",
                case.name
            ),
            &format!("{:.2} x, {:.1} bytes", memory.kept, memory.beside),
            memory.kept <= KEPT && memory.beside <= BESIDE,
        );
    }

    /// Against each npm library on the pairs that it got through.
    fn size(&mut self, case: &Compared) {
        let (ours, peers) = (&case.by[0], &case.by[2..]);
        let Ok(ours) = ours else { return };
        let mut rivals = Vec::new();
        let mut small = true;
        for (peer, name) in peers.iter().zip(&BY[2..]) {
            let Ok(peer) = peer else { continue };
            let (first, all) = (peer.first(), peer.all());
            for theirs in [first, all] {
                small &= ours.size(theirs.pairs).patches <= theirs.sent;
            }
            rivals.push((all.sent as f64 / all.whole as f64, *name, all));
        }
        rivals.sort_by(|a, b| a.0.total_cmp(&b.0));
        if let Some((_, name, best)) = rivals.first() {
            let bytes = ours.size(best.pairs).patches;
            self.add(
                &format!("{}: patches at or below the best npm library's", case.name),
                &format!("{bytes} bytes, {name} {}", best.sent),
                small,
            );
        }
    }

    pub fn unchanged(&mut self, name: &str, seen: &Unchanged) {
        let ratio = seen.pollcast / seen.memcmp;
        self.add(
            &format!("{name} unchanged: at most {UNCHANGED} x memcmp"),
            &format!("{ratio:.2} x"),
            ratio <= UNCHANGED,
        );
    }

    pub fn large(&mut self, seen: &Large) {
        let ratio = seen.pollcast / seen.syntax;
        self.add(
            &format!("large, {}: under {LARGE} x a syntax check", seen.name),
            &format!("{ratio:.2} x"),
            ratio < LARGE,
        );
    }

    fn add(&mut self, wanted: &str, seen: &str, met: bool) {
        let met = if met { "yes" } else { "**no**" };
        self.rows.push([wanted, seen, met].map(str::to_owned));
    }

    pub fn print(&self) {
        println!("\n### Figures\n");
        println!("| wanted | seen | met |\n|---|---|---|");
        for row in &self.rows {
            println!("| {} |", row.join(" | "));
        }
    }
}
