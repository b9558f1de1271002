//! How many may be served at once, and whose word is taken for who they are, as it is written in a
//! configuration.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net};
use serde_yaml::Value;

use super::keys::LIMITS;
use super::section::Section;
use super::sheet::Node;
use super::{Feed, Limits, Memory};

/// More connections than any process can hold.
const MOST: u64 = 1_000_000_000;
/// Descriptors that a process needs besides those of its subscribers: listeners, polls, the
/// runtime, and some for requests that pass through.
const OWN_FILES: u64 = 64;
/// Less would not hold a few documents.
const LEAST_MEMORY: usize = 1 << 20;
/// More than any machine has.
const MOST_MEMORY: usize = 1 << 50;

/// Reads the section `server.limits`.
pub(super) fn limits(server: &Section<'_>) -> Limits {
    let section = server.section("limits", &LIMITS);
    let limits = Limits {
        subscribers: subscribers(&section, "subscribers"),
        subscribers_per_client: subscribers(&section, "subscribers_per_client"),
        accepts_per_second: section
            .find("accepts_per_second")
            .and_then(|node| node.integer(1..=1_000_000))
            .map(|number| number as u32),
        topics: section
            .find("topics")
            .and_then(|node| node.integer(1..=MOST))
            .and_then(|number| usize::try_from(number).ok())
            .unwrap_or(Limits::default().topics),
        memory: memory(&section, server),
    };
    if let (Some(all), Some(each)) = (limits.subscribers, limits.subscribers_per_client)
        && each > all
        && let Some(node) = section.find("subscribers_per_client")
    {
        node.warning(
            "no client can have more subscribers than there may be in all",
            "write less than `subscribers`",
        );
    }
    limits
}

/// Reads what topics may hold; half of what the machine gives unless a size is written.
fn memory(section: &Section<'_>, server: &Section<'_>) -> Memory {
    let node = section.find("memory");
    let is_auto = |node: &Node<'_>| {
        let text = matches!(node.value(), Value::String(_)).then(|| node.text());
        text.flatten().is_some_and(|it| it.text.trim() == "auto")
    };
    let given = server.node.sheet().around.memory();
    let auto = Memory {
        // Where nobody says what there is, anything may be held, as ever.
        bytes: given.map_or(usize::MAX, |bytes| (bytes / 2).max(LEAST_MEMORY)),
        is_auto: true,
    };
    match node.filter(|node| !is_auto(node)) {
        None => auto,
        Some(node) => {
            let bytes = node.size(LEAST_MEMORY..=MOST_MEMORY);
            if let (Some(bytes), Some(given)) = (bytes, given)
                && bytes > given
            {
                node.warning(
                    "this is more than the machine, or the container, gives",
                    "write less, or `auto` for half of it",
                );
            }
            bytes.map_or(auto, |bytes| Memory {
                bytes,
                is_auto: false,
            })
        }
    }
}

/// Reads a number of subscribers, at least one; warns of one that takes more files than there are.
pub(super) fn subscribers(section: &Section<'_>, key: &'static str) -> Option<usize> {
    let node = section.find(key)?;
    let number = node.integer(1..=MOST)?;
    if let Some(files) = node.sheet().around.open_files()
        && number > files.saturating_sub(OWN_FILES)
    {
        node.warning(
            format!(
                "over HTTP/1.1 each subscriber takes a file descriptor, and this process may have \
                 {files}"
            ),
            "allow it more (`ulimit -Hn`, systemd's LimitNOFILE), or write less",
        );
    }
    usize::try_from(number).ok()
}

/// Warns of feeds whose own limit is beyond that of all of them together.
pub(super) fn warn_of_unreachable(top: &Section<'_>, limits: &Limits, feeds: &[Arc<Feed>]) {
    let Some(all) = limits.subscribers else {
        return;
    };
    let items = top.find("feeds").map_or_else(Vec::new, |node| node.items());
    for (item, feed) in items.iter().zip(feeds) {
        if feed.deliver.max_subscribers.is_some_and(|own| own > all) {
            item.warning(
                "`deliver.max_subscribers` is more than `server.limits.subscribers` allows all feeds \
                 together",
                "write less",
            );
        }
    }
}

/// Reads a list of addresses and networks.
pub(super) fn trusted_proxies(server: &Section<'_>) -> Vec<IpNet> {
    let items = server
        .find("trusted_proxies")
        .map_or_else(Vec::new, |node| node.items());
    let trusted = |node: &Node<'_>| {
        let network = network(node)?;
        if network.prefix_len() == 0 {
            node.warning(
                "everybody is trusted, so that any client may pass for another",
                "list the proxies that stand in front of pollcast",
            );
        }
        Some(network)
    };
    items.iter().filter_map(trusted).collect()
}

/// Reads `10.0.0.0/8`, `2001:db8::/32`, or an address alone.
pub(super) fn network(node: &Node<'_>) -> Option<IpNet> {
    let example = "write an address or a network, such as \"10.0.0.7\" or \"10.0.0.0/8\"";
    let scalar = node.text()?;
    let text = scalar.text.trim();
    let found = match text.parse::<IpAddr>() {
        Ok(address) => Some(IpNet::from(address)),
        Err(_) => text.parse::<IpNet>().ok(),
    };
    let Some(network) = found.map(canonical) else {
        node.problem(format!("{} is no network", scalar.shown()), example);
        return None;
    };
    if network != network.trunc() {
        node.problem(
            format!(
                "{} names an address within a network that is larger",
                scalar.shown()
            ),
            match scalar.foreign {
                true => example.to_owned(),
                false => format!(
                    "write \"{}\" for the network, or \"{}\" for the address alone",
                    network.trunc(),
                    network.addr()
                ),
            },
        );
        return None;
    }
    Some(network)
}

/// Addresses of version 4 that are mapped into version 6 (RFC 4291 section 2.5.5.2) are meant as
/// what they are.
fn canonical(network: IpNet) -> IpNet {
    if let IpNet::V6(six) = network
        && let Some(address) = six.addr().to_ipv4_mapped()
        && let Some(length) = six.prefix_len().checked_sub(96)
        && let Ok(four) = Ipv4Net::new(address, length)
    {
        return four.into();
    }
    network
}
