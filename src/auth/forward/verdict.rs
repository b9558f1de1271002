//! What a service's answer means. Pure.

use std::time::Duration;

use headers::{CacheControl, HeaderMapExt};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::config::Forward;

/// How long a refusal holds, at most: whoever just logged in must not wait for it.
const REFUSAL: Duration = Duration::from_secs(2);
/// The most that an answer may hand on, in bytes.
const MOST: usize = 8 << 10;
/// The longest name of somebody, in bytes.
const LONGEST_NAME: usize = 256;

/// What a service decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Let in.
    Admitted(Admission),
    /// Not let in.
    Refused(Refusal),
}

/// What is known of somebody who was let in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Admission {
    /// What the service calls them.
    pub who: Option<String>,
    /// What upstreams are told of them. Marked sensitive.
    pub pass_on: Vec<(HeaderName, HeaderValue)>,
}

/// What somebody is told who was not let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// 401, 403, or a redirect.
    pub status: StatusCode,
    /// What goes with it: a challenge, where to log in, what to remember for that.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

/// Reads an answer; `None` if it is no decision.
pub fn read(status: StatusCode, headers: &HeaderMap, rules: &Forward) -> Option<Verdict> {
    let taken = |names: &[HeaderName]| {
        let mut found = Vec::new();
        for name in names {
            for value in headers.get_all(name) {
                let mut value = value.clone();
                value.set_sensitive(true);
                found.push((name.clone(), value));
            }
        }
        let size = |(name, value): &(HeaderName, HeaderValue)| name.as_str().len() + value.len();
        (found.iter().map(size).sum::<usize>() <= MOST).then_some(found)
    };
    if status.is_success() {
        return Some(Verdict::Admitted(Admission {
            who: rules.who.as_ref().and_then(|name| who(headers.get(name)?)),
            pass_on: taken(&rules.response_headers)?,
        }));
    }
    let names = match status {
        StatusCode::UNAUTHORIZED => &[header::WWW_AUTHENTICATE, header::SET_COOKIE][..],
        StatusCode::FORBIDDEN => &[header::SET_COOKIE],
        StatusCode::FOUND | StatusCode::SEE_OTHER | StatusCode::TEMPORARY_REDIRECT
            if headers.contains_key(header::LOCATION) =>
        {
            &[header::LOCATION, header::SET_COOKIE]
        }
        _ => return None,
    };
    let headers = taken(names)?;
    Some(Verdict::Refused(Refusal { status, headers }))
}

/// How long it holds for whoever asks alike: as configured, or less if the answer says so (RFC 9111
/// section 5.2.2). What one client is to remember is for nobody else.
pub fn lifetime(verdict: &Verdict, headers: &HeaderMap, rules: &Forward) -> Duration {
    let most = match verdict {
        Verdict::Admitted(_) => rules.cache,
        Verdict::Refused(refusal) if refusal.is_general() => rules.cache.min(REFUSAL),
        Verdict::Refused(_) => Duration::ZERO,
    };
    match headers.typed_try_get::<CacheControl>() {
        Ok(Some(control)) if control.no_store() || control.no_cache() => Duration::ZERO,
        Ok(Some(control)) => control.max_age().map_or(most, |age| age.min(most)),
        Ok(None) => most,
        Err(_) => Duration::ZERO,
    }
}

impl Refusal {
    /// Whether everybody who is asked about alike may be told it.
    fn is_general(&self) -> bool {
        !self.status.is_redirection()
            && self
                .headers
                .iter()
                .all(|(name, _)| *name != header::SET_COOKIE)
    }
}

/// A name that can stand in a log.
fn who(value: &HeaderValue) -> Option<String> {
    let text = value.to_str().ok()?.trim();
    let fits = (1..=LONGEST_NAME).contains(&text.len()) && !text.contains(',');
    fits.then(|| text.to_owned())
}
