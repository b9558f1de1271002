//! A pollcast that does everything it can, so that everything is counted.

use std::net::TcpStream;

use serde_json::json;

use super::certificate::Certificate;
use super::client::{Response, get, request, subscribe};
use super::eventually;
use super::proxy::Proxy;
use super::stage::Stage;
use super::tokens::{SECRET, claims, shared};
use super::upstream::Reply;

/// It and its upstream, with some open subscriptions.
pub struct Everything {
    pub proxy: Proxy,
    pub stage: Stage,
    pub streams: Vec<Response>,
}

impl Everything {
    /// Starts it. Nobody has asked for anything yet.
    pub fn start() -> Self {
        let stage = Stage::new(|_| answer(0));
        let folder = tempfile::tempdir().expect("a temporary folder");
        let certificate = Certificate::of("localhost");
        let write = |name: &str, text: Vec<u8>| {
            std::fs::write(folder.path().join(name), text).expect("a file");
        };
        write("server.key", certificate.key_pem());
        write("server.crt", certificate.pem());
        let proxy = Proxy::start_in(folder, &config(&stage.url()));
        Self {
            proxy,
            stage,
            streams: Vec::new(),
        }
    }

    /// Has it do all of it once.
    pub fn use_all(&mut self) {
        let address = self.proxy.address();
        for target in [
            "/feed",
            "/feed?mode=merge",
            "/feed?mode=items",
            "/feed?mode=snapshot",
            "/orders/1",
            "/search?q=1",
        ] {
            self.streams.push(subscribe(address, target));
        }
        let events = ("accept", "text/event-stream");
        for (target, more) in [
            ("/feed", ("accept-encoding", "gzip")),
            ("/mine", ("authorization", "mine")),
        ] {
            self.streams.push(get(address, target, &[events, more]));
        }
        for stream in self
            .streams
            .iter_mut()
            .filter(|it| it.header("content-encoding").is_none())
        {
            stream.expect("snapshot");
        }
        self.stage.becomes(|_| answer(1));
        eventually("changes are delivered", || {
            let forms = ["patch", "merge", "changed"];
            forms.iter().all(|form| {
                let form = format!("event=\"{form}\"");
                self.proxy
                    .metric("pollcast_events_delivered_total", &[&form])
                    > 0.5
            })
        });
        get(address, "/feed", &[]).text();
        get(address, "/api/x", &[]).text();
        get(address, "/elsewhere", &[]).text();
        get(address, "/guarded", &[]).text();
        get(address, "/asked", &[]).text();
        let token = format!("Bearer {}", shared(SECRET, &claims(&json!({}))));
        let headers = [
            ("authorization", &*token),
            ("content-type", "application/json"),
        ];
        let ticket = request(
            address,
            "POST",
            "/tickets",
            &headers,
            br#"{"feed": "/ours"}"#,
        );
        assert_eq!(ticket.status, 201);
        subscribe(address, "/feed?mode=none").text();
        let admin = self.proxy.admin_url("").replace("http://", "");
        let admin = admin.parse().expect("an address");
        request(admin, "POST", "/api/poll?path=/feed", &[], b"").text();
        drop(subscribe(address, "/feed"));
        drop(TcpStream::connect(address));
        eventually("who left is counted", || {
            let counted = |name| self.proxy.metric(name, &[]) > 0.5;
            counted("pollcast_connections_closed_total")
                && counted("pollcast_refused_connections_total")
                && counted("pollcast_forwarded_duration_seconds_count")
        });
    }
}

fn config(url: &str) -> String {
    format!(
        r#"
server:
  listen:
    - "127.0.0.1:0"
    - {{ address: "127.0.0.1:0", tls: {{ certificate: server.crt, key: server.key }} }}
auth:
  jwt: {{ corp: {{ issuer: "https://id.example", audience: [pollcast], algorithms: [HS256], secret: "{SECRET}" }} }}
  forward: {{ sso: {{ url: "{url}/check" }} }}
  tickets: {{ path: /tickets }}
upstreams:
  shop: {{ url: "{url}" }}
  group: {{ servers: ["{url}", "http://127.0.0.1:9"], health_check: {{ interval: 100ms }} }}
feeds:
  - path: /feed
    upstream: shop
    json: latest
    poll: {{ interval: 50ms }}
    document: {{ items: /rows }}
    events: {{ modes: [patch, merge, items, snapshot] }}
    export: [{{ metric: row_changes, help: Changes., each: "/rows/*", value: /n, labels: {{ row: "0#" }} }}]
  - {{ path: "/orders/{{id}}", upstream: shop, topics: 3, poll: {{ interval: 50ms }} }}
  - {{ path: /search, upstream: group, request: {{ forward_query: [q] }}, topics: 3 }}
  - {{ path: /mine, upstream: shop, share: {{ per_credential: [authorization] }}, topics: 3 }}
  - {{ path: /ours, upstream: shop, access: [{{ jwt: corp }}] }}
proxy:
  - {{ path: /guarded, upstream: shop, access: [{{ jwt: corp }}] }}
  - {{ path: /asked, upstream: shop, access: [{{ forward: sso }}] }}
  - {{ path: /api, upstream: shop }}
  - {{ path: /, upstream: group }}
"#
    )
}

/// Items, of which one says how many changes there were.
fn answer(changes: usize) -> Reply {
    Reply::json(format!(
        r#"{{"rows": {{"a": {{"n": {changes}}}, "b": {{"text": "{}"}}}}}}"#,
        "unchanged ".repeat(20)
    ))
}
