//! nginx with nchan: a publisher, and subscribers by EventSource.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::crowd::Subscription;
use crate::event;
use crate::process::{self, Server, now};
use crate::publisher::{Publisher, free_address};
use crate::system::{Job, System, subscription};

const MODULE: &str = "/usr/lib/nginx/modules/ngx_nchan_module.so";

pub struct Nchan {
    server: Server,
    _folder: TempDir,
    address: SocketAddr,
    publisher: Publisher,
    job: Job,
    published: Vec<(u32, u64)>,
}

/// Where nginx is, if nchan is there, too.
pub fn installed() -> Option<PathBuf> {
    let nginx = ["/usr/sbin/nginx", "/usr/bin/nginx"].map(PathBuf::from);
    let nginx = nginx.into_iter().find(|path| path.exists())?;
    Path::new(MODULE).exists().then_some(nginx)
}

impl Nchan {
    pub fn start(nginx: &Path, job: &Job) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let address = free_address();
        let file = folder.path().join("nginx.conf");
        std::fs::write(&file, configuration(address, folder.path())).expect("a file");
        let mut command = Command::new(nginx);
        command.arg("-c").arg(&file).arg("-p").arg(folder.path());
        let server = Server::start(&mut command);
        Self {
            server,
            _folder: folder,
            address,
            publisher: Publisher::connect(address),
            job: job.clone(),
            published: Vec::new(),
        }
    }
}

/// One worker; the newest message is kept, and nobody is told old ones. `worker_connections` is
/// more than open files allow, as nginx hurries clients away when a sixteenth of it is left.
fn configuration(address: SocketAddr, folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "load_module {MODULE};\n\
         user root;\n\
         daemon off;\n\
         worker_processes 1;\n\
         pid {folder}/nginx.pid;\n\
         error_log {folder}/error.log warn;\n\
         events {{ worker_connections 30000; }}\n\
         http {{\n\
           access_log off;\n\
           client_body_temp_path {folder}/body;\n\
           proxy_temp_path {folder}/proxy;\n\
           fastcgi_temp_path {folder}/fastcgi;\n\
           uwsgi_temp_path {folder}/uwsgi;\n\
           scgi_temp_path {folder}/scgi;\n\
           keepalive_requests 1000000;\n\
           nchan_max_reserved_memory 256M;\n\
           server {{\n\
             listen {address} backlog=4096;\n\
             location = /publish {{ nchan_publisher; nchan_channel_id feed; \
               nchan_message_buffer_length 1; client_max_body_size 1m; \
               client_body_buffer_size 64k; }}\n\
             location = /feed {{ nchan_subscriber eventsource; nchan_channel_id feed; \
               nchan_subscriber_first_message newest; nchan_eventsource_ping_interval 15; }}\n\
           }}\n\
         }}\n"
    )
}

impl System for Nchan {
    fn subscription(&self) -> Subscription {
        subscription(self.address, &self.job, None)
    }

    fn processes(&self) -> Vec<u32> {
        process::family(self.server.id())
    }

    fn publish(&mut self, number: u32) {
        let body = event::patch(number, self.job.size);
        let head = format!(
            "POST /publish HTTP/1.1\r\nhost: bench\r\nx-eventsource-event: patch\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        self.publisher.send(&(head + &body));
        self.published.push((number, now()));
    }

    fn published(&mut self) -> Vec<(u32, u64)> {
        std::mem::take(&mut self.published)
    }
}
