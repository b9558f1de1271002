//! Names that lead elsewhere from one look-up to the next.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;

use async_trait::async_trait;

use super::*;
use crate::config::{Config, Forbidden, System};
use crate::metrics::Registry;
use crate::peers::metrics::Metrics;

/// Answers as told; says nothing of names that it was not told of.
#[derive(Default)]
struct Script(Mutex<HashMap<String, Vec<IpAddr>>>);

impl Script {
    fn tell(&self, name: &str, addresses: &[&str]) {
        let addresses = addresses.iter().map(|it| it.parse().unwrap()).collect();
        self.0.lock().unwrap().insert(name.to_owned(), addresses);
    }

    fn forget(&self, name: &str) {
        self.0.lock().unwrap().remove(name);
    }
}

#[async_trait]
impl Resolve for Script {
    async fn resolve(&self, host: &str) -> std::io::Result<Vec<IpAddr>> {
        if host == "silent.example.com" {
            std::future::pending::<()>().await;
        }
        let found = self.0.lock().unwrap().get(host).cloned();
        found.ok_or_else(|| std::io::Error::other("nobody knows it"))
    }
}

/// A group with these keys of its upstream, and who looks names up for it.
fn group(keys: &str) -> (Group, Arc<Script>, Registry) {
    let text = format!("upstreams: {{a: {{{keys}}}}}\nfeeds: [{{path: /f, upstream: a}}]");
    let (config, _) = Config::parse(&text, &System::new("")).unwrap();
    let upstream = &config.upstreams[0];
    let (script, registry) = (Arc::<Script>::default(), Registry::default());
    let metrics = Metrics::new(&registry).group(upstream);
    let material = Material::read(&upstream.servers).unwrap();
    let resolver: Arc<dyn Resolve> = script.clone();
    let group = Group::new(Arc::clone(upstream), resolver, material, metrics);
    (group, script, registry)
}

async fn look_up_again(group: &Group) {
    group.balancer.update().await;
    group.measure();
}

fn addresses(group: &Group) -> Vec<String> {
    let servers = group.names.servers();
    servers
        .iter()
        .map(|it| it.spot().address.to_string())
        .collect()
}

#[tokio::test]
async fn a_name_that_turns_to_a_private_address_keeps_leading_where_it_did() {
    let (group, script, registry) = group("url: 'http://shop.example.com'");
    script.tell("shop.example.com", &["1.1.1.1"]);
    assert!(group.pick(b"").await.is_ok());
    assert_eq!(addresses(&group), ["1.1.1.1:80"]);
    for private in ["127.0.0.1", "169.254.169.254", "::ffff:10.0.0.1"] {
        script.tell("shop.example.com", &[private]);
        look_up_again(&group).await;
        assert_eq!(addresses(&group), ["1.1.1.1:80"]);
    }
    let told = group.report()[0].last_error.clone().unwrap();
    assert!(
        told.contains("name it in `allow` of upstreams.a.addresses"),
        "{told}"
    );
    assert!(
        registry
            .render()
            .contains("lookups_failed_total{upstream=\"a\"} 3")
    );
    script.tell("shop.example.com", &["1.0.0.1"]);
    look_up_again(&group).await;
    assert_eq!(addresses(&group), ["1.0.0.1:80"]);
    assert_eq!(group.report()[0].last_error, None);
}

#[tokio::test]
async fn a_name_that_leads_only_where_it_must_not_has_no_server() {
    let (group, script, registry) = group("url: 'http://shop.example.com'");
    script.tell("shop.example.com", &["10.0.0.1"]);
    let refused = group.pick(b"").await.err();
    let private = NoServer::Forbidden {
        upstream: "a".to_owned(),
        why: Forbidden::Private,
    };
    assert_eq!(refused, Some(private));
    assert!(
        registry
            .render()
            .contains("server_healthy{server=\"http://shop.example.com\",upstream=\"a\"} 0")
    );
    let report = &group.report()[0];
    assert_eq!((report.healthy, &report.address), (false, &None));
}

#[tokio::test]
async fn of_several_addresses_the_allowed_ones_count() {
    let (group, script, _) = group(
        "url: 'http://shop.example.com:8080', addresses: {allow: [10.0.0.0/8], deny: [1.1.1.1]}",
    );
    let found = ["1.1.1.1", "1.0.0.1", "10.0.0.1", "192.168.0.1", "fe80::1"];
    script.tell("shop.example.com", &found);
    assert!(group.pick(b"").await.is_ok());
    assert_eq!(addresses(&group), ["1.0.0.1:8080", "10.0.0.1:8080"]);
}

#[tokio::test]
async fn a_look_up_that_fails_takes_nothing_away() {
    let (group, script, _) = group("url: 'http://shop'");
    let unknown = group.pick(b"").await.err().unwrap().to_string();
    assert!(unknown.contains("nobody knows it"), "{unknown}");
    script.tell("shop", &["10.0.0.1", "10.0.0.2"]);
    look_up_again(&group).await;
    let before = group.pick(b"").await.ok().unwrap();
    script.forget("shop");
    look_up_again(&group).await;
    assert_eq!(addresses(&group), ["10.0.0.1:80", "10.0.0.2:80"]);
    // Its clients are the same, so that connections are used on.
    let after = group.names.server(&before.peer(false)._address).unwrap();
    assert!(Arc::ptr_eq(before.spot(), after.spot()));
    script.tell("shop", &[]);
    look_up_again(&group).await;
    assert_eq!(
        addresses(&group).len(),
        2,
        "a name without addresses is a failure"
    );
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_ever_for_a_name() {
    let (group, _, _) = group("url: 'http://silent.example.com'");
    let late = group.pick(b"").await.err();
    assert!(matches!(late, Some(NoServer::Late { .. })), "{late:?}");
}

#[tokio::test]
async fn a_server_without_a_connection_stands_behind_the_others_and_is_asked_if_it_is_the_last() {
    let (group, script, _) = group("url: 'http://shop'");
    script.tell("shop", &["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
    let first = group.pick(b"").await.ok().unwrap();
    first.failed("refused");
    let address = |server: &Server| server.spot().address;
    for _ in 0..10 {
        let next = group.pick(b"").await.ok().unwrap();
        assert_ne!(address(&next), address(&first));
    }
    let mut tried = Vec::new();
    while let Some(next) = group.other(b"", &tried) {
        tried.push(next);
    }
    assert_eq!(tried.len(), 3, "each is tried once");
    assert_eq!(address(&tried[2]), address(&first), "the failed one last");
    for server in &tried {
        server.failed("refused");
    }
    assert!(group.pick(b"").await.is_ok(), "somebody is asked");
    first.succeeded();
    let back = group.pick(b"").await.ok().unwrap();
    assert_eq!(address(&back), address(&first));
}

#[tokio::test]
async fn two_names_of_one_address_are_one_server() {
    let (group, script, _) = group("servers: ['http://x', 'http://y']");
    script.tell("x", &["10.0.0.1"]);
    script.tell("y", &["10.0.0.1", "10.0.0.2"]);
    assert!(group.pick(b"").await.is_ok());
    assert_eq!(addresses(&group), ["10.0.0.1:80", "10.0.0.2:80"]);
    let servers: Vec<_> = group.report().into_iter().map(|it| it.server).collect();
    assert_eq!(servers, ["http://x", "http://y"]);
}

#[tokio::test]
async fn behind_an_egress_proxy_only_the_proxy_is_looked_up_here() {
    let (group, script, _) = group(
        "servers: ['https://shop.example.com', 'https://shop.example.org'], \
         egress_proxy: 'http://proxy:3128'",
    );
    script.tell("proxy", &["10.0.0.9"]);
    let server = group.pick(b"").await.ok().unwrap();
    let dialled = server.peer(false)._address;
    assert_eq!(dialled.to_string(), "10.0.0.9:3128");
    let names: Vec<_> = group
        .names
        .servers()
        .iter()
        .map(Server::authority)
        .collect();
    assert_eq!(names, ["shop.example.com", "shop.example.org"]);
    let others = group.other(b"", std::slice::from_ref(&server));
    assert_ne!(others.unwrap().authority(), server.authority());
}

#[tokio::test]
async fn connections_of_different_servers_or_certificates_are_never_mixed() {
    use pingora::upstreams::peer::Peer as _;
    let (group, script, _) = group("servers: ['https://x', 'https://y'], host: shop");
    script.tell("x", &["10.0.0.1"]);
    script.tell("y", &["10.0.0.2"]);
    assert!(group.pick(b"").await.is_ok());
    let hashes = |group: &Group| -> Vec<u64> {
        let servers = group.names.servers();
        servers
            .iter()
            .map(|it| it.peer(false).reuse_hash())
            .collect()
    };
    let before = hashes(&group);
    assert_ne!(before[0], before[1]);
    let material = Material::read(&group.upstream.servers).unwrap();
    group.names.renew(material);
    let after = hashes(&group);
    assert!(before.iter().all(|hash| !after.contains(hash)));
    assert_eq!(group.names.servers()[0].base().as_str(), "https://shop/");
}

#[tokio::test]
async fn an_answer_of_thousands_of_addresses_makes_no_thousands_of_servers() {
    let (group, script, _registry) = group("url: 'http://shop.example.com'");
    let many: Vec<_> = (0..2000)
        .map(|n| format!("1.1.{}.{}", n / 250, n % 250))
        .collect();
    let many: Vec<_> = many.iter().rev().map(String::as_str).collect();
    script.tell("shop.example.com", &many);
    assert!(group.pick(b"").await.is_ok());
    let used = addresses(&group);
    assert_eq!(used.len(), 64);
    assert!(used.contains(&"1.1.0.0:80".to_owned()) && used.contains(&"1.1.0.63:80".to_owned()));
}
