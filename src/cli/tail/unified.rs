//! Two documents as a unified diff of their indented JSON.

use std::fmt::Write as _;
use std::ops::Range;

use imara_diff::{Algorithm, Diff, Hunk, InternedInput, Token};

use crate::cli::terminal::{Ink, Paint, harmless};
use crate::core::json::Json;

/// So many lines that are the same stand around each difference.
const CONTEXT: u32 = 3;

/// The hunks that lead from one to the other, each line with its end; empty if both read the same.
pub fn unified(before: &Json, after: &Json, paint: Paint) -> String {
    let (before, after) = (indented(before), indented(after));
    let input = InternedInput::new(before.as_str(), after.as_str());
    let mut diff = Diff::compute(Algorithm::Histogram, &input);
    diff.postprocess_lines(&input);
    let differences: Vec<Hunk> = diff.hunks().collect();
    let writer = Writer {
        input: &input,
        paint,
    };
    // Differences that are near share a hunk.
    let near = |one: &Hunk, next: &Hunk| next.before.start - one.before.end <= 2 * CONTEXT;
    let hunks = differences.chunk_by(near);
    hunks.map(|differences| writer.hunk(differences)).collect()
}

struct Writer<'a> {
    input: &'a InternedInput<&'a str>,
    paint: Paint,
}

impl Writer<'_> {
    fn hunk(&self, differences: &[Hunk]) -> String {
        let (Some(first), Some(last)) = (differences.first(), differences.last()) else {
            return String::new();
        };
        let lead = first.before.start.min(CONTEXT);
        let length = u32::try_from(self.input.before.len()).unwrap_or(u32::MAX);
        let tail = (length - last.before.end).min(CONTEXT);
        let before = first.before.start - lead..last.before.end + tail;
        let after = first.after.start - lead..last.after.end + tail;
        let title = format!("@@ -{} +{} @@", place(&before), place(&after));
        let mut text = self.paint.with(Ink::Moved, &title) + "\n";
        let mut at = before.start;
        for difference in differences {
            self.lines(
                &self.input.before,
                at..difference.before.start,
                None,
                &mut text,
            );
            let old = Some((Ink::Old, '-'));
            self.lines(
                &self.input.before,
                difference.before.clone(),
                old,
                &mut text,
            );
            let new = Some((Ink::New, '+'));
            self.lines(&self.input.after, difference.after.clone(), new, &mut text);
            at = difference.before.end;
        }
        self.lines(&self.input.before, at..before.end, None, &mut text);
        text
    }

    fn lines(&self, of: &[Token], range: Range<u32>, sign: Option<(Ink, char)>, text: &mut String) {
        for line in &of[range.start as usize..range.end as usize] {
            let line = harmless(self.input.interner[*line].trim_end_matches('\n'));
            let _ = match sign {
                Some((ink, sign)) => {
                    writeln!(text, "{}", self.paint.with(ink, &format!("{sign}{line}")))
                }
                None => writeln!(text, " {line}"),
            };
        }
    }
}

/// Lines from 1, and how many; an empty range stands behind the line that it names.
fn place(lines: &Range<u32>) -> String {
    let length = lines.end - lines.start;
    format!("{},{length}", lines.start + u32::from(length > 0))
}

/// JSON as people read it: two spaces for each level, numbers as they were written.
fn indented(value: &Json) -> String {
    let mut out = String::new();
    indent(value, 0, &mut out);
    out.push('\n');
    out
}

fn indent(value: &Json, depth: usize, out: &mut String) {
    let line = |out: &mut String, first: bool, depth: usize| {
        let comma = if first { "" } else { "," };
        let _ = write!(out, "{comma}\n{:1$}", "", 2 * depth);
    };
    match value {
        Json::Array(items) if !items.is_empty() => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                line(out, index == 0, depth + 1);
                indent(item, depth + 1, out);
            }
            line(out, true, depth);
            out.push(']');
        }
        Json::Object(members) if !members.is_empty() => {
            out.push('{');
            for (index, (name, item)) in members.iter().enumerate() {
                line(out, index == 0, depth + 1);
                out.push_str(&compact(&Json::String(name.clone())));
                out.push_str(": ");
                indent(item, depth + 1, out);
            }
            line(out, true, depth);
            out.push('}');
        }
        other => out.push_str(&compact(other)),
    }
}

fn compact(value: &Json) -> String {
    String::from_utf8_lossy(&value.encode()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::terminal::When;
    use crate::core::json::parse;

    fn diff(before: &str, after: &str) -> String {
        let json = |text: &str| parse(text.as_bytes()).unwrap();
        let paint = When::Never.paint(&std::io::stdout());
        unified(&json(before), &json(after), paint)
    }

    #[test]
    fn json_is_indented_as_people_write_it() {
        let value = parse(br#"{"a":[1.50,{}],"b c":{"d":[]},"e":"\u0001"}"#).unwrap();
        let expected = "{\n  \"a\": [\n    1.50,\n    {}\n  ],\n  \"b c\": {\n    \"d\": []\n  },\n  \"e\": \"\\u0001\"\n}\n";
        assert_eq!(indented(&value), expected);
    }

    #[test]
    fn hunks_have_three_lines_around_them() {
        let before = "[1,2,3,4,5,6,7,8,9]";
        let expected = "@@ -3,7 +3,7 @@\n   2,\n   3,\n   4,\n-  5,\n+  50,\n   6,\n   7,\n   8,\n";
        assert_eq!(diff(before, "[1,2,3,4,50,6,7,8,9]"), expected);
        assert_eq!(diff(before, before), "");
        let both = diff(before, "[1,2,30,4,5,6,7,8,9]") + &diff(before, "[1,2,3,4,5,6,7,8]");
        assert!(
            both.contains("@@ -1,7 +1,7 @@\n [\n   1,\n   2,\n-  3,\n+  30,\n   4,\n"),
            "{both}"
        );
        assert!(
            both.contains("@@ -6,6 +6,5 @@\n   5,\n   6,\n   7,\n-  8,\n-  9\n+  8\n ]\n"),
            "{both}"
        );
        assert_eq!(diff("1", "2"), "@@ -1,1 +1,1 @@\n-1\n+2\n");
    }
}
