//! `pollcast check`: is this file right, and what does it do?

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::{CliError, run};
use crate::config::Config;

#[derive(Args, Debug)]
pub struct Arguments {
    /// Configuration file (YAML)
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
}

pub fn check(arguments: &Arguments) -> Result<ExitCode, CliError> {
    let (config, warnings) = Config::load(&arguments.config)?;
    let mut said = format!("{}: ok\n", arguments.config.display());
    said += &run::describe(&config);
    for warning in &warnings {
        said += &format!("warning: {warning}\n");
    }
    super::print(&said)?;
    Ok(ExitCode::SUCCESS)
}
