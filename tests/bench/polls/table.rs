//! The tables, as Markdown on stdout.

use crate::figures::Figures;
use crate::options::Options;
use crate::round::{Kind, Round};

/// The figure we want.
const MOST: f64 = 1.5;

pub fn print(options: &Options, rounds: &[Round]) {
    println!(
        "{} topics{}, one poll of each every {} ms, {} s a system; medians of {} rounds.\n",
        options.topics,
        if options.captures { " of one feed" } else { "" },
        options.interval,
        options.seconds,
        rounds.len()
    );
    println!(
        "| by | polls a second | CPU µs a poll | of it kernel | × bare | polls in 0.1 s, least | \
         most | off its interval, ms p50 | p99 | max | resident MiB |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
    for kind in &options.systems {
        let of = |figure: &dyn Fn(&Figures) -> f64| {
            median(
                rounds
                    .iter()
                    .filter_map(|round| round.figure(*kind, figure)),
            )
        };
        let late = |at: usize| of(&|figures| figures.seen.late[at] as f64 / 1000.0);
        println!(
            "| {} | {:.0} | {:.1} | {:.0} % | {} | {:.0} | {:.0} | {:.1} | {:.1} | {:.1} | {:.1} |",
            kind.name(),
            of(&Figures::polls_per_second),
            of(&Figures::per_poll),
            of(&|figures| figures.kernel * 100.0),
            ratio(rounds, *kind).map_or("–".to_owned(), |ratio| format!("{ratio:.2}")),
            of(&|figures| figures.seen.least as f64),
            of(&|figures| figures.seen.most as f64),
            late(0),
            late(1),
            late(2),
            of(&|figures| figures.resident as f64 / f64::from(1 << 20)),
        );
    }
    if options.systems.contains(&Kind::Pollcast) {
        pollcast(options, rounds);
    }
}

fn pollcast(options: &Options, rounds: &[Round]) {
    let memory = rounds.iter().filter_map(|round| {
        let resident = round.figure(Kind::Pollcast, &|figures| figures.resident as f64)?;
        let topics = options.topics.saturating_sub(1).max(1) as f64;
        Some((resident - round.alone? as f64) / topics / 1024.0)
    });
    let spread = rounds
        .iter()
        .filter_map(|round| round.figure(Kind::Pollcast, &|figures| figures.seen.chi_square()));
    println!("\npollcast takes {:.1} KiB a topic.", median(memory));
    println!(
        "Its topics lie over the ten tenths of their interval with a chi-square of {:.1} (below \
         21.7 in 99 of 100 even spreads).",
        median(spread)
    );
    if let Some(ratio) = ratio(rounds, Kind::Pollcast) {
        let verdict = match ratio <= MOST {
            true => "as we want it",
            false => "more than we want",
        };
        println!(
            "A poll of pollcast's costs {ratio:.2} × a bare one: at most {MOST} is {verdict}."
        );
    }
}

/// The median of the ratios to the bare loop within each round.
fn ratio(rounds: &[Round], kind: Kind) -> Option<f64> {
    let ratios: Vec<f64> = rounds
        .iter()
        .filter_map(|round| {
            let bare = round.figure(Kind::Bare, &Figures::per_poll)?;
            Some(round.figure(kind, &Figures::per_poll)? / bare)
        })
        .collect();
    (!ratios.is_empty()).then(|| median(ratios.into_iter()))
}

impl Round {
    fn figure(&self, kind: Kind, figure: &dyn Fn(&Figures) -> f64) -> Option<f64> {
        let found = self.systems.iter().find(|(each, _)| *each == kind);
        found.map(|(_, figures)| figure(figures))
    }
}

fn median(numbers: impl Iterator<Item = f64>) -> f64 {
    let mut numbers: Vec<f64> = numbers.collect();
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    match numbers.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => numbers[middle],
        _ => f64::midpoint(numbers[middle - 1], numbers[middle]),
    }
}
