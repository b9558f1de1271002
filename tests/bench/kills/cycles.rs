//! One process after the other over the same store, each killed at a moment of chance's choice, while
//! clients follow.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::client::Client;
use super::ledger::Ledger;
use super::upstream;

/// Feeds with one topic, and topics of the feed that has several.
const PLAIN: usize = 6;
const ON_DEMAND: usize = 6;
/// The longest life after the first clients may be back, in ms.
const LONGEST: u64 = 60;
/// How long a life may take to bring an event.
const PATIENCE: Duration = Duration::from_secs(3);

/// Lets so many processes live and die. `told` is called now and then with how many did.
pub fn run(cycles: u32, mut told: impl FnMut(u32, &Ledger)) -> std::io::Result<Arc<Ledger>> {
    let folder = tempfile::tempdir()?;
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let file = folder.path().join("pollcast.yaml");
    let store = folder.path().join("store");
    std::fs::write(&file, config(address, upstream::serve()?, &store))?;
    let ledger = Arc::new(Ledger::default());
    let paths = (0..PLAIN).map(|n| format!("/plain/{n}"));
    let paths = paths.chain((0..ON_DEMAND).map(|n| format!("/of/{n}")));
    let clients: Vec<_> = paths
        .flat_map(|path| [path.clone(), path])
        .map(|path| {
            let client = Client {
                path,
                held: None,
                id: None,
            };
            let ledger = Arc::clone(&ledger);
            std::thread::spawn(move || client.follow(address, &ledger))
        })
        .collect();
    let mut chance = 0x9e37_79b9_7f4a_7c15_u64;
    for cycle in 1..=cycles {
        let before = ledger.events();
        let mut child = start(&file)?;
        chance ^= chance << 13;
        chance ^= chance >> 7;
        chance ^= chance << 17;
        // Most lives bring an event first, however slow the machine is; some end before that.
        let began = Instant::now();
        while !chance.is_multiple_of(4) && ledger.events() == before && began.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_micros(chance % (LONGEST * 1000)));
        child.kill()?;
        child.wait()?;
        told(cycle, &ledger);
    }
    // What the last one left is seen, too.
    let mut child = start(&file)?;
    std::thread::sleep(Duration::from_secs(1));
    ledger.close();
    child.kill()?;
    child.wait()?;
    for client in clients {
        if client.join().is_err() {
            ledger.wrong("a client panicked".to_owned());
        }
    }
    Ok(ledger)
}

/// Starts it, and waits until it accepts connections.
fn start(file: &std::path::Path) -> std::io::Result<Child> {
    let built = || PathBuf::from(env!("CARGO_BIN_EXE_pollcast"));
    let binary = std::env::var_os("POLLCAST_BINARY").map_or_else(built, PathBuf::from);
    let mut child = Command::new(binary)
        .args(["run", "-c"])
        .arg(file)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let told = child.stdout.take().map(BufReader::new);
    let lines = told.into_iter().flat_map(BufRead::lines);
    let mut lines = lines.map_while(Result::ok);
    if lines.any(|line| line.starts_with("admin on ")) {
        return Ok(child);
    }
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(std::io::Error::other(format!("it did not start: {said}")))
}

fn config(address: SocketAddr, upstream: SocketAddr, store: &std::path::Path) -> String {
    let poll = "poll: { interval: 10ms }, events: { history: { events: 200 } }";
    let plain = (0..PLAIN)
        .map(|n| format!("  - {{ path: /plain/{n}, upstream: legacy, {poll} }}\n"))
        .collect::<String>();
    format!(
        "server: {{ listen: \"{address}\" }}\nadmin: {{ listen: \"127.0.0.1:0\" }}\n\
         backplane: {{ file: {{ path: \"{}\", sync: 50ms }} }}\n\
         upstreams: {{ legacy: {{ url: \"http://{upstream}\" }} }}\nfeeds:\n{plain}\
         \x20 - {{ path: \"/of/{{id}}\", upstream: legacy, {poll} }}\n",
        store.display()
    )
}
