//! The composition: a node that publishes, fetches, serves and mirrors models.
//!
//! `store`, `scheduler` and `network` do not know each other; they meet here. All requests to a
//! node are one list, [`api::Request`], answered in the same way by a node in this process and by
//! another process on the same home directory ([`Session`] chooses).
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
mod configure;
mod control;
mod core;
mod descriptors;
mod externals;
mod failure;
mod health;
mod home;
mod host;
mod inspect;
mod metrics;
mod node;
mod publish;
mod records;
mod repairing;
mod replies;
mod requests;
mod scrubbing;
mod session;
mod verifying;

pub use self::{
    health::{Check, Health},
    metrics::{DhtMetrics, FetchMetrics, Metrics, StoreMetrics},
    node::{Node, NodeHandle},
    replies::Replies,
    session::{Needs, Session},
};
pub use hubless_network::{
    Entry, Place, PlaceId, Places, PlacesConfig, Prefix, SharedPlaces, Ticket, open_regular,
};
pub use hubless_repos::{self as repos, FileStream};
pub use hubless_store::Evictions;
pub use hubless_transfer::text;
