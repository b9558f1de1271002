//! What changed between two documents: as an RFC 6902 patch, as an RFC 7396 patch, by item.
//!
//! Promises that the patch turns the one document into the other, whatever they are; that for
//! every changed part the smaller of its operations and one `replace` is taken; and that time and
//! memory stay near linear in the documents (times their depth). Must never give up on
//! correctness for size: alignment by key or by sequence is only a guess at what is cheap.
mod align;
mod items;
mod keyed;
mod merge;
mod order;
mod sequence;
mod writer;

use crate::core::json::{Json, Object};
use writer::{Full, Writer};

pub use items::items;
pub use merge::merge;

/// The RFC 6902 patch from `old` to `new` as compact JSON text, shorter than `budget` bytes.
///
/// `key` is the member that identifies the elements of arrays of objects. Equal documents give
/// `[]`. None where no patch was found that is shorter than `budget`: with the length of `new`'s
/// own text as the budget, send that instead; with [`usize::MAX`] there always is one.
pub fn diff(old: &Json, new: &Json, key: Option<&str>, budget: usize) -> Option<Vec<u8>> {
    // Room for the closing bracket, and strictly less than the budget.
    let writer = Writer::new(budget.checked_sub(3)? + 1);
    let mut differ = Differ { writer, key };
    differ.value(old, new).ok()?;
    Some(differ.writer.finish())
}

/// Two documents under comparison; the writer knows where in them we are.
struct Differ<'a> {
    writer: Writer,
    key: Option<&'a str>,
}

impl Differ<'_> {
    /// Writes the operations that turn `old`, at the writer's path, into `new`.
    fn value(&mut self, old: &Json, new: &Json) -> Result<(), Full> {
        if old == new {
            return Ok(());
        }
        match (old, new) {
            (Json::Object(old), Json::Object(members)) => {
                self.cheaper(new, |differ| differ.object(old, members))
            }
            (Json::Array(old), Json::Array(items)) => {
                self.cheaper(new, |differ| differ.array(old, items))
            }
            _ => self.writer.replace(new),
        }
    }

    /// Takes what `inside` writes if it is smaller than a replacement by `new`, and else that.
    fn cheaper(
        &mut self,
        new: &Json,
        inside: impl FnOnce(&mut Self) -> Result<(), Full>,
    ) -> Result<(), Full> {
        let start = self.writer.mark();
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
                self.writer.replace(new)
            }
            (written, _) => written,
        }
    }

    fn object(&mut self, old: &Object, new: &Object) -> Result<(), Full> {
        for name in old.keys().filter(|name| !new.contains_key(*name)) {
            self.member(name, |differ| differ.writer.remove())?;
        }
        for (name, value) in new {
            self.member(name, |differ| match old.get(name) {
                Some(before) => differ.value(before, value),
                None => differ.writer.add(value),
            })?;
        }
        Ok(())
    }

    fn array(&mut self, old: &[Json], new: &[Json]) -> Result<(), Full> {
        match self.key.and_then(|key| keyed::Pairing::new(old, new, key)) {
            Some(pairing) => self.keyed(old, new, &pairing),
            None => self.sequence(old, new),
        }
    }

    fn member(
        &mut self,
        name: &str,
        inside: impl FnOnce(&mut Self) -> Result<(), Full>,
    ) -> Result<(), Full> {
        let parent = self.writer.enter(name);
        inside(self)?;
        self.writer.leave(parent);
        Ok(())
    }

    fn element(
        &mut self,
        index: usize,
        inside: impl FnOnce(&mut Self) -> Result<(), Full>,
    ) -> Result<(), Full> {
        let parent = self.writer.enter_index(index);
        inside(self)?;
        self.writer.leave(parent);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::json::{MAX_DEPTH, Patch, parse};

    fn json(text: &str) -> Json {
        parse(text.as_bytes()).unwrap()
    }

    /// The patch, after a check that it is right.
    fn patch(old: &Json, new: &Json, key: Option<&str>) -> String {
        let text = diff(old, new, key, usize::MAX).unwrap();
        let mut patched = old.clone();
        Patch::parse(&text).unwrap().apply(&mut patched).unwrap();
        assert!(patched == *new);
        String::from_utf8(text).unwrap()
    }

    fn between(old: &str, new: &str, key: Option<&str>) -> String {
        patch(&json(old), &json(new), key)
    }

    fn rows(ids: impl IntoIterator<Item = usize>) -> Json {
        let row = |id| format!(r#"{{"id":{id},"name":"a name for row {id}","at":"2025-01-01"}}"#);
        let rows: Vec<String> = ids.into_iter().map(row).collect();
        json(&format!("[{}]", rows.join(",")))
    }

    #[test]
    fn one_item_at_the_front_is_one_add() {
        let (old, new) = (rows(1..200), rows(0..200));
        for key in [None, Some("id")] {
            let expected = format!(
                r#"[{{"op":"add","path":"/0","value":{}}}]"#,
                String::from_utf8(rows([0]).encode()[1..].strip_suffix(b"]").unwrap().to_vec())
                    .unwrap()
            );
            assert_eq!(patch(&old, &new, key), expected);
            assert_eq!(patch(&new, &old, key), r#"[{"op":"remove","path":"/0"}]"#);
        }
    }

    #[test]
    fn a_keyed_row_that_moves_is_one_move() {
        let old = rows(0..50);
        let new = rows((1..30).chain([0]).chain(30..50));
        assert_eq!(
            patch(&old, &new, Some("id")),
            r#"[{"op":"move","from":"/0","path":"/29"}]"#
        );
        assert_eq!(
            patch(&new, &old, Some("id")),
            r#"[{"op":"move","from":"/29","path":"/0"}]"#
        );
    }

    #[test]
    fn members_are_removed_added_and_descended_into() {
        assert_eq!(
            between(
                r#"{"a":1,"long":"enough to keep and not to say again","b":{"x":"unchanged and long enough","y":1}}"#,
                r#"{"long":"enough to keep and not to say again","b":{"x":"unchanged and long enough","y":2},"c":3}"#,
                None
            ),
            r#"[{"op":"remove","path":"/a"},{"op":"replace","path":"/b/y","value":2},{"op":"add","path":"/c","value":3}]"#
        );
    }

    #[test]
    fn names_are_escaped_and_may_be_empty() {
        let old = r#"{"a/b~\"":{"":{"x":1,"long":"long enough to go inside"}}}"#;
        assert_eq!(
            between(old, &old.replace('1', "2"), None),
            r#"[{"op":"replace","path":"/a~1b~0\"//x","value":2}]"#
        );
    }

    #[test]
    fn the_smaller_of_inside_and_whole_is_taken() {
        assert_eq!(
            between(
                r#"{"p":[1,2,3,4,5],"q":0}"#,
                r#"{"p":[6,7,8,9,0],"q":0}"#,
                None
            ),
            r#"[{"op":"replace","path":"/p","value":[6,7,8,9,0]}]"#
        );
        assert_eq!(
            between("[1]", "{}", None),
            r#"[{"op":"replace","path":"","value":{}}]"#
        );
    }

    #[test]
    fn past_the_budget_there_is_no_patch() {
        let (old, new) = (json(r#"{"a":1}"#), json(r#"{"a":2}"#));
        let length = r#"[{"op":"replace","path":"/a","value":2}]"#.len();
        assert_eq!(diff(&old, &new, None, length), None);
        assert!(diff(&old, &new, None, length + 1).is_some());
        assert_eq!(
            (diff(&old, &old, None, 2), diff(&old, &old, None, 0)),
            (None, None)
        );
    }

    #[test]
    fn ten_thousand_rows_in_another_order_are_diffed() {
        // 7919 is prime to 10,000: every row has its turn.
        let shuffled = || (0..10_000).map(|i| i * 7919 % 10_000);
        for key in [None, Some("id")] {
            patch(&rows(0..10_000), &rows(shuffled()), key);
        }
        patch(&rows(0..10_000), &rows(10_000..20_000), None);
    }

    #[test]
    fn a_hundred_thousand_numbers_that_repeat_are_aligned() {
        let numbers = |start: u32| {
            let numbers: Vec<String> = (start..start + 100_000)
                .map(|n| (n % 3).to_string())
                .collect();
            json(&format!("[{}]", numbers.join(",")))
        };
        let (old, new) = (numbers(0), numbers(1));
        assert!(diff(&old, &new, None, new.encode().len()).is_some());
    }

    #[test]
    fn the_deepest_nesting_is_diffed() {
        let nested = |leaf: &str| {
            let half = MAX_DEPTH / 2;
            json(&format!(
                "{}{leaf}{}",
                "[{\"a\":".repeat(half),
                "}]".repeat(half)
            ))
        };
        let text = patch(&nested("\"old\""), &nested("\"new\""), None);
        let path = "/0/a".repeat(MAX_DEPTH / 2);
        assert_eq!(
            text,
            format!(r#"[{{"op":"replace","path":"{path}","value":"new"}}]"#)
        );
    }
}
