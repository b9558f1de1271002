//! One topic takes over from another: the same document, asked for or told in another way.
//!
//! Promises that ids stay good, that no change is published in two lives, and that the first answer
//! after it becomes one event which leads from what subscribers hold to what is now.

use std::sync::{Arc, PoisonError};

use super::Topic;
use crate::core::document::Document;
use crate::core::log::Log;
use crate::hub::common::Common;

impl Topic {
    /// A topic that takes over from `old` as soon as nobody polls for that any more; see
    /// [`Self::take_over`].
    pub(in crate::hub) fn following(common: Arc<Common>, old: &Arc<Topic>) -> Arc<Self> {
        let identity = old.identity().again(common.feed());
        let topic = Self::new(common, identity);
        *topic.predecessor() = Some(Arc::clone(old));
        topic
    }

    /// Takes over from the topic that this one follows, if it does: its log, its document, and what
    /// became of its polls. Waits until nobody polls for that one; to be awaited before somebody
    /// does for this one.
    pub async fn take_over(&self) {
        let Some(old) = self.predecessor().take() else {
            return;
        };
        old.at_rest.cancelled().await;
        let feed = self.feed();
        let mut from = old.lock();
        let spent = Log::new(
            from.log.lineage().current(),
            feed.events.names.clone(),
            feed.events.history,
        );
        let log = std::mem::replace(&mut from.log, spent).within(feed.events.history);
        from.shares.holds((0, 0));
        let (document, changed) = (from.document.take(), from.changed);
        let (lessons, trail) = (from.lessons.clone(), from.trail.clone());
        drop(from);
        let mut inner = self.lock();
        inner.log = log;
        let held = inner.log.held();
        inner.shares.holds(held);
        (inner.document, inner.changed) = (document, changed);
        (inner.lessons, inner.trail) = (lessons, trail);
        drop(inner);
        self.wake();
    }

    /// Nobody is to poll for it any more.
    pub(in crate::hub) fn leave_behind(&self) {
        self.left_behind.cancel();
    }

    /// Ready once another topic takes its place, or none does.
    pub(in crate::hub) async fn left_behind(&self) {
        self.left_behind.cancelled().await;
    }

    /// Nobody polls for it any more, nor will.
    pub fn rest(&self) {
        self.at_rest.cancel();
    }

    /// What the last poller left for the next.
    pub fn document(&self) -> Option<Document> {
        self.lock().document.take()
    }

    /// Leaves the document with which answers were compared to whoever compares the next.
    pub fn leave(&self, document: Document) {
        self.lock().document = Some(document);
    }

    fn predecessor(&self) -> std::sync::MutexGuard<'_, Option<Arc<Topic>>> {
        // It is one value.
        self.predecessor
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
