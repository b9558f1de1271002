//! `pollcast ready`: is the pollcast beside this one ready? For health checks where there is no shell.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use reqwest::Url;
use reqwest::redirect::Policy;

use super::CliError;

#[derive(Args, Debug)]
pub struct Arguments {
    /// What to ask; its `/healthz` tells whether it is alive even while it leaves
    #[arg(value_name = "URL", default_value = "http://127.0.0.1:9091/readyz")]
    url: Url,
    /// How long it may take to answer
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = humantime::parse_duration)]
    timeout: Duration,
}

/// Why nothing could be asked; that it is not ready is no error of this kind.
#[derive(Debug, thiserror::Error)]
pub enum ReadyError {
    /// No runtime.
    #[error("cannot start")]
    Runtime(#[source] std::io::Error),
    /// Nobody answers there.
    #[error("{0} does not answer")]
    Silent(Url, #[source] reqwest::Error),
}

/// Succeeds if the answer is 2xx; the answer's first line is said in any case.
pub fn ready(arguments: &Arguments) -> Result<ExitCode, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(ReadyError::Runtime)?;
    let (is_ready, said) = runtime
        .block_on(ask(arguments))
        .map_err(|error| ReadyError::Silent(arguments.url.clone(), error.without_url()))?;
    super::print(&said)?;
    Ok(match is_ready {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

async fn ask(arguments: &Arguments) -> reqwest::Result<(bool, String)> {
    // What stands beside it is asked itself, whatever proxy the environment names for the rest.
    let http = reqwest::Client::builder()
        .no_proxy()
        .redirect(Policy::none())
        .timeout(arguments.timeout)
        .build()?;
    let answer = http.get(arguments.url.clone()).send().await?;
    let status = answer.status();
    let text = answer.text().await?;
    let line = text.lines().next().unwrap_or_default();
    Ok((status.is_success(), format!("{status}: {line}\n")))
}
