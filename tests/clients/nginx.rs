//! Behind a real nginx with its default `proxy_buffering on`, nothing is held back.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use serde_json::json;

use crate::foreign::{Process, free_port, program};
use crate::support::client::subscribe;
use crate::support::eventually;
use crate::support::proxy::Proxy;
use crate::support::upstream::Upstream;

#[test]
fn events_pass_a_buffering_nginx_at_once() {
    let (upstream, document) = Upstream::with_document("[0]");
    let proxy = Proxy::with_feed(&upstream.url(), "");
    let nginx = Nginx::before(proxy.address());

    let mut stream = subscribe(nginx.address, "/feed");
    assert_eq!(stream.status, 200);
    assert_eq!(stream.header("content-type"), Some("text/event-stream"));
    assert_eq!(stream.expect("snapshot").data, "[0]");
    // Each change is awaited before the next is made, so an event that stayed in a buffer would
    // never come.
    for n in 1..=5 {
        *document.lock().unwrap() = format!("[{n}]");
        assert_eq!(stream.event().expect("an event").value, json!([n]));
    }
}

#[test]
fn this_nginx_does_hold_back_events_that_do_not_forbid_it() {
    let (upstream, _document) = Upstream::with_document("[0]");
    let proxy = Proxy::with_feed(&upstream.url(), "");
    let nginx = Nginx::before(proxy.address());
    // The same stream with pollcast's `x-accel-buffering: no` ignored: the test above can fail.
    let mut stream = TcpStream::connect(nginx.address).expect("nginx accepts");
    stream
        .set_read_timeout(Some(Duration::from_millis(700)))
        .expect("a time-out");
    stream
        .write_all(b"GET /deaf/feed HTTP/1.1\r\nhost: n\r\naccept: text/event-stream\r\n\r\n")
        .expect("a request");
    eventually("the subscription", || {
        proxy.metric("pollcast_connections", &[]) > 0.5
    });
    let mut bytes = [0; 64];
    let held_back = stream.read(&mut bytes).expect_err("nothing comes");
    assert_eq!(held_back.kind(), ErrorKind::WouldBlock);
}

struct Nginx {
    address: SocketAddr,
    _process: Process,
    _folder: tempfile::TempDir,
}

impl Nginx {
    fn before(pollcast: SocketAddr) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let address = free_port();
        let config = format!(
            "daemon off; master_process off; pid nginx.pid; error_log stderr;
             events {{}}
             http {{
               access_log off;
               client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
               uwsgi_temp_path uwsgi; scgi_temp_path scgi;
               server {{
                 listen {address};
                 location / {{ proxy_pass http://{pollcast}; }}
                 location /deaf/ {{
                   proxy_pass http://{pollcast}/;
                   proxy_ignore_headers X-Accel-Buffering;
                 }}
               }}
             }}"
        );
        let file = folder.path().join("nginx.conf");
        fs::write(&file, config).expect("a file");
        let mut nginx = Command::new(program("nginx"));
        nginx.arg("-p").arg(folder.path()).arg("-c").arg(&file);
        nginx.args(["-e", "stderr"]);
        Self {
            address,
            _process: Process::server(&mut nginx, address),
            _folder: folder,
        }
    }
}
