//! What systemd, or whoever else set `NOTIFY_SOCKET`, is told of this process.
//!
//! Owns the socket of sd_notify(3). Promises that a service manager which is not there, or does not
//! read, costs nothing and holds up nobody: what cannot be sent at once is dropped, and said once.
//!
//! | room | what it knows |
//! |---|---|
//! | `pulse` | whether everything that must go on goes on |
//! | `watchdog` | the beat by which systemd is told so |

mod pulse;
mod watchdog;

use std::convert::Infallible;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sd_notify::NotifyState;
use tracing::warn;

pub use pulse::Sign;
pub use watchdog::{Watchdog, watch};

/// The way to the service manager, if there is one.
#[derive(Clone, Debug, Default)]
pub struct Systemd(Option<Arc<Way>>);

#[derive(Debug)]
struct Way {
    socket: UnixDatagram,
    /// Whether it was said that nothing arrives.
    is_broken: AtomicBool,
}

impl Systemd {
    /// The one that started this process, as `NOTIFY_SOCKET` tells: a path, or `@` and the name of
    /// an abstract socket.
    pub fn of_this_process() -> Self {
        let Some(place) = std::env::var_os("NOTIFY_SOCKET") else {
            return Self(None);
        };
        match connect(&place) {
            Ok(socket) => Self(Some(Arc::new(Way {
                socket,
                is_broken: AtomicBool::new(false),
            }))),
            Err(error) => {
                warn!(%error, "cannot reach the service manager at NOTIFY_SOCKET; it will not know that this process is ready");
                Self(None)
            }
        }
    }

    /// Serving.
    pub fn ready(&self, status: &str) {
        self.tell(&[NotifyState::Ready, NotifyState::Status(status)]);
    }

    /// Reading the configuration anew; to be followed by [`Self::ready`] in any case.
    pub fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.tell(&[NotifyState::Reloading, now]),
            Err(error) => warn!(%error, "cannot tell the time to the service manager"),
        }
    }

    /// Tells what this process is doing, in one line, as often as that is another and at most once
    /// in `every`; for ever.
    pub async fn keep_told(&self, every: Duration, status: impl Fn() -> String) -> Infallible {
        if self.0.is_none() {
            return std::future::pending().await;
        }
        let mut told = String::new();
        loop {
            let now = status();
            if now != told {
                self.tell(&[NotifyState::Status(&now)]);
                told = now;
            }
            tokio::time::sleep(every).await;
        }
    }

    /// Leaving, which takes so long at most.
    pub fn stopping(&self, status: &str, at_most: Duration) {
        let micros = u32::try_from(at_most.as_micros()).unwrap_or(u32::MAX);
        self.tell(&[
            NotifyState::Stopping,
            NotifyState::Status(status),
            NotifyState::ExtendTimeoutUsec(micros),
        ]);
    }

    /// Another process is the service from now on, and serves.
    pub fn succeeded_by(&self, process: u32) {
        self.tell(&[NotifyState::MainPid(process), NotifyState::Ready]);
    }

    fn tell(&self, states: &[NotifyState<'_>]) {
        let Some(way) = &self.0 else {
            return;
        };
        let lines: Vec<_> = states.iter().map(ToString::to_string).collect();
        match way.socket.send(lines.join("\n").as_bytes()) {
            Ok(_) => way.is_broken.store(false, Ordering::Relaxed),
            Err(error) => {
                if !way.is_broken.swap(true, Ordering::Relaxed) {
                    warn!(%error, "the service manager does not take what it is told");
                }
            }
        }
    }
}

fn connect(place: &OsStr) -> io::Result<UnixDatagram> {
    let address = match place.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(place)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 512];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    fn towards(place: &OsStr) -> Systemd {
        Systemd(Some(Arc::new(Way {
            socket: connect(place).unwrap(),
            is_broken: AtomicBool::new(false),
        })))
    }

    #[test]
    fn each_message_is_one_datagram_at_a_path_and_at_an_abstract_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let at_path = UnixDatagram::bind(&path).unwrap();
        let name = format!("pollcast-{}", rand::random::<u64>());
        let abstract_address = SocketAddr::from_abstract_name(&name).unwrap();
        let at_name = UnixDatagram::bind_addr(&abstract_address).unwrap();
        for (socket, place) in [
            (at_path, path.into_os_string()),
            (at_name, format!("@{name}").into()),
        ] {
            let systemd = towards(&place);
            systemd.ready("all is well");
            assert_eq!(told(&socket), "READY=1\nSTATUS=all is well");
            systemd.reloading();
            let message = told(&socket);
            assert!(
                message.starts_with("RELOADING=1\nMONOTONIC_USEC="),
                "{message}"
            );
            systemd.stopping("leaving", Duration::from_secs(5));
            assert_eq!(
                told(&socket),
                "STOPPING=1\nSTATUS=leaving\nEXTEND_TIMEOUT_USEC=5000000"
            );
            systemd.succeeded_by(7);
            assert_eq!(told(&socket), "MAINPID=7\nREADY=1");
        }
    }

    #[test]
    fn nobody_is_held_up_by_a_service_manager_that_does_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let _deaf = UnixDatagram::bind(&path).unwrap();
        let systemd = towards(path.as_os_str());
        for _ in 0..10_000 {
            systemd.ready("nobody reads this");
        }
        Systemd::default().ready("nobody is there");
    }
}
