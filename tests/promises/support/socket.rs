//! Connections with a will of their own: from another address, with small buffers, cut off hard,
//! or gone without a word.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use socket2::{Domain, SockFilter, SockRef, Type};

/// How to connect.
#[derive(Clone, Copy, Debug, Default)]
pub struct Socket {
    /// The client's address; the system's choice if none.
    pub from: Option<Ipv4Addr>,
    /// The kernel's buffer for what was received and not read, in bytes, about.
    pub receive_buffer: Option<usize>,
    /// Whether closing breaks the connection (RST) instead of ending it (FIN).
    pub breaks: bool,
}

impl Socket {
    /// From this address, such as one of 127.0.0.0/8.
    pub fn from(address: [u8; 4]) -> Self {
        Self {
            from: Some(address.into()),
            ..Self::default()
        }
    }

    /// With as little room as the kernel allows.
    pub fn narrow() -> Self {
        Self {
            receive_buffer: Some(1024),
            ..Self::default()
        }
    }

    /// A connection to `address`.
    pub fn connect(self, address: SocketAddr) -> TcpStream {
        let socket = socket2::Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        if let Some(from) = self.from {
            let from = SocketAddr::from((from, 0));
            socket.bind(&from.into()).expect("a loopback address");
        }
        if let Some(bytes) = self.receive_buffer {
            // Before connecting: the window is agreed on then.
            socket.set_recv_buffer_size(bytes).expect("a size");
        }
        if self.breaks {
            let at_once = Some(std::time::Duration::ZERO);
            socket.set_linger(at_once).expect("an option");
        }
        socket.connect(&address.into()).expect("the proxy accepts");
        socket.into()
    }
}

/// Makes the client's kernel drop whatever arrives, before TCP sees it: nothing is acknowledged any
/// more, not even the end of the connection. To the other end that is a machine without power.
pub fn unplug(stream: &TcpStream) {
    const RETURN: u16 = 0x06;
    let nothing = [SockFilter::new(RETURN, 0, 0, 0)];
    SockRef::from(stream)
        .attach_filter(&nothing)
        .expect("a filter");
}
