//! Tickets for event streams, as the section `auth.tickets` says them.

use std::time::Duration;

use super::keys::TICKETS;
use super::secret::Secret;
use super::section::Section;
use super::sheet::Node;

/// The shortest secret, in bytes.
const SHORTEST_SECRET: usize = 32;

/// How tickets are given out and taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tickets {
    /// Where they are given out, on the public listeners.
    pub path: String,
    /// How long one may be used; at least a second.
    pub ttl: Duration,
    /// How often one may be used.
    pub uses: Uses,
    /// Whether one is for the address alone from which it was asked for.
    pub bind: bool,
    /// What they are sealed with; random at start without.
    pub secret: Option<Secret>,
}

/// How often a ticket may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Uses {
    /// Once.
    Once,
    /// As often as its time allows.
    Many,
}

/// The section `auth.tickets`.
pub(super) fn tickets(auth: &Section<'_>) -> Option<Tickets> {
    let section = auth.find("tickets")?.section(&TICKETS);
    let path = section
        .require(
            "path",
            "write where tickets are given out, such as /tickets",
        )
        .and_then(|node| node.path());
    let ttl = section
        .find("ttl")
        .and_then(|node| ttl(&node))
        .unwrap_or(Duration::from_secs(30));
    let uses = section.find("use").and_then(|node| uses(&node));
    let bind = section.find("bind").and_then(|node| bind(&node));
    let secret = section.find("secret");
    let secret = secret.and_then(|node| sealed_with(&node));
    Some(Tickets {
        path: path?.0,
        ttl,
        uses: uses.unwrap_or(Uses::Once),
        bind: bind.unwrap_or(true),
        secret,
    })
}

fn sealed_with(node: &Node<'_>) -> Option<Secret> {
    let secret = Secret::written(node)?;
    let remedy = "write `secret: \"${file:FILE}\"`, or `\"${VARIABLE}\"`";
    Secret::warn_of_plain(node, "can make tickets for anybody", remedy);
    if secret.text().len() < SHORTEST_SECRET {
        node.problem(
            "the secret is shorter than 32 bytes (it is not shown)",
            "write a random one, as from `openssl rand -hex 32`",
        );
    }
    Some(secret)
}

/// Long enough to open a connection, too short to be of use to whoever finds it in a log.
fn ttl(node: &Node<'_>) -> Option<Duration> {
    let ttl = node.duration(Duration::from_secs(1))?;
    if ttl > Duration::from_secs(60 * 60) {
        node.problem("tickets in URLs end up in logs", "write 1h or less");
        return None;
    }
    Some(ttl)
}

fn uses(node: &Node<'_>) -> Option<Uses> {
    choice(
        node,
        [("once", Uses::Once), ("many", Uses::Many)],
        "write `once` or `many`",
    )
}

fn bind(node: &Node<'_>) -> Option<bool> {
    choice(
        node,
        [("client", true), ("none", false)],
        "write `client` or `none`",
    )
}

fn choice<T: Copy, const N: usize>(
    node: &Node<'_>,
    choices: [(&str, T); N],
    remedy: &str,
) -> Option<T> {
    let scalar = node.text()?;
    let found = choices.iter().find(|(name, _)| *name == scalar.text);
    if found.is_none() {
        node.problem(format!("{} is none of the choices", scalar.shown()), remedy);
    }
    found.map(|(_, choice)| *choice)
}
