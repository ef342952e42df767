//! The destination of a command's calls: the process that has the home directory open, or a node
//! in this process for as long as the command runs.

use std::path::Path;

use crate::{
    config::Config,
    control::{self, Client, Occupant},
    failure::Failure,
    home::Home,
    host::{self, Found, Host, Needs},
    replies::Replies,
    requests::{self, Call, Join},
};

/// A node to call.
pub struct Session(Place);

enum Place {
    Remote(Client),
    Local(Host),
}

impl Session {
    /// Finds the process that has the home directory open, or opens it. `command` is this process's
    /// command for messages of other processes, such as `get`.
    ///
    /// # Errors
    /// If no process has it open and it cannot be opened, or the network not be joined.
    pub async fn open(
        home: &Path,
        config: &Config,
        needs: Needs,
        command: &str,
    ) -> Result<Self, Failure> {
        let home = Home::new(home);
        let me = Occupant::new(command, false);
        let found = host::find(&home, config, &me, needs).await?;
        let session = Self(match found {
            Found::Occupied(connection) => Place::Remote(Client::new(home.socket(), connection)),
            Found::Opened(host) => Place::Local(host),
        });
        if needs == Needs::Network
            && let Err(failure) = session.join().await
        {
            session.close().await;
            return Err(failure);
        }
        Ok(session)
    }

    /// The process that has the home directory open, if there is one.
    ///
    /// # Errors
    /// If there is one that does not answer.
    pub async fn running(home: &Path) -> Result<Option<Self>, Failure> {
        let socket = Home::new(home).socket();
        let connection = control::connect(&socket).await?;
        Ok(connection.map(|connection| Self(Place::Remote(Client::new(socket, connection)))))
    }

    async fn join(&self) -> Result<(), Failure> {
        self.call(Join {}).await?.answer().await
    }

    /// Whether requests go to another process.
    pub fn is_remote(&self) -> bool {
        matches!(self.0, Place::Remote(_))
    }

    /// The other process that requests go to, such as "`hubless get` (pid 4711)".
    pub fn occupant(&self) -> Option<String> {
        match &self.0 {
            Place::Remote(client) => Some(client.occupant().to_string()),
            Place::Local(_) => None,
        }
    }

    /// Whether requests go to a serving node.
    pub fn is_served(&self) -> bool {
        matches!(&self.0, Place::Remote(client) if client.occupant().serves)
    }

    /// Makes a call.
    ///
    /// # Errors
    /// If the other process cannot be reached.
    pub async fn call<C: Call>(&self, call: C) -> Result<Replies<C::Answer>, Failure> {
        match &self.0 {
            Place::Remote(client) => client.call(call).await,
            Place::Local(host) => Ok(requests::start(host.core.clone(), call)),
        }
    }

    /// Commands of other processes that this process works for now.
    pub fn guests(&self) -> usize {
        match &self.0 {
            Place::Remote(_) => 0,
            Place::Local(host) => host.guests(),
        }
    }

    /// Waits until this process works for no other command.
    pub async fn without_guests(&self) {
        match &self.0 {
            Place::Remote(_) => {}
            Place::Local(host) => host.without_guests().await,
        }
    }

    /// Stops the node of this process, if it opened one. Its own running work is cancelled; work
    /// for other commands continues in the process that opens the home directory next.
    pub async fn close(self) {
        if let Place::Local(host) = self.0 {
            host.stop().await;
        }
    }
}
