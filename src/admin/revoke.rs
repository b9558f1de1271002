//! `POST /api/revoke`: whom to let in no more.
//!
//! Promises that who was in is sent away.

use std::time::Duration;

use http::{Method, StatusCode};
use pingora::Result;
use pingora::protocols::http::ServerSession;
use serde::Deserialize;
use serde_json::json as tree;

use super::answer::Answer;
use super::{WRITE, json};
use crate::auth::{Guard, Revocation};
use crate::clock::Clock;
use crate::core::event::Timestamp;

/// Where it is asked for.
pub(super) const PATH: &str = "/api/revoke";

const USAGE: &str = "send a JSON object with one or more of `who` (as the access log has it), `sub` and `jti`, all of \
                     which must apply, and `for`, how long the tokens may still be valid (\"24h\" where \
                     nothing is said)";
/// The longest body, in bytes.
const MAX_BODY: usize = 4 << 10;
/// How long a revocation is in force unless something else is said.
const STANDARD: Duration = Duration::from_secs(24 * 60 * 60);
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    who: Option<String>,
    sub: Option<String>,
    jti: Option<String>,
    r#for: Option<String>,
}

/// Revokes what the request's body names.
///
/// # Errors
/// Pingora's, if the body cannot be read.
pub(super) async fn answer(
    guard: &Guard,
    clock: Clock,
    session: &mut ServerSession,
) -> Result<Answer> {
    if session.req_header().method != Method::POST {
        return Ok(Answer::not_allowed(WRITE));
    }
    let mut body = Vec::new();
    while let Some(part) = session.read_request_body().await? {
        if body.len() + part.len() > MAX_BODY {
            return Ok(Answer::text(StatusCode::PAYLOAD_TOO_LARGE, USAGE));
        }
        body.extend_from_slice(&part);
    }
    let Some(revocation) = read(&body, clock.now()) else {
        return Ok(Answer::text(StatusCode::BAD_REQUEST, USAGE));
    };
    Ok(match guard.revoke(revocation) {
        Ok(ended) => Answer::json(StatusCode::OK, json(&tree!({"ended": ended}))),
        Err(full) => Answer::text(StatusCode::INSUFFICIENT_STORAGE, &full.to_string()),
    })
}

fn read(body: &[u8], now: Timestamp) -> Option<Revocation> {
    let asked: Asked = serde_json::from_slice(body).ok()?;
    let time = match asked.r#for {
        Some(text) => humantime::parse_duration(&text)
            .ok()
            .filter(|time| *time <= LONGEST)?,
        None => STANDARD,
    };
    let time = u64::try_from(time.as_millis()).ok()?;
    let revocation = Revocation {
        who: asked.who,
        sub: asked.sub,
        jti: asked.jti,
        until: Timestamp(now.0.saturating_add(time)),
    };
    revocation.is_meant().then_some(revocation)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revocation_says_whom_and_for_how_long() {
        let until = |text: &str| read(text.as_bytes(), Timestamp(1000)).map(|it| it.until.0);
        assert_eq!(until(r#"{"sub":"a"}"#), Some(1000 + 86_400_000));
        assert_eq!(until(r#"{"jti":"a","for":"1s"}"#), Some(2000));
        for odd in [
            "",
            "{}",
            "[]",
            r#"{"sub":1}"#,
            r#"{"sub":"a","x":1}"#,
            r#"{"for":"1h"}"#,
            r#"{"sub":"a","for":"1"}"#,
            r#"{"sub":"a","for":"100y"}"#,
        ] {
            assert_eq!(until(odd), None, "{odd}");
        }
    }
}
