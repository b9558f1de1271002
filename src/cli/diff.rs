//! `pollcast diff`: what would be sent if an API answered first this, then that?

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::CliError;
use crate::core::diff::{self, Memory};
use crate::core::json::{Copies, ParseError, Rules, Tape};

#[derive(Args, Debug)]
pub struct Arguments {
    /// JSON file to start from
    old: PathBuf,
    /// JSON file to arrive at
    new: PathBuf,
    /// Member that identifies the elements of arrays of objects (document.key)
    #[arg(long, value_name = "NAME")]
    key: Option<String>,
}

/// Why there is no patch.
#[derive(Debug, thiserror::Error)]
pub enum DiffError {
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file as it was named.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file holds no JSON.
    #[error("{} is not usable", path.display())]
    Parse {
        /// The file as it was named.
        path: PathBuf,
        /// What is wrong with it.
        source: ParseError,
    },
}

pub fn diff(arguments: &Arguments) -> Result<ExitCode, CliError> {
    let rules = Rules::default();
    let (old, _) = read(&arguments.old, None, &rules)?;
    let (new, copies) = read(&arguments.new, Some(&old), &rules)?;
    let mut memory = Memory::new(arguments.key.as_deref());
    let patch = diff::diff(&old, &new, &copies, &mut memory, usize::MAX);
    let patch = patch.expect("invariant: a patch without a size limit always exists");
    super::print(&format!("{}\n", String::from_utf8_lossy(&patch)))?;
    Ok(ExitCode::SUCCESS)
}

fn read(path: &Path, old: Option<&Tape>, rules: &Rules) -> Result<(Tape, Copies), DiffError> {
    let body = std::fs::read(path).map_err(|source| DiffError::Read {
        path: path.to_owned(),
        source,
    })?;
    Tape::read_after(body.into(), old, rules).map_err(|source| DiffError::Parse {
        path: path.to_owned(),
        source,
    })
}
