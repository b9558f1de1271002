//! The parts of one line: names, labels, values.

use crate::formats::text::is_number;

/// What is left of a line.
pub(super) struct Cursor<'a>(pub(super) &'a str);

impl<'a> Cursor<'a> {
    /// The name that it goes on with; empty if there is none.
    pub(super) fn name(&mut self) -> String {
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
        let end = self.0.find(|c| !is_part(c)).unwrap_or(self.0.len());
        let (name, rest) = self.0.split_at(end);
        let starts_well = !name.starts_with(|c: char| c.is_ascii_digit());
        if !starts_well {
            return String::new();
        }
        self.0 = rest;
        name.to_owned()
    }

    /// A text in quotes, unescaped.
    pub(super) fn quoted(&mut self) -> Result<String, String> {
        let inside = self.0.strip_prefix('"').ok_or("a quote is missing")?;
        let mut escaped = false;
        for (at, c) in inside.char_indices() {
            match c {
                '"' if !escaped => {
                    self.0 = &inside[at + 1..];
                    return Ok(unescaped(&inside[..at]));
                }
                _ => escaped = c == '\\' && !escaped,
            }
        }
        Err("a quote is not closed".to_owned())
    }

    /// The labels in braces, if there are any; a quoted text without a value is the metric's name.
    pub(super) fn labels(&mut self, name: &mut String) -> Result<Vec<(String, String)>, String> {
        let mut labels: Vec<(String, String)> = Vec::new();
        if !self.take('{') {
            return Ok(labels);
        }
        while !self.take('}') {
            self.skip();
            let is_quoted = self.0.starts_with('"');
            let label = if is_quoted {
                self.quoted()?
            } else {
                self.name()
            };
            if self.take('=') {
                self.skip();
                let value = self.quoted()?;
                if labels.iter().any(|(known, _)| *known == label) {
                    return Err(format!("the label {label:?} twice"));
                }
                labels.push((label, value));
            } else if is_quoted && name.is_empty() {
                *name = label;
            } else {
                return Err(format!("the label {label:?} has no value"));
            }
            if !self.take(',') {
                match self.take('}') {
                    true => break,
                    false => return Err("the labels are not closed".to_owned()),
                }
            }
        }
        Ok(labels)
    }

    /// Steps over `c`, with white space before it.
    fn take(&mut self, c: char) -> bool {
        let rest = self.0.trim_start().strip_prefix(c);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn skip(&mut self) {
        self.0 = self.0.trim_start();
    }
}

/// The text up to the first blank, and what comes after the blanks.
pub(super) fn word(text: &str) -> (&str, &str) {
    let end = text.find([' ', '\t']).unwrap_or(text.len());
    (&text[..end], text[end..].trim_start())
}

pub(super) fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, chars.as_str().chars().next()) {
            ('\\', Some(next @ ('\\' | '"' | 'n'))) => {
                out.push(if next == 'n' { '\n' } else { next });
                chars.next();
            }
            _ => out.push(c),
        }
    }
    out
}

/// A series as the format writes it, without white space.
pub(super) fn series(name: &str, labels: &[(String, String)]) -> String {
    let mut series = name.to_owned();
    for (index, (label, value)) in labels.iter().enumerate() {
        let open = if index == 0 { '{' } else { ',' };
        let value = value
            .replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace('\n', "\\n");
        series += &format!("{open}{label}=\"{value}\"");
    }
    if !labels.is_empty() {
        series.push('}');
    }
    series
}

/// The number as it is written if JSON can hold it so, else as JSON writes it; `NaN`, `+Inf` and
/// `-Inf` for what is none.
pub(super) fn value(written: &str) -> Option<String> {
    if is_number(written) {
        return Some(written.to_owned());
    }
    let number: f64 = written.parse().ok()?;
    Some(match number {
        number if number.is_nan() => "NaN".to_owned(),
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        number => format!("{number:?}"),
    })
}
