//! JSON Pointers ([RFC 6901]) and the patterns of `document.ignore`.
//!
//! [RFC 6901]: https://www.rfc-editor.org/rfc/rfc6901

use std::fmt;

/// A JSON Pointer, RFC 6901: the unescaped reference tokens from the root.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Pointer {
    tokens: Vec<String>,
}

/// A JSON Pointer in which the token `*` stands for any member or element.
///
/// Never the root: ignoring the whole document leaves nothing to compare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    tokens: Vec<PatternToken>,
}

/// One step of a [`Pattern`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PatternToken {
    /// `*`: every member of an object, every element of an array.
    Any,
    /// This member name, or this array index in decimal.
    Name(String),
}

/// Why a text is no pointer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PointerError {
    /// RFC 6901 section 3: a pointer is empty or starts with `/`.
    #[error("a JSON Pointer starts with '/', as in \"/{0}\"")]
    NoSlash(String),
    /// RFC 6901 section 3: `~` stands only in `~0` and `~1`.
    #[error("'~' in a JSON Pointer is written \"~0\" (and '/' inside a name \"~1\")")]
    Escape,
    /// The root was given where something inside the document is wanted.
    #[error("the empty pointer names the whole document; name something inside it")]
    Root,
}

impl Pointer {
    /// Parses the text form of RFC 6901 section 3; the empty text is the root.
    ///
    /// # Errors
    /// [`PointerError::NoSlash`] and [`PointerError::Escape`].
    pub fn parse(text: &str) -> Result<Self, PointerError> {
        Ok(Self {
            tokens: tokens(text)?,
        })
    }

    /// The unescaped reference tokens, outermost first; none for the root.
    pub fn tokens(&self) -> &[String] {
        &self.tokens
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for token in &self.tokens {
            write!(f, "/{}", escape(token))?;
        }
        Ok(())
    }
}

impl Pattern {
    /// Parses a pointer in which `*` matches any member or element.
    ///
    /// # Errors
    /// As [`Pointer::parse`], and [`PointerError::Root`] for the empty text.
    pub fn parse(text: &str) -> Result<Self, PointerError> {
        let tokens = tokens(text)?;
        if tokens.is_empty() {
            return Err(PointerError::Root);
        }
        let token = |text: String| match text.as_str() {
            "*" => PatternToken::Any,
            _ => PatternToken::Name(text),
        };
        Ok(Self {
            tokens: tokens.into_iter().map(token).collect(),
        })
    }

    /// The pattern of these steps; none for the root.
    pub(in crate::core) fn of(tokens: Vec<PatternToken>) -> Option<Self> {
        (!tokens.is_empty()).then_some(Self { tokens })
    }

    /// The steps, outermost first; at least one.
    pub fn tokens(&self) -> &[PatternToken] {
        &self.tokens
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tokens.iter().try_for_each(|token| match token {
            PatternToken::Any => f.write_str("/*"),
            PatternToken::Name(name) => write!(f, "/{}", escape(name)),
        })
    }
}

/// A token as it stands in a pointer, RFC 6901 section 3.
pub(in crate::core) fn escape(token: &str) -> String {
    token.replace('~', "~0").replace('/', "~1")
}

fn tokens(text: &str) -> Result<Vec<String>, PointerError> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let rest = text
        .strip_prefix('/')
        .ok_or_else(|| PointerError::NoSlash(text.to_owned()))?;
    rest.split('/').map(unescape).collect()
}

/// RFC 6901 section 4: first `~1`, then `~0`; any other use of `~` is an error.
fn unescape(token: &str) -> Result<String, PointerError> {
    let mut out = String::with_capacity(token.len());
    let mut chars = token.chars();
    while let Some(c) = chars.next() {
        match c {
            '~' => match chars.next() {
                Some('0') => out.push('~'),
                Some('1') => out.push('/'),
                _ => return Err(PointerError::Escape),
            },
            c => out.push(c),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_rfc_6901_section_5_parse() {
        let tokens = |text| Pointer::parse(text).map(|p| p.tokens().to_vec());
        assert_eq!(tokens(""), Ok(vec![]));
        assert_eq!(tokens("/"), Ok(vec![String::new()]));
        assert_eq!(tokens("/foo/0"), Ok(vec!["foo".into(), "0".into()]));
        assert_eq!(tokens("/a~1b"), Ok(vec!["a/b".into()]));
        assert_eq!(tokens("/m~0n"), Ok(vec!["m~n".into()]));
        assert_eq!(tokens("/~01"), Ok(vec!["~1".into()]));
    }

    #[test]
    fn text_that_is_no_pointer_is_refused() {
        assert_eq!(
            Pointer::parse("data"),
            Err(PointerError::NoSlash("data".into()))
        );
        assert_eq!(Pointer::parse("/a~2"), Err(PointerError::Escape));
        assert_eq!(Pointer::parse("/a~"), Err(PointerError::Escape));
        assert_eq!(Pattern::parse(""), Err(PointerError::Root));
    }

    #[test]
    fn a_pointer_prints_as_it_was_written() {
        for text in ["", "/", "/a~1b/m~0n/0", "/~01"] {
            assert_eq!(Pointer::parse(text).unwrap().to_string(), text);
        }
        for text in ["/", "/*", "/a~1b/*/m~0n/0", "/**/~01"] {
            assert_eq!(Pattern::parse(text).unwrap().to_string(), text);
        }
    }
}
