//! The control socket: requests from other processes of the same user to the process that has the
//! home directory open.
//!
//! A Unix socket, `node.sock` in the home directory, mode 0600: a process that may open it may use
//! the node. The process greets each connection; one without a greeting was not accepted, and its
//! caller searches again for the process that has the home directory. A connection then carries
//! requests one after the other; closing it cancels the running one. Frames are a kind (1 byte), a
//! length (4 bytes, big endian) and that many bytes:
//!
//! | kind | direction | bytes |
//! |---|---|---|
//! | `G` | from the node | the greeting as JSON: process id, command, whether it serves |
//! | `R` | to the node | a call as JSON |
//! | `E` | from the node | an event as JSON |
//! | `B` | from the node | bytes of a file |
//! | `D` | from the node | the answer as JSON; last |
//! | `F` | from the node | a failure as JSON; last |

mod client;
mod frame;
mod server;

use std::fmt;

use serde::{Deserialize, Serialize};

pub(crate) use client::{Client, Connection, connect};
pub(crate) use server::Server;

/// The process that has a home directory open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Occupant {
    /// Its process id.
    pub(crate) pid: u32,
    /// The command it runs, such as `get`.
    pub(crate) command: String,
    /// Whether it is a serving node, which runs until it is stopped. Others end with their command.
    pub(crate) serves: bool,
}

impl Occupant {
    /// This process.
    pub(crate) fn new(command: &str, serves: bool) -> Self {
        Self {
            pid: std::process::id(),
            command: command.to_owned(),
            serves,
        }
    }
}

/// `hubless get` (pid 4711)
impl fmt::Display for Occupant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.serves {
            true => write!(f, "the node (pid {})", self.pid),
            false => write!(f, "`hubless {}` (pid {})", self.command, self.pid),
        }
    }
}
