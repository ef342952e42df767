//! Notifies a service manager that the node is ready, that it lives, that it stops.
//!
//! The protocol is systemd's `sd_notify`; without `NOTIFY_SOCKET` in the environment there is no manager
//! to notify. The watchdog is fed only while event loop and store answer, so that a node that hangs
//! is started again.

use std::time::Duration;

use hubless_node::NodeHandle;
use sd_notify::{NotifyState, notify, watchdog_enabled};
use tokio::task::JoinHandle;

use crate::output::Output;

/// The watchdog is fed so many times within its time: one check that comes late does no harm.
const FEEDS_PER_TIME: u32 = 3;

/// The shortest time between two checks, whatever the service manager wants.
const CHECK_EVERY_MIN: Duration = Duration::from_millis(100);

/// A node as the service manager sees it.
#[derive(Debug)]
pub(crate) struct Service {
    watchdog: Option<JoinHandle<()>>,
}

impl Service {
    /// The node can be dialled.
    pub(crate) fn ready(node: NodeHandle, output: &Output) -> Self {
        if let Err(error) = notify(&[NotifyState::Ready]) {
            output.warn(&format!("cannot notify the service manager: {error}"));
        }
        let watchdog = watchdog_enabled().map(|time| tokio::spawn(feed(node, time)));
        Self { watchdog }
    }

    /// The node begins to stop, which may take a while.
    pub(crate) fn stopping(self) {
        if let Some(watchdog) = self.watchdog {
            watchdog.abort();
        }
        // Nothing depends on it: the manager sees the process end.
        let _ = notify(&[NotifyState::Stopping]);
    }
}

async fn feed(node: NodeHandle, time: Duration) {
    let mut checks = tokio::time::interval((time / FEEDS_PER_TIME).max(CHECK_EVERY_MIN));
    checks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        checks.tick().await;
        if node.alive().await.ok {
            // Without it the manager treats the node as hanging.
            let _ = notify(&[NotifyState::Watchdog]);
        }
    }
}
