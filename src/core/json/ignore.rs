//! Dropping what `document.ignore` names.

use super::{Json, Pattern, PatternToken, array_index};

impl Json {
    /// Removes every member and element that a pattern names.
    ///
    /// All patterns look at the value as it came: removing element 0 does not make element 1 the
    /// new element 0 for another pattern.
    pub fn ignore(&mut self, patterns: &[Pattern]) {
        let patterns: Vec<&[PatternToken]> = patterns.iter().map(Pattern::tokens).collect();
        prune(self, &patterns);
    }
}

fn prune(value: &mut Json, patterns: &[&[PatternToken]]) {
    if patterns.is_empty() {
        return;
    }
    match value {
        Json::Object(members) => members.retain(|name, value| {
            keep(value, patterns, |token| match token {
                PatternToken::Any => true,
                PatternToken::Name(wanted) => wanted.as_str() == &**name,
            })
        }),
        Json::Array(items) => {
            let mut index = 0;
            items.retain_mut(|item| {
                let here = index;
                index += 1;
                keep(item, patterns, |token| match token {
                    PatternToken::Any => true,
                    PatternToken::Name(wanted) => array_index(wanted) == Some(here),
                })
            });
        }
        _ => {}
    }
}

/// Whether the child stays; what the patterns name inside it is removed.
fn keep(
    child: &mut Json,
    patterns: &[&[PatternToken]],
    matches: impl Fn(&PatternToken) -> bool,
) -> bool {
    let mut inside = Vec::new();
    for pattern in patterns {
        if let [first, rest @ ..] = pattern
            && matches(first)
        {
            if rest.is_empty() {
                return false;
            }
            inside.push(rest);
        }
    }
    prune(child, &inside);
    true
}

#[cfg(test)]
mod tests {
    use crate::core::json::{Pattern, parse};

    fn ignoring(patterns: &[&str], text: &str) -> String {
        let patterns: Vec<_> = patterns
            .iter()
            .map(|p| Pattern::parse(p).unwrap())
            .collect();
        let mut document = parse(text.as_bytes()).unwrap();
        document.ignore(&patterns);
        String::from_utf8(document.encode()).unwrap()
    }

    #[test]
    fn named_members_go_and_the_others_keep_their_order() {
        assert_eq!(
            ignoring(&["/b"], r#"{"a":1,"b":2,"c":3,"d":4}"#),
            r#"{"a":1,"c":3,"d":4}"#
        );
        assert_eq!(
            ignoring(&["/a~1b/~0", "/"], r#"{"":0,"a/b":{"~":1,"x":2}}"#),
            r#"{"a/b":{"x":2}}"#
        );
    }

    #[test]
    fn a_star_matches_every_member_and_element() {
        assert_eq!(
            ignoring(
                &["/rows/*/age"],
                r#"{"rows":[{"age":1,"id":1},{"id":2},3,{"age":4}]}"#
            ),
            r#"{"rows":[{"id":1},{"id":2},3,{}]}"#
        );
        assert_eq!(
            ignoring(&["/*/t"], r#"{"a":{"t":1},"b":{"t":2,"u":3}}"#),
            r#"{"a":{},"b":{"u":3}}"#
        );
        assert_eq!(
            ignoring(&["/rows/*"], r#"{"rows":[1,2,3]}"#),
            r#"{"rows":[]}"#
        );
    }

    #[test]
    fn indexes_mean_the_array_as_it_came() {
        assert_eq!(ignoring(&["/0", "/1"], "[0,1,2,3]"), "[2,3]");
        assert_eq!(
            ignoring(&["/0", "/1/x", "/01", "/-", "/9"], r#"[0,{"x":1},2]"#),
            "[{},2]"
        );
    }

    #[test]
    fn what_is_not_there_is_no_error() {
        assert_eq!(ignoring(&["/a/b/c", "/x"], r#"{"a":1}"#), r#"{"a":1}"#);
        assert_eq!(ignoring(&["/a"], "3"), "3");
    }
}
