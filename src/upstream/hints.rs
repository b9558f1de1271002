//! What the head of an answer asks of later polls.
//!
//! Promises that no head makes it fail: what cannot be read counts as not said. Times that are
//! dates are taken against the answer's own `Date`, so that a wrong clock on either side does no
//! harm.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use headers::{CacheControl, Header};
use http::header::{AGE, DATE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue};
use sfv::{BareItem, Dictionary, Item, List, ListEntry, Parameters, Parser};

use crate::core::event::Timestamp;
use crate::core::schedule::{Hints, Quota};

/// Numbers from here on are seconds since 1970, not from now; and from there on milliseconds.
const UNIX_SECONDS: u64 = 1_000_000_000;
const UNIX_MILLIS: u64 = 1_000_000_000_000;

/// Reads the head of an answer that came at `now`.
pub fn read(head: &HeaderMap, now: Timestamp) -> Hints {
    let now = own_time(head).unwrap_or(now);
    Hints {
        retry_after: retry_after(head, now),
        fresh_for: fresh_for(head),
        poll_interval: seconds(head, "x-poll-interval"),
        quota: quota(head, now),
    }
}

/// The time at the upstream, unless a cache kept the answer for a while.
fn own_time(head: &HeaderMap) -> Option<Timestamp> {
    if head.contains_key(AGE) {
        return None;
    }
    date(head.get(DATE)?)
}

/// RFC 9110 section 5.6.7.
fn date(value: &HeaderValue) -> Option<Timestamp> {
    let date = headers::Date::decode(&mut std::iter::once(value)).ok()?;
    let since = SystemTime::from(date).duration_since(UNIX_EPOCH).ok()?;
    Some(Timestamp(millis(since)))
}

/// RFC 9110 section 10.2.3: seconds, or a date.
fn retry_after(head: &HeaderMap, now: Timestamp) -> Option<u64> {
    let at = || Some(date(head.get(RETRY_AFTER)?)?.since(now));
    seconds(head, RETRY_AFTER.as_str()).or_else(at)
}

/// RFC 9111 sections 4.2.1 and 4.2.3, for a shared cache.
fn fresh_for(head: &HeaderMap) -> Option<u64> {
    let mut values = head.get_all(http::header::CACHE_CONTROL).iter();
    let control = CacheControl::decode(&mut values).ok()?;
    if control.no_cache() || control.no_store() {
        return None;
    }
    let lifetime = millis(control.s_max_age().or(control.max_age())?);
    Some(lifetime.saturating_sub(seconds(head, AGE.as_str()).unwrap_or(0)))
}

/// What the upstream leaves us, by the newest way of saying so that it knows.
fn quota(head: &HeaderMap, now: Timestamp) -> Option<Quota> {
    // Most answers say nothing of it, and there are many ways of saying it.
    if !head.keys().any(|name| name.as_str().contains("ratelimit")) {
        return None;
    }
    let pair = |remaining: &str, reset: &str| {
        let (remaining, reset) = (whole(head, remaining)?, whole(head, reset)?);
        Some(Quota {
            remaining,
            resets_in: resets_in(reset, now),
        })
    };
    structured(head)
        .or_else(|| pair("ratelimit-remaining", "ratelimit-reset"))
        .or_else(|| pair("x-ratelimit-remaining", "x-ratelimit-reset"))
        .filter(|quota| quota.resets_in > 0)
}

/// Milliseconds until a reset that is told in seconds, from now or since 1970.
fn resets_in(reset: u64, now: Timestamp) -> u64 {
    match reset {
        UNIX_MILLIS.. => Timestamp(reset).since(now),
        UNIX_SECONDS.. => Timestamp(reset.saturating_mul(1000)).since(now),
        _ => reset.saturating_mul(1000),
    }
}

/// The field `RateLimit` of draft-ietf-httpapi-ratelimit-headers: `"name";r=50;t=30`, the time left
/// out where `RateLimit-Policy` tells the window (`"name";q=100;w=60`); and of its earlier
/// versions: `limit=100, remaining=50, reset=30`. Of several limits the one that slows most.
fn structured(head: &HeaderMap) -> Option<Quota> {
    let text = joined(head, "ratelimit")?;
    if let Ok(fields) = Parser::new(&text).parse::<Dictionary>()
        && let (Some(remaining), Some(reset)) =
            (member(&fields, "remaining"), member(&fields, "reset"))
    {
        return Some(Quota {
            remaining,
            resets_in: reset.saturating_mul(1000),
        });
    }
    let limits = Parser::new(&text).parse::<List>().ok()?;
    let policies = joined(head, "ratelimit-policy");
    let policies = policies.and_then(|text| Parser::new(&text).parse::<List>().ok());
    let window = |name: &BareItem| {
        let mut named = items(policies.as_ref()?).filter(|policy| policy.bare_item == *name);
        parameter(&named.next()?.params, "w")
    };
    let quota = |limit: &Item| {
        let time = parameter(&limit.params, "t").or_else(|| window(&limit.bare_item))?;
        Some(Quota {
            remaining: parameter(&limit.params, "r")?,
            resets_in: time.saturating_mul(1000),
        })
    };
    let each = |quota: &Quota| quota.resets_in / quota.remaining.saturating_add(1);
    items(&limits).filter_map(quota).max_by_key(each)
}

fn items(list: &List) -> impl Iterator<Item = &Item> {
    list.iter().filter_map(|entry| match entry {
        ListEntry::Item(item) => Some(item),
        ListEntry::InnerList(_) => None,
    })
}

fn parameter(parameters: &Parameters, name: &str) -> Option<u64> {
    number(parameters.get(name)?)
}

fn member(fields: &Dictionary, name: &str) -> Option<u64> {
    match fields.get(name)? {
        ListEntry::Item(item) => number(&item.bare_item),
        ListEntry::InnerList(_) => None,
    }
}

fn number(item: &BareItem) -> Option<u64> {
    match item {
        BareItem::Integer(number) => u64::try_from(i64::from(*number)).ok(),
        _ => None,
    }
}

/// All lines of a field as one (RFC 9110 section 5.3).
fn joined(head: &HeaderMap, name: &str) -> Option<String> {
    let lines: Vec<&str> = head
        .get_all(name)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .collect();
    (!lines.is_empty()).then(|| lines.join(", "))
}

/// A whole number; fractions, which some send, are rounded up.
fn whole(head: &HeaderMap, name: &str) -> Option<u64> {
    let text = head.get(name)?.to_str().ok()?.trim();
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_plain = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !is_plain(whole) || !is_plain(fraction) {
        return None;
    }
    let more = u64::from(fraction.bytes().any(|byte| byte != b'0'));
    // More digits than fit mean a long time.
    Some(whole.parse().unwrap_or(u64::MAX).saturating_add(more))
}

/// Seconds in a field of that name, as milliseconds.
fn seconds(head: &HeaderMap, name: &str) -> Option<u64> {
    whole(head, name).map(|seconds| seconds.saturating_mul(1000))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use http::HeaderName;
    use proptest::prelude::*;

    use super::*;

    /// 2023-11-14T22:13:20Z.
    const NOW: Timestamp = Timestamp(1_700_000_000_000);
    const DATE_NOW: &str = "Tue, 14 Nov 2023 22:13:20 GMT";
    const IN_A_MINUTE: &str = "Tue, 14 Nov 2023 22:14:20 GMT";

    fn hints(lines: &[(&'static str, &str)]) -> Hints {
        let line = |(name, value): &(&'static str, &str)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_bytes(value.as_bytes()).unwrap(),
            )
        };
        let mut head = HeaderMap::new();
        for (name, value) in lines.iter().map(line) {
            head.append(name, value);
        }
        read(&head, NOW)
    }

    fn left(remaining: u64, resets_in: u64) -> Option<Quota> {
        Some(Quota {
            remaining,
            resets_in,
        })
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let wish = |value| hints(&[("retry-after", value)]).retry_after;
        assert_eq!(wish("120"), Some(120_000));
        assert_eq!(wish("0"), Some(0));
        assert_eq!(wish(IN_A_MINUTE), Some(60_000));
        assert_eq!(wish("Mon, 14 Nov 1994 22:14:20 GMT"), Some(0));
        for odd in ["", "-1", "soon", "1e9", "Tue, 99 Nov 2023", "1 2", "\u{e9}"] {
            assert_eq!(wish(odd), None, "{odd}");
        }
        assert_eq!(wish(&"9".repeat(100)), Some(u64::MAX));
        // The upstream's clock is an hour behind: its own date tells.
        let early = "Tue, 14 Nov 2023 21:13:20 GMT";
        let found = hints(&[
            ("retry-after", "Tue, 14 Nov 2023 21:13:30 GMT"),
            ("date", early),
        ]);
        assert_eq!(found.retry_after, Some(10_000));
    }

    #[test]
    fn an_answer_is_fresh_for_its_lifetime_less_its_age() {
        let wish = |control, age| {
            let lines = [("cache-control", control), ("age", age)];
            hints(&lines).fresh_for
        };
        assert_eq!(wish("max-age=60", "0"), Some(60_000));
        assert_eq!(
            wish("public, max-age=60, s-maxage=600", "20"),
            Some(580_000)
        );
        assert_eq!(wish("max-age=60", "100"), Some(0));
        assert_eq!(wish("max-age=60", "-5"), Some(60_000));
        for none in [
            "no-cache, max-age=60",
            "no-store, max-age=9",
            "public",
            "max-age=-1",
            "x;=,",
        ] {
            assert_eq!(wish(none, "0"), None, "{none}");
        }
    }

    #[test]
    fn the_interval_that_an_upstream_wants() {
        let wish = |value| hints(&[("x-poll-interval", value)]).poll_interval;
        assert_eq!(wish("60"), Some(60_000));
        assert_eq!((wish("-60"), wish("often")), (None, None));
    }

    #[test]
    fn every_way_of_telling_what_is_left_is_understood() {
        let draft = |lines: &[(&'static str, &str)]| hints(lines).quota;
        assert_eq!(
            draft(&[("ratelimit", "\"default\";r=50;t=30")]),
            left(50, 30_000)
        );
        assert_eq!(
            draft(&[("ratelimit", "\"burst\";r=9;t=1, \"day\";r=2;t=7200")]),
            left(2, 7_200_000)
        );
        assert_eq!(
            draft(&[
                ("ratelimit", "\"b\";r=5"),
                ("ratelimit-policy", "\"a\";q=1;w=9, \"b\";q=10;w=60")
            ]),
            left(5, 60_000)
        );
        assert_eq!(
            draft(&[("ratelimit", "limit=100, remaining=0, reset=5")]),
            left(0, 5000)
        );
        let older = [("ratelimit-remaining", "7"), ("ratelimit-reset", "50")];
        assert_eq!(draft(&older), left(7, 50_000));
        let github = [
            ("x-ratelimit-limit", "60"),
            ("x-ratelimit-remaining", "0"),
            ("x-ratelimit-reset", "1700000090"),
        ];
        assert_eq!(draft(&github), left(0, 90_000));
        let millis = [
            ("x-ratelimit-remaining", "1"),
            ("x-ratelimit-reset", "1700000001500"),
        ];
        assert_eq!(draft(&millis), left(1, 1500));
        let with_date = [
            ("date", DATE_NOW),
            ("x-ratelimit-remaining", "1"),
            ("x-ratelimit-reset", "1700000002"),
        ];
        assert_eq!(draft(&with_date), left(1, 2000));
        for nothing in [
            [
                ("x-ratelimit-remaining", "0"),
                ("x-ratelimit-reset", "1600000000"),
            ],
            [
                ("x-ratelimit-remaining", "0"),
                ("x-ratelimit-reset", "soon"),
            ],
            [("x-ratelimit-remaining", "-1"), ("x-ratelimit-reset", "5")],
            [("ratelimit", "\"a\";r=x;t=1"), ("ratelimit-policy", "((")],
            [
                ("ratelimit", "\"a\";r=1;t=-1"),
                ("ratelimit-policy", "\"a\""),
            ],
        ] {
            assert_eq!(draft(&nothing), None, "{nothing:?}");
        }
    }

    proptest! {
        #[test]
        fn no_head_makes_it_fail(values in proptest::collection::vec("[ -~]{0,24}", 9)) {
            let names = [
                "retry-after", "cache-control", "age", "date", "x-poll-interval", "ratelimit",
                "ratelimit-policy", "x-ratelimit-remaining", "x-ratelimit-reset",
            ];
            let lines: Vec<_> = names.into_iter().zip(values.iter().map(String::as_str)).collect();
            hints(&lines);
        }
    }
}
