//! What an answer says that refuses to be a stream: read within bounds, and harmless to show.

use std::time::Duration;

use http::header::LOCATION;
use reqwest::Response;

use super::SubscribeError;
use crate::cli::terminal::harmless;

/// The longest explanation that is read, in bytes.
const LONGEST: usize = 64 << 10;
/// For an explanation.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The error that tells of this answer from `place`.
pub async fn refused(response: Response, place: String) -> SubscribeError {
    let status = response.status();
    let detail = match response.headers().get(LOCATION) {
        Some(_) => ", which leads elsewhere; headers and bodies are sent to no other host".into(),
        None => detail(&beginning(response).await),
    };
    SubscribeError::Refused {
        place,
        status,
        detail,
    }
}

/// What comes of an answer's body soon enough, and not more than anybody would read.
async fn beginning(mut response: Response) -> Vec<u8> {
    let mut body = Vec::new();
    let reading = async {
        while let Ok(Some(bytes)) = response.chunk().await {
            body.extend_from_slice(&bytes);
            if body.len() > LONGEST {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(TIMEOUT, reading).await;
    body
}

/// The explanation in a problem document (RFC 9457).
fn detail(body: &[u8]) -> String {
    let problem: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    problem
        .and_then(|problem| Some(format!(": {}", harmless(problem.get("detail")?.as_str()?))))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_explanation_does_nothing_to_a_terminal() {
        let body = br#"{"detail": "no \u001b[2J\u009b2J\nway"}"#;
        assert_eq!(detail(body), ": no \\u001b[2J\\u009b2J\\u000away");
        for body in ["", "<p>no", "{}", r#"{"detail": 1}"#] {
            assert_eq!(detail(body.as_bytes()), "");
        }
    }
}
