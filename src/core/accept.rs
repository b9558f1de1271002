//! What a client takes: lists with weights.

use http::header::ACCEPT_ENCODING;
use http::{HeaderMap, HeaderName};

use super::sse::Coding;

/// The members of this header, a list, with their weights (RFC 9110 section 12.4.2).
pub fn list<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = (&'a str, f32)> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(weighted)
}

/// What is named and its weight; `None` where the weight is unreadable.
fn weighted(text: &str) -> Option<(&str, f32)> {
    let mut parts = text.split(';').map(str::trim);
    let name = parts.next()?;
    for part in parts {
        if let Some((key, value)) = part.split_once('=')
            && key.trim().eq_ignore_ascii_case("q")
        {
            let weight: f32 = value.trim().parse().ok()?;
            return (0.0..=1.0).contains(&weight).then_some((name, weight));
        }
    }
    Some((name, 1.0))
}

/// The best content coding that the client takes (RFC 9110 section 12.5.3).
/// Without the header nothing is compressed: clients that never heard of it may not expect it.
pub fn coding(headers: &HeaderMap) -> Coding {
    let weight = |wanted: &[&str]| {
        list(headers, &ACCEPT_ENCODING)
            .filter(|(name, _)| {
                wanted
                    .iter()
                    .any(|wanted| name.eq_ignore_ascii_case(wanted))
            })
            .map(|(_, weight)| weight)
            .reduce(f32::max)
    };
    let any = weight(&["*"]);
    let gzip = weight(&["gzip", "x-gzip"]).or(any).unwrap_or(0.0);
    // Whoever lists codings takes plain bytes too, but likes them less.
    let plain = weight(&["identity"]).unwrap_or(0.0);
    match gzip > 0.0 && gzip >= plain {
        true => Coding::Gzip,
        false => Coding::Identity,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_takes_gzip_gets_it() {
        let coding = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(ACCEPT_ENCODING, value.parse().unwrap());
            }
            coding(&headers)
        };
        for accepted in [
            &["gzip, deflate, br, zstd"][..],
            &["br", "x-gzip;q=0.1"],
            &["*"],
            &["GZIP;q=0.5, identity;q=0.5"],
            &["identity;q=0, *;q=0.2"],
        ] {
            assert_eq!(coding(accepted), Coding::Gzip, "{accepted:?}");
        }
        for refused in [
            &[][..],
            &[""],
            &["br, zstd"],
            &["identity"],
            &["gzip;q=0, *"],
            &["gzip;q=0.4, identity;q=0.5"],
            &["gzip;q=much"],
        ] {
            assert_eq!(coding(refused), Coding::Identity, "{refused:?}");
        }
    }
}
