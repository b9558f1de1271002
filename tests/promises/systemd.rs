//! What the service manager is told, by a socket of ours where systemd's would be.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

use crate::support::PATIENCE;
use crate::support::proxy::Proxy;
use crate::support::upstream::Upstream;

/// Where systemd would listen.
struct Manager {
    socket: UnixDatagram,
    place: String,
    _folder: tempfile::TempDir,
}

impl Manager {
    fn at_a_path() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).expect("a socket");
        Self::of(socket, path.to_string_lossy().into_owned(), folder)
    }

    fn at_a_name() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let name = folder.path().to_string_lossy().into_owned();
        let address = SocketAddr::from_abstract_name(&name).expect("a name");
        let socket = UnixDatagram::bind_addr(&address).expect("a socket");
        Self::of(socket, format!("@{name}"), folder)
    }

    fn of(socket: UnixDatagram, place: String, folder: tempfile::TempDir) -> Self {
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Self {
            socket,
            place,
            _folder: folder,
        }
    }

    fn variables<'a>(&'a self, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        [&[("NOTIFY_SOCKET", self.place.as_str())], more].concat()
    }

    /// The next message that has this line.
    fn told(&self, line: &str) -> String {
        loop {
            let message = self.next().unwrap_or_else(|| panic!("never told {line}"));
            if message.lines().any(|each| each.starts_with(line)) {
                return message;
            }
        }
    }

    fn next(&self) -> Option<String> {
        let mut buffer = [0; 4096];
        let length = self.socket.recv(&mut buffer).ok()?;
        Some(String::from_utf8(buffer[..length].to_vec()).expect("text"))
    }
}

fn feed(upstream: &Upstream) -> String {
    format!(
        "upstreams: {{ legacy: {{ url: \"{}\" }} }}\nfeeds: [{{ path: /feed, upstream: legacy }}]\n",
        upstream.url()
    )
}

#[test]
fn it_is_told_when_pollcast_serves_and_when_it_leaves() {
    let (upstream, _document) = Upstream::with_document("[1]");
    for manager in [Manager::at_a_path(), Manager::at_a_name()] {
        let variables = manager.variables(&[]);
        let mut proxy = Proxy::start_with(&feed(&upstream), &variables);
        let message = manager.told("READY=1");
        assert!(
            message.contains("\nSTATUS=serving; feeds: 1, open: 0"),
            "{message}"
        );
        assert_eq!(proxy.admin("/readyz").0, 200);
        proxy.signal("TERM");
        let message = manager.told("STOPPING=1");
        assert!(message.contains("\nSTATUS=leaving"), "{message}");
        assert!(message.contains("\nEXTEND_TIMEOUT_USEC="), "{message}");
        assert_eq!(proxy.exit_status().code(), Some(0));
    }
}

#[test]
fn it_is_told_which_process_the_service_is_after_an_upgrade() {
    let (upstream, _document) = Upstream::with_document("[1]");
    let manager = Manager::at_a_path();
    let watched = manager.variables(&[("WATCHDOG_USEC", "400000")]);
    let mut proxy = Proxy::start_with(&feed(&upstream), &watched);
    manager.told("READY=1");
    let old = proxy.pid();
    proxy.upgrade();
    let message = manager.told("MAINPID=");
    assert!(
        message.contains(&format!("MAINPID={}\n", proxy.pid())),
        "{message}"
    );
    // The old one leaves without a word, which would be taken for the service's.
    assert_ne!(old, proxy.pid());
    assert_eq!(proxy.exit_status().code(), Some(0));
    while let Ok(()) = manager.socket.set_nonblocking(true)
        && let Some(message) = manager.next()
    {
        assert!(!message.contains("STOPPING"), "{message}");
    }
    manager.socket.set_nonblocking(false).expect("a socket");
    manager.told("WATCHDOG=1");
}

#[test]
fn the_watchdog_hears_nothing_of_a_process_that_is_stopped() {
    let (upstream, _document) = Upstream::with_document("[1]");
    let manager = Manager::at_a_name();
    let watched = manager.variables(&[("WATCHDOG_USEC", "400000")]);
    let proxy = Proxy::start_with(&feed(&upstream), &watched);
    for _ in 0..5 {
        manager.told("WATCHDOG=1");
    }
    proxy.signal("STOP");
    // What was said before.
    manager
        .socket
        .set_read_timeout(Some(Duration::from_secs(2)))
        .expect("a timeout");
    let begun = Instant::now();
    while manager.next().is_some() {
        assert!(begun.elapsed() < PATIENCE, "it goes on talking");
    }
    proxy.signal("CONT");
    manager
        .socket
        .set_read_timeout(Some(PATIENCE))
        .expect("a timeout");
    manager.told("WATCHDOG=1");
}

#[test]
fn nothing_is_said_of_a_watchdog_that_nobody_wants() {
    let (upstream, _document) = Upstream::with_document("[1]");
    let manager = Manager::at_a_path();
    // Of another process.
    let variables = manager.variables(&[("WATCHDOG_USEC", "100000"), ("WATCHDOG_PID", "1")]);
    let _proxy = Proxy::start_with(&feed(&upstream), &variables);
    manager.told("READY=1");
    manager
        .socket
        .set_read_timeout(Some(Duration::from_millis(500)))
        .expect("a timeout");
    while let Some(message) = manager.next() {
        assert!(!message.contains("WATCHDOG"), "{message}");
    }
}
