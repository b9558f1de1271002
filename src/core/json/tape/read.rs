//! Reading a body, by the side of the one before.
//!
//! A walk down the new text that holds on to the place in the old document where it would be if
//! nothing had changed. What runs in step there is copied, node by node, without being read.

use std::collections::HashMap;

use bytes::Bytes;

use super::super::{MAX_DEPTH, ParseError, parse};
use super::beginnings::Beginnings;
use super::lex::{self, Refused};
use super::lockstep::Lockstep;
use super::rules::Rules;
use super::{Copies, Name, Node, Root, Tape};

/// How many members further on in the old object one is looked for.
const LOOK_AHEAD: usize = 2;

/// How many old elements are looked at for the one that is here unchanged.
const NEAR: usize = 12;

/// This many elements may be lost, and one more for so many nodes of the old array, before it is
/// worth the time to remember how all old elements begin.
const FEW_LOST: u32 = 2;
const MANY_NODES: u32 = 512;

/// Objects of up to this many members have their names compared one by one.
const FEW: usize = 32;

impl Tape {
    /// Reads one JSON text, RFC 8259, in UTF-8; a byte order mark before it is skipped.
    ///
    /// Accepts what serde_json accepts, and numbers of any size besides; at most [`MAX_DEPTH`]
    /// arrays and objects inside one another.
    ///
    /// # Errors
    /// [`ParseError`] says what is wrong and where.
    pub fn read(text: Bytes) -> Result<Self, ParseError> {
        let (tape, _) = Self::read_after(text, None, &Rules::default())?;
        Ok(tape)
    }

    /// As [`Tape::read`], quickly where the text is much like that of `old`, and without what the
    /// rules ignore. `old` must have been read by the same rules. Also returns which parts of
    /// `old` are there again.
    ///
    /// # Errors
    /// As [`Tape::read`].
    pub fn read_after(
        text: Bytes,
        old: Option<&Tape>,
        rules: &Rules,
    ) -> Result<(Self, Copies), ParseError> {
        if u32::try_from(text.len()).is_err() {
            return Err(ParseError::TooLarge);
        }
        // A member that gave way to a later one of its name may be back in the next text.
        let old = old.filter(|old| !old.has_doubles);
        let guide = old.map(|old| Guide {
            tape: old,
            lockstep: Lockstep::new(&old.text, &text),
        });
        let mut reader = Reader {
            text: &text,
            at: 0,
            nodes: Vec::with_capacity(old.map_or(text.len() / 32, |old| old.nodes.len())),
            names: Vec::new(),
            copies: Copies::default(),
            has_doubles: false,
            guide,
        };
        if reader.document(rules).is_err() {
            return Err(parse(&text).expect_err("invariant: both readers refuse the same texts"));
        }
        let Reader {
            mut nodes,
            copies,
            has_doubles,
            ..
        } = reader;
        nodes.shrink_to_fit();
        let tape = Self {
            text,
            nodes,
            root: Root::default(),
            has_doubles,
        };
        Ok((tape, copies))
    }
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    nodes: Vec<Node>,
    /// Of the objects that are open, the names that were read.
    names: Vec<u64>,
    copies: Copies,
    has_doubles: bool,
    guide: Option<Guide<'a>>,
}

/// The document before.
struct Guide<'a> {
    tape: &'a Tape,
    lockstep: Lockstep<'a>,
}

/// Old siblings: from this one to that end.
#[derive(Clone, Copy, Default)]
pub(super) struct Twins {
    pub(super) at: u32,
    pub(super) end: u32,
}

/// Where in an old array the elements of the new one are looked for.
struct Search {
    all: Twins,
    /// After the one that the last element was taken for.
    next: Twins,
    /// From the first one on that was not found again.
    missing: Twins,
    /// How many elements were not found, and at how many all old ones are taken to hand.
    lost: u32,
    patience: u32,
    beginnings: Option<Beginnings>,
}

/// An array or object under construction.
struct Open {
    node: usize,
    /// Whether anything was read inside, be it ignored.
    begun: bool,
    /// Its children, and what they add to its compact text.
    count: u32,
    len: u32,
}

impl Reader<'_> {
    fn document(&mut self, rules: &Rules) -> Result<(), Refused> {
        if self.text.starts_with(b"\xEF\xBB\xBF") {
            self.at = 3;
        }
        self.space();
        let twin = self.guide.as_ref().map(|_| 0);
        let rules = Some(rules).filter(|rules| !rules.is_empty());
        self.value(twin, 0, rules, MAX_DEPTH)?;
        self.space();
        if self.at == self.text.len() {
            Ok(())
        } else {
            Err(Refused)
        }
    }

    /// Reads a value; the old node `twin` is its like. It adds its own text and `extra` to that of
    /// what it is in. `levels` more arrays and objects may open.
    fn value(
        &mut self,
        twin: Option<u32>,
        extra: usize,
        rules: Option<&Rules>,
        levels: usize,
    ) -> Result<(), Refused> {
        let start = self.at;
        let (end, len) = match self.peek() {
            Some(b'{' | b'[') if levels == 0 => return Err(Refused),
            Some(b'{') => return self.object(twin, extra, rules, levels - 1),
            Some(b'[') => return self.array(twin, extra, rules, levels - 1),
            Some(b'"') => {
                let from = self.string_known(twin, extra).unwrap_or(start + 1);
                let string = lex::string_from(self.text, start, from)?;
                (string.end, string.len)
            }
            first => {
                let end = match first {
                    Some(b't') => lex::literal(self.text, start, b"true")?,
                    Some(b'f') => lex::literal(self.text, start, b"false")?,
                    Some(b'n') => lex::literal(self.text, start, b"null")?,
                    _ => lex::number(self.text, start)?,
                };
                (end, end - start)
            }
        };
        self.at = end;
        self.nodes.push(Node {
            start: start as u32,
            end: end as u32,
            size: 1,
            len: (len + extra) as u32,
        });
        Ok(())
    }

    fn object(
        &mut self,
        twin: Option<u32>,
        extra: usize,
        rules: Option<&Rules>,
        levels: usize,
    ) -> Result<(), Refused> {
        let (mut twins, mut abreast) = self.inside(twin, b'{');
        // The names inside the twin are all different, and so are these while they are found there.
        let mut distinct = abreast.is_some();
        let mut all_read = true;
        let names = self.names.len();
        let mut open = self.open(extra);
        loop {
            if let Some(from) = abreast {
                all_read &= !self.copy_run(from, &mut twins, &mut open);
            }
            if !self.another(b'}', &open)? {
                break;
            }
            let name_at = self.at;
            let name = match self.peek() {
                Some(b'"') => lex::string(self.text, name_at)?,
                _ => return Err(Refused),
            };
            self.at = name.end;
            self.space();
            if self.peek() != Some(b':') {
                return Err(Refused);
            }
            self.at += 1;
            self.space();
            let name_text = Name(&self.text[name_at..name.end]);
            let rules = rules.and_then(|rules| rules.member(name_text));
            if rules.is_some_and(Rules::ignored) {
                self.pass_over(levels, &mut open)?;
                abreast = None;
                continue;
            }
            let twin = self.twin_named(&mut twins, name_text, name_at);
            distinct &= twin.is_some();
            all_read &= !name.escaped;
            self.names.push(signature(name_text.raw()));
            self.child(twin, name.len + 1, rules, levels, &mut open)?;
            abreast = twin.map(|twin| self.old_end(twin));
        }
        distinct |= all_read && all_differ(&mut self.names[names..]);
        if !distinct {
            self.drop_doubles(&mut open);
        }
        self.names.truncate(names);
        self.close(&open);
        Ok(())
    }

    fn array(
        &mut self,
        twin: Option<u32>,
        extra: usize,
        rules: Option<&Rules>,
        levels: usize,
    ) -> Result<(), Refused> {
        // An element ignored for its index is not found by what it holds.
        let twin = twin.filter(|_| !rules.is_some_and(Rules::names_elements));
        let (twins, mut abreast) = self.inside(twin, b'[');
        let mut search = Search::new(twins);
        let mut open = self.open(extra);
        for index in 0.. {
            if let Some(from) = abreast
                && self.copy_run(from, &mut search.next, &mut open)
            {
                search.found();
            }
            if !self.another(b']', &open)? {
                break;
            }
            let rules = rules.and_then(|rules| rules.element(index));
            if rules.is_some_and(Rules::ignored) {
                self.pass_over(levels, &mut open)?;
                abreast = None;
                continue;
            }
            let twin = self.search(&mut search);
            if self.child(twin, 0, rules, levels, &mut open)? {
                search.found();
            }
            abreast = twin.map(|twin| self.old_end(twin));
        }
        self.close(&open);
        Ok(())
    }

    /// Reads or copies a child, which adds its own text and `extra` to that of what it is in. True
    /// for a copy.
    fn child(
        &mut self,
        twin: Option<u32>,
        extra: usize,
        rules: Option<&Rules>,
        levels: usize,
        open: &mut Open,
    ) -> Result<bool, Refused> {
        let node = self.nodes.len();
        let is_copy = twin.is_some_and(|twin| self.copy(twin));
        if !is_copy {
            self.value(twin, extra, rules, levels)?;
        }
        open.begun = true;
        open.count += 1;
        open.len += self.nodes[node].len;
        Ok(is_copy)
    }

    /// Reads a child that is ignored.
    fn pass_over(&mut self, levels: usize, open: &mut Open) -> Result<(), Refused> {
        let nodes = self.nodes.len();
        self.value(None, 0, None, levels)?;
        self.nodes.truncate(nodes);
        open.begun = true;
        Ok(())
    }

    /// Goes on to the next child, over a comma if it is not the first; false at the end.
    fn another(&mut self, bracket: u8, open: &Open) -> Result<bool, Refused> {
        self.space();
        match self.peek() {
            Some(byte) if byte == bracket => {
                self.at += 1;
                Ok(false)
            }
            Some(b',') if open.begun => {
                self.at += 1;
                self.space();
                Ok(true)
            }
            Some(_) if !open.begun => Ok(true),
            _ => Err(Refused),
        }
    }

    fn open(&mut self, extra: usize) -> Open {
        let node = self.nodes.len();
        self.nodes.push(Node {
            start: self.at as u32,
            end: 0,
            size: 0,
            len: 0,
        });
        self.at += 1;
        Open {
            node,
            begun: false,
            count: 0,
            len: extra as u32,
        }
    }

    fn close(&mut self, open: &Open) {
        let size = (self.nodes.len() - open.node) as u32;
        let node = &mut self.nodes[open.node];
        node.end = self.at as u32;
        node.size = size;
        node.len = 2 + open.count.saturating_sub(1) + open.len;
    }

    /// Keeps the last of the members with the same name, and drops the others.
    fn drop_doubles(&mut self, open: &mut Open) {
        let doubles = doubles(self.text, &self.nodes[open.node + 1..]);
        // From the last one on, so that the places of the others stay.
        for double in doubles.into_iter().rev() {
            let start = open.node + 1 + double;
            let node = self.nodes[start];
            self.nodes.drain(start..start + node.size as usize);
            open.count -= 1;
            open.len -= node.len;
            self.has_doubles = true;
        }
    }

    fn space(&mut self) {
        self.at = lex::skip_space(self.text, self.at);
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }
}

/// By the side of the old document.
impl Reader<'_> {
    /// What is inside the old node, if that is such an array or object too; and where its text
    /// begins.
    fn inside(&self, twin: Option<u32>, bracket: u8) -> (Twins, Option<usize>) {
        let nothing = (Twins::default(), None);
        let (Some(twin), Some(guide)) = (twin, &self.guide) else {
            return nothing;
        };
        let node = guide.tape.nodes[twin as usize];
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
    fn copy(&mut self, twin: u32) -> bool {
        let same = self.same_as(twin);
        if same {
            let node = self.old(twin);
            self.copy_nodes(twin, twin + node.size, node.start as usize);
            self.at += (node.end - node.start) as usize;
        }
        same
    }

    /// Copies the siblings up to which all text runs in step, from here and from `from` on.
    fn copy_run(&mut self, from: usize, twins: &mut Twins, open: &mut Open) -> bool {
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
    fn copy_nodes(&mut self, first: u32, end: u32, from: usize) {
        let Some(guide) = &self.guide else {
            return;
        };
        self.copies.add(self.nodes.len() as u32, first, end - first);
        let shift = (self.at as u32).wrapping_sub(from as u32);
        let nodes = &guide.tape.nodes[first as usize..end as usize];
        self.nodes.extend(nodes.iter().map(|node| Node {
            start: node.start.wrapping_add(shift),
            end: node.end.wrapping_add(shift),
            ..*node
        }));
    }

    /// Whether the text here is that of an old node, and ends where it does.
    fn same_as(&mut self, twin: u32) -> bool {
        let (node, at) = (self.old(twin), self.at);
        let len = (node.end - node.start) as usize + 1;
        self.runs(node.start as usize, at, len)
    }

    /// The old element that the one here seems to be, and passes it: the next one if elements were
    /// changed in place, the first that was not found again if some were put in, one further on if
    /// some were taken out; any if they were moved.
    fn search(&mut self, search: &mut Search) -> Option<u32> {
        let guess = search.next.first().or(search.missing.first())?;
        // Scalars are read as soon as looked for.
        let is_searched = matches!(self.peek(), Some(b'{' | b'['));
        let found = if is_searched && !self.is_like(guess) {
            self.same_again(search.missing)
                .or_else(|| self.begun_alike(search))
        } else {
            None
        };
        let twin = found.unwrap_or(guess);
        search.next.at = self.old_next(twin);
        Some(twin)
    }

    /// An old element that begins like the one here, once many were lost.
    fn begun_alike(&self, search: &mut Search) -> Option<u32> {
        search.lost += 1;
        if search.lost < search.patience {
            return None;
        }
        let tape = self.guide.as_ref()?.tape;
        let beginnings = search
            .beginnings
            .get_or_insert_with(|| Beginnings::new(tape, search.all));
        beginnings.find(&self.text[self.at..])
    }

    /// The old element that is here unchanged, if it is near.
    fn same_again(&mut self, mut twins: Twins) -> Option<u32> {
        for _ in 0..NEAR {
            let twin = twins.first()?;
            if self.may_be(twin) && self.same_as(twin) {
                return Some(twin);
            }
            self.advance(&mut twins);
        }
        None
    }

    /// Whether the first half of the element here is that of an old one.
    fn is_like(&mut self, twin: u32) -> bool {
        let node = self.old(twin);
        2 * self.alike(twin) > (node.end - node.start) as usize
    }

    /// Whether the text here may be that of an old node, judged by a few bytes of it.
    fn may_be(&self, twin: u32) -> bool {
        let Some(guide) = &self.guide else {
            return false;
        };
        let node = self.old(twin);
        let len = (node.end - node.start) as usize;
        let quarters = [len / 4, len / 2, len - len / 4];
        quarters.into_iter().all(|at| {
            let old = guide.tape.text[node.start as usize..].get(at..at + 8);
            old.is_none() || old == self.text[self.at..].get(at..at + 8)
        })
    }

    /// How many bytes here are those of an old node.
    fn alike(&mut self, twin: u32) -> usize {
        let (old_at, new_at) = (self.old(twin).start as usize, self.at);
        let guide = self.guide.as_mut();
        guide.map_or(0, |guide| guide.lockstep.ahead(old_at, new_at))
    }

    /// How far a string here is known to be one, from the old string that it begins like.
    fn string_known(&mut self, twin: Option<u32>, extra: usize) -> Option<usize> {
        let (twin, guide) = (twin?, self.guide.as_mut()?);
        let node = guide.tape.nodes[twin as usize];
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
    fn twin_named(&self, twins: &mut Twins, name: Name<'_>, name_at: usize) -> Option<u32> {
        let tape = self.guide.as_ref()?.tape;
        let written = &self.text[name_at..self.at];
        let mut rest = *twins;
        for _ in 0..=LOOK_AHEAD {
            let twin = rest.first()?;
            rest.at = self.old_next(twin);
            let before = &tape.text[..self.old(twin).start as usize];
            let rest_before = before.strip_suffix(written);
            if rest_before.is_some_and(|rest| rest.last() != Some(&b'\\'))
                || Name::before(&tape.text, before.len()) == name
            {
                *twins = rest;
                return Some(twin);
            }
        }
        None
    }

    fn advance(&self, twins: &mut Twins) {
        if let Some(twin) = twins.first() {
            twins.at = self.old_next(twin);
        }
    }

    fn old(&self, twin: u32) -> Node {
        match &self.guide {
            Some(guide) => guide.tape.nodes[twin as usize],
            None => unreachable!("invariant: without an old document there is no old node"),
        }
    }

    fn old_next(&self, twin: u32) -> u32 {
        twin + self.old(twin).size
    }

    fn old_end(&self, twin: u32) -> usize {
        self.old(twin).end as usize
    }

    fn runs(&mut self, old_at: usize, new_at: usize, len: usize) -> bool {
        let guide = self.guide.as_mut();
        guide.is_some_and(|guide| guide.lockstep.runs(old_at, new_at, len))
    }
}

impl Twins {
    fn first(self) -> Option<u32> {
        (self.at < self.end).then_some(self.at)
    }
}

/// A number that is different only for different names, as they are written.
fn signature(name: &[u8]) -> u64 {
    let word = |bytes: &[u8]| {
        let mut word = [0; 8];
        let len = bytes.len().min(8);
        word[..len].copy_from_slice(&bytes[..len]);
        u64::from_le_bytes(word)
    };
    let end = &name[name.len().saturating_sub(8)..];
    let ends = word(name) ^ word(end).rotate_left(23);
    ends.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ name.len() as u64
}

fn all_differ(signatures: &mut [u64]) -> bool {
    if signatures.len() > FEW {
        signatures.sort_unstable();
        return signatures.windows(2).all(|pair| pair[0] != pair[1]);
    }
    let mut rest = &*signatures;
    while let [first, others @ ..] = rest {
        if others.contains(first) {
            return false;
        }
        rest = others;
    }
    true
}

impl Search {
    fn new(twins: Twins) -> Self {
        Self {
            all: twins,
            next: twins,
            missing: twins,
            lost: 0,
            patience: FEW_LOST + (twins.end - twins.at) / MANY_NODES,
            beginnings: None,
        }
    }

    fn found(&mut self) {
        self.missing = self.next;
    }
}

/// Which of the members before the last of their name there are, as places in `nodes`.
fn doubles(text: &[u8], nodes: &[Node]) -> Vec<usize> {
    let mut names = Vec::new();
    let mut at = 0;
    while let Some(node) = nodes.get(at) {
        names.push((Name::before(text, node.start as usize), at));
        at += node.size as usize;
    }
    if names.len() <= FEW {
        let again = |i: usize| names[i + 1..].iter().any(|(name, _)| *name == names[i].0);
        let doubles = (0..names.len()).filter(|i| again(*i));
        return doubles.map(|i| names[i].1).collect();
    }
    let mut last = HashMap::with_capacity(names.len());
    let mut doubles: Vec<usize> = (names.iter())
        .filter_map(|(name, at)| last.insert(name.shortest(), *at))
        .collect();
    doubles.sort_unstable();
    doubles
}
