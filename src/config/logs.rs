//! What is logged and how, as it is written in a configuration.

use serde_yaml::Value;

use super::keys::LOGS;
use super::section::Section;
use super::sheet::Node;

/// How standard error is written. The default is what people read, and no access log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Logs {
    /// How a line is written.
    pub format: LogFormat,
    /// Which requests get a line.
    pub access: Access,
}

/// How a line is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object.
    Json,
}

/// Which requests get a line in the access log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Subscriptions: one when they open, one when they end, and one if they are refused.
    pub subscriptions: bool,
    /// All others.
    pub requests: bool,
}

/// Reads the section `logs`.
pub(super) fn logs(top: &Section<'_>) -> Logs {
    let section = top.section("logs", &LOGS);
    Logs {
        format: section.find("format").map_or_else(Default::default, format),
        access: section.find("access").map_or_else(Default::default, access),
    }
}

fn format(node: Node<'_>) -> LogFormat {
    let scalar = node.text();
    match scalar.as_ref().map(|scalar| scalar.text.as_str()) {
        Some("json") => LogFormat::Json,
        Some("text") | None => LogFormat::Text,
        Some(_) => {
            let shown = scalar.map(|scalar| scalar.shown()).unwrap_or_default();
            node.problem(
                format!("{shown} is no format of logs"),
                "write `text` or `json`",
            );
            LogFormat::Text
        }
    }
}

fn access(node: Node<'_>) -> Access {
    const REMEDY: &str = "write `off`, `on`, `requests` or `subscriptions`";
    let (all, none) = (
        Access {
            subscriptions: true,
            requests: true,
        },
        Access::default(),
    );
    if let Value::Bool(_) = node.value() {
        node.wrong_type("which requests are logged", REMEDY);
        return none;
    }
    let Some(scalar) = node.text() else {
        return none;
    };
    match scalar.text.as_str() {
        "off" => none,
        "on" => all,
        "requests" => Access {
            subscriptions: false,
            ..all
        },
        "subscriptions" => Access {
            requests: false,
            ..all
        },
        _ => {
            node.problem(format!("{} names no requests", scalar.shown()), REMEDY);
            none
        }
    }
}
