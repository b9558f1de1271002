//! What is made of one configuration: the topics, and what polls for them.

use std::collections::HashMap;
use std::sync::Arc;

use super::StartError;
use crate::backplane::Backplane;
use crate::clock::Clock;
use crate::config::Config;
use crate::hub::{self, Hub, Topic};
use crate::metrics::Registry;
use crate::peers::Peers;
use crate::traces::Tracer;
use crate::upstream::{self, Client, Gates, Poller, Workers};

/// Makes the topics that stand for ever, and starts a poller for each topic there is or will be,
/// which asks through its upstream's gate.
pub(super) fn start_polling(
    config: &Config,
    registry: &Registry,
    polls: &upstream::Metrics,
    (peers, gates): (&Peers, &Gates),
    clock: Clock,
    tracer: &Tracer,
    backplane: Arc<dyn Backplane>,
) -> Result<Arc<Hub>, StartError> {
    let workers = Workers::default();
    let mut clients = HashMap::new();
    for upstream in &config.upstreams {
        let client = Client::new(
            upstream,
            Arc::clone(peers.of(&upstream.name)),
            tracer.clone(),
        )?;
        clients.insert(upstream.name.clone(), (client, gates.of(upstream)));
    }
    let clients = Arc::new(clients);
    let metrics = polls.clone();
    let (hub, announced) = Hub::new(config, &hub::Metrics::new(registry), clock);
    let make = move |topic: &Arc<Topic>| {
        let (client, gate) = clients.get(&topic.feed().upstream.name)?.clone();
        let (topic, metrics) = (topic.clone(), metrics.clone());
        let (workers, backplane) = (workers.clone(), backplane.clone());
        Some(move || {
            let metrics = metrics.feed(&topic.feed().path);
            let (client, gate) = (client.clone(), Arc::clone(&gate));
            let backplane = Arc::clone(&backplane);
            Poller::new(
                topic.clone(),
                client,
                gate,
                &workers,
                backplane,
                clock,
                metrics,
            )
        })
    };
    tokio::spawn(upstream::supervise_all(hub.clone(), announced, clock, make));
    Ok(hub)
}
