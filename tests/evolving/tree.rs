//! What a document means, and nothing of how it is written.

use indexmap::IndexMap;

/// A JSON value; `==` is equality of meaning.
#[derive(Clone, Debug, PartialEq)]
pub enum Tree {
    Null,
    Bool(bool),
    Number(Decimal),
    String(String),
    Array(Vec<Tree>),
    Object(IndexMap<String, Tree>),
}

/// `digits × 10^exponent`. Equal numbers have equal fields: no zero at either end of the digits,
/// and zero has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decimal {
    pub negative: bool,
    pub digits: String,
    pub exponent: i64,
}

impl Decimal {
    pub fn new(negative: bool, digits: &str, exponent: i64) -> Self {
        let whole = digits.trim_start_matches('0');
        let digits = whole.trim_end_matches('0');
        let zeros = i64::try_from(whole.len() - digits.len()).unwrap();
        Self {
            negative: negative && !digits.is_empty(),
            digits: digits.to_owned(),
            exponent: if digits.is_empty() {
                0
            } else {
                exponent + zeros
            },
        }
    }
}

impl Tree {
    pub fn integer(n: u64) -> Self {
        Tree::Number(Decimal::new(false, &n.to_string(), 0))
    }

    pub fn string(text: impl Into<String>) -> Self {
        Tree::String(text.into())
    }

    pub fn object<N: Into<String>>(members: impl IntoIterator<Item = (N, Tree)>) -> Self {
        Tree::Object(members.into_iter().map(|(n, v)| (n.into(), v)).collect())
    }

    pub fn set_if_object(&mut self, name: &str, value: Tree) {
        if let Tree::Object(members) = self {
            members.insert(name.to_owned(), value);
        }
    }

    pub fn children(&self) -> Vec<&Tree> {
        match self {
            Tree::Array(items) => items.iter().collect(),
            Tree::Object(members) => members.values().collect(),
            _ => Vec::new(),
        }
    }

    pub fn children_mut(&mut self) -> Vec<&mut Tree> {
        match self {
            Tree::Array(items) => items.iter_mut().collect(),
            Tree::Object(members) => members.values_mut().collect(),
            _ => Vec::new(),
        }
    }

    /// How many values satisfy `wanted`, this one and all below it.
    pub fn count(&self, wanted: fn(&Tree) -> bool) -> usize {
        let below = self.children().into_iter().map(|child| child.count(wanted));
        usize::from(wanted(self)) + below.sum::<usize>()
    }

    /// The `n`th of the values that [`Tree::count`] counts; else `n` is less by those passed.
    pub fn nth(&mut self, wanted: fn(&Tree) -> bool, n: &mut usize) -> Option<&mut Tree> {
        if wanted(self) {
            if *n == 0 {
                return Some(self);
            }
            *n -= 1;
        }
        self.children_mut()
            .into_iter()
            .find_map(|child| child.nth(wanted, n))
    }

    /// The array with the most elements, this one or below.
    pub fn longest_array(&mut self) -> Option<&mut Tree> {
        let own = matches!(self, Tree::Array(_)).then(|| self.children().len());
        let longest = self.children().into_iter().filter_map(Tree::longest).max();
        if own.is_some() && own >= longest {
            return Some(self);
        }
        self.children_mut()
            .into_iter()
            .find(|child| longest.is_some() && child.longest() == longest)?
            .longest_array()
    }

    fn longest(&self) -> Option<usize> {
        let own = matches!(self, Tree::Array(_)).then(|| self.children().len());
        let below = self.children().into_iter().filter_map(Tree::longest).max();
        own.max(below)
    }
}
