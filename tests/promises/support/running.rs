//! A pollcast that was started with arguments and says something, of any kind.

use std::io::{BufRead, BufReader, Lines};
use std::ops::{Deref, DerefMut};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};

use serde_json::Value;

use super::ended;

/// What it says, line by line.
pub struct Running {
    pub child: Killed,
    pub out: Lines<BufReader<ChildStdout>>,
    pub err: Lines<BufReader<ChildStderr>>,
}

impl Running {
    pub fn start(arguments: &[&str]) -> Self {
        Self::start_with(arguments, &[])
    }

    /// With these environment variables, and none that say whether there are colours.
    pub fn start_with(arguments: &[&str], variables: &[(&str, String)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_pollcast"))
            .args(arguments)
            .env_remove("NO_COLOR")
            .env_remove("CLICOLOR_FORCE")
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let out = BufReader::new(child.stdout.take().expect("piped")).lines();
        let err = BufReader::new(child.stderr.take().expect("piped")).lines();
        let child = Killed(child);
        Self { child, out, err }
    }

    /// The next line of its result.
    pub fn line(&mut self) -> String {
        self.out.next().expect("a line").expect("text")
    }

    /// The same, read as JSON.
    pub fn event(&mut self) -> Value {
        serde_json::from_str(&self.line()).expect("a line of JSON")
    }

    /// The next line of what it says besides its result.
    pub fn note(&mut self) -> String {
        self.err.next().expect("a note").expect("text")
    }

    /// Its exit code, and everything that it said besides its result.
    pub fn end(mut self) -> (Option<i32>, String) {
        let said: Vec<_> = self.err.by_ref().map_while(Result::ok).collect();
        (ended(&mut self.child).code(), said.join("\n"))
    }
}

/// A process that ends with its test, however that ends.
pub struct Killed(pub Child);

impl Deref for Killed {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.0
    }
}

impl DerefMut for Killed {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
