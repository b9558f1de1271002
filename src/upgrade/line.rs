//! The conversation's words, and the sockets that travel with them.
//!
//! Each word is one message of a `SOCK_SEQPACKET` pair, as JSON, so that another version of the
//! program understands what it knows of it. A socket travels beside its word (unix(7),
//! `SCM_RIGHTS`).

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg,
    sendmsg, socketpair,
};
use serde::{Deserialize, Serialize};

use super::Role;

/// The longest word.
const LONGEST: usize = 4096;

/// What the two processes say to each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "word", rename_all = "snake_case")]
pub enum Word {
    /// Old to new: a listening socket, which comes along.
    Listener {
        /// What it is for.
        role: Role,
        /// Its address as configured.
        wanted: SocketAddr,
    },
    /// Old to new: those were all.
    Begin {
        /// Which conversation this is; one that the new process does not know ends it.
        protocol: u32,
    },
    /// New to old: nothing is left that may fail but the store.
    Ready,
    /// Old to new: nobody gives ids, the store is closed. What its logs held may come along, as a
    /// file in memory.
    Yours,
    /// New to old: the store is open.
    Opened,
    /// Old to new: from here on the ids are yours.
    Go,
    /// New to old: polling and accepting.
    Serving,
}

/// Why the conversation is over.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// The other process ended, or let go.
    #[error("the other process is gone")]
    Gone,
    /// It said nothing for too long.
    #[error("the other process said nothing for {0:?}")]
    Silent(Duration),
    /// It said something else.
    #[error("the other process said {0} instead of {1}")]
    Unexpected(String, &'static str),
    /// The system does not carry it.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// One end of the conversation. Blocks, within bounds.
#[derive(Debug)]
pub(super) struct Line(OwnedFd);

impl Line {
    /// Both ends; neither is inherited by processes that are started meanwhile.
    pub(super) fn pair() -> io::Result<(Self, OwnedFd)> {
        let flags = SocketFlags::CLOEXEC;
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        Ok((Self(ours), theirs))
    }

    /// This socket, which must be one end of a pair.
    pub(super) fn at(socket: OwnedFd) -> Self {
        Self(socket)
    }

    /// Says a word.
    pub(super) fn say(
        &self,
        word: &Word,
        socket: Option<BorrowedFd<'_>>,
        within: Duration,
    ) -> Result<(), LineError> {
        set_socket_timeout(&self.0, Timeout::Send, Some(within)).map_err(io::Error::from)?;
        let text = serde_json::to_vec(word).map_err(io::Error::from)?;
        let sockets: &[BorrowedFd<'_>] = socket.as_slice();
        let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut beside = SendAncillaryBuffer::new(&mut room);
        if !sockets.is_empty() {
            beside.push(SendAncillaryMessage::ScmRights(sockets));
        }
        match sendmsg(
            &self.0,
            &[IoSlice::new(&text)],
            &mut beside,
            SendFlags::NOSIGNAL,
        ) {
            Ok(_) => Ok(()),
            Err(error) => Err(failed(error.into(), within)),
        }
    }

    /// The next word, and the socket that came along.
    pub(super) fn hear(&self, within: Duration) -> Result<(Word, Option<OwnedFd>), LineError> {
        set_socket_timeout(&self.0, Timeout::Recv, Some(within)).map_err(io::Error::from)?;
        let mut text = [0; LONGEST];
        let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut beside = RecvAncillaryBuffer::new(&mut room);
        let mut slices = [IoSliceMut::new(&mut text)];
        let heard = recvmsg(&self.0, &mut slices, &mut beside, RecvFlags::CMSG_CLOEXEC);
        let heard = heard.map_err(|error| failed(error.into(), within))?;
        let socket = beside.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut sockets) => sockets.next(),
            _ => None,
        });
        if heard.bytes == 0 {
            return Err(LineError::Gone);
        }
        if heard
            .flags
            .intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC)
        {
            return Err(io::Error::from(io::ErrorKind::InvalidData).into());
        }
        let word = serde_json::from_slice(&text[..heard.bytes]).map_err(io::Error::from)?;
        Ok((word, socket))
    }

    /// Waits for this word, and gives what came along.
    pub(super) fn expect(
        &self,
        expected: &Word,
        name: &'static str,
        within: Duration,
    ) -> Result<Option<OwnedFd>, LineError> {
        let (word, socket) = self.hear(within)?;
        match word == *expected {
            true => Ok(socket),
            false => Err(LineError::Unexpected(format!("{word:?}"), name)),
        }
    }
}

impl AsFd for Line {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn failed(error: io::Error, within: Duration) -> LineError {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => LineError::Silent(within),
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => LineError::Gone,
        _ => LineError::Io(error),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    const SOON: Duration = Duration::from_secs(30);

    fn line() -> (Line, Line) {
        let (ours, theirs) = Line::pair().unwrap();
        (ours, Line::at(theirs))
    }

    #[test]
    fn a_socket_travels_with_its_word() {
        let (old, new) = line();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let word = Word::Listener {
            role: Role::Public,
            wanted: address,
        };
        old.say(&word, Some(listener.as_fd()), SOON).unwrap();
        old.say(&Word::Go, None, SOON).unwrap();
        drop(listener);
        let (heard, socket) = new.hear(SOON).unwrap();
        assert_eq!(heard, word);
        let listener = TcpListener::from(socket.unwrap());
        let _client = TcpStream::connect(address).unwrap();
        listener.accept().unwrap();
        assert!(new.expect(&Word::Go, "go", SOON).unwrap().is_none());
    }

    #[test]
    fn silence_an_end_and_another_word_are_told_apart() {
        let (old, new) = line();
        let short = Duration::from_millis(20);
        assert!(matches!(new.hear(short), Err(LineError::Silent(_))));
        old.say(&Word::Yours, None, SOON).unwrap();
        let heard = new.expect(&Word::Go, "go", SOON);
        assert!(matches!(heard, Err(LineError::Unexpected(..))), "{heard:?}");
        drop(old);
        assert!(matches!(new.hear(SOON), Err(LineError::Gone)));
        assert!(matches!(
            new.say(&Word::Ready, None, SOON),
            Err(LineError::Gone)
        ));
    }

    #[test]
    fn a_word_that_nobody_knows_is_an_error() {
        let (old, new) = line();
        for text in [&b"{\"word\":\"dance\"}"[..], b"[", &[b' '; LONGEST + 1]] {
            rustix::net::send(&old, text, SendFlags::empty()).unwrap();
            assert!(matches!(new.hear(SOON), Err(LineError::Io(_))));
        }
    }
}
