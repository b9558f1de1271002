//! What `document.ignore` names, made ready to be followed down a document.

use super::super::{Pattern, PatternToken, Pointer, array_index};
use super::Name;

/// What is ignored from some place on downwards.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// This very place is.
    ignored: bool,
    /// Inside a member or element that is not in `named`.
    any: Option<Box<Rules>>,
    /// Inside these members or elements, what `any` says included.
    named: Vec<(String, Rules)>,
}

impl Rules {
    /// What `patterns`, seen from `root`, ignore in the whole text.
    pub(in crate::core) fn new(root: &Pointer, patterns: &[Pattern]) -> Self {
        let mut inside = Rules::default();
        if patterns.is_empty() {
            return inside;
        }
        for pattern in patterns {
            inside.add(pattern.tokens());
        }
        let wrap = |rules, token: &String| Rules {
            named: vec![(token.clone(), rules)],
            ..Rules::default()
        };
        root.tokens().iter().rev().fold(inside, wrap)
    }

    fn add(&mut self, tokens: &[PatternToken]) {
        match tokens {
            [] => self.ignored = true,
            [PatternToken::Any, rest @ ..] => {
                for (_, named) in &mut self.named {
                    named.add(rest);
                }
                self.any.get_or_insert_default().add(rest);
            }
            [PatternToken::Name(name), rest @ ..] => {
                let at = self.named.iter().position(|(known, _)| known == name);
                let at = at.unwrap_or_else(|| {
                    let start = self.any.as_deref().cloned().unwrap_or_default();
                    self.named.push((name.clone(), start));
                    self.named.len() - 1
                });
                self.named[at].1.add(rest);
            }
        }
    }

    /// Whether nothing is ignored from here on.
    pub(in crate::core) fn is_empty(&self) -> bool {
        !self.ignored && self.any.is_none() && self.named.is_empty()
    }

    /// Whether this very place is ignored.
    pub(super) fn ignored(&self) -> bool {
        self.ignored
    }

    /// What is ignored inside a member.
    pub(super) fn member(&self, name: Name<'_>) -> Option<&Rules> {
        self.child(|known| name.is(known))
    }

    /// What is ignored inside an element.
    pub(super) fn element(&self, index: usize) -> Option<&Rules> {
        self.child(|known| array_index(known) == Some(index))
    }

    /// Whether elements are told apart by their index.
    pub(super) fn names_elements(&self) -> bool {
        self.named
            .iter()
            .any(|(name, _)| array_index(name).is_some())
    }

    /// Whether that is so here or further down.
    pub(super) fn name_elements_anywhere(&self) -> bool {
        let inside = self.named.iter().map(|(_, rules)| rules);
        self.names_elements()
            || (inside.chain(self.any.as_deref())).any(Rules::name_elements_anywhere)
    }

    fn child(&self, is_it: impl Fn(&str) -> bool) -> Option<&Rules> {
        let named = self.named.iter().find(|(name, _)| is_it(name));
        named.map(|(_, rules)| rules).or(self.any.as_deref())
    }
}
