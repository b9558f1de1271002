//! Which members identify the elements of an array, found out by trying.
//!
//! A key is as good as the pairs it makes: of the members that are there, scalar and (nearly)
//! unique on both sides, alone or together, that one is taken under which the most bytes stay the
//! same. It is remembered until it stops holding; what was not found is looked for again later and
//! later.

use std::collections::{HashMap, HashSet};

use crate::core::json::{Kind, Value};

use super::key::{Key, Token, Tokens};
use super::memory::LONGEST_NAME;

/// The most elements a side that are looked at.
const SAMPLE: usize = 1024;

/// The most members of an element that are looked at.
const MAX_COLUMNS: usize = 24;

/// The most members that are tried in combination.
const MAX_COMBINED: usize = 6;

/// The longest pause between two attempts, in comparisons of the document.
const LONGEST_PAUSE: u64 = 64;

/// So many turns a key is not doubted that did well; and so much longer is the pause after an
/// attempt that found what was known.
const SURE: u64 = 16;

/// What is known of an array's key.
#[derive(Clone, Debug, Default)]
pub(super) struct Identity {
    key: Option<Key>,
    /// Attempts to find one, and the turn before which there is none.
    tries: u32,
    not_before: u64,
}

impl Identity {
    /// The key, as long as it holds.
    pub(super) fn key(&self) -> Option<&Key> {
        self.key.as_ref()
    }

    /// Whether it is time to look for a key.
    pub(super) fn is_due(&self, turn: u64) -> bool {
        turn >= self.not_before
    }

    /// The key was found to keep much; it is not doubted for some turns.
    pub(super) fn did_well(&mut self, turn: u64) {
        self.not_before = turn + SURE;
    }

    /// Looks for a key in two states of the array. What was known stays if nothing is better.
    pub(super) fn infer(&mut self, old: &[Value<'_>], new: &[Value<'_>], turn: u64) {
        let pause = 1 << self.tries;
        self.tries = (self.tries + 1).min(LONGEST_PAUSE.ilog2());
        let found = infer(old, new);
        // What proves right again is doubted less and less.
        let is_sure = found.is_some() && found == self.key;
        self.not_before = turn + pause * if is_sure { SURE } else { 1 };
        if found.is_some() {
            self.key = found;
        }
    }

    /// The key does not hold any more; another one is looked for from now on.
    pub(super) fn abandon(&mut self) {
        *self = Self::default();
    }
}

/// The elements that are looked at, if they differ from `start` on.
pub(super) fn sample<T>(items: &[T], start: usize) -> &[T] {
    let before = start.saturating_sub(SAMPLE / 16);
    let start = before.min(items.len().saturating_sub(SAMPLE));
    &items[start..items.len().min(start + SAMPLE)]
}

/// One member of all elements.
#[derive(Clone, Copy)]
struct Column {
    place: usize,
    /// How likely its name and its values are those of a key; less is likelier.
    unlikely: usize,
    distinct: usize,
}

/// One side: the members of each element in the order of the columns.
struct Table {
    width: usize,
    cells: Vec<Cell>,
}

#[derive(Clone, Copy, Default)]
struct Cell {
    /// None where the element has no such member.
    content: Option<Token>,
    len: usize,
    is_scalar: bool,
}

fn infer(old: &[Value<'_>], new: &[Value<'_>]) -> Option<Key> {
    let first = new.iter().find(|item| item.kind() == Kind::Object)?;
    let names: Vec<Box<[u8]>> = first
        .children()
        .take(MAX_COLUMNS)
        .filter(|member| member.name().raw().len() <= LONGEST_NAME)
        .map(|member| member.name().shortest().into())
        .collect();
    let tokens = Tokens::default();
    let old = Table::new(old, &names, &tokens);
    let new = Table::new(new, &names, &tokens);
    let all = old.rows().min(new.rows());
    let mut columns: Vec<Column> = (0..names.len())
        .filter(|place| old.is_candidate(*place) && new.is_candidate(*place))
        .map(|place| Column {
            place,
            unlikely: unlikely(&names[place]),
            distinct: old.distinct(&[place]).min(new.distinct(&[place])),
        })
        .collect();
    columns.sort_by_key(|column| (std::cmp::Reverse(column.distinct), column.unlikely));
    let is_unique = |places: &[usize]| {
        let nearly = |table: &Table| table.distinct(places) * 10 >= table.rows() * 9;
        nearly(&old) && nearly(&new)
    };
    let mut keys: Vec<Vec<usize>> = (columns.iter())
        .filter(|column| column.distinct * 10 >= all * 9)
        .map(|column| vec![column.place])
        .filter(|places| is_unique(places))
        .collect();
    if keys.is_empty() {
        columns.truncate(MAX_COMBINED);
        keys = combined(&columns);
        keys.retain(|places| is_unique(places));
    }
    let likely = |places: &[usize]| places.iter().map(|place| unlikely(&names[*place])).sum();
    let scores = keys.iter().map(|places| {
        let kept = kept(&old, &new, places, &tokens);
        (kept, places, likely(places))
    });
    let scores: Vec<(usize, &Vec<usize>, usize)> = scores.collect();
    let most = scores.iter().map(|(kept, ..)| *kept).max()?;
    // Those that are as good as the best, by what they are called.
    let best = scores
        .into_iter()
        .filter(|(kept, ..)| *kept > 0 && kept * 50 >= most * 49)
        .min_by_key(|(_, places, likely)| (places.len(), *likely, places[0]))?;
    Some(Key::of(best.1.iter().map(|place| names[*place].clone())))
}

/// All pairs of columns, and all threes.
fn combined(columns: &[Column]) -> Vec<Vec<usize>> {
    let mut keys = Vec::new();
    for (i, first) in columns.iter().enumerate() {
        for (j, second) in columns.iter().enumerate().skip(i + 1) {
            keys.push(vec![first.place, second.place]);
            let thirds = &columns[j + 1..];
            keys.extend(
                thirds
                    .iter()
                    .map(|third| vec![first.place, second.place, third.place]),
            );
        }
    }
    // Two before three.
    keys.sort_by_key(Vec::len);
    keys
}

/// Less for names that keys often have.
fn unlikely(name: &[u8]) -> usize {
    let name = String::from_utf8_lossy(&name[1..name.len() - 1]).to_lowercase();
    match &*name {
        "id" | "_id" | "uuid" | "guid" | "key" => 0,
        name if name.ends_with("id") || name.ends_with("key") => 1,
        name if name.ends_with("name") || name.ends_with("code") => 2,
        _ => 3,
    }
}

/// How many bytes of the elements' members stay the same if `places` is the key.
fn kept(old: &Table, new: &Table, places: &[usize], tokens: &Tokens) -> usize {
    let mut rows: HashMap<Token, Vec<usize>> = HashMap::new();
    for row in (0..old.rows()).rev() {
        rows.entry(old.key(row, places, tokens))
            .or_default()
            .push(row);
    }
    let pair = |row: usize| {
        let twin = rows.get_mut(&new.key(row, places, tokens))?.pop()?;
        Some((twin, row))
    };
    let pairs = (0..new.rows()).filter_map(pair);
    let same = pairs.flat_map(|(twin, row)| old.row(twin).iter().zip(new.row(row)));
    same.filter(|(a, b)| a.content.is_some() && a.content == b.content)
        .map(|(a, _)| a.len)
        .sum()
}

impl Table {
    fn new(items: &[Value<'_>], names: &[Box<[u8]>], tokens: &Tokens) -> Self {
        let width = names.len();
        let mut cells = vec![Cell::default(); width * items.len()];
        for (item, row) in items.iter().zip(cells.chunks_mut(width.max(1))) {
            if item.kind() != Kind::Object {
                continue;
            }
            for (i, value) in item.children().enumerate() {
                // Mostly the members have the same order everywhere.
                let is_it = |place: &usize| value.name().matches(&names[*place]);
                let place = Some(i).filter(|i| *i < width && is_it(i));
                if let Some(place) = place.or_else(|| (0..width).find(is_it)) {
                    let scalar = tokens.scalar(value);
                    row[place] = Cell {
                        content: Some(scalar.unwrap_or_else(|| tokens.content(value))),
                        len: value.raw().len(),
                        is_scalar: scalar.is_some(),
                    };
                }
            }
        }
        Self { width, cells }
    }

    fn rows(&self) -> usize {
        self.cells.len() / self.width.max(1)
    }

    fn row(&self, row: usize) -> &[Cell] {
        &self.cells[row * self.width..(row + 1) * self.width]
    }

    /// Nearly all elements have it, and it is a scalar.
    fn is_candidate(&self, place: usize) -> bool {
        let there = (0..self.rows()).filter(|row| self.row(*row)[place].is_scalar);
        there.count() * 10 >= self.rows() * 9
    }

    fn distinct(&self, places: &[usize]) -> usize {
        let contents = |row: usize| -> Vec<Option<Token>> {
            let row = self.row(row);
            places.iter().map(|place| row[*place].content).collect()
        };
        let different: HashSet<_> = (0..self.rows()).map(contents).collect();
        different.len()
    }

    fn key(&self, row: usize, places: &[usize], tokens: &Tokens) -> Token {
        let row = self.row(row);
        tokens.joined(places.iter().filter_map(|place| row[*place].content))
    }
}
