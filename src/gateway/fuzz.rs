//! What reads a client's bytes here, for whoever tries all kinds of them (`tests/fuzz`).

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use http::HeaderMap;
use pingora::http::RequestHeader;
use pingora::protocols::http::ServerSession;

use super::client::Trusted;
use super::negotiate::Wishes;
use super::{asked, identity, preconditions, prefer, strict};
use crate::config::Parameters;
use crate::core::event::Mode;
use crate::core::id::EventId;
use crate::core::sse::Coding;

/// A head that was taken for a request.
#[derive(Debug)]
pub struct Head {
    /// What it is routed by: path and query.
    pub target: String,
    /// Its fields.
    pub fields: HeaderMap,
}

/// Reads bytes that a client sends over HTTP/1 and then no more: a head that goes on from here, if
/// it is one.
pub async fn head(bytes: &[u8]) -> Option<Head> {
    let stream = std::io::Cursor::new(bytes.to_vec());
    let mut session = ServerSession::new_http1(Box::new(stream));
    if !session.read_request().await.ok()? {
        return None;
    }
    let raw = session.as_http1()?.get_headers_raw_bytes();
    strict::check(session.req_header(), Some(&raw)).ok()?;
    let request = session.req_header_mut();
    identity::identify(request).ok()?;
    identity::parent(request);
    let target = request.uri.path_and_query()?.as_str().to_owned();
    let fields = request.headers.clone();
    Some(Head { target, fields })
}

/// The id by which a request of these fields is known.
pub fn request_id(fields: &HeaderMap) -> Option<String> {
    let id = fields.get(identity::REQUEST_ID)?;
    id.to_str().ok().map(str::to_owned)
}

/// Whose request it is, where every private network is trusted.
pub fn client(peer: IpAddr, fields: &HeaderMap) -> IpAddr {
    let networks = ["10.0.0.0/8", "fc00::/7"].into_iter();
    let networks = networks.filter_map(|network| network.parse().ok());
    Trusted::new(networks.collect()).client(peer, fields)
}

/// A capture's value, and the forwarded parameters of a query.
pub fn particulars(
    parameters: &Parameters,
    capture: &str,
    query: &str,
) -> (Option<String>, Option<Vec<(String, String)>>) {
    let capture = asked::capture("id", capture).ok();
    (capture, asked::query(parameters, query).ok())
}

/// The mode and the position that a request for this target asks for, the seconds it likes to wait,
/// and whether its conditions hold for this document.
pub fn wishes(target: &str, fields: &HeaderMap, id: EventId) -> Option<Asked> {
    let mut request = RequestHeader::build("GET", target.as_bytes(), None).ok()?;
    for (name, value) in fields {
        request.append_header(name, value.clone()).ok()?;
    }
    let wishes = Wishes::of(&request);
    let modified = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(1_000_000_000));
    let verdict = |coding| preconditions::verdict(fields, id, coding, modified);
    Some(Asked {
        mode: wishes.mode(Mode::Patch, &Mode::ALL).ok(),
        last_id: wishes.last_id,
        wait: prefer::preferred_wait(fields),
        verdicts: [verdict(Coding::Identity), verdict(Coding::Gzip)].map(|it| format!("{it:?}")),
    })
}

/// What a request asks for.
#[derive(Debug, PartialEq, Eq)]
pub struct Asked {
    /// Of all there are.
    pub mode: Option<Mode>,
    /// Without quotes.
    pub last_id: Option<Vec<u8>>,
    /// In seconds.
    pub wait: Option<u64>,
    /// Plain and compressed.
    pub verdicts: [String; 2],
}
