//! What happens to a document between two polls.

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::Dice;
use super::shapes::{self, Numbers};
use super::tree::{Decimal, Tree};

/// One change, somewhere.
#[derive(Clone, Debug)]
pub struct Edit {
    kind: Kind,
    /// Which of the values that can be changed so.
    value: Index,
    /// Where in it, and what to take from where.
    at: Index,
    from: Index,
    fresh: Tree,
    name: &'static str,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Leaf,
    Nudge,
    Insert,
    InsertAlike,
    Remove,
    Move,
    Duplicate,
    Swap,
    Reverse,
    Rotate,
    Clear,
    SwapIdentities,
    TouchAll,
    Churn,
    Set,
    Unset,
    Rename,
    Reorder,
    Wrap,
    Whole,
}

/// Arrays are not wrapped into deeper ones past this level.
const MOST_LEVELS: usize = 115;

impl Edit {
    pub fn any(numbers: Numbers) -> impl Strategy<Value = Self> {
        use Kind::*;
        let kind = prop_oneof![
            8 => select(&[Leaf, Nudge][..]),
            4 => Just(Churn),
            6 => select(&[Insert, InsertAlike, Remove, Move, Duplicate][..]),
            3 => select(&[Swap, Reverse, Rotate, Clear, SwapIdentities, TouchAll][..]),
            3 => select(&[Set, Unset, Rename, Reorder][..]),
            1 => select(&[Wrap, Whole][..]),
        ];
        let indexes = (any::<Index>(), any::<Index>(), any::<Index>());
        let fresh = prop_oneof![2 => shapes::scalar(numbers), 1 => shapes::tree(numbers)];
        (kind, indexes, fresh, shapes::name(numbers)).prop_map(
            |(kind, (value, at, from), fresh, name)| Self {
                kind,
                value,
                at,
                from,
                fresh,
                name,
            },
        )
    }

    /// Does it, where the document has something to do it to. Nothing grows beyond `most` values.
    pub fn apply(&self, tree: &mut Tree, most: usize) {
        let full = tree.count(|_| true) > most;
        match self.kind {
            Kind::Insert | Kind::InsertAlike | Kind::Duplicate | Kind::Set | Kind::Wrap if full => {
            }
            Kind::Whole => *tree = self.fresh.clone(),
            Kind::Wrap if levels(tree) >= MOST_LEVELS => {}
            Kind::Wrap => {
                if let Some(value) = self.choose(tree, |_| true) {
                    let inner = std::mem::replace(value, Tree::Null);
                    *value = Tree::Array(vec![inner]);
                }
            }
            Kind::Leaf => {
                if let Some(leaf) = self.choose(tree, |tree| tree.children().is_empty()) {
                    leaf.clone_from(&self.fresh);
                }
            }
            Kind::Nudge => {
                if let Some(leaf) = self.choose(tree, |tree| tree.children().is_empty()) {
                    self.nudge(leaf);
                }
            }
            Kind::Set | Kind::Unset | Kind::Rename | Kind::Reorder => {
                if let Some(object) = self.choose(tree, |tree| matches!(tree, Tree::Object(_))) {
                    self.change_members(object);
                }
            }
            _ => {
                // Mostly what a feed's rows would be.
                let array = match self.value.index(3) {
                    0 => self.choose(tree, |tree| matches!(tree, Tree::Array(_))),
                    _ => tree.longest_array(),
                };
                if let Some(Tree::Array(items)) = array {
                    self.change_items(items, full);
                }
            }
        }
    }

    fn choose<'a>(&self, tree: &'a mut Tree, wanted: fn(&Tree) -> bool) -> Option<&'a mut Tree> {
        let count = tree.count(wanted);
        let mut n = if count == 0 {
            return None;
        } else {
            self.value.index(count)
        };
        tree.nth(wanted, &mut n)
    }

    /// The next number, a character more or less.
    fn nudge(&self, leaf: &mut Tree) {
        match leaf {
            Tree::Bool(value) => *value = !*value,
            Tree::Number(number) => {
                let digits: u64 = number.digits.parse().unwrap_or(7);
                let digits = (digits % 1_000_000 + 1).to_string();
                *number = Decimal::new(number.negative, &digits, number.exponent);
            }
            Tree::String(string) if self.from.index(2) == 0 => drop(string.pop()),
            Tree::String(string) => {
                let places: Vec<usize> = string.char_indices().map(|(at, _)| at).collect();
                let at = places.get(self.at.index(places.len() + 1));
                string.insert(*at.unwrap_or(&string.len()), 'é');
            }
            other => *other = Tree::integer(1),
        }
    }

    fn change_members(&self, object: &mut Tree) {
        let Tree::Object(members) = object else {
            return;
        };
        if let Kind::Set = self.kind {
            members.insert(self.name.to_owned(), self.fresh.clone());
            return;
        }
        if members.is_empty() {
            return;
        }
        let (at, to) = (self.at.index(members.len()), self.from.index(members.len()));
        match self.kind {
            Kind::Unset => drop(members.shift_remove_index(at)),
            Kind::Rename => {
                let (_, value) = members.shift_remove_index(at).unwrap();
                members.insert(self.name.to_owned(), value);
            }
            _ => members.move_index(at, to),
        }
    }

    fn change_items(&self, items: &mut Vec<Tree>, full: bool) {
        let insert_at = self.at.index(items.len() + 1);
        if let Kind::Insert = self.kind {
            items.insert(insert_at, self.fresh.clone());
            return;
        }
        if items.is_empty() {
            return;
        }
        let (at, from) = (self.at.index(items.len()), self.from.index(items.len()));
        match self.kind {
            Kind::InsertAlike => {
                let row = alike(&items[from], self.from.index(100_000));
                items.insert(insert_at, row);
            }
            Kind::Churn => churn(items, self.from.index(1 << 30), full),
            Kind::Remove => drop(items.remove(at)),
            Kind::Move => {
                let item = items.remove(from);
                items.insert(at, item);
            }
            Kind::Duplicate => items.insert(insert_at, items[from].clone()),
            Kind::Swap => items.swap(at, from),
            Kind::Reverse => items[at.min(from)..].reverse(),
            Kind::Rotate => items.rotate_left(at),
            Kind::Clear => items.clear(),
            Kind::SwapIdentities => swap_identities(items, at, from),
            _ => {
                for item in items {
                    if let Tree::Object(members) = item
                        && let Some((_, value)) = members.last_mut()
                    {
                        value.clone_from(&self.fresh);
                    }
                }
            }
        }
    }
}

/// A row as this one, with an id of its own.
fn alike(row: &Tree, id: usize) -> Tree {
    let mut row = row.clone();
    if let Tree::Object(members) = &mut row
        && let Some(member) = members.get_mut("id")
    {
        *member = Tree::integer(1000 + id as u64);
    }
    row
}

/// Rows like those there are until there are so many; none where there are none.
pub fn repeat(items: &mut Vec<Tree>, length: usize) {
    let few = items.len();
    for index in few..if few > 0 { length } else { 0 } {
        items.push(alike(&items[index % few], index));
    }
}

/// A few rows go, a few come, a few move, as from one minute to the next in a busy table.
fn churn(items: &mut Vec<Tree>, seed: usize, full: bool) {
    let mut dice = Dice(seed as u64);
    for _ in 0..2 + dice.roll(8) {
        if items.is_empty() {
            return;
        }
        let at = dice.roll(items.len());
        let what = dice.roll(6);
        let item = match what {
            0 | 1 if !full => alike(&items[at], dice.roll(100_000)),
            _ => items.remove(at),
        };
        if what != 5 {
            items.insert(dice.roll(items.len() + 1), item);
        }
    }
}

/// Two rows take each other's first member.
fn swap_identities(items: &mut [Tree], a: usize, b: usize) {
    let first = |tree: &Tree| match tree {
        Tree::Object(members) => members
            .first()
            .map(|(name, value)| (name.clone(), value.clone())),
        _ => None,
    };
    if let (Some((name_a, value_a)), Some((name_b, value_b))) = (first(&items[a]), first(&items[b]))
        && name_a == name_b
    {
        items[a].set_if_object(&name_a, value_b);
        items[b].set_if_object(&name_b, value_a);
    }
}

fn levels(tree: &Tree) -> usize {
    1 + tree.children().into_iter().map(levels).max().unwrap_or(0)
}
