//! A process that serves: what outlives a configuration, and the generation in force.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use pingora::proxy::http_proxy;
use pingora::server::configuration::ServerConf;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tracing::{error, info};

use super::generation::{Clients, Generation, Next};
use super::listeners::Listeners;
use super::series::{Series, counting};
use super::{Server, StartError, handover, leave, reload};
use crate::admin::{self, Admin, InForce, Reloaded};
use crate::auth::Guard;
use crate::backplane;
use crate::clock::Clock;
use crate::config::{Changes, Config};
use crate::gateway::{self, Admission, Gateway, Scope};
use crate::hub::{self, Fate, Hub, Topic};
use crate::listen;
use crate::metrics::Registry;
use crate::peers::Peers;
use crate::systemd::{self, Sign, Systemd, Watchdog};
use crate::traces::Tracer;
use crate::upgrade::{Predecessor, Successor, UpgradeError};
use crate::upstream::{self, Gates, Poller, Workers};

/// How often the service manager is told how much is under way, at most.
const STATUS_EVERY: Duration = Duration::from_secs(5);

/// A process that serves.
pub(super) struct Running {
    /// What is in force.
    generation: Generation,
    file: Option<PathBuf>,
    clients: Arc<ArcSwap<Clients>>,
    gates: Arc<Gates>,
    hub: Arc<Hub>,
    guard: Arc<Guard>,
    gateway: Gateway,
    page: Arc<Admin>,
    pub(super) listeners: Listeners,
    series: Series,
    reloads: reload::Metrics,
    admission: Arc<Admission>,
    tracer: Tracer,
    draining: watch::Sender<bool>,
    unfinished: TaskTracker,
    newcomers: TaskTracker,
    kept: backplane::Running,
    systemd: Systemd,
}

impl Running {
    /// Serves from now on, in the place of `predecessor` if there is one. `wishes` is told when somebody wants the configuration read anew.
    ///
    /// # Errors
    /// [`StartError`] if what reaches upstreams cannot be set up.
    pub(super) fn start(
        server: Server,
        wishes: mpsc::Sender<oneshot::Sender<Reloaded>>,
        predecessor: Option<&Predecessor>,
    ) -> Result<Self, StartError> {
        let Server {
            config,
            entrances,
            file,
            lost_lines,
            ..
        } = server;
        let registry = Registry::with_process();
        if let Some(lost_lines) = lost_lines {
            registry.register(lost_lines);
        }
        let admission = Arc::new(Admission::default());
        let clock = Clock::start();
        let peers = Peers::start(&config, &registry)?;
        let tracer = Tracer::start(config.traces.as_ref())?;
        let generation = Generation::first(config, peers, &tracer)?;
        let config = &generation.config;
        let gates = Arc::new(Gates::new(clock, &registry));
        let clients = Arc::new(ArcSwap::new(generation.clients(&gates)));
        let polls = upstream::Metrics::new(&registry);
        let kept = handover::open(config, &registry, predecessor)?;
        let pollers = (Arc::clone(&clients), kept.clone());
        let hub = start_polling(config, &registry, &polls, pollers, clock);
        let guard = Guard::start((&config.auth, &generation.peers), &registry, clock)?;
        let memory = config.server.limits.memory;
        info!(
            bytes = memory.bytes,
            auto = memory.is_auto,
            "topics may hold so much memory together"
        );
        let gateway = Gateway::new(
            Arc::clone(&hub),
            config,
            Scope::new(config, hub.table(), Arc::clone(&generation.peers)),
            gateway::Metrics::new(&registry),
            (Arc::clone(&admission), Arc::clone(&guard)),
            clock,
            tracer.clone(),
        );
        let draining = watch::Sender::new(false);
        let (unfinished, newcomers) = (TaskTracker::new(), TaskTracker::new());
        let page = Admin::new(admin::Sources {
            registry: registry.clone(),
            guard: Arc::clone(&guard),
            hub: Arc::clone(&hub),
            gates: Arc::clone(&gates),
            polls,
            clock,
            in_force: in_force(&generation, entrances.origins().collect()),
            file: file.clone(),
            reloads: wishes,
            draining: draining.subscribe(),
            unfinished: unfinished.clone(),
        });
        let proxy = http_proxy(&Arc::new(ServerConf::default()), gateway.clone());
        let mut listeners = Listeners::new(
            proxy,
            Arc::clone(&page),
            listen::Metrics::new(&registry),
            draining.subscribe(),
            unfinished.clone(),
            newcomers.clone(),
        );
        listeners
            .follow(config, entrances)
            .map_err(StartError::Runtime)?;
        Ok(Self {
            reloads: reload::Metrics::new(&registry, clock),
            series: Series::new(registry),
            generation,
            file,
            clients,
            gates,
            hub,
            guard,
            gateway,
            page,
            listeners,
            admission,
            tracer,
            draining,
            unfinished,
            newcomers,
            kept,
            systemd: Systemd::of_this_process(),
        })
    }

    /// Reads the configuration anew, and puts it in force if it is another one and can be had; else
    /// everything stays as it is.
    pub(super) async fn reload(&mut self) -> Reloaded {
        self.systemd.reloading();
        let outcome = match &self.file {
            None => Reloaded::Impossible {
                why: "there is no configuration file to read: pollcast was started without one; \
                      start it with `run -c FILE`",
            },
            Some(file) => match reload::read(file.clone(), &self.generation.config).await {
                Err(problems) => Reloaded::Refused { problems },
                Ok((_, changes)) if changes.is_empty() => Reloaded::Unchanged,
                Ok((config, changes)) => self.replace(config, changes),
            },
        };
        self.reloads.told(&outcome);
        self.systemd.ready(&self.status()("serving"));
        outcome
    }

    fn replace(&mut self, config: Config, changes: Changes) -> Reloaded {
        let next = self.generation.next(
            config,
            changes,
            (&self.listeners, &self.guard),
            &self.tracer,
        );
        match next {
            Ok(next) => Reloaded::Reloaded {
                changes: Box::new(self.switch(next)),
            },
            Err(error) => Reloaded::Refused {
                problems: vec![reload::chain(&error)],
            },
        }
    }

    /// Puts the next generation in force. In this order: whatever newcomers find is there before they
    /// find it, and what they found before goes last.
    fn switch(&mut self, next: Next) -> Changes {
        let fates = next.fates(&self.generation);
        self.gates.retain(|name| next.keeps_gate(name));
        let Next {
            generation,
            changes,
            entrances,
            book,
        } = next;
        let config = &generation.config;
        let fate = |path: &str| fates.get(path).copied().unwrap_or(Fate::BeginsAnew);
        generation.peers.begin();
        self.clients.store(generation.clients(&self.gates));
        let renewal = self.hub.prepare(config, |feed| fate(&feed.path));
        let leaving: Vec<_> = renewal.leaving().map(|feed| counting(&feed)).collect();
        self.hub.switch(&renewal);
        let scope = Scope::new(config, self.hub.table(), Arc::clone(&generation.peers));
        self.gateway.follow(config, scope);
        self.guard.follow_book(book);
        if let Err(error) = self.listeners.follow(config, entrances) {
            error!(%error, "a listener cannot be used; reload once more, or restart");
        }
        self.page
            .follow(in_force(&generation, self.listeners.origins()));
        self.hub.retire(renewal, config.server.drain / 2);
        let before = std::mem::replace(&mut self.generation, generation);
        before.peers.yield_to(&self.generation.peers);
        let routes = before.config.routes.iter().map(counting);
        let upstreams = before.config.upstreams.iter().map(counting);
        let leaving = leaving.into_iter().chain(routes).chain(upstreams);
        let addresses = self.listeners.addresses();
        self.series
            .follow(&self.generation.config, addresses, leaving);
        changes
    }

    /// Tells the service manager that it serves, and from now on that it is alive.
    ///
    /// # Errors
    /// [`StartError::Watchdog`] if that needs a thread which is not to be had.
    pub(super) fn ready(&self) -> Result<Option<Watchdog>, StartError> {
        self.systemd.ready(&self.status()("serving"));
        let pulse = self.gateway.pulse();
        let writers = move || pulse().into_iter().map(Sign::At).collect();
        systemd::watch(&self.systemd, writers).map_err(StartError::Watchdog)
    }

    /// What it is doing, in one line.
    fn status(&self) -> impl Fn(&str) -> String + 'static {
        let (hub, admission) = (Arc::clone(&self.hub), Arc::clone(&self.admission));
        move |doing| {
            let (feeds, open) = (hub.feeds().len(), admission.open());
            format!("{doing}; feeds: {feeds}, open: {open}")
        }
    }

    /// Keeps the service manager told of that, for ever.
    pub(super) fn keep_told(&self) -> impl Future<Output = Infallible> + 'static {
        let (systemd, status) = (self.systemd.clone(), self.status());
        async move { systemd.keep_told(STATUS_EVERY, || status("serving")).await }
    }

    /// Gives everything to a process that is ready to take over. If that fails, this one goes on.
    ///
    /// # Errors
    /// [`UpgradeError`] if that failed.
    pub(super) async fn give_way(&self, successor: Successor) -> Result<u32, UpgradeError> {
        handover::give(successor, &self.kept, &self.hub).await
    }

    /// Ends every stream, and finishes what is in flight within `server.drain`; `leave` cuts that
    /// short. With a `successor`, which serves already, whoever is not accepted yet is left to that.
    pub(super) async fn leave<F: Future<Output = ()>>(
        mut self,
        successor: Option<u32>,
        mut leave: impl FnMut() -> F,
    ) {
        let drain = self.generation.config.server.drain;
        let deadline = Instant::now() + drain;
        match successor {
            None => self.systemd.stopping(&self.status()("leaving"), drain),
            Some(process) => {
                self.systemd.succeeded_by(process);
                self.listeners.stop().await;
                info!(
                    process,
                    "another process serves from now on; this one finishes what it has begun"
                );
                if !leave::newcomers(&self.newcomers, deadline, &mut leave).await {
                    return;
                }
            }
        }
        info!(open = self.admission.open(), ?drain, "leaving");
        // Listeners stay open, so that newcomers are told when to come back.
        self.draining.send_replace(true);
        self.hub.drain(drain / 2);
        if leave::finished(&self.admission, &self.unfinished, deadline, &mut leave).await {
            leave::close(self.kept.backplane, deadline, &mut leave).await;
            leave::flush(self.tracer, deadline, &mut leave).await;
        }
    }
}

fn in_force(generation: &Generation, listeners: Vec<String>) -> InForce {
    InForce {
        peers: Arc::clone(&generation.peers),
        listeners,
        config: generation.config.shown().to_owned(),
        rules: generation.config.admin.clone(),
    }
}

/// Makes the topics that stand for ever, and starts a poller for each topic there is or will be,
/// which asks through its upstream's gate.
fn start_polling(
    config: &Config,
    registry: &Registry,
    polls: &upstream::Metrics,
    (clients, kept): (Arc<ArcSwap<Clients>>, backplane::Running),
    clock: Clock,
) -> Arc<Hub> {
    let workers = Workers::default();
    let backplane::Running { backplane, recall } = kept;
    let metrics = polls.clone();
    let (hub, announced) = Hub::recalling(config, &hub::Metrics::new(registry), clock, recall);
    let make = move |topic: &Arc<Topic>| {
        let (client, gate) = clients.load().get(&topic.feed().upstream.name)?.clone();
        let (topic, metrics) = (Arc::clone(topic), metrics.clone());
        let (workers, backplane) = (workers.clone(), Arc::clone(&backplane));
        Some(move || {
            let metrics = metrics.feed(&topic.feed().path);
            let (topic, client) = (Arc::clone(&topic), client.clone());
            let (gate, backplane) = (Arc::clone(&gate), Arc::clone(&backplane));
            Poller::new(topic, client, gate, &workers, backplane, clock, metrics)
        })
    };
    let pollers = upstream::supervise_all(Arc::clone(&hub), announced, clock, make);
    tokio::spawn(pollers);
    hub
}
