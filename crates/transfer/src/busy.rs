//! Tracks foreground work, to which background work yields.

use tokio::sync::watch;

/// Counts running imports and fetches. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Busy(watch::Sender<usize>);

impl Default for Busy {
    fn default() -> Self {
        Self(watch::Sender::new(0))
    }
}

/// Guard of one import or fetch; it counts until this is dropped.
#[derive(Debug)]
pub struct BusyGuard(watch::Sender<usize>);

impl Drop for BusyGuard {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}

impl Busy {
    /// Counts one import or fetch from now on.
    pub fn begin(&self) -> BusyGuard {
        self.0.send_modify(|count| *count += 1);
        BusyGuard(self.0.clone())
    }

    /// Whether any import or fetch runs.
    pub fn is_busy(&self) -> bool {
        *self.0.borrow() > 0
    }

    /// Waits until none runs.
    pub async fn idle(&self) {
        // Fails only without a sender, and `self` is one.
        let _ = self.0.subscribe().wait_for(|count| *count == 0).await;
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures::poll;

    use super::*;

    #[tokio::test]
    async fn idle_when_the_last_one_has_ended() {
        let busy = Busy::default();
        busy.idle().await;
        let (first, second) = (busy.begin(), busy.begin());
        drop(first);
        assert!(busy.is_busy());
        let mut waiting = pin!(busy.idle());
        assert!(poll!(&mut waiting).is_pending());
        drop(second);
        waiting.await;
        assert!(!busy.is_busy());
    }
}
