//! News of chunks that were just verified.

use hubless_content::{ChunkIndex, FileHash};
use tokio::sync::broadcast;

/// News kept for slow listeners: 1 GiB of chunks. Whoever falls behind further looks at the store
/// again.
const GAINS_MAX: usize = 4096;

/// A chunk that is held from now on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gain {
    pub(crate) file: FileHash,
    pub(crate) index: ChunkIndex,
}

/// Where gains are told and heard. Cloning is cheap.
#[derive(Debug, Clone)]
pub(crate) struct Gains(broadcast::Sender<Gain>);

impl Default for Gains {
    fn default() -> Self {
        Self(broadcast::Sender::new(GAINS_MAX))
    }
}

impl Gains {
    /// Tells whoever listens.
    pub(crate) fn tell(&self, gain: Gain) {
        let _ = self.0.send(gain);
    }

    pub(crate) fn listen(&self) -> broadcast::Receiver<Gain> {
        self.0.subscribe()
    }
}
