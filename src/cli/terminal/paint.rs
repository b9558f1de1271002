//! Colours and widths: how text looks on a terminal, and that it does nothing else there.

use std::fmt::Write as _;
use std::io::IsTerminal;

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use clap::ValueEnum;

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// On a terminal, unless NO_COLOR says otherwise; anywhere if CLICOLOR_FORCE does
    Auto,
    /// Whatever reads it
    Always,
    /// Not at all
    Never,
}

impl When {
    /// The paint for what is written to `stream`.
    pub fn paint<S: IsTerminal + anstream::stream::RawStream>(self, stream: &S) -> Paint {
        Paint {
            colours: match self {
                When::Always => true,
                When::Never => false,
                When::Auto => AutoStream::choice(stream) != ColorChoice::Never,
            },
        }
    }
}

/// What a piece of text is.
#[derive(Clone, Copy, Debug)]
pub enum Ink {
    /// Came.
    New,
    /// Went.
    Old,
    /// Became another one.
    Changed,
    /// Stands somewhere else now.
    Moved,
    /// Where an event stands in its feed.
    Position,
    /// Of less interest.
    Aside,
    /// To be noticed.
    Warning,
}

/// Colours, or none.
#[derive(Clone, Copy, Debug)]
pub struct Paint {
    colours: bool,
}

impl Paint {
    /// `text` as it may be written to a terminal.
    pub fn with(self, ink: Ink, text: &str) -> String {
        if !self.colours || text.is_empty() {
            return text.to_owned();
        }
        let style = match ink {
            Ink::New => AnsiColor::Green.on_default(),
            Ink::Old => AnsiColor::Red.on_default(),
            Ink::Changed => AnsiColor::Yellow.on_default(),
            Ink::Moved => AnsiColor::Cyan.on_default(),
            Ink::Position => Style::new().bold(),
            Ink::Aside => Style::new().dimmed(),
            Ink::Warning => AnsiColor::Yellow.on_default().bold(),
        };
        format!("{style}{text}{style:#}")
    }
}

/// How many columns a terminal on standard output has; none if there is none, or it does not say.
pub fn width() -> Option<usize> {
    let stdout = std::io::stdout();
    if !stdout.is_terminal() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(&stdout).ok()?;
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
}

/// `text` in at most `most` characters, without anything that a terminal would obey.
pub fn shortened(text: &str, most: usize) -> String {
    const END: &str = "...";
    let mut out = String::new();
    let (mut length, mut fits) = (0, 0);
    for c in text.chars() {
        if c.is_control() {
            let _ = write!(out, "\\u{:04x}", u32::from(c));
            length += 6;
        } else {
            out.push(c);
            length += 1;
        }
        if length + END.len() <= most {
            fits = out.len();
        }
        if length > most {
            out.truncate(fits);
            out.push_str(END);
            return out;
        }
    }
    out
}

/// `text` without anything that a terminal would obey.
pub fn harmless(text: &str) -> String {
    shortened(text, usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_by_characters_and_do_nothing_to_a_terminal() {
        for (text, most, expected) in [
            ("abc", 3, "abc"),
            ("abcdef", 5, "ab..."),
            ("äöüäöü", 5, "äö..."),
            ("", 0, ""),
            ("ab", 1, "..."),
            ("\u{1b}[2J\u{9b}2J", 100, "\\u001b[2J\\u009b2J"),
            ("\u{1b}\u{1b}", 8, "..."),
        ] {
            assert_eq!(shortened(text, most), expected, "{text:?}");
        }
    }
}
