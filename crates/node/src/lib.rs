//! The composition: a node that publishes, fetches, serves and mirrors models.
//!
//! `store`, `scheduler` and `network` do not know each other; they meet here. All that a node does
//! for its callers is one list of calls ([`api::Call`]), answered in the same way by a node in this
//! process and by another process on the same home directory ([`Session`] chooses).
//!
//! # Data flow
//! ```text
//! Session -> host (finds the process) -> (Unix socket ->) control -> requests -> store, network
//! gateway -> repos -> store, fetch (peers), upstream (HTTP)
//! network -> serve -> store
//! store changes -> announcing -> network (DHT)
//! store changes -> digesting -> store (aliases of the files)
//! scrubbing -> store (stored bytes are verified)
//! store damage -> repairing -> announcing, fetch (pinned and named content is fetched again)
//! ```

pub mod accept;
mod addresses;
mod announcing;
pub mod api;
pub mod config;
pub mod config_file;
mod control;
mod core;
mod descriptors;
mod event;
mod externals;
mod failure;
mod health;
mod home;
mod host;
mod metrics;
mod node;
mod records;
mod remedy;
mod repairing;
mod replies;
mod requests;
mod scrubbing;
mod session;

pub use self::{
    health::{Check, Health},
    host::Needs,
    metrics::{DhtMetrics, FetchMetrics, Metrics, StoreMetrics},
    node::{Node, NodeHandle},
    replies::{Replies, Update},
    session::Session,
};
pub use hubless_names as names;
pub use hubless_network::{NameAt, Place, PlacesConfig, SharedPlaces, Ticket, open_regular};
pub use hubless_repos::{self as repos, FileStream};
pub use hubless_store::Evictions;
pub use hubless_transfer::text;
