//! Numbers of a document as samples of metrics: what `feeds[].export` asks for.
//!
//! Promises that no two samples of a metric have the same labels, that there are never more than
//! was allowed, and that whatever is left out for that, or because it is no number, is counted.
//! Must never alter a label's value: one that cannot be used leaves its sample out.

mod source;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

pub use source::{Source, SourceError};

use super::json::{Kind, Path, PatternToken, Pointer, Tape, Value, member_name};

/// The longest value of a label, in bytes.
pub const MAX_LABEL: usize = 1024;

/// One entry of `export`: which numbers become which metric.
#[derive(Clone, PartialEq, Eq)]
pub struct Rule {
    /// The name of a Prometheus metric.
    pub metric: String,
    /// What it means.
    pub help: String,
    /// The places in the document that are a sample each.
    pub each: Places,
    /// The number, seen from its place.
    pub value: Pointer,
    /// The names of its labels, sorted, and where their values come from.
    pub labels: Vec<(String, Label)>,
    /// How many samples there may be; those that come first in the document stay.
    pub max_series: usize,
}

/// Places in a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Places {
    /// What these steps lead to, from the document on.
    Steps(Vec<PatternToken>),
    /// What a JSONPath finds.
    Path(Path),
}

/// Where the value of a label comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Label {
    /// The document.
    Found(Source),
    /// The configuration.
    Text(String),
}

/// What one rule makes of a document.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Samples {
    /// In the document's order.
    pub samples: Vec<Sample>,
    /// Places with something that could not become a sample: it is no number, a label's value is no
    /// text or too long, another sample has the same labels, or there are too many.
    pub dropped: usize,
}

/// One number of a document.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The values of the rule's labels, in their order; empty where the document has none.
    pub labels: Arc<[String]>,
    /// Finite.
    pub value: f64,
}

/// What of the samples so far is taken: the labels, by metric.
type Taken<'r> = HashMap<&'r str, HashSet<Arc<[String]>>>;

/// What the rules make of a document, one after the other.
pub fn read(rules: &[Rule], document: &Tape) -> Vec<Samples> {
    let mut taken = Taken::new();
    let read = |rule| Reading::of(rule, &mut taken).read(document);
    rules.iter().map(read).collect()
}

/// One rule at work.
struct Reading<'r, 't> {
    rule: &'r Rule,
    taken: &'t mut HashSet<Arc<[String]>>,
    found: Samples,
}

impl<'r, 't> Reading<'r, 't> {
    fn of(rule: &'r Rule, taken: &'t mut Taken<'r>) -> Self {
        Self {
            rule,
            taken: taken.entry(&rule.metric).or_default(),
            found: Samples::default(),
        }
    }

    fn read(mut self, document: &Tape) -> Samples {
        let rule = self.rule;
        match &rule.each {
            Places::Steps(steps) => self.walk(steps, &mut vec![Step::root(document.root())]),
            Places::Path(path) => {
                for place in path.find(document) {
                    self.take(&[Step::root(place)]);
                }
            }
        }
        self.found
    }

    /// Follows `steps` down from the end of `way`. Never deeper than the document nests.
    fn walk<'v>(&mut self, steps: &'v [PatternToken], way: &mut Vec<Step<'v>>) {
        let Some(here) = way.last().map(|step| step.value) else {
            return;
        };
        let mut go = |key, value| {
            way.push(Step { key, value });
            self.walk(&steps[1..], way);
            way.pop();
        };
        match steps.first() {
            None => self.take(way),
            Some(PatternToken::Name(name)) => {
                if let Some(child) = here.child(name) {
                    go(Key::Named(name), child);
                }
            }
            Some(PatternToken::Any) => match here.kind() {
                Kind::Array => {
                    for (index, child) in here.children().enumerate() {
                        go(Key::Index(index), child);
                    }
                }
                Kind::Object => {
                    for child in here.children() {
                        go(Key::Own, child);
                    }
                }
                _ => {}
            },
        }
    }

    /// Takes in the place at the end of `way`.
    fn take(&mut self, way: &[Step<'_>]) {
        let place = way.last().map(|step| step.value);
        let Some(value) = place.and_then(|place| below(place, &self.rule.value)) else {
            return;
        };
        // What has no value says so with `null`.
        if value.kind() == Kind::Null {
            return;
        }
        let sample = number(value).and_then(|value| {
            let labels = self.rule.labels.iter().map(|(_, label)| label.read(way));
            let labels: Arc<[String]> = labels.collect::<Option<_>>()?;
            Some(Sample { labels, value })
        });
        let fits = self.found.samples.len() < self.rule.max_series;
        match sample {
            Some(sample) if fits && self.taken.insert(Arc::clone(&sample.labels)) => {
                self.found.samples.push(sample);
            }
            _ => self.found.dropped += 1,
        }
    }
}

/// One step on the way from the document to a place.
struct Step<'v> {
    key: Key<'v>,
    value: Value<'v>,
}

/// What a step is called in what it is in.
enum Key<'v> {
    /// It is the first.
    None,
    /// As the configuration says.
    Named(&'v str),
    Index(usize),
    /// As the document says.
    Own,
}

impl<'v> Step<'v> {
    fn root(value: Value<'v>) -> Self {
        let key = Key::None;
        Self { key, value }
    }

    fn name(&self) -> Option<String> {
        match self.key {
            Key::None => None,
            Key::Named(name) => Some(name.to_owned()),
            Key::Index(index) => Some(index.to_string()),
            Key::Own => member_name(self.value.name().raw()),
        }
    }
}

impl Label {
    /// Its value at the end of `way`; none if it has one that no label can have.
    fn read(&self, way: &[Step<'_>]) -> Option<String> {
        match self {
            Label::Text(text) => Some(text.clone()),
            Label::Found(source) => source.read(way).filter(|text| text.len() <= MAX_LABEL),
        }
    }
}

// Without what may have come from outside the file.
impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rule")
            .field("metric", &self.metric)
            .field("max_series", &self.max_series)
            .finish_non_exhaustive()
    }
}

fn below<'v>(place: Value<'v>, pointer: &Pointer) -> Option<Value<'v>> {
    let mut tokens = pointer.tokens().iter();
    tokens.try_fold(place, |value, token| value.child(token))
}

/// The finite number that a value is or says: `true` is 1, and text may be written as one.
fn number(value: Value<'_>) -> Option<f64> {
    let read = |text: &str| text.trim().parse().ok();
    let number: f64 = match value.kind() {
        Kind::Number => read(std::str::from_utf8(value.raw()).ok()?)?,
        Kind::String => read(&member_name(value.raw())?)?,
        Kind::Bool => f64::from(u8::from(value.raw() == b"true")),
        Kind::Null | Kind::Array | Kind::Object => return None,
    };
    number.is_finite().then_some(number)
}
