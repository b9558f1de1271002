//! `Link` headers, RFC 8288 section 3.
//!
//! Promises to refuse what it cannot read: a next page that is overlooked would cut the document.

use http::HeaderMap;
use http::header::LINK;

/// A header that RFC 8288 does not allow.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unreadable;

/// The target of the first link with this relation, as it is written: a URI reference.
///
/// Links whose context is another resource (`anchor`) do not count.
pub(super) fn target(head: &HeaderMap, relation: &str) -> Result<Option<String>, Unreadable> {
    let mut found = None;
    for value in head.get_all(LINK) {
        let text = std::str::from_utf8(value.as_bytes()).map_err(|_| Unreadable)?;
        let mut rest = Text(text);
        while let Some(link) = rest.link()? {
            if found.is_none() && link.has(relation) {
                found = Some(link.target.to_owned());
            }
        }
    }
    Ok(found)
}

/// One link: its target, and what counts of its parameters.
struct Link<'a> {
    target: &'a str,
    relations: Option<String>,
    is_anchored: bool,
}

impl Link<'_> {
    /// Relation types are separated by spaces and compared without regard to case (section 3.3).
    fn has(&self, relation: &str) -> bool {
        let relations = self.relations.as_deref().unwrap_or_default();
        let mut types = relations.split_ascii_whitespace();
        !self.is_anchored && types.any(|each| each.eq_ignore_ascii_case(relation))
    }
}

/// What is left of a field value.
struct Text<'a>(&'a str);

impl<'a> Text<'a> {
    /// The next element of the list; empty ones are passed over (RFC 9110 section 5.6.1).
    fn link(&mut self) -> Result<Option<Link<'a>>, Unreadable> {
        while self.skip_spaces().eat(',') {}
        if self.0.is_empty() {
            return Ok(None);
        }
        if !self.eat('<') {
            return Err(Unreadable);
        }
        let (target, rest) = self.0.split_once('>').ok_or(Unreadable)?;
        self.0 = rest;
        let mut link = Link {
            target,
            relations: None,
            is_anchored: false,
        };
        while self.skip_spaces().eat(';') {
            let Some((name, value)) = self.parameter()? else {
                continue;
            };
            match name.to_ascii_lowercase().as_str() {
                // Only the first counts (section 3.3).
                "rel" if link.relations.is_none() => link.relations = Some(value),
                "anchor" => link.is_anchored = true,
                _ => {}
            }
        }
        match self.0.is_empty() || self.0.starts_with(',') {
            true => Ok(Some(link)),
            false => Err(Unreadable),
        }
    }

    /// `token [ BWS "=" BWS ( token / quoted-string ) ]`, or nothing between two semicolons.
    fn parameter(&mut self) -> Result<Option<(&'a str, String)>, Unreadable> {
        self.skip_spaces();
        let name = self.until(|c| " \t=;,".contains(c));
        if name.is_empty() {
            return match self.0.starts_with('=') {
                true => Err(Unreadable),
                false => Ok(None),
            };
        }
        if !self.skip_spaces().eat('=') {
            return Ok(Some((name, String::new())));
        }
        let value = match self.skip_spaces().eat('"') {
            true => self.quoted()?,
            false => self.until(|c| " \t;,\"".contains(c)).to_owned(),
        };
        Ok(Some((name, value)))
    }

    /// The rest of a quoted string, unescaped (RFC 9110 section 5.6.4).
    fn quoted(&mut self) -> Result<String, Unreadable> {
        let mut value = String::new();
        let mut chars = self.0.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.0 = &self.0[at + 1..];
                    return Ok(value);
                }
                '\\' => value.push(chars.next().ok_or(Unreadable)?.1),
                c => value.push(c),
            }
        }
        Err(Unreadable)
    }

    fn skip_spaces(&mut self) -> &mut Self {
        self.0 = self.0.trim_start_matches([' ', '\t']);
        self
    }

    fn eat(&mut self, c: char) -> bool {
        let rest = self.0.strip_prefix(c);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn until(&mut self, ends: impl Fn(char) -> bool) -> &'a str {
        let (taken, rest) = self.0.split_at(self.0.find(ends).unwrap_or(self.0.len()));
        self.0 = rest;
        taken
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn next(values: &[&str]) -> Result<Option<String>, Unreadable> {
        let value = |text: &&str| (LINK, HeaderValue::from_bytes(text.as_bytes()).unwrap());
        target(&values.iter().map(value).collect(), "next")
    }

    fn found(values: &[&str], wanted: &str) {
        assert_eq!(next(values), Ok(Some(wanted.to_owned())), "{values:?}");
    }

    #[test]
    fn the_next_page_is_found_wherever_it_stands() {
        found(&["</p?2>; rel=next"], "/p?2");
        found(&[r#"<p2>;rel="next""#], "p2");
        found(&[r#"<a>; rel="prev", <b>; rel="last next first""#], "b");
        found(&["<a>; rel=prev", "<b>; REL=Next"], "b");
        found(&[r#" , ,<b> ; title="x" ;; rel = next ;,"#], "b");
        found(&["<a>; rel=next, <b>; rel=next"], "a");
        found(&["<>; rel=next"], "");
    }

    #[test]
    fn what_looks_like_a_link_inside_another_is_none() {
        found(
            &[r#"<a>; title="x; rel=next, <z>; rel=\"next\""; rel=prev, <b,;c>; rel="next""#],
            "b,;c",
        );
        found(
            &[r#"<a>; rel=prev; rel=next, <b>; rel=next; hreflang"#],
            "b",
        );
        found(&["<a>; rel=next; anchor=\"#x\", <b>; rel=next"], "b");
    }

    #[test]
    fn no_link_is_no_next_page() {
        for values in [
            &[][..],
            &[""],
            &["<a>"],
            &["<a>; rel=prev"],
            &["<a>; xrel=next"],
        ] {
            assert_eq!(next(values), Ok(None), "{values:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        for text in [
            "/p?2; rel=next",
            "<a; rel=next",
            "<a> rel=next",
            "<a>; rel=\"next",
            "<a>; rel=\"next\\",
            "<a>; =next",
            "<a>; rel=ne\"xt\"",
            "<b>; rel=prev <a>; rel=next",
        ] {
            assert_eq!(next(&[text]), Err(Unreadable), "{text}");
        }
        assert_eq!(next(&["<a>; rel=next", "b"]), Err(Unreadable));
    }

    proptest! {
        #[test]
        fn any_text_in_quotes_hides_no_link(title in "[ -~]{0,20}", more in "[!-~&&[^;,=\"]]{1,9}") {
            let quoted = title.replace('\\', "\\\\").replace('"', "\\\"");
            let text = format!("<a>; title=\"{quoted}\"; {more}; rel=prev, <b>; rel=next");
            prop_assert_eq!(next(&[&text]), Ok(Some("b".to_owned())));
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "[<>;,=\"\\\\ arelnxt]{0,40}") {
            let _ = next(&[&text]);
        }
    }
}
