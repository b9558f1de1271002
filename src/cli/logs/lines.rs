//! Lines on their way to standard error.
//!
//! Promises that whoever logs never waits for whoever reads: lines stand in memory, up to
//! [`MOST_WAITING`] bytes of them, until a thread of their own has written them. Lines that find no
//! room are dropped and counted, and the log says how many as soon as it can be written again.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use prometheus::IntCounter;
use tracing_subscriber::fmt::MakeWriter;

/// What waits to be written at most, in bytes; as much may be under way.
const MOST_WAITING: usize = 1 << 20;

/// Where lines are left to be written. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Lines {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// A std mutex: held while a line is copied, never while anything is written.
    waiting: Mutex<Waiting>,
    changed: Condvar,
    dropped: IntCounter,
}

#[derive(Debug, Default)]
struct Waiting {
    text: Vec<u8>,
    /// Lines dropped since the log last told of it.
    untold: u64,
    is_writing: bool,
}

impl Lines {
    /// Lines for `out`, which a thread of its own writes for as long as the process lives.
    /// `dropped` counts the lines that were lost.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub(super) fn start(out: impl Write + Send + 'static, dropped: IntCounter) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            waiting: Mutex::default(),
            changed: Condvar::new(),
            dropped,
        });
        let lines = Self {
            shared: Arc::clone(&shared),
        };
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || shared.write_to(out))?;
        Ok(lines)
    }

    /// Waits until everything is written that was left here so far, at most `patience`.
    pub(super) fn flush(&self, patience: Duration) {
        let is_busy = |waiting: &mut Waiting| waiting.is_writing || waiting.is_news();
        let guard = self.shared.lock();
        let _ = self
            .shared
            .changed
            .wait_timeout_while(guard, patience, is_busy);
    }

    fn leave(&self, line: &[u8]) {
        let mut waiting = self.shared.lock();
        if waiting.text.len() + line.len() > MOST_WAITING {
            waiting.untold += 1;
            self.shared.dropped.inc();
            return;
        }
        waiting.text.extend_from_slice(line);
        drop(waiting);
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn write_to(&self, mut out: impl Write) {
        let mut text = Vec::new();
        loop {
            let mut waiting = self.lock();
            waiting.is_writing = false;
            self.changed.notify_all();
            let mut waiting = self
                .changed
                .wait_while(waiting, |waiting| !waiting.is_news())
                .unwrap_or_else(PoisonError::into_inner);
            waiting.is_writing = true;
            text.clear();
            std::mem::swap(&mut text, &mut waiting.text);
            let untold = std::mem::take(&mut waiting.untold);
            drop(waiting);
            if out.write_all(&text).and_then(|()| out.flush()).is_err() {
                let lost = text.iter().filter(|&&byte| byte == b'\n').count();
                self.dropped.inc_by(lost as u64);
            }
            if untold > 0 {
                tell(untold);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn is_news(&self) -> bool {
        !self.text.is_empty() || self.untold > 0
    }
}

/// As a line like others, behind those that were there when it came to this.
fn tell(dropped: u64) {
    tracing::warn!(
        dropped,
        "log lines were dropped, since nobody read standard error for a while"
    );
}

/// One line, as the formatter hands it over: in one piece.
impl Write for &Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.leave(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = &'a Lines;

    fn make_writer(&'a self) -> &'a Lines {
        self
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    /// Takes a write only when told to.
    struct Stuck {
        go: Receiver<()>,
        got: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Stuck {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            let _ = self.go.recv();
            self.got.lock().unwrap().extend_from_slice(text);
            Ok(text.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn lines() -> (Lines, SyncSender<()>, Arc<Mutex<Vec<u8>>>, IntCounter) {
        let (told, go) = sync_channel(100);
        let got = Arc::default();
        let dropped = IntCounter::new("dropped", "lines").unwrap();
        let out = Stuck {
            go,
            got: Arc::clone(&got),
        };
        let lines = Lines::start(out, dropped.clone()).unwrap();
        (lines, told, got, dropped)
    }

    #[test]
    fn what_is_left_is_written_in_order_before_a_flush_is_over() {
        let (lines, go, got, dropped) = lines();
        go.send(()).unwrap();
        go.send(()).unwrap();
        for line in ["one\n", "two\n"] {
            (&lines).write_all(line.as_bytes()).unwrap();
            lines.flush(LONG);
        }
        assert_eq!(*got.lock().unwrap(), b"one\ntwo\n");
        assert_eq!(dropped.get(), 0);
    }

    #[test]
    fn nobody_waits_for_a_stuck_reader_and_what_is_lost_is_counted() {
        let (lines, go, got, dropped) = lines();
        let line = [b'x'; 1023];
        let written = 4 * MOST_WAITING / 1024;
        for _ in 0..written {
            (&lines).write_all(&line).unwrap();
        }
        lines.flush(Duration::ZERO);
        let lost = usize::try_from(dropped.get()).unwrap();
        assert!(lost >= written / 4, "{lost}");
        drop(go);
        lines.flush(LONG);
        let kept = got.lock().unwrap().len() / line.len();
        assert_eq!(kept + lost, written);
    }
}
