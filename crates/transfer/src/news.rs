//! Channels of news about chunks.

use hubless_content::{ChunkIndex, FileHash};
use tokio::sync::broadcast;

/// News kept for slow receivers: 1 GiB of chunks. A receiver that falls further behind reads the
/// store again.
const NEWS_MAX: usize = 4096;

/// A newly held chunk.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gain {
    pub(crate) file: FileHash,
    pub(crate) index: ChunkIndex,
}

/// The channel of newly held chunks.
pub(crate) type Gains = News<Gain>;

/// A channel of news. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct News<T>(broadcast::Sender<T>);

impl<T: Clone> Default for News<T> {
    fn default() -> Self {
        Self(broadcast::Sender::new(NEWS_MAX))
    }
}

impl<T: Clone> News<T> {
    /// Sends news to all receivers.
    pub fn send(&self, news: T) {
        let _ = self.0.send(news);
    }

    /// Subscribes to the news.
    pub fn subscribe(&self) -> broadcast::Receiver<T> {
        self.0.subscribe()
    }
}
