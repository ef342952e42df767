//! One fetch as a pure state machine: from a hash to the chunks that are still missing.
//!
//! A [`Fetch`] decides which peers to connect to, from which of them to request the manifest, chunk
//! lists and chunks, when to search the DHT, when a peer is banned, and when to give up. It
//! opens no connection, reads no store and no clock: a driver reports what happened ([`Input`]) and
//! executes what the fetch decided ([`Output`]). Time is an argument, counted from the start of the
//! fetch, and the seed is one too, so the same inputs give the same outputs.
//!
//! # Phases
//! | phase | what it knows | it ends with |
//! |---|---|---|
//! | locating | candidates, connected peers, from which of them the manifest is requested | a manifest |
//! | planning | the [`Layout`]: every file and chunk of the model | what the store lacks ([`Input::Planned`]) |
//! | fetching | missing chunks and chunk lists, the [`Scheduler`] | nothing missing, and no reader left |
//! | done | nothing | |
//!
//! Candidates, walks of the DHT, sources and patience belong to all phases; everything else lives in
//! the phase in which it is valid.
//!
//! # Not here
//! Connections, verification and storing (see `transfer`); which chunk is requested from which source (see
//! `scheduler`).
//!
//! # Example
//! ```
//! use std::time::Duration;
//! use hubless_content::{FileHash, ManifestEntry};
//! use hubless_fetch::{Candidate, Fetch, FetchArgs, FetchRequest, Input, Output};
//!
//! let file = ManifestEntry { path: "a.bin".parse()?, size: 1, hash: FileHash::new([7; 32]) };
//! let mut fetch = Fetch::<u32, &str>::new(FetchArgs {
//!     own: 0,
//!     request: FetchRequest::File(file),
//!     patience: Duration::from_secs(30),
//!     expects_peers: true,
//!     seed: 1,
//! });
//! // A file has its manifest from the beginning; the driver then compares it with the store.
//! assert_eq!(fetch.poll_output(), Some(Output::Join));
//! assert!(matches!(fetch.poll_output(), Some(Output::Plan(_))));
//! // A peer that a caller named is dialled at once.
//! let named = Candidate { peer: 8, addresses: vec!["tcp://[2001:db8::8]:8420"], file: None };
//! fetch.handle(Duration::ZERO, Input::PeerNamed(named));
//! assert!(matches!(fetch.poll_output(), Some(Output::Connect(_, dial)) if dial.peer == 8));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`Scheduler`]: hubless_scheduler::Scheduler

mod availability;
mod layout;
mod request;
mod state;
mod target;
mod types;

pub use availability::Availability;
pub use hubless_scheduler::SourceId;
pub use layout::{FileNumber, Layout, TooManyChunks};
pub use request::{FetchRequest, FileFilter, ReadRequest, WantedBytes};
pub use state::{Fetch, LISTS_PER_SOURCE_MAX};
pub use target::Target;
pub use types::{
    BadManifest, Candidate, Dial, End, FetchArgs, FetchError, Finished, Input, Outlook, Output,
    PeerCommand, Planned, Progress, SourceProgress, Stage, Stall, WalkEnded, WalkKey,
};
