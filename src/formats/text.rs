//! Writing JSON text up to a length.

/// JSON text that grows up to a limit.
#[derive(Debug)]
pub(super) struct Text {
    bytes: Vec<u8>,
    limit: usize,
}

/// The text would be longer than `limit` bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full {
    pub(super) limit: usize,
}

impl Text {
    pub(super) fn new(limit: usize) -> Self {
        let bytes = Vec::new();
        Self { bytes, limit }
    }

    /// Appends what is JSON already, or a piece of it.
    pub(super) fn raw(&mut self, piece: impl AsRef<[u8]>) -> Result<(), Full> {
        let piece = piece.as_ref();
        if piece.len() > self.limit - self.bytes.len() {
            return Err(Full { limit: self.limit });
        }
        self.bytes.extend_from_slice(piece);
        Ok(())
    }

    /// Appends a string, quotes included.
    pub(super) fn string(&mut self, string: &str) -> Result<(), Full> {
        self.raw(quoted(string))
    }

    /// Appends a member's name and its colon, and the comma before it unless it is the first.
    pub(super) fn name(&mut self, is_first: bool, name: &str) -> Result<(), Full> {
        self.comma(is_first)?;
        self.string(name)?;
        self.raw(":")
    }

    pub(super) fn comma(&mut self, is_first: bool) -> Result<(), Full> {
        self.raw(if is_first { "" } else { "," })
    }

    /// Appends `text` as the number that it is, if `numbers` are wanted and it is written as JSON
    /// writes them; else as a string.
    pub(super) fn scalar(&mut self, text: &str, numbers: bool) -> Result<(), Full> {
        match numbers && is_number(text) {
            true => self.raw(text),
            false => self.string(text),
        }
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

/// `string` as a JSON string, quotes included.
pub(super) fn quoted(string: &str) -> Vec<u8> {
    serde_json::to_vec(string).expect("invariant: a string has a JSON form")
}

/// Whether `text` is a number as RFC 8259 section 6 writes it.
pub(super) fn is_number(text: &str) -> bool {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let rest = text.strip_prefix('-').unwrap_or(text);
    let whole = digits(rest);
    if whole == 0 || (whole > 1 && rest.starts_with('0')) {
        return false;
    }
    let mut rest = &rest[whole..];
    if let Some(fraction) = rest.strip_prefix('.') {
        let count = digits(fraction);
        if count == 0 {
            return false;
        }
        rest = &fraction[count..];
    }
    if let Some(exponent) = rest.strip_prefix(['e', 'E']) {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        let count = digits(exponent);
        return count > 0 && count == exponent.len();
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_what_json_calls_numbers() {
        for text in ["0", "-0", "12", "1.50", "1e5", "-1.5E+10", "0.1e-400"] {
            assert!(is_number(text), "{text}");
            assert!(serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok());
        }
        for text in [
            "", "-", "+1", "01", "-01", "1.", ".5", "1e", "1e+", "1.e1", "NaN", "Inf", " 1", "1 ",
            "0x10", "1,5", "1e5x", "١",
        ] {
            assert!(!is_number(text), "{text}");
        }
    }

    #[test]
    fn nothing_is_written_beyond_the_limit() {
        let mut text = Text::new(4);
        assert_eq!(text.raw("[1"), Ok(()));
        assert_eq!(text.raw(",2]"), Err(Full { limit: 4 }));
        assert_eq!(text.raw(",]"), Ok(()));
        assert_eq!(text.finish(), b"[1,]");
    }
}
