//! Made-up documents that evolve from poll to poll, with the truth about each poll.
//!
//! Shared by test programs. The truth is a tree of our own, so that nothing here asks the code
//! under test whether two documents are equal.
mod edit;
mod shapes;
mod tree;
mod writing;

use std::fmt;

use bytes::Bytes;
use pollcast::core::document::View;
use pollcast::core::json::{Pattern, Pointer};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

pub use edit::Edit;
pub use shapes::Numbers;
pub use tree::Tree;
pub use writing::{Dice, Style};

/// One answer of the upstream.
#[derive(Clone, Debug)]
pub struct Poll {
    pub body: Bytes,
    /// The document that it holds; none if it is broken.
    pub tree: Option<Tree>,
}

/// A document, and what becomes of it.
#[derive(Clone)]
pub struct History {
    start: Tree,
    envelope: Envelope,
    key: Option<&'static str>,
    steps: Vec<Step>,
}

/// From one poll to the next.
#[derive(Clone, Debug)]
struct Step {
    edits: Vec<Edit>,
    style: Style,
    also: Also,
}

/// What is polled besides the next document.
#[derive(Clone, Debug)]
enum Also {
    Nothing,
    /// The same bytes once more.
    Again,
    /// The same document, written in another way.
    Otherwise(Style),
    /// Before it: the next body, broken.
    Broken(Damage, Index),
}

/// What makes any body no JSON text, wherever it strikes.
#[derive(Clone, Copy, Debug)]
enum Damage {
    /// Bytes that no JSON text holds.
    Inserted(&'static [u8]),
    CutOff,
    Followed(&'static [u8]),
    Instead(&'static [u8]),
}

/// What stands around the document in the body.
#[derive(Clone, Copy, Debug)]
enum Envelope {
    Nothing,
    /// The document is one member among others, which change with every poll.
    Member,
    /// Members that are ignored stand in the root, and in what the root holds.
    Noise,
}

impl History {
    /// Documents that every reader of JSON can hold (`Numbers::Doubles`), or any at all.
    pub fn any(numbers: Numbers) -> impl Strategy<Value = Self> {
        let envelope = proptest::sample::select(
            &[
                Envelope::Nothing,
                Envelope::Nothing,
                Envelope::Member,
                Envelope::Noise,
            ][..],
        );
        let key = proptest::sample::select(&[None, Some("id"), Some("id"), Some("")][..]);
        let steps = vec(Step::any(numbers), 3..10);
        (shapes::document(numbers), envelope, key, steps).prop_map(
            |(start, envelope, key, steps)| Self {
                start,
                envelope,
                key,
                steps,
            },
        )
    }

    /// As [`History::any`], but large enough that small changes are small: the longest array starts
    /// with `rows` elements.
    pub fn large(numbers: Numbers, rows: usize) -> impl Strategy<Value = Self> {
        Self::any(numbers).prop_map(move |mut history| {
            if let Some(Tree::Array(items)) = history.start.longest_array() {
                edit::repeat(items, rows);
            }
            history
        })
    }

    /// The view under which a poll's document is its `tree`.
    pub fn view(&self) -> View {
        let pattern = |text| Pattern::parse(text).unwrap();
        View {
            select: match self.envelope {
                Envelope::Member => Pointer::parse("/the~1document/0").unwrap(),
                Envelope::Nothing | Envelope::Noise => Pointer::default(),
            },
            ignore: match self.envelope {
                Envelope::Noise => vec![pattern("/noise"), pattern("/*/noise")],
                Envelope::Nothing | Envelope::Member => Vec::new(),
            },
            key: self.key.map(str::to_owned),
            items: Pointer::default(),
        }
    }

    /// Whether a body is its document, and nothing besides.
    pub fn is_bare(&self) -> bool {
        matches!(self.envelope, Envelope::Nothing)
    }

    /// Every poll, oldest first.
    pub fn polls(&self) -> Vec<Poll> {
        let mut polls = Vec::new();
        let mut tree = self.start.clone();
        // It may double with some edits, but not again and again.
        let most = 400 + 2 * tree.count(|_| true);
        for (turn, step) in self.steps.iter().enumerate() {
            step.edits
                .iter()
                .for_each(|edit| edit.apply(&mut tree, most));
            let write = |style: &Style, turn| style.write(&self.envelope.around(&tree, turn));
            let good = |body: Vec<u8>| Poll {
                body: body.into(),
                tree: Some(tree.clone()),
            };
            let body = write(&step.style, turn);
            if let Also::Broken(damage, at) = &step.also {
                polls.push(Poll {
                    body: damage.done_to(&body, at).into(),
                    tree: None,
                });
            }
            polls.push(good(body.clone()));
            match &step.also {
                Also::Again => polls.push(good(body)),
                Also::Otherwise(style) => polls.push(good(write(style, turn + 100))),
                Also::Nothing | Also::Broken(..) => {}
            }
        }
        polls
    }
}

/// As somebody needs it who looks at a failing case: the bodies.
impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:?}", self.view())?;
        self.polls()
            .iter()
            .try_for_each(|poll| writeln!(f, "b\"{}\"", poll.body.escape_ascii()))
    }
}

impl Step {
    fn any(numbers: Numbers) -> impl Strategy<Value = Self> {
        let edits = vec(Edit::any(numbers), 0..4);
        (edits, Style::any(numbers), Also::any(numbers)).prop_map(|(edits, style, also)| Self {
            edits,
            style,
            also,
        })
    }
}

impl Also {
    fn any(numbers: Numbers) -> impl Strategy<Value = Self> {
        const DAMAGES: &[Damage] = &[
            Damage::Inserted(b"\0"),
            Damage::Inserted(b"\xff"),
            Damage::Inserted(b"\x1f"),
            Damage::Inserted(b"\xed\xa0\x80"),
            Damage::Inserted(b"\xc0\x80"),
            Damage::CutOff,
            Damage::CutOff,
            Damage::Followed(b"]"),
            Damage::Followed(b" x"),
            Damage::Followed(b"\n{}"),
            Damage::Followed(b"\0"),
            Damage::Instead(b""),
            Damage::Instead(b"<html>"),
            Damage::Instead(b" \r\n"),
        ];
        let damage = proptest::sample::select(DAMAGES);
        prop_oneof![
            4 => Just(Also::Nothing),
            1 => Just(Also::Again),
            2 => Style::any(numbers).prop_map(Also::Otherwise),
            2 => (damage, any::<Index>()).prop_map(|(damage, at)| Also::Broken(damage, at)),
        ]
    }
}

impl Damage {
    fn done_to(self, body: &[u8], at: &Index) -> Vec<u8> {
        let at = at.index(body.len());
        match self {
            Damage::Inserted(bytes) => [&body[..at], bytes, &body[at..]].concat(),
            // What is left of a number may be a number.
            Damage::CutOff if !body.ends_with(b"]") && !body.ends_with(b"}") => {
                [body, b","].concat()
            }
            Damage::CutOff => body[..at].to_vec(),
            Damage::Followed(bytes) => [body, bytes].concat(),
            Damage::Instead(bytes) => bytes.to_vec(),
        }
    }
}

impl Envelope {
    /// The whole of what the upstream says in this turn.
    fn around(self, tree: &Tree, turn: usize) -> Tree {
        let turn = Tree::integer(turn as u64);
        match self {
            Envelope::Nothing => tree.clone(),
            Envelope::Member => Tree::object([
                ("at", turn.clone()),
                (
                    "the/document",
                    Tree::Array(vec![tree.clone(), turn.clone()]),
                ),
                ("after", Tree::Array(vec![turn])),
            ]),
            Envelope::Noise => {
                let mut tree = tree.clone();
                tree.children_mut()
                    .into_iter()
                    .for_each(|child| child.set_if_object("noise", turn.clone()));
                tree.set_if_object("noise", Tree::Array(vec![turn]));
                tree
            }
        }
    }
}
