//! `pollcast demo`: a bundled legacy API, the proxy in front of it, and a page that watches.

mod desk;
mod legacy;
mod order;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::ExitCode;

use clap::Args;

use self::desk::Desk;
use self::legacy::Legacy;
use super::run::serve;
use super::{CliError, logs};
use crate::config::{Config, LogFormat, System};
use crate::server::Server;

#[derive(Args, Debug)]
pub struct Arguments {
    /// Where the page is to be seen
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Where the status page and metrics are to be seen
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9091")]
    admin: SocketAddr,
}

/// Why the demo cannot start.
#[derive(Debug, thiserror::Error)]
#[error("cannot start the bundled legacy API")]
pub struct DemoError(#[from] std::io::Error);

pub fn demo(arguments: &Arguments) -> Result<ExitCode, CliError> {
    let logs = logs::begin(LogFormat::Text);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(DemoError)?;
    let legacy = listener.local_addr().map_err(DemoError)?;
    let text = configuration(arguments, legacy);
    let (config, _) = Config::parse(&text, &System::new("")).map_err(CliError::Arguments)?;
    let server = Server::bind(config)?.losing(logs.dropped());
    Legacy::start(listener).map_err(DemoError)?;
    let page = server.origins().next().unwrap_or_default();
    let introduction = format!(
        "pollcast {} demo\n  \
         a legacy API that can only be asked:  http://{legacy}/orders\n  \
         the same, live:                       {page}/orders\n  \
         status page, and /metrics:            http://{}/\n\n\
         Open {page}/ and watch. Ctrl-C ends it all.\n",
        env!("CARGO_PKG_VERSION"),
        server.admin_address()
    );
    serve(server, &introduction)?;
    Ok(ExitCode::SUCCESS)
}

/// What somebody would write who puts pollcast in front of the desk.
fn configuration(arguments: &Arguments, legacy: SocketAddr) -> String {
    let Arguments { listen, admin } = arguments;
    format!(
        r#"
server: {{ listen: "{listen}", drain: 1s }}
admin: {{ listen: "{admin}" }}
upstreams:
  desk: {{ url: "http://{legacy}" }}
feeds:
  - path: /orders
    upstream: desk
    poll: {{ interval: 1s }}
    document: {{ select: /data, key: id }}
  - path: /desk/stats
    upstream: desk
    poll: {{ interval: 1s }}
"#
    )
}
