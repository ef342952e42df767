//! Where a command's requests go: to the node that runs on the home directory, or to one in this
//! process for as long as the command lasts.

use std::{path::Path, sync::Arc};

use crate::{
    api::{Failure, Request},
    config::Config,
    control,
    core::Core,
    home::Home,
    replies::Replies,
    requests,
};

/// What a command needs of a node, if none runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Its store.
    Store,
    /// Its store, and peers.
    Network,
}

/// A node to send requests to.
pub struct Session(Place);

enum Place {
    Remote(Home),
    Local(Arc<Core>),
}

impl Session {
    /// Finds the running node, or opens the home directory.
    ///
    /// # Errors
    /// If no node runs and the home directory cannot be opened, or the network not be joined.
    pub async fn open(home: &Path, config: &Config, needs: Needs) -> Result<Self, Failure> {
        let home = Home::new(home);
        if control::is_running(&home.socket()).await {
            return Ok(Self(Place::Remote(home)));
        }
        let core = Core::open(home, config.clone(), needs == Needs::Network).await?;
        Ok(Self(Place::Local(core)))
    }

    /// The node that runs on the home directory, if one does.
    pub async fn running(home: &Path) -> Option<Self> {
        let home = Home::new(home);
        let runs = control::is_running(&home.socket()).await;
        runs.then(|| Self(Place::Remote(home)))
    }

    /// Whether requests go to a running node.
    pub fn is_remote(&self) -> bool {
        matches!(self.0, Place::Remote(_))
    }

    /// Sends a request.
    ///
    /// # Errors
    /// If the running node cannot be reached.
    pub async fn call(&self, request: Request) -> Result<Replies, Failure> {
        match &self.0 {
            Place::Remote(home) => control::call(&home.socket(), &request).await,
            Place::Local(core) => Ok(requests::spawn(core.clone(), request)),
        }
    }

    /// Ends what this process opened; work under way is cancelled.
    pub async fn close(self) {
        if let Place::Local(core) = self.0 {
            core.stop().await;
        }
    }
}
