//! `pollcast check`: is this file right, and what does it do?

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::{CliError, run};
use crate::config::{Config, Listener};

#[derive(Args, Debug)]
pub struct Arguments {
    /// Configuration file (YAML)
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
}

pub fn check(arguments: &Arguments) -> Result<ExitCode, CliError> {
    let (config, warnings) = Config::load(&arguments.config)?;
    let mut said = format!("{}: ok\n", arguments.config.display());
    for listener in &config.server.listen {
        said += &format!("  listen {}\n", described(listener));
    }
    said += &run::describe(&config);
    for warning in &warnings {
        said += &format!("warning: {warning}\n");
    }
    super::print(&said)?;
    Ok(ExitCode::SUCCESS)
}

/// A listener's address and what is spoken there.
fn described(listener: &Listener) -> String {
    let scheme = if listener.tls.is_some() {
        "https"
    } else {
        "http"
    };
    let versions = match listener.http2 {
        true => "HTTP/2 and HTTP/1.1",
        false => "HTTP/1.1",
    };
    let header = match listener.proxy_protocol {
        true => ", after a PROXY protocol header",
        false => "",
    };
    format!("{scheme}://{}  {versions}{header}", listener.address)
}
