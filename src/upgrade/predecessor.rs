//! The old process as the new one sees it.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use tracing::warn;

use super::line::{Line, LineError, Word};
use super::program::VARIABLE;
use super::{Handed, Inheritance};

/// The conversation that this version knows.
pub(super) const PROTOCOL: u32 = 1;

/// How long the old process may take for one step: closing its store may need a slow disk.
const STEP_WITHIN: Duration = Duration::from_secs(60);

/// The process that this one takes over from. If this one ends, the old one goes on.
#[derive(Debug)]
pub struct Predecessor(Line);

impl Predecessor {
    /// The one that started this process to be replaced by it, and its listeners; none if somebody
    /// else started it. To be called once.
    ///
    /// # Errors
    /// [`LineError`] if the conversation does not begin as it should.
    pub fn of_this_process() -> Result<Option<(Self, Inheritance)>, LineError> {
        if std::env::var_os(VARIABLE).is_none() {
            return Ok(None);
        }
        let stdin = io::stdin().as_fd().try_clone_to_owned()?;
        // Inherited from a predecessor by a process that is none: nobody is there.
        if rustix::net::sockopt::socket_type(&stdin).is_err() {
            return Ok(None);
        }
        // Nobody else is to hold this end: its closing tells the other that this process is gone.
        rustix::stdio::dup2_stdin(File::open("/dev/null")?).map_err(io::Error::from)?;
        let line = Line::at(stdin);
        let mut listeners = Vec::new();
        loop {
            match line.hear(STEP_WITHIN)? {
                (Word::Listener { role, wanted }, Some(socket)) => {
                    listeners.push(Handed {
                        role,
                        wanted,
                        socket,
                    });
                }
                (Word::Begin { protocol: PROTOCOL }, _) => break,
                (word, _) => {
                    return Err(LineError::Unexpected(format!("{word:?}"), "the listeners"));
                }
            }
        }
        Ok(Some((Self(line), Inheritance(listeners))))
    }

    /// Says that nothing is left that may fail but the store, and waits for it: what the logs held,
    /// if it came along. Blocks.
    ///
    /// # Errors
    /// [`LineError`]; the old process goes on then.
    pub fn take(&self) -> Result<Option<File>, LineError> {
        self.0.say(&Word::Ready, None, STEP_WITHIN)?;
        let logs = self.0.expect(&Word::Yours, "yours", STEP_WITHIN)?;
        Ok(logs.map(File::from))
    }

    /// Says that the store is open, and waits until ids may be given: the old process says so, or is
    /// no more. Blocks.
    ///
    /// # Errors
    /// [`LineError`]; the old process goes on then.
    pub fn opened(&self) -> Result<(), LineError> {
        let told = self.0.say(&Word::Opened, None, STEP_WITHIN);
        let told = told.and_then(|()| self.0.expect(&Word::Go, "go", STEP_WITHIN));
        unless_gone(told.map(drop))
    }

    /// Says that this process serves.
    ///
    /// # Errors
    /// [`LineError`]; the old process may go on then, so that this one must end.
    pub fn serving(self) -> Result<(), LineError> {
        unless_gone(self.0.say(&Word::Serving, None, STEP_WITHIN))
    }
}

/// From where the store is ours, a process that is gone was killed: one that wants to go on itself
/// ends this one first. Nobody else is left to serve.
fn unless_gone(outcome: Result<(), LineError>) -> Result<(), LineError> {
    match outcome {
        Err(LineError::Gone) => {
            warn!("the process before ended in the middle of handing over; this one serves");
            Ok(())
        }
        outcome => outcome,
    }
}
