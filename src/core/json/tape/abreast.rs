//! Two objects side by side.

use std::collections::HashMap;

use super::{Children, Value};

/// What became of a member.
#[derive(Clone, Copy, Debug)]
pub(in crate::core) enum Pair<'a> {
    /// It is in the old object alone.
    Gone(Value<'a>),
    /// It is in both.
    Both(Value<'a>, Value<'a>),
    /// It is in the new object alone.
    New(Value<'a>),
}

/// The members of two objects by their names: while they have the same names in the same order,
/// these; then those that are gone, then the rest in the new order.
pub(in crate::core) fn pairs<'a>(old: Value<'a>, new: Value<'a>) -> impl Iterator<Item = Pair<'a>> {
    let mut abreast = Abreast::new(old, new);
    let mut rest: Option<std::vec::IntoIter<Pair<'a>>> = None;
    std::iter::from_fn(move || {
        if rest.is_none()
            && let Some((old, new)) = abreast.next()
        {
            return Some(Pair::Both(old, new));
        }
        rest.get_or_insert_with(|| abreast.rest().into_iter())
            .next()
    })
}

/// Goes over two objects as long as they have the same names in the same order.
pub(in crate::core) struct Abreast<'a> {
    old: Side<'a>,
    new: Side<'a>,
}

struct Side<'a> {
    children: Children<'a>,
    /// Where the text before the next child starts.
    at: usize,
}

impl<'a> Abreast<'a> {
    pub(in crate::core) fn new(old: Value<'a>, new: Value<'a>) -> Self {
        let side = |value: Value<'a>| Side {
            at: value.start() + 1,
            children: value.children(),
        };
        Self {
            old: side(old),
            new: side(new),
        }
    }

    /// The old and the new value of the next member.
    pub(in crate::core) fn next(&mut self) -> Option<(Value<'a>, Value<'a>)> {
        let old = self.old.children.clone().next()?;
        let new = self.new.children.clone().next()?;
        // The text between two values is that of the name, and little more.
        if self.old.before(old) != self.new.before(new) && old.name() != new.name() {
            return None;
        }
        self.old.pass(old);
        self.new.pass(new);
        Some((old, new))
    }

    /// What is left, in whatever order the two have it.
    pub(in crate::core) fn rest(&self) -> Vec<Pair<'a>> {
        if self.old.children.is_over() && self.new.children.is_over() {
            return Vec::new();
        }
        let olds: Vec<Value> = self.old.children.clone().collect();
        let mut places: HashMap<_, usize> = (olds.iter().enumerate())
            .map(|(i, old)| (old.name().shortest(), i))
            .collect();
        let news = self.new.children.clone();
        let news: Vec<Pair> = news
            .map(|new| match places.remove(&new.name().shortest()) {
                Some(i) => Pair::Both(olds[i], new),
                None => Pair::New(new),
            })
            .collect();
        let mut gone: Vec<usize> = places.into_values().collect();
        gone.sort_unstable();
        let gone = gone.into_iter().map(|i| Pair::Gone(olds[i]));
        gone.chain(news).collect()
    }
}

impl<'a> Side<'a> {
    fn before(&self, child: Value<'a>) -> &'a [u8] {
        &child.tape.text[self.at..child.start()]
    }

    fn pass(&mut self, child: Value<'a>) {
        self.at = child.end();
        self.children.next();
    }
}
