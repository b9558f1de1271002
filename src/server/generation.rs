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
        let feed = topic.feed();
        let metrics = metrics.feed(&feed.path);
        let (client, gate) = clients[&feed.upstream.name].clone();
        let (topic, backplane) = (topic.clone(), backplane.clone());
        Poller::new(topic, client, gate, &workers, backplane, clock, metrics)
    };
    for topic in hub.standing() {
        let (make, watched) = (make.clone(), topic.clone());
        let make = move || make(&watched);
        tokio::spawn(upstream::supervise(topic.clone(), clock, make));
    }
    let demanded = upstream::supervise_demanded(hub.clone(), announced, clock, make);
    tokio::spawn(demanded);
    Ok(hub)
}
