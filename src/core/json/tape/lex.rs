//! The words of a JSON text: strings, numbers, literals, the space between.
//!
//! Looks at eight bytes at a time; a document is mostly strings.

/// The text is no JSON that we take. What is wrong is for [`super::super::parse()`] to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused;

/// A string that was read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lexeme {
    /// The offset after its closing quote.
    pub(super) end: usize,
    /// The length of its shortest writing, quotes included.
    pub(super) len: usize,
    /// Whether it has escapes.
    pub(super) escaped: bool,
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// The offset of the first byte from `at` on that is no white space (RFC 8259 section 2).
pub(super) fn skip_space(text: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\t' | b'\r') = text.get(at) {
        at += 1;
        while word(text, at) == Some(ONES * 0x20) {
            at += 8;
        }
    }
    at
}

/// Reads a string, RFC 8259 section 7; its opening quote is at `at`.
pub(super) fn string(text: &[u8], at: usize) -> Result<Lexeme, Refused> {
    string_from(text, at, at + 1)
}

/// As [`string`], if what stands before `from` is known to be the start of a string, whole
/// characters and in their shortest writing.
pub(super) fn string_from(text: &[u8], at: usize, from: usize) -> Result<Lexeme, Refused> {
    let (mut end, mut high) = (from, false);
    let (mut escaped, mut saved) = (false, 0);
    loop {
        let (stop, some_high) = plain(text, end);
        high |= some_high;
        end = stop;
        match text.get(end) {
            Some(b'"') => break,
            Some(b'\\') => {
                let escape = escape(text, end)?;
                escaped = true;
                saved += escape.raw - escape.shortest();
                end += escape.raw;
            }
            _ => return Err(Refused),
        }
    }
    if high {
        std::str::from_utf8(&text[from..end]).map_err(|_| Refused)?;
    }
    Ok(Lexeme {
        end: end + 1,
        len: end + 1 - at - saved,
        escaped,
    })
}

/// The last place up to `at` in a string's text that is within no character and no escape; none
/// where that is not easily seen.
pub(super) fn boundary(text: &[u8], at: usize) -> Option<usize> {
    let start = at.saturating_sub(LONGEST_ESCAPE);
    if text[start..at].contains(&b'\\') {
        return None;
    }
    // Continuation bytes of UTF-8, RFC 3629 section 3.
    (start..=at)
        .rev()
        .find(|at| text.get(*at).is_none_or(|byte| byte & 0xC0 != 0x80))
}

/// The first quote, backslash or control character from `at` on (or the text's end), and whether
/// a byte before it is not ASCII.
fn plain(text: &[u8], mut at: usize) -> (usize, bool) {
    let mut high = 0;
    while let Some(chunk) = text.get(at..).and_then(<[u8]>::first_chunk::<32>) {
        // In this form the compiler compares 16 bytes at a time.
        let (mut stops, mut any) = (0u8, 0u8);
        for byte in chunk {
            stops |= u8::from(*byte == b'"') | u8::from(*byte == b'\\') | u8::from(*byte < 0x20);
            any |= byte;
        }
        if stops != 0 {
            break;
        }
        high |= u64::from(any);
        at += 32;
    }
    while let Some(word) = word(text, at) {
        let quote = zeros(word ^ (ONES * 0x22));
        let backslash = zeros(word ^ (ONES * 0x5C));
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
        let stops = quote | backslash | control;
        if stops != 0 {
            let before = stops.trailing_zeros() / 8;
            high |= word & !(u64::MAX << (8 * before));
            return (at + before as usize, high & HIGHS != 0);
        }
        high |= word;
        at += 8;
    }
    while let Some(byte) = text.get(at) {
        if matches!(byte, b'"' | b'\\' | 0..0x20) {
            break;
        }
        high |= u64::from(*byte);
        at += 1;
    }
    (at, high & HIGHS != 0)
}

/// The high bit of every byte that is zero; above the lowest such byte it may err.
fn zeros(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & HIGHS
}

fn word(text: &[u8], at: usize) -> Option<u64> {
    let chunk = text.get(at..)?.first_chunk()?;
    Some(u64::from_le_bytes(*chunk))
}

/// The most bytes that one character takes: a surrogate pair.
pub(super) const LONGEST_ESCAPE: usize = 12;

/// An escape sequence, RFC 8259 section 7.
#[derive(Clone, Copy, Debug)]
pub(super) struct Escape {
    /// What it stands for.
    pub(super) char: char,
    /// How many bytes it takes as it is written.
    pub(super) raw: usize,
}

/// Reads the escape sequence whose backslash is at `at`. Half a surrogate pair is refused.
pub(super) fn escape(text: &[u8], at: usize) -> Result<Escape, Refused> {
    let char = match text.get(at + 1).ok_or(Refused)? {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unicode(text, at),
        _ => return Err(Refused),
    };
    Ok(Escape { char, raw: 2 })
}

fn unicode(text: &[u8], at: usize) -> Result<Escape, Refused> {
    let first = hex(text, at + 2)?;
    if let Some(char) = char::from_u32(first) {
        return Ok(Escape { char, raw: 6 });
    }
    if text.get(at + 6..at + 8) != Some(b"\\u") {
        return Err(Refused);
    }
    let pair = [first, hex(text, at + 8)?].map(|unit| unit as u16);
    match char::decode_utf16(pair).next() {
        Some(Ok(char)) => Ok(Escape { char, raw: 12 }),
        _ => Err(Refused),
    }
}

fn hex(text: &[u8], at: usize) -> Result<u32, Refused> {
    let digits = text.get(at..at + 4).ok_or(Refused)?;
    digits.iter().try_fold(0, |value, digit| {
        let digit = char::from(*digit).to_digit(16).ok_or(Refused)?;
        Ok(value * 16 + digit)
    })
}

impl Escape {
    /// The length of the shortest writing of the character.
    pub(super) fn shortest(self) -> usize {
        match self.char {
            '"' | '\\' | '\u{8}' | '\u{c}' | '\n' | '\r' | '\t' => 2,
            '\0'..'\u{20}' => 6,
            char => char.len_utf8(),
        }
    }

    /// Appends the shortest writing of the character.
    pub(super) fn write_shortest(self, out: &mut Vec<u8>) {
        let short = match self.char {
            '"' => b'"',
            '\\' => b'\\',
            '\u{8}' => b'b',
            '\u{c}' => b'f',
            '\n' => b'n',
            '\r' => b'r',
            '\t' => b't',
            char @ '\0'..'\u{20}' => {
                out.extend_from_slice(format!("\\u{:04x}", u32::from(char)).as_bytes());
                return;
            }
            char => {
                out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
                return;
            }
        };
        out.extend_from_slice(&[b'\\', short]);
    }
}

/// The end of the number at `at`, RFC 8259 section 6.
pub(super) fn number(text: &[u8], at: usize) -> Result<usize, Refused> {
    let mut end = at + usize::from(text.get(at) == Some(&b'-'));
    end = match text.get(end) {
        Some(b'0') => end + 1,
        _ => digits(text, end)?,
    };
    if text.get(end) == Some(&b'.') {
        end = digits(text, end + 1)?;
    }
    if let Some(b'e' | b'E') = text.get(end) {
        let signed = matches!(text.get(end + 1), Some(b'+' | b'-'));
        end = digits(text, end + 1 + usize::from(signed))?;
    }
    Ok(end)
}

/// The end of one or more digits.
fn digits(text: &[u8], at: usize) -> Result<usize, Refused> {
    let mut end = at;
    while let Some(b'0'..=b'9') = text.get(end) {
        end += 1;
    }
    if end == at { Err(Refused) } else { Ok(end) }
}

/// The end of `word` at `at`.
pub(super) fn literal(text: &[u8], at: usize, word: &[u8]) -> Result<usize, Refused> {
    let end = at + word.len();
    if text.get(at..end) == Some(word) {
        Ok(end)
    } else {
        Err(Refused)
    }
}
