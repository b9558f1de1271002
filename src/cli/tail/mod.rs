//! `pollcast tail`: a subscriber for the terminal.
//!
//! Behaves as EventSource does (WHATWG HTML section 9.2): resumes with the last id, waits as long
//! as it was told to, stops for good on 204.

mod parser;
mod printer;

use std::io::ErrorKind;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use http::StatusCode;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE};
use reqwest::Url;

use self::parser::Parser;
use self::printer::Printer;
use super::CliError;
use super::run::told_to_leave;
use crate::peers::{UNTRUSTED, root_cause};

/// Until the server says otherwise.
const FIRST_RETRY: Duration = Duration::from_secs(3);
/// For the connection; a cold feed may take its time with the head.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Args, Debug)]
pub struct Arguments {
    /// The feed, such as http://127.0.0.1:8080/orders
    #[arg(value_parser = web_url)]
    url: Url,
    /// Print each event as one line of JSON: {"event", "id", "data"}
    #[arg(long)]
    json: bool,
    /// The form of changes to ask for: patch, merge, items or snapshot
    #[arg(long, value_name = "MODE")]
    mode: Option<String>,
}

/// Why following a feed makes no sense.
#[derive(Debug, thiserror::Error)]
pub enum TailError {
    /// The HTTP client cannot be set up.
    #[error("cannot set up the HTTP client")]
    Client(#[source] reqwest::Error),
    /// No runtime.
    #[error("cannot start")]
    Runtime(#[source] std::io::Error),
    /// Any status but 200 and 204: a browser's EventSource would give up as well.
    #[error("{url} answers {status}{detail}")]
    Refused {
        /// Who.
        url: Url,
        /// What.
        status: StatusCode,
        /// What the body says about it, if anything.
        detail: String,
    },
    /// 200, but no event stream.
    #[error("{0} answers, but not with an event stream; is it a feed of pollcast?")]
    NoStream(Url),
    /// The events have nowhere to go.
    #[error("cannot write to standard output")]
    Output(#[source] std::io::Error),
}

/// What became of one connection.
enum Outcome {
    /// It ended or broke, or never came up: try again.
    Lost(String),
    /// 204: there will be no more.
    Over,
}

pub fn tail(arguments: &Arguments) -> Result<ExitCode, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(TailError::Runtime)?;
    runtime.block_on(async {
        tokio::select! {
            outcome = follow(arguments) => match outcome {
                // Whoever read it has seen enough.
                Err(TailError::Output(error)) if error.kind() == ErrorKind::BrokenPipe => {}
                outcome => outcome?,
            },
            () = told_to_leave() => {}
        }
        Ok(ExitCode::SUCCESS)
    })
}

async fn follow(arguments: &Arguments) -> Result<(), TailError> {
    let client = reqwest::Client::builder()
        .user_agent(concat!("pollcast-tail/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .no_proxy()
        .build()
        .map_err(TailError::Client)?;
    let mut url = arguments.url.clone();
    if let Some(mode) = &arguments.mode {
        url.query_pairs_mut().append_pair("mode", mode);
    }
    let mut printer = Printer::new(arguments.json);
    let mut parser = Parser::default();
    loop {
        match connection(&client, &url, &mut parser, &mut printer).await? {
            Outcome::Over => {
                printer.note("the feed is over");
                return Ok(());
            }
            Outcome::Lost(why) => {
                let wait = parser.retry().unwrap_or(FIRST_RETRY);
                let wait_text = humantime::format_duration(wait);
                printer.note(&format!("{why}; trying again in {wait_text}"));
                parser.disconnected();
                tokio::time::sleep(wait).await;
            }
        }
    }
}

async fn connection(
    client: &reqwest::Client,
    url: &Url,
    parser: &mut Parser,
    printer: &mut Printer,
) -> Result<Outcome, TailError> {
    let mut request = client
        .get(url.clone())
        .header(ACCEPT, "text/event-stream")
        .header(CACHE_CONTROL, "no-cache");
    if !parser.last_id().is_empty() {
        request = request.header("last-event-id", parser.last_id());
    }
    let mut response = match request.send().await {
        Ok(response) => response,
        Err(error) if error.is_builder() => return Err(TailError::Client(error)),
        Err(error) => {
            let cause = root_cause(&error);
            let hint = match cause.starts_with(UNTRUSTED) {
                true => "; to trust it, put its PEM file into SSL_CERT_FILE",
                false => "",
            };
            return Ok(Outcome::Lost(format!("no connection ({cause}{hint})")));
        }
    };
    match response.status() {
        StatusCode::OK => {}
        StatusCode::NO_CONTENT => return Ok(Outcome::Over),
        status => {
            let body = response.text().await.unwrap_or_default();
            return Err(TailError::Refused {
                url: url.clone(),
                status,
                detail: detail(&body),
            });
        }
    }
    let media_type = response.headers().get(CONTENT_TYPE);
    if !media_type.is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream")) {
        return Err(TailError::NoStream(url.clone()));
    }
    loop {
        match response.chunk().await {
            Ok(Some(bytes)) => {
                let mut printed = Ok(());
                parser.feed(&bytes, |event| {
                    if printed.is_ok() {
                        printed = printer.print(&event);
                    }
                });
                printed.map_err(TailError::Output)?;
            }
            Ok(None) => return Ok(Outcome::Lost("the stream ended".to_owned())),
            Err(_) => return Ok(Outcome::Lost("the connection broke".to_owned())),
        }
    }
}

fn web_url(text: &str) -> Result<Url, String> {
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(url),
        Ok(_) => Err("it begins with neither http:// nor https://".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// The explanation in a problem document (RFC 9457).
fn detail(body: &str) -> String {
    let problem: Option<serde_json::Value> = serde_json::from_str(body).ok();
    problem
        .and_then(|problem| Some(format!(": {}", problem.get("detail")?.as_str()?)))
        .unwrap_or_default()
}
