//! The servers of an upstream as they are written: where they are, how the work is shared out, and
//! what of the rest cannot stand together.

use std::time::Duration;

use serde_yaml::Value;
use url::Host;

use super::Endpoint;
use super::addresses::{Addresses, Forbidden};
use super::egress::{EgressProxy, egress_proxy};
use super::health_check::{HealthCheck, health_check};
use super::keys::{HEALTH_CHECK, SERVER_OF_UPSTREAM};
use super::section::Section;
use super::sheet::Node;
use super::trust::{UpstreamTls, upstream_tls};

/// The most servers of one upstream.
const MOST_SERVERS: usize = 256;

/// Who answers for an upstream.
#[derive(Clone, Debug)]
pub struct Servers {
    /// At least one; all have the same scheme and path.
    pub list: Vec<ServerAddress>,
    /// Which of them is asked.
    pub balance: Balance,
    /// How their health is found out; not at all without.
    pub health_check: Option<HealthCheck>,
    /// How often names are looked up again.
    pub resolve_every: Duration,
    /// Whom to trust, and what to show.
    pub tls: UpstreamTls,
    /// The HTTP proxy that everything goes through.
    pub egress_proxy: Option<EgressProxy>,
    /// Which addresses may be reached.
    pub addresses: Addresses,
}

/// One server as it is written.
#[derive(Clone, Debug)]
pub struct ServerAddress {
    /// Where it is.
    pub at: Endpoint,
    /// What requests call it: the same under the name of `host`, where there is one.
    pub called: Endpoint,
    /// Its share of the work; at least 1.
    pub weight: usize,
}

/// Which server is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Balance {
    /// One after the other.
    RoundRobin,
    /// Any.
    Random,
    /// The same for the same topic or client, for as long as it is there.
    Consistent,
}

impl Servers {
    /// One server, and the default of everything else.
    pub fn single(at: Endpoint) -> Self {
        Self {
            list: vec![ServerAddress {
                called: at.clone(),
                at,
                weight: 1,
            }],
            balance: Balance::RoundRobin,
            health_check: None,
            resolve_every: Duration::from_secs(30),
            tls: UpstreamTls {
                ca: None,
                identity: None,
                verify: true,
            },
            egress_proxy: None,
            addresses: Addresses::default(),
        }
    }

    /// The same for a URL that stands at `node`, which must be one that may be reached.
    pub(super) fn only(at: &Endpoint, node: &Node<'_>) -> Self {
        let servers = Self::single(at.clone());
        refuse_forbidden(&servers.list[0], node, &servers.addresses);
        servers
    }

    /// Reads what `section`, an upstream, says of its servers; none if it names none.
    pub(super) fn read(section: &Section<'_>) -> Option<Self> {
        let list = list(section);
        let host = section.find("host").and_then(|node| host(&node));
        let egress_proxy = section
            .find("egress_proxy")
            .and_then(|node| egress_proxy(&node));
        let tls = upstream_tls(section);
        let health_check = section
            .find("health_check")
            .map(|node| health_check(&node.section(&HEALTH_CHECK)));
        let balance = section.find("balance").and_then(|node| balance(&node));
        let resolve_every = section
            .find("resolve_every")
            .and_then(|node| node.duration(Duration::from_secs(1)));
        let addresses = Addresses::read(section);
        refuse_contradictions(section, &list);
        for (server, node) in &list {
            refuse_forbidden(server, node, &addresses);
        }
        let called = |at: &Endpoint| match &host {
            Some(host) => at.under(host),
            None => at.clone(),
        };
        let list: Vec<_> = list
            .into_iter()
            .map(|(server, _)| ServerAddress {
                called: called(&server.at),
                ..server
            })
            .collect();
        let standard = Self::single(list.first()?.at.clone());
        Some(Self {
            list,
            balance: balance.unwrap_or(standard.balance),
            health_check,
            resolve_every: resolve_every.unwrap_or(standard.resolve_every),
            tls,
            egress_proxy,
            addresses,
        })
    }
}

/// The entries of `servers`, or the only one of `url`, each with its place.
fn list<'a>(section: &Section<'a>) -> Vec<(ServerAddress, Node<'a>)> {
    let entry = |at: Endpoint, weight, node| {
        let called = at.clone();
        (ServerAddress { at, called, weight }, node)
    };
    let url = section.find("url");
    let Some(servers) = section.find("servers") else {
        let node = url.or_else(|| {
            section.require(
                "url",
                "write where it is, as in `url: \"http://127.0.0.1:9000\"`",
            )
        });
        let only = node.and_then(|node| Some(entry(node.base_url()?, 1, node)));
        return only.into_iter().collect();
    };
    if let Some(url) = url {
        url.problem(
            "`url` and `servers` cannot both stand here",
            "keep `servers`, and write this one into it",
        );
    }
    let items = servers.items();
    if matches!(servers.value(), Value::Sequence(_)) && items.is_empty() {
        servers.problem(
            "there is no server",
            "write one such as \"http://127.0.0.1:9000\"",
        );
    }
    if items.len() > MOST_SERVERS {
        servers.problem(
            format!("there are more than {MOST_SERVERS} servers"),
            "put a load balancer in front of them, and name that",
        );
    }
    let mut list: Vec<(ServerAddress, Node<'a>)> = Vec::new();
    for item in items {
        let Some((at, weight, node)) = server(&item) else {
            continue;
        };
        if let Some((first, _)) = list.first()
            && (first.at.scheme() != at.scheme() || first.at.path() != at.path())
        {
            node.problem(
                "this server has another scheme or path than the first one",
                "write the same for all: any of them may be asked",
            );
        }
        if list.iter().any(|(other, _)| *other.at == *at) {
            node.problem(
                "an earlier entry names this server",
                "remove it; a larger share is `{url: ..., weight: 2}`",
            );
        }
        list.push(entry(at, weight, node));
    }
    list
}

/// A URL, or a mapping of one and its weight.
fn server<'a>(item: &Node<'a>) -> Option<(Endpoint, usize, Node<'a>)> {
    if !matches!(item.value(), Value::Mapping(_)) {
        return Some((item.base_url()?, 1, item.clone()));
    }
    let section = item.section(&SERVER_OF_UPSTREAM);
    let weight = section
        .find("weight")
        .and_then(|node| node.integer(1..=100))
        .map_or(1, |weight| weight as usize);
    let node = section.require("url", "write where the server is")?;
    Some((node.base_url()?, weight, node))
}

/// A name that every server is called by.
fn host(node: &Node<'_>) -> Option<String> {
    let scalar = node.text()?;
    match Host::parse(&scalar.text) {
        Ok(Host::Domain(name)) if !name.is_empty() => Some(name),
        _ => {
            node.problem(
                format!("{} is no host name", scalar.shown()),
                "write a name alone, as in \"shop.internal\"; the port is that of the server",
            );
            None
        }
    }
}

fn balance(node: &Node<'_>) -> Option<Balance> {
    let scalar = node.text()?;
    match scalar.text.as_str() {
        "round_robin" => Some(Balance::RoundRobin),
        "random" => Some(Balance::Random),
        "consistent" => Some(Balance::Consistent),
        _ => {
            node.problem(
                format!("{} is no way to share out work", scalar.shown()),
                "write round_robin, random or consistent",
            );
            None
        }
    }
}

/// Refuses keys that contradict each other.
fn refuse_contradictions(section: &Section<'_>, list: &[(ServerAddress, Node<'_>)]) {
    let plain = list.iter().any(|(server, _)| server.at.scheme() == "http");
    if let (true, Some(tls)) = (plain, section.find("tls")) {
        tls.problem(
            "the servers speak plain HTTP",
            "write https:// in front of them, or remove `tls`",
        );
    }
    if section.find("egress_proxy").is_none() {
        return;
    }
    if let Some(host) = section.find("host") {
        host.problem(
            "the egress proxy is told the server's own name, and looks it up",
            "write that name into the URL, or remove `host` or `egress_proxy`",
        );
    }
    if let Some(check) = section.find("health_check")
        && check.section(&HEALTH_CHECK).find("path").is_none()
    {
        check.problem(
            "a connection to the egress proxy says nothing of a server behind it",
            "write the `path` that is to be asked for",
        );
    }
}

/// Refuses an address that will never be reached.
fn refuse_forbidden(server: &ServerAddress, node: &Node<'_>, addresses: &Addresses) {
    let (host, address) = match server.at.host() {
        Some(Host::Ipv4(ip)) => (Host::Ipv4(ip), ip.into()),
        Some(Host::Ipv6(ip)) => (Host::Ipv6(ip), ip.into()),
        _ => return,
    };
    if let Err(forbidden) = addresses.judge(&host, address) {
        let remedy = match forbidden {
            Forbidden::Denied => "remove it, or the network from `addresses.deny`",
            _ => "write another, or name it in `addresses.allow` if it is meant",
        };
        node.problem(format!("this is {forbidden}"), remedy);
    }
}
