//! Reports of heads that this node took: what watching peers, the announcer and readers wait for.

use std::sync::Arc;

use hubless_content::VerifiedHead;
use tokio::sync::broadcast;

/// Reports that wait for one subscriber. One that is further behind reads the store again.
const REPORTS_MAX: usize = 256;

/// The heads that this node takes, as it takes them. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Watchers(broadcast::Sender<Arc<VerifiedHead>>);

impl Default for Watchers {
    fn default() -> Self {
        Self(broadcast::Sender::new(REPORTS_MAX))
    }
}

impl Watchers {
    /// Reports a head that is in the store now: a new state, or a later confirmation of the old one.
    pub fn taken(&self, head: &Arc<VerifiedHead>) {
        // Fails if there is no subscriber.
        let _ = self.0.send(head.clone());
    }

    /// The heads that are taken from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<VerifiedHead>> {
        self.0.subscribe()
    }
}
