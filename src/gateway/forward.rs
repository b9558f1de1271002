//! Passing requests through.

use std::fmt::Write as _;
use std::net::SocketAddr;

use http::header::{self, ACCEPT, CONTENT_TYPE, HOST, PROXY_AUTHORIZATION};
use http::{HeaderName, HeaderValue, Version};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::{Error, ErrorSource, ErrorType, Result};

use super::routes::Destination;
use crate::peers::{NoServer, Server};

/// There is no server to ask: 504 if nobody said in time where one is, else 502.
pub fn unreachable(error: &NoServer) -> Box<Error> {
    let kind = match error {
        NoServer::Late { .. } => ErrorType::ConnectTimedout,
        NoServer::Unresolved { .. } => ErrorType::new("unresolved name"),
        NoServer::Forbidden { .. } => ErrorType::new("its name leads to a forbidden address"),
        NoServer::Client { .. } => ErrorType::new("no client for it can be made"),
    };
    Error::explain(kind, error.to_string()).into_up()
}

/// Whether the answer may be silent for as long as it likes: the client asks for events or for
/// another protocol.
pub fn is_open_ended(request: &RequestHeader) -> bool {
    let asks_events = request.headers.get_all(ACCEPT).iter().any(|value| {
        value
            .to_str()
            .is_ok_and(|value| value.to_ascii_lowercase().contains("text/event-stream"))
    });
    asks_events || request.headers.contains_key(header::UPGRADE)
}

/// Whether this answer is an event stream.
pub fn is_stream(answer: &ResponseHeader) -> bool {
    answer.headers.get(CONTENT_TYPE).is_some_and(|value| {
        let essence = value.as_bytes().split(|byte| *byte == b';').next();
        essence.is_some_and(|essence| {
            essence
                .trim_ascii()
                .eq_ignore_ascii_case(b"text/event-stream")
        })
    })
}

/// Whether an upstream that switches to another protocol was asked to, which a client can for
/// WebSocket alone: whatever a connection carries from there on is no HTTP any more.
///
/// # Errors
/// If it was not (RFC 9110 section 7.8).
pub fn was_asked_to_switch(request: &RequestHeader) -> Result<()> {
    let protocol = request.headers.get(header::UPGRADE);
    let is_web_socket =
        |protocol: &HeaderValue| protocol.as_bytes().eq_ignore_ascii_case(b"websocket");
    if request.version == Version::HTTP_11 && protocol.is_some_and(is_web_socket) {
        return Ok(());
    }
    let detail = "it switched to a protocol that it was not asked for";
    Error::e_explain(ErrorType::InvalidHTTPHeader, detail).map_err(Error::into_up)
}

/// Drops what a client says of hops before itself, whose word is not taken.
pub fn forget_hops(request: &mut RequestHeader) {
    forget(request, |name| {
        ["x-forwarded-for", "forwarded"].contains(&name)
    });
}

/// Drops each field whose name is one of these to whoever cannot tell `_` from `-`: variables of CGI
/// (RFC 3875 section 4.1.18), by which many servers know their headers.
fn forget(request: &mut RequestHeader, is_meant: impl Fn(&str) -> bool) {
    let names = request.headers.keys();
    let alike = names.filter(|name| is_meant(&name.as_str().replace('_', "-")));
    for name in alike.cloned().collect::<Vec<_>>() {
        request.remove_header(&name);
    }
}

/// Drops fields that to such a server are second values of others.
fn forget_doubles(request: &mut RequestHeader) {
    let names = request.headers.keys().map(HeaderName::as_str);
    let is_double =
        |name: &&str| name.contains('_') && request.headers.contains_key(name.replace('_', "-"));
    let doubles: Vec<_> = names.filter(is_double).map(str::to_owned).collect();
    for name in doubles {
        request.remove_header(&*name);
    }
}

/// Has the connection to the upstream closed after this request, by both ends (RFC 9112 section 9.6),
/// and asks for no other protocol on it. A server that answers without having read the body (section
/// 9.3) takes the rest of it for the next request, whose answer another client would get.
///
/// # Errors
/// None, as the value is ours.
pub fn goes_alone(request: &mut RequestHeader) -> Result<()> {
    request.remove_header(&header::UPGRADE);
    request.insert_header(header::CONNECTION, "close")
}

/// Makes the client's request one for the upstream: its path, its `Host`, and where the request
/// came from by which `scheme` (RFC 7239 and the older `X-Forwarded-*`). What a client claims of
/// itself in `X-Forwarded-Host` and `X-Forwarded-Proto` is replaced; the lists of hops are
/// continued.
///
/// # Errors
/// If a value cannot stand in a header, which Pingora's parser has ruled out.
pub fn rewrite(
    request: &mut RequestHeader,
    destination: &Destination,
    server: &Server,
    client: Option<SocketAddr>,
    scheme: &'static str,
) -> Result<()> {
    let upstream = destination.upstream();
    let mut target = target(upstream.prefix(), request);
    if let Some(authorization) = server.forward_proxy() {
        let origin = format!("http://{}", server.authority());
        target.splice(..0, origin.into_bytes());
        if let Some(authorization) = authorization {
            request.insert_header(PROXY_AUTHORIZATION, authorization.clone())?;
        }
    }
    request.set_raw_path(&target)?;
    let host = request.headers.get(HOST).cloned();
    if let Some(client) = client {
        continue_list(request, "x-forwarded-for", &client.ip().to_string())?;
    }
    continue_list(
        request,
        "forwarded",
        &forwarded(client, host.as_ref(), scheme),
    )?;
    request.insert_header("x-forwarded-proto", scheme)?;
    if let Some(host) = host {
        request.insert_header("x-forwarded-host", host)?;
    }
    let route = destination.route();
    if !route.is_some_and(|route| route.preserve_host) {
        request.insert_header(HOST, server.authority())?;
    }
    for (name, value) in route.map_or(&[][..], |route| &route.headers) {
        request.insert_header(name, value.clone())?;
    }
    forget_doubles(request);
    Ok(())
}

/// The target in origin form, below the upstream's own path. A client's absolute form would carry
/// an authority with it that overrules `Host` (RFC 9112 section 3.2.2).
fn target(prefix: &str, request: &RequestHeader) -> Vec<u8> {
    let raw = request.raw_path();
    let origin_form = match (raw.first(), request.uri.path_and_query()) {
        (Some(b'/'), _) | (_, None) => raw,
        (_, Some(target)) => target.as_str().as_bytes(),
    };
    [prefix.as_bytes(), origin_form].concat()
}

/// One element of RFC 7239 section 4; addresses of version 6 and hosts are quoted.
fn forwarded(client: Option<SocketAddr>, host: Option<&HeaderValue>, scheme: &str) -> String {
    let mut element = match client {
        Some(SocketAddr::V4(addr)) => format!("for={}", addr.ip()),
        Some(SocketAddr::V6(addr)) => format!("for=\"[{}]\"", addr.ip()),
        None => "for=unknown".to_owned(),
    };
    let plain = |text: &&str| !text.contains(['"', '\\', ',', ';']);
    if let Some(host) = host.and_then(|host| host.to_str().ok()).filter(plain) {
        let _ = write!(element, ";host=\"{host}\"");
    }
    let _ = write!(element, ";proto={scheme}");
    element
}

/// Appends a hop to a list of them. A line in which a quote stays open would take it for its own text,
/// and is dropped.
fn continue_list(request: &mut RequestHeader, name: &'static str, hop: &str) -> Result<()> {
    let so_far: Vec<_> = request
        .headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .filter(|line| is_closed(line))
        .chain([hop])
        .collect();
    let list = so_far.join(", ");
    request.insert_header(name, list)
}

/// Whether every quoted string ends (RFC 9110 section 5.6.4).
fn is_closed(line: &str) -> bool {
    let (mut is_quoted, mut bytes) = (false, line.bytes());
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => is_quoted = !is_quoted,
            b'\\' if is_quoted => drop(bytes.next()),
            _ => {}
        }
    }
    !is_quoted
}

/// The status and the explanation for a client whose request failed; status 0 where nobody is
/// left to read them.
pub fn explain(error: &Error, upstream: Option<&str>) -> (u16, String) {
    if let ErrorType::HTTPStatus(status) = error.etype() {
        return (*status, "the request cannot be served".to_owned());
    }
    let upstream = upstream.unwrap_or("?");
    match error.esource() {
        ErrorSource::Upstream => match error.etype() {
            ErrorType::ConnectTimedout | ErrorType::TLSHandshakeTimedout => (
                504,
                format!("upstream \"{upstream}\" did not accept a connection in time"),
            ),
            ErrorType::ReadTimedout | ErrorType::WriteTimedout => (
                504,
                format!("upstream \"{upstream}\" did not answer in time"),
            ),
            ErrorType::ConnectRefused => (
                502,
                format!("upstream \"{upstream}\" refused the connection"),
            ),
            ErrorType::TLSHandshakeFailure | ErrorType::InvalidCert | ErrorType::HandshakeError => {
                (
                    502,
                    format!(
                        "no secure connection to upstream \"{upstream}\": it has no certificate that \
                     is trusted here for its name, or does not speak TLS"
                    ),
                )
            }
            ErrorType::Custom(reason) => (
                502,
                format!("upstream \"{upstream}\" cannot be reached: {reason}"),
            ),
            _ => (
                502,
                format!("upstream \"{upstream}\" did not give a usable answer"),
            ),
        },
        ErrorSource::Downstream => match error.etype() {
            ErrorType::WriteError | ErrorType::ReadError | ErrorType::ConnectionClosed => {
                (0, String::new())
            }
            ErrorType::ReadTimedout => (408, "the request did not arrive in time".to_owned()),
            _ => (400, "the request is malformed or incomplete".to_owned()),
        },
        _ => (500, "pollcast failed to handle the request".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_that_is_too_slow_is_a_504_and_a_broken_one_a_502() {
        for (kind, status, word) in [
            (ErrorType::ConnectTimedout, 504, "connection in time"),
            (ErrorType::TLSHandshakeTimedout, 504, "connection in time"),
            (ErrorType::ReadTimedout, 504, "answer in time"),
            (ErrorType::WriteTimedout, 504, "answer in time"),
            (ErrorType::ConnectRefused, 502, "refused"),
            (ErrorType::new("unresolved name"), 502, "unresolved name"),
            (ErrorType::ConnectionClosed, 502, "usable answer"),
            (ErrorType::InvalidHTTPHeader, 502, "usable answer"),
        ] {
            let (told, detail) = explain(&Error::new_up(kind.clone()), Some("shop"));
            assert_eq!(told, status, "{kind:?}");
            assert!(detail.contains(word), "{kind:?}: {detail}");
            assert!(detail.contains("upstream \"shop\""), "{kind:?}: {detail}");
        }
    }

    #[test]
    fn a_client_that_is_gone_is_told_nothing_and_a_wrong_one_what_is_wrong() {
        let status = |kind| explain(&Error::new_down(kind), None).0;
        assert_eq!(status(ErrorType::ConnectionClosed), 0);
        assert_eq!(status(ErrorType::WriteError), 0);
        assert_eq!(status(ErrorType::InvalidHTTPHeader), 400);
    }

    #[test]
    fn a_list_of_hops_that_would_swallow_the_next_is_dropped() {
        for (line, is_kept) in [
            ("for=192.0.2.1", true),
            (r#"for="[::1]";host="a\"b""#, true),
            (r#"for=""#, false),
            (r#"for="a\""#, false),
            (r#"for="a\\""#, true),
        ] {
            assert_eq!(is_closed(line), is_kept, "{line}");
        }
    }

    #[test]
    fn a_field_that_cgi_would_take_for_another_is_dropped() {
        let mut request = RequestHeader::build("GET", b"/", None).unwrap();
        for name in ["x-user", "x_user", "X_User", "x_own", "x-forwarded_for"] {
            request.append_header(name, "1").unwrap();
        }
        forget_doubles(&mut request);
        let mut names: Vec<_> = request.headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["x-forwarded_for", "x-user", "x_own"]);
        forget_hops(&mut request);
        assert!(!request.headers.contains_key("x-forwarded_for"));
    }

    #[test]
    fn only_who_asks_for_events_or_another_protocol_may_wait_for_ever() {
        let mut request = RequestHeader::build("GET", b"/", None).unwrap();
        assert!(!is_open_ended(&request));
        request
            .insert_header(ACCEPT, "text/html, Text/Event-Stream")
            .unwrap();
        assert!(is_open_ended(&request));
        request.insert_header(ACCEPT, "*/*").unwrap();
        request.insert_header(header::UPGRADE, "websocket").unwrap();
        assert!(is_open_ended(&request));
    }
}
