//! What changed between two documents: as an RFC 6902 patch, as an RFC 7396 patch, by item.
//!
//! Promises that the patch turns the one document into the other, whatever they are; that for
//! every changed part the smaller of its operations and one `replace` is taken; that equal parts
//! have none, however they are written; and that time and memory stay near linear in the documents
//! (times their depth). Must never give up on correctness for size: which element was which is only
//! a guess at what is cheap.
mod align;
mod arrays;
mod infer;
mod items;
mod key;
mod known;
mod memory;
mod merge;
mod order;
mod pairing;
mod writer;

use crate::core::json::{Abreast, Copies, Kind, Name, Pair, Tape, Value};
use memory::Step;
use writer::{Full, Writer};

pub use items::Items;
pub(super) use known::Known;
pub use memory::{InferredKey, Memory};
pub use merge::merge;

/// The RFC 6902 patch from `old` to `new` as compact JSON text, shorter than `budget` bytes.
///
/// `copies` are what the two have in common as far as it was seen when reading `new`; `memory` is
/// what was learnt from the documents before about which elements are the same. Equal documents
/// give `[]`. None where no patch was found that is shorter than `budget`: with the length of
/// `new`'s own text as the budget, send that instead; with [`usize::MAX`] there always is one.
pub fn diff(
    old: &Tape,
    new: &Tape,
    copies: &Copies,
    memory: &mut Memory,
    budget: usize,
) -> Option<Vec<u8>> {
    memory.begin();
    let patch = between(old.root(), new.root(), copies, memory, budget);
    memory.end(patch.as_ref().map_or(0, Vec::len));
    patch
}

/// As [`diff`], between parts of documents.
fn between(
    old: Value<'_>,
    new: Value<'_>,
    copies: &Copies,
    memory: &mut Memory,
    budget: usize,
) -> Option<Vec<u8>> {
    // Room for the closing bracket, and strictly less than the budget.
    let mut differ = Differ {
        writer: Writer::new(budget.checked_sub(3)? + 1, memory.likely_len()),
        copies,
        memory,
        steps: Vec::with_capacity(DEPTH),
    };
    differ.value(old, new).ok()?;
    Some(differ.writer.finish())
}

/// So many levels most documents have at most.
const DEPTH: usize = 8;

/// Two documents under comparison; the writer knows where in them we are.
struct Differ<'a> {
    writer: Writer,
    copies: &'a Copies,
    memory: &'a mut Memory,
    /// The way to where we are.
    steps: Vec<Step<'a>>,
}

impl<'a> Differ<'a> {
    /// Writes the operations that turn `old`, at the writer's path, into `new`.
    fn value(&mut self, old: Value<'a>, new: Value<'a>) -> Result<(), Full> {
        if old.looks_like(new) {
            return Ok(());
        }
        self.other(old, new)
    }

    /// As [`Differ::value`], for scalars that differ and anything else.
    fn other(&mut self, old: Value<'a>, new: Value<'a>) -> Result<(), Full> {
        match (old.kind(), new.kind()) {
            (Kind::Object, Kind::Object) => self.cheaper(new, |differ| differ.object(old, new)),
            (Kind::Array, Kind::Array) => self.cheaper(new, |differ| differ.array(old, new)),
            _ => self.writer.replace(new),
        }
    }

    /// Takes what `inside` writes if it is smaller than a replacement by `new`, and else that.
    fn cheaper(
        &mut self,
        new: Value<'a>,
        inside: impl FnOnce(&mut Self) -> Result<(), Full>,
    ) -> Result<(), Full> {
        let start = self.writer.mark();
        let depth = self.steps.len();
        let outer = self.writer.limit();
        let replaced = self.writer.len_after_replace(new);
        if let Some(replaced) = replaced {
            self.writer.set_limit(replaced - 1);
        }
        let written = inside(self);
        self.writer.set_limit(outer);
        match (written, replaced) {
            (Err(Full), Some(_)) => {
                self.writer.rewind(start);
                self.steps.truncate(depth);
                self.writer.replace(new)
            }
            (written, _) => written,
        }
    }

    fn object(&mut self, old: Value<'a>, new: Value<'a>) -> Result<(), Full> {
        let mut copies = self.copies.lookup(new);
        let mut abreast = Abreast::new(old, new);
        while let Some((old, new)) = abreast.next() {
            if copies.is_copy_of(new, old) != Some(true) && !old.looks_like(new) {
                self.member(new.name(), |differ| differ.other(old, new))?;
            }
        }
        for pair in abreast.rest() {
            match pair {
                Pair::Both(old, new) => {
                    self.member(new.name(), |differ| differ.value(old, new))?;
                }
                Pair::Gone(old) => self.member(old.name(), |differ| differ.writer.remove())?,
                Pair::New(new) => self.member(new.name(), |differ| differ.writer.add(new))?,
            }
        }
        Ok(())
    }

    fn member(
        &mut self,
        name: Name<'a>,
        inside: impl FnOnce(&mut Self) -> Result<(), Full>,
    ) -> Result<(), Full> {
        let parent = self.writer.enter(name);
        self.steps.push(Step::Member(name));
        inside(self)?;
        self.steps.pop();
        self.writer.leave(parent);
        Ok(())
    }

    fn element(
        &mut self,
        index: usize,
        inside: impl FnOnce(&mut Self) -> Result<(), Full>,
    ) -> Result<(), Full> {
        let parent = self.writer.enter_index(index);
        self.steps.push(Step::Element);
        inside(self)?;
        self.steps.pop();
        self.writer.leave(parent);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
