//! The new process as the old one sees it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::process::{Child, ExitStatus};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::Handed;
use super::line::{Line, LineError, Word};
use super::predecessor::PROTOCOL;
use super::program::Program;

/// From the start to where nothing is left that may fail: configuration, certificates, names.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// For each step during which nobody gives ids.
const STEP_WITHIN: Duration = Duration::from_secs(10);
/// How long the end of a process may follow the end of what it says.
const END_WITHIN: Duration = Duration::from_secs(1);

/// A process that is to take over; killed when dropped before it has.
#[derive(Debug)]
pub struct Successor {
    child: Option<Child>,
    line: Line,
}

/// Why no other process took over.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    /// The program cannot be started.
    #[error("cannot start it")]
    Start(#[source] io::Error),
    /// It ended before it served; its own messages say why.
    #[error("it ended with {0} before it served; what it said last says why")]
    Ended(ExitStatus),
    /// It did not do its part.
    #[error("it did not get as far as {step}")]
    Stuck {
        /// The step that it did not take.
        step: &'static str,
        /// What came instead.
        source: LineError,
    },
}

impl Successor {
    /// Starts it, hands over copies of these sockets, and waits until it is ready. Blocks.
    ///
    /// # Errors
    /// [`UpgradeError`]; it is gone then.
    pub fn start(program: &Program, listeners: &[Handed]) -> Result<Self, UpgradeError> {
        Self::start_within(READY_WITHIN, program, listeners)
    }

    fn start_within(
        ready_within: Duration,
        program: &Program,
        listeners: &[Handed],
    ) -> Result<Self, UpgradeError> {
        let (line, theirs) = Line::pair().map_err(UpgradeError::Start)?;
        let child = program.start(theirs).map_err(UpgradeError::Start)?;
        let mut successor = Self {
            child: Some(child),
            line,
        };
        for Handed {
            role,
            wanted,
            socket,
        } in listeners
        {
            let (role, wanted) = (*role, *wanted);
            let word = Word::Listener { role, wanted };
            successor.say(&word, Some(socket.as_fd()), "taking the listeners")?;
        }
        let begin = Word::Begin { protocol: PROTOCOL };
        successor.say(&begin, None, "taking the listeners")?;
        successor.hear(&Word::Ready, "being ready", ready_within)?;
        Ok(successor)
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// Gives it the store, which nobody here uses any more, with what `logs` holds, and waits until
    /// it is open there. Blocks.
    ///
    /// # Errors
    /// [`UpgradeError`]; nothing was changed in the store then.
    pub fn give(&mut self, logs: Option<BorrowedFd<'_>>) -> Result<(), UpgradeError> {
        self.say(&Word::Yours, logs, "taking the store")?;
        self.hear(&Word::Opened, "opening the store", STEP_WITHIN)
    }

    /// Lets it give ids, and waits until it serves. Blocks.
    ///
    /// # Errors
    /// [`UpgradeError`]; it may have given ids before it failed.
    pub fn let_go(mut self) -> Result<(), UpgradeError> {
        self.say(&Word::Go, None, "serving")?;
        self.hear(&Word::Serving, "serving", STEP_WITHIN)?;
        // From here on it is nobody's child.
        self.child = None;
        Ok(())
    }

    fn say(
        &mut self,
        word: &Word,
        socket: Option<BorrowedFd<'_>>,
        step: &'static str,
    ) -> Result<(), UpgradeError> {
        let said = self.line.say(word, socket, STEP_WITHIN);
        said.map_err(|source| self.failed(step, source))
    }

    fn hear(
        &mut self,
        word: &Word,
        step: &'static str,
        within: Duration,
    ) -> Result<(), UpgradeError> {
        let heard = self.line.expect(word, step, within);
        heard.map(drop).map_err(|source| self.failed(step, source))
    }

    /// What a step failed by: where the process ended, that is what to tell.
    fn failed(&mut self, step: &'static str, source: LineError) -> UpgradeError {
        let until = Instant::now() + END_WITHIN;
        while matches!(source, LineError::Gone) && Instant::now() < until {
            if let Some(Ok(Some(status))) = self.child.as_mut().map(Child::try_wait) {
                return UpgradeError::Ended(status);
            }
            sleep(Duration::from_millis(5));
        }
        UpgradeError::Stuck { step, source }
    }
}

impl Drop for Successor {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have left by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_hangs_is_given_up_and_ended() {
        let folder = tempfile::tempdir().unwrap();
        let told = folder.path().join("process");
        let script = format!("echo $$ > '{}'; exec sleep 600", told.display());
        let program = Program::at("/bin/sh", &["-c", &script]);
        let within = Duration::from_millis(500);
        let outcome = Successor::start_within(within, &program, &[]);
        let step = match outcome {
            Err(UpgradeError::Stuck {
                step,
                source: LineError::Silent(_),
            }) => step,
            outcome => panic!("{outcome:?}"),
        };
        assert_eq!(step, "being ready");
        let process = std::fs::read_to_string(told).unwrap();
        let process = std::path::Path::new("/proc").join(process.trim());
        assert!(
            !process.exists(),
            "it is gone, and nobody has to wait for it"
        );
    }
}
