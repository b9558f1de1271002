//! A store that is let go of and taken again.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::sleep;

use super::{File, Metrics, OpenError, REOPEN};
use crate::backplane::Backplane;
use crate::clock::Clock;
use crate::config::{self, Config, System};
use crate::core::change::{Change, Snapshot};
use crate::core::id::Epoch;
use crate::core::past::Past;
use crate::hub::{self, Common, Identity, Recall, Topic};
use crate::metrics::Registry;

struct Bench {
    config: Config,
    registry: Registry,
    _folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "backplane: {{file: {{path: '{}'}}}}\n\
             upstreams: {{a: {{url: 'http://a'}}}}\n\
             feeds: [{{path: /feed, upstream: a}}]",
            folder.path().display()
        );
        let (config, _) = Config::parse(&text, &System::new("")).unwrap();
        Self {
            config,
            registry: Registry::default(),
            _folder: folder,
        }
    }

    fn open(&self) -> Result<Arc<File>, OpenError> {
        let config::Backplane::File(store) = &self.config.backplane else {
            panic!("it says so");
        };
        File::open(&self.config, store, Metrics::new(&Registry::default()))
    }

    fn identity(&self) -> Identity {
        let epoch = Epoch::from_random(rand::random());
        Identity::only(&self.config.feeds[0], epoch, Clock::start().now())
    }

    fn topic(&self) -> Arc<Topic> {
        let feed = Arc::clone(&self.config.feeds[0]);
        let common = Common::new(feed, &hub::Metrics::new(&self.registry));
        Topic::new(common, self.identity())
    }

    /// What stands in the store.
    fn past(&self) -> Past {
        let file = self.open().unwrap();
        file.recall(&self.config.feeds[0], &self.identity())
            .unwrap()
    }
}

fn change(text: &'static str) -> Change {
    Change::of_snapshot(Snapshot::from(Bytes::from_static(text.as_bytes())))
}

#[tokio::test]
async fn what_is_published_while_the_store_is_closed_has_other_epochs() {
    let bench = Bench::new();
    let (file, topic) = (bench.open().unwrap(), bench.topic());
    let first = file.publish(&topic, change("1")).await;
    file.close().await;
    file.close().await;
    // Another process goes on from here, and gives these sequences too.
    assert_eq!(
        (bench.past().newest(), bench.past().document()),
        (1, &Bytes::from_static(b"1"))
    );
    let second = file.publish(&topic, change("2")).await;
    assert_ne!(second.epoch, first.epoch);
    file.reopen().await.unwrap();
    file.reopen().await.unwrap();
    let third = file.publish(&topic, change("3")).await;
    assert!(third.epoch != second.epoch && third.epoch != first.epoch);
    file.close().await;
    let past = bench.past();
    assert_eq!((past.newest(), &past.document()[..]), (3, &b"3"[..]));
    let ids = [first, second, third];
    assert!(ids.iter().all(|id| past.lineage().holds(*id)), "{past:?}");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_somebody_else_has_is_taken_as_soon_as_it_is_free() {
    let bench = Bench::new();
    let (file, topic) = (bench.open().unwrap(), bench.topic());
    let first = file.publish(&topic, change("1")).await;
    file.close().await;
    let other = bench.open().unwrap();
    let taken = file.reopen().await;
    assert!(matches!(taken, Err(OpenError::Taken { .. })), "{taken:?}");
    assert_eq!(file.metrics.degraded.get(), 1);
    let keeping = tokio::spawn(Arc::clone(&file).keep());
    file.publish(&topic, change("2")).await;
    sleep(REOPEN * 3).await;
    drop(other);
    sleep(REOPEN + Duration::from_secs(2)).await;
    let third = file.publish(&topic, change("3")).await;
    assert_eq!(file.metrics.degraded.get(), 0);
    file.close().await;
    // What was closed on purpose stays closed.
    sleep(REOPEN * 3).await;
    keeping.abort();
    let past = bench.past();
    assert_eq!((past.newest(), &past.document()[..]), (3, &b"3"[..]));
    assert!(past.lineage().holds(first) && past.lineage().holds(third));
}
