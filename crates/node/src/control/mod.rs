//! The control socket: requests from other processes of the same user to a running node.
//!
//! A Unix socket, `node.sock` in the home directory, mode 0600: who may open it may use the node.
//! A connection carries one request; closing it cancels the work. Frames are a kind (1 byte), a
//! length (4 bytes, big endian) and that many bytes:
//!
//! | kind | direction | bytes |
//! |---|---|---|
//! | `R` | to the node | a request as JSON |
//! | `E` | from the node | an event as JSON |
//! | `B` | from the node | bytes of a file |
//! | `D` | from the node | the result as JSON; last |
//! | `F` | from the node | a failure as JSON; last |

mod client;
mod frame;
mod server;

pub(crate) use client::{call, is_running};
pub(crate) use server::Server;
