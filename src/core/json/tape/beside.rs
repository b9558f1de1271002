//! Reading by the side of the document before.

use super::lex;
use super::lockstep::Lockstep;
use super::nodes::Node;
use super::read::{Open, Reader};
use super::{Name, Tape};

/// How many members further on in the old object one is looked for.
const LOOK_AHEAD: usize = 2;

/// The document before.
pub(super) struct Guide<'a> {
    pub(super) tape: &'a Tape,
    pub(super) lockstep: Lockstep<'a>,
}

/// Old siblings: from this one to that end.
#[derive(Clone, Copy, Default)]
pub(super) struct Twins {
    pub(super) at: u32,
    pub(super) end: u32,
}

impl Reader<'_> {
    /// What is inside the old node, if that is such an array or object too; and where its text
    /// begins.
    pub(super) fn inside(&self, twin: Option<u32>, bracket: u8) -> (Twins, Option<usize>) {
        let nothing = (Twins::default(), None);
        let (Some(twin), Some(guide)) = (twin, &self.guide) else {
            return nothing;
        };
        let node = guide.tape.nodes.get(twin);
        if guide.tape.text[node.start as usize] != bracket {
            return nothing;
        }
        let twins = Twins {
            at: twin + 1,
            end: twin + node.size,
        };
        (twins, Some(node.start as usize + 1))
    }

    /// Copies a value that is the old one byte for byte.
    pub(super) fn copy(&mut self, twin: u32) -> bool {
        let same = self.same_as(twin);
        if same {
            let node = self.old(twin);
            self.copy_nodes(twin, twin + node.size, node.start as usize);
            self.at += (node.end - node.start) as usize;
        }
        same
    }

    /// Copies the siblings up to which all text runs in step, from here and from `from` on.
    pub(super) fn copy_run(&mut self, from: usize, twins: &mut Twins, open: &mut Open) -> bool {
        let (first, mut end) = (twins.at, from);
        while let Some(twin) = twins.first() {
            let node = self.old(twin);
            // With the byte that ends it: a number may go on.
            let len = node.end as usize + 1 - from;
            let at = self.at;
            if !self.runs(from, at, len) {
                break;
            }
            end = node.end as usize;
            open.count += 1;
            open.len += node.len;
            twins.at += node.size;
        }
        if twins.at == first {
            return false;
        }
        self.copy_nodes(first, twins.at, from);
        self.at += end - from;
        open.begun = true;
        true
    }

    /// Copies nodes whose text from `from` on is the text from here on.
    pub(super) fn copy_nodes(&mut self, first: u32, end: u32, from: usize) {
        let Some(guide) = &self.guide else {
            return;
        };
        self.copies.add(self.nodes.len() as u32, first, end - first);
        let shift = (self.at as u32).wrapping_sub(from as u32);
        self.nodes.copy(&guide.tape.nodes, first, end, shift);
    }

    /// Whether the text here is that of an old node, and ends where it does.
    pub(super) fn same_as(&mut self, twin: u32) -> bool {
        let (node, at) = (self.old(twin), self.at);
        let len = (node.end - node.start) as usize + 1;
        self.runs(node.start as usize, at, len)
    }

    /// How many bytes here are those of an old node.
    pub(super) fn alike(&mut self, twin: u32) -> usize {
        let (old_at, new_at) = (self.old(twin).start as usize, self.at);
        let guide = self.guide.as_mut();
        guide.map_or(0, |guide| guide.lockstep.ahead(old_at, new_at))
    }

    /// How far a string here is known to be one, from the old string that it begins like.
    pub(super) fn string_known(&mut self, twin: Option<u32>, extra: usize) -> Option<usize> {
        let (twin, guide) = (twin?, self.guide.as_mut()?);
        let node = guide.tape.nodes.get(twin);
        let (start, end) = (node.start as usize, node.end as usize);
        let is_shortest = node.len as usize - extra == end - start;
        if guide.tape.text[start] != b'"' || !is_shortest {
            return None;
        }
        let common = guide.lockstep.ahead(start, self.at).min(end - 1 - start);
        // Seen from the old text, which is whole.
        let known = lex::boundary(&guide.tape.text, start + common)?;
        (known > start).then(|| self.at + (known - start))
    }

    /// The old member with this name, if it is among the next ones; those before it are passed.
    pub(super) fn twin_named(
        &self,
        twins: &mut Twins,
        name: Name<'_>,
        name_at: usize,
    ) -> Option<u32> {
        let tape = self.guide.as_ref()?.tape;
        let written = &self.text[name_at..self.at];
        let mut rest = *twins;
        for _ in 0..=LOOK_AHEAD {
            let twin = rest.first()?;
            rest.at = self.old_next(twin);
            let before = &tape.text[..self.old(twin).start as usize];
            let rest_before = before.strip_suffix(written);
            if rest_before.is_some_and(|rest| rest.last() != Some(&b'\\'))
                || Name::near(&tape.text, before.len()).is_some_and(|other| other == name)
            {
                *twins = rest;
                return Some(twin);
            }
        }
        None
    }

    pub(super) fn advance(&self, twins: &mut Twins) {
        if let Some(twin) = twins.first() {
            twins.at = self.old_next(twin);
        }
    }

    pub(super) fn old(&self, twin: u32) -> Node {
        match &self.guide {
            Some(guide) => guide.tape.nodes.get(twin),
            None => unreachable!("invariant: without an old document there is no old node"),
        }
    }

    pub(super) fn old_next(&self, twin: u32) -> u32 {
        twin + self.old(twin).size
    }

    pub(super) fn old_end(&self, twin: u32) -> usize {
        self.old(twin).end as usize
    }

    pub(super) fn runs(&mut self, old_at: usize, new_at: usize, len: usize) -> bool {
        let guide = self.guide.as_mut();
        guide.is_some_and(|guide| guide.lockstep.runs(old_at, new_at, len))
    }
}

impl Twins {
    pub(super) fn first(self) -> Option<u32> {
        (self.at < self.end).then_some(self.at)
    }
}
