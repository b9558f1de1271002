//! Exported numbers as metrics: the samples that each feed's last good document has.
//!
//! Promises that a scrape sees whole documents, reads none, and waits for no poll; and that what is
//! gone from a document, or known to nobody any more, is gone from the metrics too: samples stay
//! while a feed is live or stale, and are absent while it is down, paused or refused. Must never
//! give a sample a timestamp of its own, which would keep Prometheus from noticing that it is gone.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Gauge, LabelPair, Metric, MetricFamily, MetricType};

use super::reading::apart;
use crate::core::document::Document;
use crate::core::event::State;
use crate::core::export::{Places, Rule, Samples, read};
use crate::core::json::Tape;
use crate::hub::Topic;
use crate::metrics::Registry;

/// Metrics of ours about them: name, help, labels.
type Own = (&'static str, &'static str, &'static [&'static str]);

const SERIES: Own = (
    "pollcast_export_series",
    "Series that are made of the document, by exported metric.",
    &["feed", "metric"],
);
const DROPPED: Own = (
    "pollcast_export_dropped_series",
    "Series that are left out: no number, not unique, or beyond max_series.",
    &["feed", "metric"],
);
const TIMESTAMP: Own = (
    "pollcast_export_sample_timestamp_seconds",
    "When a poll last said that the exported numbers are so.",
    &["feed"],
);

/// The metrics that are made of documents, of all feeds.
#[derive(Clone, Debug)]
pub(super) struct Exports {
    shelves: Arc<Mutex<Vec<Weak<Shelf>>>>,
    /// Of our own; what the configuration names was checked with it.
    descriptions: Arc<[Desc]>,
}

/// What one topic exports at present.
#[derive(Debug)]
struct Shelf {
    topic: Arc<Topic>,
    /// As the feed's rules.
    shown: Mutex<Arc<Vec<Shown>>>,
}

/// What one rule made of the document.
#[derive(Debug, Default)]
struct Shown {
    metrics: Vec<Metric>,
    dropped: usize,
}

/// Exports the documents of one topic, until it is dropped.
#[derive(Debug)]
pub(super) struct Exporter {
    shelf: Arc<Shelf>,
    /// What was read last.
    last: Option<Arc<Tape>>,
}

impl Exports {
    /// Registers the collector of all of them.
    pub(super) fn new(registry: &Registry) -> Self {
        let describe = |(name, help, labels): Own| {
            let labels = labels.iter().map(|label| (*label).to_owned());
            Desc::new(name.into(), help.into(), labels.collect(), HashMap::new())
                .expect("invariant: names in the source are valid")
        };
        let exports = Self {
            shelves: Arc::default(),
            descriptions: [SERIES, DROPPED, TIMESTAMP].map(describe).into(),
        };
        registry.register(exports.clone());
        exports
    }

    /// An exporter for this topic, if its feed exports anything.
    pub(super) fn of(&self, topic: &Arc<Topic>) -> Option<Exporter> {
        let rules = &topic.feed().export;
        if rules.is_empty() {
            return None;
        }
        let shown = rules.iter().map(|_| Shown::default()).collect();
        let shelf = Arc::new(Shelf {
            topic: Arc::clone(topic),
            shown: Mutex::new(Arc::new(shown)),
        });
        let mut shelves = lock(&self.shelves);
        shelves.retain(|shelf| shelf.strong_count() > 0);
        shelves.push(Arc::downgrade(&shelf));
        Some(Exporter { shelf, last: None })
    }
}

impl Exporter {
    /// Exports what the document says now. Reads it only if its text changed, be it in what is
    /// ignored.
    pub(super) fn take(&mut self, document: &Document) {
        let Some(current) = document.current() else {
            return;
        };
        let is_known = |last: &Arc<Tape>| Arc::ptr_eq(last, current);
        if self.last.as_ref().is_some_and(is_known) {
            return;
        }
        let feed = self.shelf.topic.feed();
        // A query that descends twice takes long in any document.
        let is_steep = |rule: &Rule| matches!(&rule.each, Places::Path(path) if path.is_steep());
        let bytes = match feed.export.iter().any(is_steep) {
            true => usize::MAX,
            false => current.text().len(),
        };
        let shown = apart(bytes, || {
            let whole = document.whole();
            let found = whole.map_or_else(Vec::new, |whole| read(&feed.export, &whole));
            let rules = feed.export.iter().zip(found);
            rules
                .map(|(rule, found)| shown(&feed.path, rule, &found))
                .collect()
        });
        *lock(&self.shelf.shown) = Arc::new(shown);
        self.last = Some(Arc::clone(current));
    }
}

impl Collector for Exports {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let shelves: Vec<_> = lock(&self.shelves)
            .iter()
            .filter_map(Weak::upgrade)
            .collect();
        let mut page = Page::default();
        for shelf in &shelves {
            shelf.collect(&mut page);
        }
        page.families
    }
}

impl Shelf {
    fn collect(&self, page: &mut Page) {
        let feed = self.topic.feed();
        let report = self.topic.report();
        let health = &report.health;
        let is_told =
            !report.is_paused && health.state() != State::Down && health.ended().is_none();
        let all = Arc::clone(&lock(&self.shown));
        let mut counts: Vec<(&str, usize, usize)> = Vec::new();
        for (rule, shown) in feed.export.iter().zip(all.iter()) {
            let (series, dropped) = match is_told {
                true => (shown.metrics.len(), shown.dropped),
                false => (0, 0),
            };
            if is_told {
                let family = page.family(&rule.metric, &rule.help);
                family.mut_metric().extend_from_slice(&shown.metrics);
            }
            match counts
                .iter_mut()
                .find(|(metric, ..)| *metric == rule.metric)
            {
                Some(known) => *known = (known.0, known.1 + series, known.2 + dropped),
                None => counts.push((&rule.metric, series, dropped)),
            }
        }
        for (name, series, dropped) in counts {
            let labels = [feed.path.as_str(), name];
            page.gauge(SERIES, &labels, series as f64);
            page.gauge(DROPPED, &labels, dropped as f64);
        }
        if let Some(at) = health.last_success() {
            page.gauge(TIMESTAMP, &[&feed.path], at.0 as f64 / 1000.0);
        }
    }
}

/// Families under way.
#[derive(Default)]
struct Page {
    families: Vec<MetricFamily>,
    places: HashMap<String, usize>,
}

impl Page {
    fn family(&mut self, name: &str, help: &str) -> &mut MetricFamily {
        let place = self.places.entry(name.to_owned()).or_insert_with(|| {
            let mut family = MetricFamily::default();
            family.set_name(name.to_owned());
            family.set_help(help.to_owned());
            family.set_field_type(MetricType::GAUGE);
            self.families.push(family);
            self.families.len() - 1
        });
        &mut self.families[*place]
    }

    fn gauge(&mut self, (name, help, labels): Own, texts: &[&str], value: f64) {
        let labels = labels.iter().zip(texts);
        let labels = labels.map(|(name, text)| label(name, text)).collect();
        self.family(name, help)
            .mut_metric()
            .push(metric(labels, value));
    }
}

fn shown(feed: &str, rule: &Rule, found: &Samples) -> Shown {
    let metrics = found.samples.iter().map(|sample| {
        let texts = sample.labels.iter();
        let own = rule.labels.iter().zip(texts);
        let own = own.map(|((name, _), text)| label(name, text));
        let labels = std::iter::once(label("feed", feed)).chain(own);
        metric(labels.collect(), sample.value)
    });
    Shown {
        metrics: metrics.collect(),
        dropped: found.dropped,
    }
}

fn metric(labels: Vec<LabelPair>, value: f64) -> Metric {
    let mut gauge = Gauge::default();
    gauge.set_value(value);
    let mut metric = Metric::from_label(labels);
    metric.set_gauge(gauge);
    metric
}

fn label(name: &str, value: &str) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.to_owned());
    pair
}

/// Of std, as it is held for a copy only and never across an `.await`.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .expect("invariant: nobody panics while copying")
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::config::{Config, System};
    use crate::core::event::Timestamp;
    use crate::core::id::Epoch;
    use crate::hub::{self, Common, Identity};

    const START: Timestamp = Timestamp(1_700_000_000_500);

    /// A topic whose feed exports its document, a number, as `m`.
    fn topic(registry: &Registry) -> Arc<Topic> {
        let text = "upstreams: {a: {url: 'http://a'}}\n\
                    feeds: [{path: /feed, upstream: a, export: [{metric: m, help: M.}]}]";
        let (config, _) = Config::parse(text, &System::new("")).unwrap();
        let feed = &config.feeds[0];
        let common = Common::new(Arc::clone(feed), &hub::Metrics::new(registry));
        Topic::new(common, Identity::only(feed, Epoch::from_random(1), START))
    }

    /// The samples of a metric: what stands behind its name.
    fn told(registry: &Registry, name: &str) -> Vec<String> {
        let page = registry.render();
        let own = page.lines().filter_map(|line| line.strip_prefix(name));
        own.map(str::to_owned).collect()
    }

    #[test]
    fn samples_stay_while_stale_and_go_when_down_or_when_nobody_exports_any_more() {
        let registry = Registry::default();
        let exports = Exports::new(&registry);
        let topic = topic(&registry);
        let mut exporter = exports.of(&topic).unwrap();
        let mut document = Document::new(topic.feed().document.view.clone());
        document.observe(Bytes::from_static(b"7")).unwrap();
        exporter.take(&document);
        assert_eq!(
            told(&registry, "m{"),
            [""; 0],
            "nobody said that it is live"
        );
        topic.resumed(START);
        topic.succeeded(START);
        topic.warmed();
        let seven = ["feed=\"/feed\"} 7"];
        assert_eq!(told(&registry, "m{"), seven);
        for _ in 0..2 {
            topic.failed("no".to_owned(), None, START.after(1000));
        }
        assert_eq!(topic.health().state(), State::Stale);
        assert_eq!(told(&registry, "m{"), seven);
        assert!(topic.passed(START.after(61_000)));
        assert_eq!(topic.health().state(), State::Down);
        assert_eq!(told(&registry, "m{"), [""; 0]);
        let series = told(&registry, SERIES.0);
        assert_eq!(series, ["{feed=\"/feed\",metric=\"m\"} 0"]);
        assert_eq!(
            told(&registry, TIMESTAMP.0),
            ["{feed=\"/feed\"} 1700000000.5"]
        );
        topic.succeeded(START.after(70_000));
        assert_eq!(told(&registry, "m{"), seven);
        drop(exporter);
        assert_eq!(told(&registry, "m{"), [""; 0]);
        assert_eq!(told(&registry, SERIES.0), [""; 0]);
    }

    #[test]
    fn a_document_is_read_when_its_text_changes_and_not_otherwise() {
        let registry = Registry::default();
        let exports = Exports::new(&registry);
        let mut exporter = exports.of(&topic(&registry)).unwrap();
        let mut document = Document::new(exporter.shelf.topic.feed().document.view.clone());
        let shown = |exporter: &Exporter| Arc::clone(&lock(&exporter.shelf.shown));
        exporter.take(&document);
        document.observe(Bytes::from_static(b"7")).unwrap();
        exporter.take(&document);
        let first = shown(&exporter);
        document.observe(Bytes::from_static(b"7")).unwrap();
        exporter.take(&document);
        assert!(Arc::ptr_eq(&first, &shown(&exporter)));
        document.observe(Bytes::from_static(b"8")).unwrap();
        exporter.take(&document);
        assert!(!Arc::ptr_eq(&first, &shown(&exporter)));
    }
}
