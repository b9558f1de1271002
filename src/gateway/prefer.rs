//! What clients prefer (RFC 7240): to wait for what is newer.

use http::HeaderMap;

/// The seconds that the client likes to wait (RFC 7240 section 4.3); of several preferences of one
/// name the first counts (section 2).
pub fn preferred_wait(headers: &HeaderMap) -> Option<u64> {
    headers
        .get_all("prefer")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .find_map(|preference| {
            let preference = preference.split(';').next()?;
            let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
            let is_wait = name.trim().eq_ignore_ascii_case("wait");
            is_wait.then(|| value.trim().trim_matches('"').parse().ok())
        })
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preference_is_found_among_others() {
        let wait = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("prefer", value.parse().unwrap());
            }
            preferred_wait(&headers)
        };
        assert_eq!(wait(&[]), None);
        assert_eq!(wait(&["wait=10"]), Some(10));
        assert_eq!(wait(&["respond-async, Wait = \"20\"; x=y"]), Some(20));
        assert_eq!(wait(&["return=minimal", "wait=5, wait=6"]), Some(5));
        for none in [
            "wait",
            "wait=",
            "wait=-1",
            "wait=1.5",
            "await=3",
            "wait=x, wait=3",
        ] {
            assert_eq!(wait(&[none]), None, "{none}");
        }
    }
}
