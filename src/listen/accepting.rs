//! An entrance at which clients are accepted.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use pingora::apps::ServerApp;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::task::AbortOnDropHandle;

use super::{Entrance, Manner, Rules, Terms, accept};

/// Clients are accepted until this is dropped; those who are in stay.
pub struct Accepting {
    address: SocketAddr,
    terms: watch::Sender<Arc<Terms>>,
    task: AbortHandle,
    /// Looks after the certificate.
    care: Option<AbortOnDropHandle<()>>,
}

impl Accepting {
    /// Begins to accept, as one of these tasks. To be called inside a runtime.
    ///
    /// # Errors
    /// If the runtime does not take the socket.
    pub fn begin<A>(
        entrance: Entrance,
        app: Arc<A>,
        rules: Rules,
        tasks: &mut JoinSet<()>,
    ) -> io::Result<Self>
    where
        A: ServerApp + Send + Sync + 'static,
    {
        let address = entrance.address();
        let (listener, terms) = entrance.open_up(rules)?;
        let (terms, current) = watch::channel(terms);
        let task = tasks.spawn(accept(listener, app, current));
        let mut accepting = Self {
            address,
            terms,
            task,
            care: None,
        };
        accepting.look_after();
        Ok(accepting)
    }

    /// Whoever comes from now on is accepted on these terms; in the same manner if there is no other.
    pub fn follow(&mut self, manner: Option<Manner>, rules: Rules) {
        let is_other = manner.is_some();
        let manner = manner.unwrap_or_else(|| self.manner());
        self.terms
            .send_replace(Terms::new(self.address, manner, rules));
        if is_other {
            self.look_after();
        }
    }

    fn look_after(&mut self) {
        let metrics = self.terms.borrow().rules.metrics.clone();
        self.care = self.manner().tls.map(|certificates| {
            let counters = metrics.certificate(self.address);
            AbortOnDropHandle::new(tokio::spawn(certificates.keep_fresh(counters)))
        });
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The beginning of its URLs: `http://127.0.0.1:8080`.
    pub fn origin(&self) -> String {
        format!("{}://{}", self.manner().scheme(), self.address)
    }

    fn manner(&self) -> Manner {
        self.terms.borrow().manner.clone()
    }
}

impl Drop for Accepting {
    fn drop(&mut self) {
        self.task.abort();
    }
}
