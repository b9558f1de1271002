//! Keeps pollers running.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;
use tracing::error;

use super::poller::Poller;
use crate::clock::Clock;
use crate::hub::{Hub, Topic};

/// At least this long between a poller's crash and the next attempt.
const CRASH_PAUSE: Duration = Duration::from_secs(1);

/// Keeps a poller running until `over` is ready, and is done once there is none. A panic in one is a
/// mistake of ours; it must not leave a feed behind that looks live and is dead. `make` goes
/// on from the last good document, unless that is what the poller crashed over twice: then the next
/// document is told as a snapshot.
pub async fn supervise(
    topic: Arc<Topic>,
    clock: Clock,
    make: impl Fn() -> Poller,
    over: impl Future<Output = ()>,
) {
    let mut over = pin!(over);
    let mut crashed_after = None;
    let mut next = make();
    loop {
        let mut poller = AbortOnDropHandle::new(tokio::spawn(next.run()));
        let end = tokio::select! {
            end = &mut poller => end,
            () = &mut over => {
                poller.abort();
                let _ = poller.await;
                return;
            }
        };
        if !end.is_err_and(|crash| crash.is_panic()) {
            return;
        }
        let success = topic.health().last_success();
        let is_again = crashed_after.replace(success) == Some(success);
        error!(
            feed = topic.feed().path,
            "poller crashed; starting it again"
        );
        // What is held is stale from now on, however often the next one crashes as well.
        topic.cooled(clock.now());
        topic.failed(
            "pollcast failed to read the answer".to_owned(),
            None,
            clock.now(),
        );
        topic.warmed();
        tokio::select! {
            () = sleep(topic.feed().poll.interval.max(CRASH_PAUSE)) => {}
            () = &mut over => return,
        }
        next = match is_again {
            true => make().afresh(),
            false => make(),
        };
    }
}

/// Keeps a poller running for each announced topic, for as long as there is that topic. `make` gives
/// what makes its pollers, or nothing for a topic that is over already.
pub async fn supervise_all<M>(
    hub: Arc<Hub>,
    mut announced: UnboundedReceiver<Arc<Topic>>,
    clock: Clock,
    make: impl Fn(&Arc<Topic>) -> Option<M>,
) where
    M: Fn() -> Poller + Send + Sync + 'static,
{
    while let Some(topic) = announced.recv().await {
        let (hub, make) = (Arc::clone(&hub), make(&topic));
        tokio::spawn(async move {
            topic.take_over().await;
            if let Some(make) = make {
                let over = hub.abandoned(&topic);
                supervise(Arc::clone(&topic), clock, make, over).await;
            }
            topic.rest();
        });
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;

    use super::*;
    use crate::backplane::{Backplane, Memory};
    use crate::config::{Config, System};
    use crate::core::change::Change;
    use crate::core::event::Mode;
    use crate::core::id::{Epoch, EventId};
    use crate::core::sse::{Coding, Kind, Wire};
    use crate::hub::{self, Common, Identity};
    use crate::metrics::Registry;
    use crate::peers::Peers;
    use crate::traces::Tracer;
    use crate::upstream::{self, Client};

    /// Crashes whoever publishes for the second and the third time.
    #[derive(Default)]
    struct Trap(AtomicUsize);

    #[async_trait]
    impl Backplane for Trap {
        async fn publish(&self, topic: &Topic, change: Change) -> EventId {
            let before = self.0.fetch_add(1, Ordering::SeqCst);
            assert!(!(1..=2).contains(&before), "it was set to fail");
            Memory.publish(topic, change).await
        }
    }

    /// An upstream whose document is another one at every poll.
    fn serve_counter() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for (poll, mut stream) in listener.incoming().flatten().enumerate() {
                let _ = stream.read(&mut [0; 4096]);
                let _ = write!(stream, "HTTP/1.0 200 OK\r\n\r\n{poll}");
            }
        });
        url
    }

    fn trapped(url: &str) -> Arc<Topic> {
        let text = format!(
            "upstreams: {{a: {{url: '{url}'}}}}\n\
             feeds: [{{path: /feed, upstream: a, poll: {{interval: 10ms}}}}]"
        );
        let (config, _) = Config::parse(&text, &System::new("")).unwrap();
        let (registry, clock) = (Registry::default(), Clock::start());
        let common = Common::new(config.feeds[0].clone(), &hub::Metrics::new(&registry));
        let feed = &config.feeds[0];
        let identity = Identity::only(feed, Epoch::from_random(1), clock.now());
        let topic = Topic::new(common, identity);
        let metrics = upstream::Metrics::new(&registry);
        let peers = Peers::start(&config, &registry).unwrap();
        let gates = upstream::Gates::new(clock, &registry);
        let client = Client::new(
            &config.upstreams[0],
            Arc::clone(peers.of("a")),
            Tracer::default(),
        )
        .unwrap();
        let trap = Arc::new(Trap::default());
        let watched = Arc::clone(&topic);
        let make = move || {
            let (topic, metrics) = (watched.clone(), metrics.feed("/feed"));
            let gate = gates.of(&topic.feed().upstream);
            let workers = upstream::Workers::default();
            Poller::new(
                topic,
                client.clone(),
                gate,
                &workers,
                trap.clone(),
                clock,
                metrics,
            )
        };
        let never = std::future::pending();
        tokio::spawn(supervise(Arc::clone(&topic), clock, make, never));
        topic
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_poller_that_crashes_is_started_again_and_its_feed_is_stale_meanwhile() {
        let topic = trapped(&serve_counter());
        let subscription = topic.subscribe(topic.demand(Mode::Patch), Coding::Identity, None);
        let mut cursor = subscription.cursor;
        let story = async {
            let (mut snapshots, mut stale) = (0, 0);
            while snapshots < 2 {
                let due = topic.due(cursor);
                for frame in &due.frames {
                    let bytes = frame.bytes(Wire::PLAIN);
                    let text = String::from_utf8_lossy(&bytes);
                    snapshots += usize::from(frame.kind() == Kind::Snapshot);
                    stale += usize::from(text.contains("\"state\":\"stale\""));
                }
                cursor = due.after;
                sleep(Duration::from_millis(1)).await;
            }
            stale
        };
        let patience = Duration::from_secs(30);
        let stale = tokio::time::timeout(patience, story)
            .await
            .expect("two documents");
        // Between the two crashes the feed was live for a moment that the reader may have missed.
        assert!((1..=2).contains(&stale), "a crash is told: {stale}");
    }
}
