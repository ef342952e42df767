//! Whether a node works: for supervisors, who restart what does not live and send nobody to what is
//! not ready.

use std::time::Duration;

use serde::Serialize;
use tokio::time::timeout;

use crate::{core::Core, node::NodeHandle};

/// How long a part of the node may take for an answer. A busy disk takes tenths of a second;
/// supervisors wait some seconds.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// What was looked at, and whether all of it is well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Health {
    /// Whether each check is.
    pub ok: bool,
    /// The checks.
    pub checks: Vec<Check>,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What.
    pub name: &'static str,
    /// Whether it is well.
    pub ok: bool,
    /// Why it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl NodeHandle {
    /// Whether the node lives: its event loop and its store answer, and the store is where it was.
    pub async fn alive(&self) -> Health {
        let (network, store) = tokio::join!(event_loop(&self.core), store(&self.core));
        health(vec![network, store])
    }

    /// Whether the node can do its work: it lives, listens, and has found somebody if it was told
    /// of anybody.
    pub async fn ready(&self) -> Health {
        let mut checks = self.alive().await.checks;
        let listening = self.core.network().map(|network| {
            let none = network.listen_addresses().is_empty();
            none.then(|| "no address is listened on".to_owned())
        });
        checks.push(check(
            "listening",
            listening.unwrap_or_else(|e| Some(e.message)),
        ));
        checks.push(check("joined", joined(&self.core).await));
        let stopping = self.core.cx.cancel.is_cancelled();
        checks.push(check(
            "running",
            stopping.then(|| "the node is stopping".to_owned()),
        ));
        health(checks)
    }
}

fn health(checks: Vec<Check>) -> Health {
    Health {
        ok: checks.iter().all(|check| check.ok),
        checks,
    }
}

fn check(name: &'static str, reason: Option<String>) -> Check {
    Check {
        name,
        ok: reason.is_none(),
        reason,
    }
}

fn late() -> String {
    format!("no answer within {} s", ANSWER_WITHIN.as_secs())
}

async fn event_loop(core: &Core) -> Check {
    let reason = match core.network() {
        Err(failure) => Some(failure.message),
        Ok(network) => match timeout(ANSWER_WITHIN, network.answers()).await {
            Ok(true) => None,
            Ok(false) => Some("it has ended".to_owned()),
            Err(_) => Some(late()),
        },
    };
    check("event_loop", reason)
}

async fn store(core: &Core) -> Check {
    let store = core.cx.store.clone();
    let asked = core.cx.blocking.run(move || store.check());
    let reason = match timeout(ANSWER_WITHIN, asked).await {
        Ok(Ok(Ok(()))) => None,
        Ok(Ok(Err(error))) => Some(error.to_string()),
        Ok(Err(aborted)) => Some(aborted.to_string()),
        Err(_) => Some(late()),
    };
    check("store", reason)
}

/// Why the node is alone that should not be. One that was told of nobody waits for others.
async fn joined(core: &Core) -> Option<String> {
    let config = &core.config;
    let told = config.bootstrap.len() + config.peers.len();
    if told == 0 {
        return None;
    }
    let peers = async { Some(core.network().ok()?.status().await.peers) };
    match timeout(ANSWER_WITHIN, peers).await {
        Ok(Some(0)) => Some(format!("none of the {told} configured nodes is connected")),
        Ok(_) => None,
        Err(_) => Some(late()),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        pin::pin,
        sync::{Arc, Mutex, mpsc},
    };

    use futures::{future::join_all, poll};

    use super::*;
    use crate::{config::Config, home::Home};

    /// More calls of the store than can be under way.
    const CALLS: usize = 100;

    async fn core(dir: &tempfile::TempDir) -> Arc<Core> {
        let config = Config {
            listen: vec!["/ip4/127.0.0.1/tcp/0".to_owned()],
            mdns: false,
            upnp: false,
            ..Config::default()
        };
        let core = Core::open(Home::new(dir.path()), config).await.unwrap();
        core.join().await.unwrap();
        core
    }

    #[tokio::test]
    async fn an_event_loop_that_has_ended_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let core = core(&dir).await;
        assert_eq!(event_loop(&core).await, check("event_loop", None));
        core.network().unwrap().stop().await;
        let ended = check("event_loop", Some("it has ended".to_owned()));
        assert_eq!(event_loop(&core).await, ended);
        core.stop().await;
    }

    #[tokio::test]
    async fn a_disk_that_does_not_answer_is_told_and_forgiven() {
        let dir = tempfile::tempdir().unwrap();
        let core = core(&dir).await;
        let (release, held) = mpsc::channel::<()>();
        let held = Arc::new(Mutex::new(held));
        let waiting = (0..CALLS).map(|_| {
            let held = held.clone();
            core.cx.blocking.run(move || held.lock().unwrap().recv())
        });
        let mut waiting = pin!(join_all(waiting));
        assert!(poll!(&mut waiting).is_pending());
        assert_eq!(store(&core).await, check("store", Some(late())));
        drop(release);
        waiting.await;
        // On a busy machine it may be late once more.
        while store(&core).await != check("store", None) {}
        core.stop().await;
    }
}
