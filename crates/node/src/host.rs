//! The one process that has a home directory open, and how other processes find it.
//!
//! `serve`, `seed` and each command without a node do the same: connect to the process that has the
//! home directory open, or open it and listen for other processes. So a long `get` blocks no other
//! command: they send it their requests.
//!
//! ```text
//! find: connect -> Found::Occupied (requests go there)
//!       open the store, listen -> Found::Opened (this process does the work, also for others)
//!       the store is locked, no socket -> its process starts or ends: try again
//! ```

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};

use crate::{
    config::Config,
    control::{self, Connection, Occupant, Server},
    core::Core,
    failure::{Failure, FailureKind},
    home::Home,
    remedy::Remedy,
};

/// How long the store may be locked while its process does not listen: a starting process opens the
/// store first, an ending one closes it last. Both take tenths of a second.
const SETTLES_WITHIN: Duration = Duration::from_secs(5);

/// Time between two tries. Shorter than a process takes to start: a command that waits for the home
/// directory has it before one that is started when the last process has ended.
const TRY_EVERY: Duration = Duration::from_millis(10);

/// The parts of a node that a command needs, if no node runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Its store.
    Store,
    /// Its store, and peers.
    Network,
}

/// A home directory that this process has open.
pub(crate) struct Host {
    pub(crate) core: Arc<Core>,
    /// `None` in a home directory that cannot be written, or whose path is too long for a socket:
    /// other commands then wait until this process ends.
    control: Option<Server>,
}

/// Which process has the home directory open.
pub(crate) enum Found {
    /// Another process.
    Occupied(Connection),
    /// This process.
    Opened(Host),
}

/// Connects to the process that has the home directory open, or opens it.
///
/// # Errors
/// If it cannot be opened; [`FailureKind::Busy`] if another process has it and does not answer.
pub(crate) async fn find(
    home: &Home,
    config: &Config,
    me: &Occupant,
    needs: Needs,
) -> Result<Found, Failure> {
    let end = Instant::now() + SETTLES_WITHIN;
    loop {
        match control::connect(&home.socket()).await? {
            // Usually a command that is about to end: a serving node cannot work through it.
            Some(found) if me.serves && !found.occupant.serves && Instant::now() < end => {}
            Some(found) => return Ok(Found::Occupied(found)),
            None => match Host::open(home, config, me, needs).await {
                Err(failure) if failure.kind == FailureKind::Busy && Instant::now() < end => {}
                opened => return opened.map(Found::Opened),
            },
        }
        sleep(TRY_EVERY).await;
    }
}

impl Host {
    async fn open(
        home: &Home,
        config: &Config,
        me: &Occupant,
        needs: Needs,
    ) -> Result<Self, Failure> {
        let core = Core::open(home.clone(), config.clone()).await?;
        if needs == Needs::Network {
            core.is_to_join();
        }
        match Server::start(home.socket(), core.clone(), me.clone()) {
            Ok(control) => Ok(Self {
                core,
                control: Some(control),
            }),
            Err(error) if me.serves => {
                core.stop().await;
                let message = format!("cannot listen on {}: {error}", home.socket().display());
                Err(Failure::new(FailureKind::Other, message).remedy(Remedy::ShorterHome))
            }
            Err(error) => {
                tracing::debug!(%error, "other commands have to wait: no control socket");
                Ok(Self {
                    core,
                    control: None,
                })
            }
        }
    }

    /// Commands of other processes that this one works for now.
    pub(crate) fn guests(&self) -> usize {
        self.control.as_ref().map_or(0, Server::connected)
    }

    /// Waits until this process works for no other command.
    pub(crate) async fn without_guests(&self) {
        if let Some(control) = &self.control {
            control.idle().await;
        }
    }

    /// Stops in order; the home directory can be opened again at once. Other commands send their
    /// unfinished requests to the next process.
    pub(crate) async fn stop(self) {
        self.core.cx.cancel.cancel();
        if let Some(control) = self.control {
            control.stop().await;
        }
        self.core.stop().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        remedy::Remedy,
        requests::{ShowStatus, Status},
        session::Session,
    };

    fn config() -> Config {
        Config {
            listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
            mdns: false,
            upnp: false,
            ..Config::default()
        }
    }

    /// The status that another process is given by one that has opened the home directory, and has
    /// not joined the network yet.
    async fn status_before_the_join(needs: Needs) -> Result<Status, Failure> {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::new(directory.path());
        let me = Occupant::new("get", false);
        let Found::Opened(host) = find(&home, &config(), &me, needs).await.unwrap() else {
            panic!("no other process has it");
        };
        let session = Session::running(directory.path()).await.unwrap().unwrap();
        let status = session.call(ShowStatus {}).await.unwrap().answer().await;
        host.stop().await;
        status
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_process_that_stops_greets_no_other() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::new(directory.path());
        let me = Occupant::new("get", false);
        let found = find(&home, &config(), &me, Needs::Store).await;
        let Found::Opened(host) = found.unwrap() else {
            panic!("no other process has it");
        };
        assert!(control::connect(&home.socket()).await.unwrap().is_some());
        // The moment between the end of the work and the end of the socket, which a busy machine
        // makes long.
        host.core.cx.cancel.cancel();
        assert!(control::connect(&home.socket()).await.unwrap().is_none());
        host.stop().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_call_that_needs_the_network_waits_for_a_process_that_joins_it() {
        let status = status_before_the_join(Needs::Network).await.unwrap();
        assert_eq!(status.addresses.len(), 1);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_call_that_needs_the_network_is_refused_by_a_process_that_joins_none() {
        let failure = status_before_the_join(Needs::Store).await.unwrap_err();
        assert_eq!(failure.remedy, Some(Remedy::StartNode));
    }
}
