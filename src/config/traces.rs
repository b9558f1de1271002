//! Where spans are sent, as it is written in a configuration.
//!
//! The section is read whether or not this pollcast can send any, so that its mistakes are told
//! together with that.

use std::fmt;

use http::{HeaderName, HeaderValue};
use serde_yaml::Value;

use super::Endpoint;
use super::headers::{Sent, headers};
use super::keys::{OTLP, TRACES};
use super::section::Section;
use super::sheet::Node;

/// Spans for an OpenTelemetry collector, OTLP over HTTP.
#[derive(Clone)]
pub struct Traces {
    /// The collector's base URL; `/v1/traces` comes below it.
    pub endpoint: Endpoint,
    /// Sent with every batch; values are marked sensitive.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The share of traces begun here that is recorded, 0 to 1; those of others are as they say.
    pub sample: f64,
    /// What this process is called.
    pub service_name: String,
}

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traces")
            .field("sample", &self.sample)
            .field("service_name", &self.service_name)
            .finish_non_exhaustive()
    }
}

/// Reads the section `traces`.
pub(super) fn traces(top: &Section<'_>) -> Option<Traces> {
    let node = top.find("traces")?;
    if !cfg!(feature = "otlp") {
        node.problem(
            "this pollcast was built without traces",
            "remove it, or build pollcast with `cargo build --release --features otlp`",
        );
    }
    let section = node.section(&TRACES);
    let section = section
        .require(
            "otlp",
            "write where the collector is, such as `{endpoint: \"http://127.0.0.1:4318\"}`",
        )?
        .section(&OTLP);
    let endpoint = section
        .require(
            "endpoint",
            "write the collector's URL, such as \"http://127.0.0.1:4318\"",
        )
        .and_then(|node| node.base_url());
    let headers = headers(&section, Sent::WithPolls);
    let sample = section.find("sample").and_then(|node| share(&node));
    let service_name = section.find("service_name").and_then(|node| name(&node));
    Some(Traces {
        endpoint: endpoint?,
        headers,
        sample: sample.unwrap_or(1.0),
        service_name: service_name.unwrap_or_else(|| "pollcast".to_owned()),
    })
}

fn share(node: &Node<'_>) -> Option<f64> {
    const REMEDY: &str = "write a number from 0 to 1, such as 0.1 for a tenth";
    let share = match node.value() {
        Value::Number(number) => number.as_f64(),
        Value::String(_) => node.text()?.text.parse().ok(),
        _ => {
            node.wrong_type("a share", REMEDY);
            return None;
        }
    };
    let share = share.filter(|share| (0.0..=1.0).contains(share));
    if share.is_none() {
        node.problem("this is no share", REMEDY);
    }
    share
}

fn name(node: &Node<'_>) -> Option<String> {
    let scalar = node.text()?;
    if scalar.text.is_empty() || scalar.text.contains(char::is_control) {
        node.problem("a service has a name", "write one, such as pollcast");
        return None;
    }
    Some(scalar.text)
}
