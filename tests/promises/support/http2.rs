//! An HTTP/2 client on the `h2` crate, over plain TCP or TLS, and bare frames for what it would
//! never do.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::{Request, Response};
use openssl::ssl::{SslConnector, SslMethod, SslVerifyMode};
use pingora::tls::tokio_ssl::SslStream;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::PATIENCE;

/// One connection.
pub struct Client {
    requests: SendRequest<Bytes>,
    address: SocketAddr,
    /// How the connection ended.
    pub end: JoinHandle<Result<(), h2::Error>>,
}

impl Client {
    /// Speaks HTTP/2 by prior knowledge.
    pub async fn plain(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("a connection");
        Self::over(stream, address).await
    }

    /// Speaks what ALPN chooses, which must be HTTP/2.
    pub async fn secured(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("a connection");
        let mut builder = SslConnector::builder(SslMethod::tls()).expect("TLS");
        builder.set_verify(SslVerifyMode::NONE);
        builder.set_alpn_protos(b"\x02h2").expect("a protocol");
        let ssl = builder.build().configure().expect("TLS");
        let ssl = ssl.into_ssl("localhost").expect("a name");
        let mut stream = SslStream::new(ssl, stream).expect("TLS");
        std::pin::Pin::new(&mut stream)
            .connect()
            .await
            .expect("a handshake");
        assert_eq!(stream.ssl().selected_alpn_protocol(), Some(&b"h2"[..]));
        Self::over(stream, address).await
    }

    async fn over(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        address: SocketAddr,
    ) -> Self {
        let mut builder = h2::client::Builder::new();
        builder
            .initial_window_size(1 << 20)
            .initial_connection_window_size(8 << 20);
        let (requests, connection) = builder.handshake(stream).await.expect("HTTP/2");
        Self {
            requests,
            address,
            end: tokio::spawn(connection),
        }
    }

    /// Sends a head, and leaves the body open if `more` is to come.
    pub async fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        more: bool,
    ) -> (ResponseFuture, SendStream<Bytes>) {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut ready = self
            .requests
            .clone()
            .ready()
            .await
            .expect("room for a stream");
        ready
            .send_request(request.body(()).expect("a request"), !more)
            .expect("a request")
    }

    /// A GET whose answer has begun.
    pub async fn get(&mut self, path: &str, headers: &[(&str, &str)]) -> Response<RecvStream> {
        let (answer, _) = self.send("GET", path, headers, false).await;
        in_time(answer).await.expect("an answer")
    }

    /// Subscribes as a browser would.
    pub async fn subscribe(&mut self, path: &str) -> Events {
        let answer = self.get(path, &[("accept", "text/event-stream")]).await;
        Events::of(answer)
    }
}

/// An event stream as it comes.
pub struct Events {
    body: RecvStream,
    text: String,
}

impl Events {
    /// The body of this answer.
    pub fn of(answer: Response<RecvStream>) -> Self {
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Self {
            body: answer.into_body(),
            text: String::new(),
        }
    }

    /// Reads until a block says this, such as `event: patch`; drops what came before.
    pub async fn until(&mut self, wanted: &str) {
        // Signs of life keep each read short, for ever.
        let began = Instant::now();
        loop {
            if let Some(at) = self.text.find(wanted)
                && let Some(end) = self.text[at..].find("\n\n")
            {
                self.text.drain(..at + end + 2);
                return;
            }
            let is_open = began.elapsed() < PATIENCE && self.read().await;
            assert!(is_open, "it ended before {wanted:?}: {:?}", self.text);
        }
    }

    /// Reads to the stream's proper end; what came meanwhile.
    pub async fn rest(mut self) -> String {
        while self.read().await {}
        self.text
    }

    async fn read(&mut self) -> bool {
        let Some(piece) = in_time(self.body.data()).await else {
            return false;
        };
        let piece = piece.expect("no reset");
        self.body
            .flow_control()
            .release_capacity(piece.len())
            .expect("capacity");
        self.text
            .push_str(std::str::from_utf8(&piece).expect("text"));
        true
    }
}

/// The whole of a body as text.
pub async fn text(mut body: RecvStream) -> String {
    let mut bytes = Vec::new();
    while let Some(piece) = in_time(body.data()).await {
        let piece = piece.expect("no reset");
        body.flow_control()
            .release_capacity(piece.len())
            .expect("capacity");
        bytes.extend_from_slice(&piece);
    }
    String::from_utf8(bytes).expect("text")
}

/// Waits, but not for ever.
pub async fn in_time<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("in time")
}

/// A frame (RFC 9113 section 4.1).
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len())
        .expect("a short frame")
        .to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}
