//! Hours in minutes: the real binary, an upstream that changes, and hundreds of clients that come,
//! stall, resume and leave in every way there is. Every state that a client holds is compared with
//! what the upstream served; memory, descriptors and gauges are watched.
//!
//! `cargo bench --bench soak -- [MINUTES] [CLIENTS]`, or `make soak`; 30 minutes and 500 clients
//! unless given. Ends with status 1 if anything was wrong.

mod client;
mod plan;
mod process;
mod reader;
mod stream;
mod truth;
mod verdict;
mod wire;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use client::Crowd;
use process::{Process, sum};
use truth::Truth;
use verdict::{Sample, Verdict};

/// Between two looks at the process.
const BEAT: Duration = Duration::from_secs(10);
/// For the last clients to reach the newest state.
const LAST_WORDS: Duration = Duration::from_secs(60);
/// Descriptors that may come and go by themselves: the admin listener's, pooled connections to the
/// upstream.
const OWN_FILES: usize = 8;
/// For the server to find out that a client's machine is gone, which takes TCP 90 s.
const FORGETTING: Duration = Duration::from_secs(180);

fn main() -> ExitCode {
    // `cargo bench` puts a flag of its own among the arguments.
    let arguments: Vec<_> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with("--"))
        .collect();
    let minutes = arguments.first().map_or(Ok(30.0), |text| text.parse());
    let clients = arguments.get(1).map_or(Ok(500), |text| text.parse());
    let (Ok(minutes @ 0.5..=10_000.0), Ok(clients @ 1..=10_000)) = (minutes, clients) else {
        eprintln!("usage: soak [MINUTES, 0.5 or more] [CLIENTS, up to 10000]");
        return ExitCode::from(2);
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let lasting = Duration::from_secs_f64(minutes * 60.0);
    match runtime.block_on(soak(lasting, clients)) {
        Ok(verdict) => {
            print!("{verdict}");
            match verdict.is_good() {
                true => ExitCode::SUCCESS,
                false => ExitCode::FAILURE,
            }
        }
        Err(error) => {
            eprintln!("soak: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Small limits and short times, so that each of them is met many times.
fn config(upstream: &str, clients: u64, h2: bool) -> String {
    let feed = |path: &str, poll: &str, more: &str| {
        format!(
            "  - {{ path: {path}, upstream: legacy, poll: {{ interval: {poll}, linger: 1s }}, \
             events: {{ modes: [patch, merge, snapshot], history: {{ events: 12, bytes: 4MiB }} }}, \
             deliver: {{ heartbeat: 1s, write_timeout: 10s, max_lifetime: 20s, retry: 1s{more} }} }}\n"
        )
    };
    let listen = match h2 {
        true => "{ address: \"127.0.0.1:0\", http2: true }",
        false => "\"127.0.0.1:0\"",
    };
    format!(
        "server: {{ listen: [{listen}], limits: {{ subscribers: {} }} }}\n\
         admin: {{ listen: \"127.0.0.1:0\" }}\n\
         upstreams: {{ legacy: {{ url: \"http://{upstream}\" }} }}\nfeeds:\n{}{}{}",
        clients + clients / 20,
        feed(
            "/small",
            "100ms",
            &format!(", max_subscribers: {}", clients * 9 / 20 + 1)
        ),
        feed("/table", "100ms", ""),
        feed("/large", "500ms", ""),
    )
}

async fn soak(lasting: Duration, clients: u64) -> std::io::Result<Verdict> {
    let truth = Truth::new();
    let upstream = truth.serve().await?;
    let config = |h2| config(&upstream.to_string(), clients, h2);
    let h2 = Process::accepts(&config(true))?;
    if !h2 {
        println!("this build has no HTTP/2 on plain listeners: HTTP/1 alone");
    }
    let mut process = Process::start(&config(h2))?;
    let at_first = process.usage()?;
    let (end, ending) = watch::channel(false);
    let crowd = Crowd::new(Arc::clone(&truth), process.address, h2, ending);
    let seed = rand::random::<u32>();
    println!("{clients} clients for {lasting:?}, seed {seed}");
    println!("{}", Sample::HEAD);
    let members: Vec<_> = (0..clients)
        .map(|member| tokio::spawn(Arc::clone(&crowd).live(u64::from(seed) << 32 | member)))
        .collect();

    let began = Instant::now();
    let mut samples = Vec::new();
    let mut next = began;
    while next < began + lasting {
        next += BEAT;
        sleep_until(next).await;
        crowd.bury();
        let sample = Sample::take(&process, began.elapsed(), crowd.tally()).await?;
        println!("{sample}");
        samples.push(sample);
    }

    truth.stop();
    // Nobody is there to hear it if every client has failed.
    let _ = end.send(true);
    let mut wrong = Vec::new();
    let last = Instant::now();
    for member in members {
        let left = LAST_WORDS.saturating_sub(last.elapsed());
        match tokio::time::timeout(left, member).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => wrong.push(format!("a client failed: {error}")),
            Err(_) => wrong.push("a client never got the newest state".to_owned()),
        }
    }
    wrong.extend(crowd.failures());
    let tally = crowd.tally();

    // All that is left are those that vanished; the server is to notice by itself.
    let left = Instant::now();
    let (mut connections, mut usage) = (f64::MAX, at_first);
    while left.elapsed() < FORGETTING
        && (connections > 0.5 || usage.files > at_first.files + OWN_FILES)
    {
        sleep(Duration::from_secs(1)).await;
        connections = sum(&process.metrics().await?, "pollcast_connections", "");
        usage = process.usage()?;
    }
    let metrics = process.metrics().await?;
    let log = process.log();
    let exit = process.leave(Duration::from_secs(10))?;
    Ok(Verdict {
        samples,
        tally,
        wrong,
        connections,
        files: (at_first.files, usage.files),
        skipped: sum(&metrics, "pollcast_events_skipped_total", ""),
        panics: log.lines().filter(|line| line.contains("panicked")).count(),
        left_properly: exit.is_some_and(|status| status.success()),
    })
}
