//! Health of a node, for supervisors, which restart a node that is not alive and route no clients
//! to one that is not ready.

use std::time::Duration;

use serde::Serialize;
use tokio::time::timeout;

use crate::{core::Core, node::NodeHandle};

/// Time limit of a check. A busy disk takes tenths of a second; supervisors wait some seconds.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// The result of all checks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Health {
    /// Whether all checks passed.
    pub ok: bool,
    /// The checks.
    pub checks: Vec<Check>,
}

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What.
    pub name: &'static str,
    /// Whether it passed.
    pub ok: bool,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl NodeHandle {
    /// Whether the node is alive: its event loop and its store respond, and the index is where it
    /// was.
    pub async fn alive(&self) -> Health {
        let (network, store) = tokio::join!(event_loop(&self.core), store(&self.core));
        health(vec![network, store])
    }

    /// Whether the node can do its work: it is alive, listens, and is connected to a peer if the
    /// configuration names any.
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
        Ok(network) => match timeout(ANSWER_WITHIN, network.responds()).await {
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

/// Why the node has no connection, if the configuration names peers. Without configured peers, a
/// node without connections is ready.
async fn joined(core: &Core) -> Option<String> {
    let config = &core.config;
    let configured = config.bootstrap.len() + config.peers.len();
    if configured == 0 {
        return None;
    }
    let peers = async { Some(core.network().ok()?.status().await.peers) };
    match timeout(ANSWER_WITHIN, peers).await {
        Ok(Some(0)) => Some(format!(
            "none of the {configured} configured nodes is connected"
        )),
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

    /// More store calls than can run at once.
    const CALLS: usize = 100;

    async fn core(dir: &tempfile::TempDir) -> Arc<Core> {
        let config = Config {
            listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
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
        // On a busy machine it may be late again.
        while store(&core).await != check("store", None) {}
        core.stop().await;
    }
}
