//! One process taking over from another, so that nobody who connects meanwhile is refused.
//!
//! Owns the conversation between a running pollcast and the one that it starts in its place, over a
//! pair of sockets of which the new one finds its end on standard input. Promises that at each
//! moment one of them answers for the listeners and one gives ids, that each step has a bound, and
//! that the old one goes on as before if the new one fails at any of them, as does the new one if the
//! old one is killed once the store is open.
//!
//! | step | the old process | the new process |
//! |---|---|---|
//! | 1 | starts the program, hands over copies of its listening sockets | reads its configuration, keeps the sockets that it names, binds the others |
//! | 2 | goes on | prepares everything that may fail, says [`Word::Ready`] |
//! | 3 | lets nobody give an id any more, closes its store, says [`Word::Yours`] | opens the store, says [`Word::Opened`] |
//! | 4 | says [`Word::Go`] | polls, accepts, says [`Word::Serving`] |
//! | 5 | stops accepting, and leaves as for SIGTERM | |
//!
//! | room | what it knows |
//! |---|---|
//! | `program` | what is started: the file that is now where this one was |
//! | `line` | the conversation's words, and the sockets that travel with them |
//! | `successor` | the new process as the old one sees it |
//! | `predecessor` | the old process as the new one sees it |
//!
//! Pingora's own way (`transfer_fd`) sends bare descriptor numbers through a path that both must
//! agree on, which it unlinks and anybody else may bind first, and it retries by sleeping; with
//! descriptors that nobody owns it cannot be used without unsafe code either.

mod line;
mod predecessor;
mod program;
mod successor;

use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use serde::{Deserialize, Serialize};

pub use line::{LineError, Word};
pub use predecessor::Predecessor;
pub use program::{Program, ProgramError};
pub use successor::{Successor, UpgradeError};

/// What a listener is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// For clients.
    Public,
    /// For metrics, health and the status page.
    Admin,
}

/// A listening socket that changes hands.
#[derive(Debug)]
pub struct Handed {
    /// What it was for.
    pub role: Role,
    /// The address as its configuration has it: its port may be 0.
    pub wanted: SocketAddr,
    /// The socket.
    pub socket: OwnedFd,
}

/// The sockets that a predecessor handed over and nobody has taken yet.
#[derive(Debug, Default)]
pub struct Inheritance(Vec<Handed>);

impl Inheritance {
    /// The socket for this address, if there is one; of those whose port was picked by the system,
    /// the first that was for the same.
    pub fn take(&mut self, role: Role, wanted: SocketAddr) -> Option<OwnedFd> {
        let is_it = |handed: &Handed| {
            handed.wanted == wanted && (wanted.port() != 0 || handed.role == role)
        };
        let place = self.0.iter().position(is_it)?;
        Some(self.0.remove(place).socket)
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn handed(role: Role, wanted: &str) -> (Handed, u16) {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        let wanted = wanted.parse().unwrap();
        let socket = socket.into();
        (
            Handed {
                role,
                wanted,
                socket,
            },
            port,
        )
    }

    #[test]
    fn each_socket_is_taken_once_by_who_wants_its_address() {
        let all = [
            handed(Role::Public, "127.0.0.1:0"),
            handed(Role::Public, "127.0.0.1:0"),
            handed(Role::Public, "0.0.0.0:80"),
            handed(Role::Admin, "127.0.0.1:0"),
            handed(Role::Admin, "127.0.0.1:91"),
        ];
        let (sockets, ports): (Vec<_>, Vec<_>) = all.into_iter().unzip();
        let mut inheritance = Inheritance(sockets);
        let mut port = |role, wanted: &str| {
            let socket = inheritance.take(role, wanted.parse().unwrap())?;
            let address = TcpListener::from(socket).local_addr().unwrap();
            ports.iter().position(|port| *port == address.port())
        };
        assert_eq!(port(Role::Admin, "127.0.0.1:0"), Some(3));
        assert_eq!(port(Role::Admin, "127.0.0.1:0"), None);
        assert_eq!(port(Role::Public, "127.0.0.1:0"), Some(0));
        assert_eq!(port(Role::Public, "127.0.0.1:0"), Some(1));
        assert_eq!(port(Role::Public, "127.0.0.1:0"), None);
        assert_eq!(port(Role::Public, "127.0.0.1:80"), None);
        assert_eq!(port(Role::Public, "0.0.0.0:80"), Some(2));
        assert_eq!(port(Role::Public, "127.0.0.1:91"), Some(4), "it moved");
    }
}
