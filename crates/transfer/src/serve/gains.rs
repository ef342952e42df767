//! News of chunks, for those who serve: verified just now, and on their way to a peer.

use hubless_content::{ChunkIndex, FileHash};
use hubless_network::PeerId;
use tokio::sync::broadcast;

/// News kept for slow listeners: 1 GiB of chunks. Whoever falls behind further looks at the store
/// again.
const NEWS_MAX: usize = 4096;

/// A chunk that is held from now on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gain {
    pub(crate) file: FileHash,
    pub(crate) index: ChunkIndex,
}

/// A chunk that a peer is sent from now on, and nobody was before.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FirstSending {
    pub(crate) to: PeerId,
    pub(crate) chunk: Gain,
}

/// Where gains are told and heard.
pub(crate) type Gains = News<Gain>;

/// Where news is told and heard. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct News<T>(broadcast::Sender<T>);

impl<T: Clone> Default for News<T> {
    fn default() -> Self {
        Self(broadcast::Sender::new(NEWS_MAX))
    }
}

impl<T: Clone> News<T> {
    /// Tells whoever listens.
    pub fn tell(&self, news: T) {
        let _ = self.0.send(news);
    }

    /// The news from now on.
    pub fn listen(&self) -> broadcast::Receiver<T> {
        self.0.subscribe()
    }
}
