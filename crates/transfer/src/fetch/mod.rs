//! Fetching a model, or one file of any: from a hash to verified files.
//!
//! # The way of a fetch
//! 1. [`discovery`] names peers: those the caller or the configuration names, those on the local
//!    network, those in the DHT, and the peers of peers.
//! 2. The state machine of `hubless-fetch` decides which of them to connect to, which one gives the
//!    manifest, the chunk lists and each chunk, when a peer is banned and when to give up. The
//!    `driver` reports to it what happened and executes what it decided.
//! 3. Each peer is a `connection`: a task that sends requests and reads answers; what it receives
//!    is verified, stored, and from then on served to others.
//! 4. `plan` compares what is wanted with the store.
//! 5. `read` is for bytes that are used while they come: readers of one shared fetch, streams,
//!    and chunks that another hub sent.
//! 6. When nothing is missing, the files are exported.
//!
//! An interrupted fetch goes on where it was: what is stored stays stored.

pub mod claims;
mod connection;
pub mod discovery;
mod driver;
mod file;
mod plan;
mod read;
mod swarm;

pub use self::{
    driver::{Driver, DriverArgs, Fetched},
    file::{FileFetch, Introductions},
    plan::{BadGlob, Selection},
    read::{ExternalChunks, PutOutcome, SharedFetch, StoredStream},
    swarm::{Swarm, SwarmMember, swarm},
};
