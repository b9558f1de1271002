//! Locks under which nobody may fail.

use std::sync::LockResult;

use tracing::error;

/// What a lock holds, whole. Whoever panicked while holding it left it half changed: what subscribers
/// would be told from then on could be wrong, and everybody else who needs it would fail as well. So
/// the process ends at once (`SIGABRT`), to be started again; clients resume.
pub fn intact<G>(locked: LockResult<G>, what: &'static str) -> G {
    locked.unwrap_or_else(|_| {
        error!(what, "a mistake in pollcast left this half changed; ending");
        std::process::abort()
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Command, Stdio};
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn what_is_whole_is_given() {
        assert_eq!(*intact(Mutex::new(1).lock(), "a number"), 1);
    }

    #[test]
    fn what_is_half_changed_is_given_to_nobody() {
        let this = std::env::current_exe().unwrap();
        let mut child = Command::new(this);
        child.args(["--ignored", "--exact", "hub::intact::tests::somebody_fails"]);
        let status = child.stdout(Stdio::null()).stderr(Stdio::null()).status();
        assert_eq!(status.unwrap().signal(), Some(6), "SIGABRT");
    }

    #[test]
    #[ignore = "ends the process; run by the test above"]
    fn somebody_fails() {
        let number = Mutex::new(1);
        let failed = std::panic::catch_unwind(|| {
            let _held = number.lock();
            panic!("a mistake");
        });
        assert!(failed.is_err());
        drop(intact(number.lock(), "a number"));
    }
}
