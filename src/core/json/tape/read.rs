//! Reading a body, by the side of the one before.
//!
//! A walk down the new text that holds on to the place in the old document where it would be if
//! nothing had changed. What runs in step there is copied, node by node, without being read.

use bytes::Bytes;

use super::super::{MAX_DEPTH, ParseError, parse};
use super::beside::Guide;
use super::lex::{self, Lexeme, Refused};
use super::lockstep::Lockstep;
use super::names::{all_differ, doubles, signature};
use super::nodes::{MAX_TEXT, Nodes};
use super::rules::Rules;
use super::search::Search;
use super::{Copies, Name, Root, Tape};

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
        if text.len() > MAX_TEXT {
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
            nodes: match old {
                Some(old) => Nodes::with_capacity_of(&old.nodes),
                None => Nodes::with_capacity(text.len() / 32),
            },
            names: Vec::new(),
            copies: Copies::with_room(),
            has_doubles: false,
            guide,
        };
        if reader.document(rules).is_err() {
            return Err(parse(&text).expect_err("invariant: both readers refuse the same texts"));
        }
        let Reader {
            mut nodes,
            mut copies,
            has_doubles,
            ..
        } = reader;
        nodes.shrink_to_fit();
        if has_doubles {
            copies = Copies::default(); // nodes have moved up since
        }
        let tape = Self {
            text,
            nodes,
            root: Root::default(),
            has_doubles,
            by_index: rules.name_elements_anywhere(),
        };
        Ok((tape, copies))
    }
}

/// A walk down a text.
pub(super) struct Reader<'a> {
    pub(super) text: &'a [u8],
    pub(super) at: usize,
    pub(super) nodes: Nodes,
    /// Of the objects that are open, the names that were read.
    names: Vec<u64>,
    pub(super) copies: Copies,
    has_doubles: bool,
    pub(super) guide: Option<Guide<'a>>,
}

/// An array or object under construction.
pub(super) struct Open {
    node: usize,
    /// Whether anything was read inside, be it ignored.
    pub(super) begun: bool,
    /// Its children, and what they add to its compact text.
    pub(super) count: u32,
    pub(super) len: u32,
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
        self.nodes.push(start, end, len + extra);
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
            let name = self.name()?;
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

    /// Reads a member's name, and goes on to its value.
    fn name(&mut self) -> Result<Lexeme, Refused> {
        if self.peek() != Some(b'"') {
            return Err(Refused);
        }
        let name = lex::string(self.text, self.at)?;
        self.at = name.end;
        self.space();
        if self.peek() != Some(b':') {
            return Err(Refused);
        }
        self.at += 1;
        self.space();
        Ok(name)
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
        open.len += self.nodes.get(node as u32).len;
        Ok(is_copy)
    }

    /// Reads a child that is ignored.
    fn pass_over(&mut self, levels: usize, open: &mut Open) -> Result<(), Refused> {
        let (nodes, has_doubles) = (self.nodes.len(), self.has_doubles);
        self.value(None, 0, None, levels)?;
        self.nodes.truncate(nodes);
        self.has_doubles = has_doubles;
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
        self.nodes.open(self.at);
        self.at += 1;
        Open {
            node,
            begun: false,
            count: 0,
            len: extra as u32,
        }
    }

    fn close(&mut self, open: &Open) {
        let len = 2 + open.count.saturating_sub(1) + open.len;
        self.nodes.close(open.node, self.at, len);
    }

    /// Keeps the last of the members with the same name, and drops the others.
    fn drop_doubles(&mut self, open: &mut Open) {
        let doubles = doubles(self.text, &self.nodes, open.node + 1);
        for double in &doubles {
            open.count -= 1;
            open.len -= self.nodes.get(*double).len;
            self.has_doubles = true;
        }
        self.nodes.remove(open.node + 1, &doubles);
    }

    fn space(&mut self) {
        self.at = lex::skip_space(self.text, self.at);
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }
}
