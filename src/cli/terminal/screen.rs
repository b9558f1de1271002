//! Where things are written: events to standard output, everything else to standard error.
//!
//! On a terminal one line says what is waited for; it is gone before anything else is written.

use std::io::{self, IsTerminal as _, Write as _};

use super::{Ink, Paint, When, shortened, width};

/// From the start of the line, and everything on it away.
const ERASED: &str = "\r\u{1b}[K";

/// Writes to standard output on a thread beside: whoever reads it may stop, and Ctrl-C still ends
/// the process, if its runtime waits for nobody.
///
/// # Errors
/// If nobody reads it any more.
pub async fn to_stdout(bytes: Vec<u8>) -> io::Result<()> {
    let write = move || {
        let mut out = io::stdout().lock();
        out.write_all(&bytes)?;
        out.flush()
    };
    tokio::task::spawn_blocking(write).await?
}

/// Standard output and standard error, one of them with a line that comes and goes.
#[derive(Debug)]
pub struct Screen {
    aside: Paint,
    quiet: bool,
    /// Whether both go to a terminal.
    terminal: bool,
    waiting: bool,
}

impl Screen {
    /// `quiet`: nothing is written at all.
    pub fn new(colour: When, quiet: bool) -> Self {
        Self {
            aside: colour.paint(&io::stderr()),
            quiet,
            terminal: io::stdout().is_terminal() && io::stderr().is_terminal(),
            waiting: false,
        }
    }

    /// Whether [`Screen::wait`] shows anything.
    pub fn shows_waiting(&self) -> bool {
        self.terminal && !self.quiet
    }

    /// Writes lines, each of which has its end.
    ///
    /// # Errors
    /// If nobody reads them any more.
    pub async fn print(&mut self, lines: &str) -> io::Result<()> {
        if self.quiet {
            return Ok(());
        }
        self.erase();
        to_stdout(lines.to_owned().into_bytes()).await
    }

    /// Says something that is no event; never among a script's lines.
    pub fn note(&mut self, text: &str) {
        if self.quiet {
            return;
        }
        self.erase();
        let text = shortened(&format!("-- {text}"), usize::MAX);
        let _ = writeln!(io::stderr(), "{}", self.aside.with(Ink::Aside, &text));
    }

    /// Shows what is waited for, in place of what it showed before.
    pub fn wait(&mut self, text: &str) {
        if !self.shows_waiting() {
            return;
        }
        // A line that is as long as the terminal is wide would begin another one.
        let most = width().unwrap_or(80).saturating_sub(1);
        let text = self.aside.with(Ink::Aside, &shortened(text, most));
        let mut err = io::stderr().lock();
        let _ = write!(err, "{ERASED}{text}").and_then(|()| err.flush());
        self.waiting = true;
    }

    /// Takes away what [`Screen::wait`] showed.
    pub fn erase(&mut self) {
        if std::mem::take(&mut self.waiting) {
            let mut err = io::stderr().lock();
            let _ = write!(err, "{ERASED}").and_then(|()| err.flush());
        }
    }
}
