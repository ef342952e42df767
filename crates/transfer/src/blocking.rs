//! The edge between async code and the synchronous store.

use std::sync::Arc;

use tokio::sync::Semaphore;

/// Short store calls that run at once: the queues of two disks. More would only wait in the kernel,
/// each with a chunk in memory.
const SHORT_CALLS_MAX: usize = 16;

/// Runs store calls on threads that may block.
#[derive(Debug, Clone)]
pub struct Blocking(Arc<Semaphore>);

impl Default for Blocking {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(SHORT_CALLS_MAX)))
    }
}

/// A blocking call panicked, or the runtime is shutting down.
#[derive(Debug, Clone, thiserror::Error)]
#[error("a store call was aborted")]
pub struct Aborted;

impl Blocking {
    /// Runs a call of at most some milliseconds: reading, checking or writing a chunk, a query of the index.
    pub async fn run<T: Send + 'static>(
        &self,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Aborted> {
        let _permit = self.0.acquire().await.map_err(|_| Aborted)?;
        tokio::task::spawn_blocking(call).await.map_err(|_| Aborted)
    }

    /// Runs a call that may take minutes, such as an import. The number of running requests bounds
    /// them.
    pub async fn run_long<T: Send + 'static>(
        call: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Aborted> {
        tokio::task::spawn_blocking(call).await.map_err(|_| Aborted)
    }
}
