//! `POST /api/reload`: the configuration is read anew.

use http::{Method, StatusCode};
use pingora::http::RequestHeader;
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

use super::answer::Answer;
use super::{WRITE, json};
use crate::config::Changes;

/// Where it is asked for.
pub(super) const PATH: &str = "/api/reload";

/// What became of it.
#[derive(Debug, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Reloaded {
    /// Another configuration is in force.
    Reloaded {
        /// In what it is another one.
        changes: Box<Changes>,
    },
    /// What was read means what is in force.
    Unchanged,
    /// It cannot be put in force: everything is as before.
    Refused {
        /// Why.
        problems: Vec<String>,
    },
    /// There is no file.
    Impossible {
        /// Why not, and what to do.
        why: &'static str,
    },
}

/// Asks for it, and tells what became of it.
pub(super) async fn answer(
    reloads: &mpsc::Sender<oneshot::Sender<Reloaded>>,
    request: &RequestHeader,
) -> Answer {
    if request.method != Method::POST {
        return Answer::not_allowed(WRITE);
    }
    let (reply, told) = oneshot::channel();
    // Whoever reads these is gone once the process leaves.
    let _ = reloads.send(reply).await;
    let Ok(outcome) = told.await else {
        return Answer::text(StatusCode::SERVICE_UNAVAILABLE, "this process is leaving");
    };
    let status = match outcome {
        Reloaded::Reloaded { .. } | Reloaded::Unchanged => StatusCode::OK,
        Reloaded::Refused { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        Reloaded::Impossible { .. } => StatusCode::CONFLICT,
    };
    Answer::json(status, json(&outcome))
}
