//! The composition: a node that publishes, fetches, serves and mirrors models.
//!
//! `store`, `scheduler` and `network` do not know each other; they meet here. What people and
//! programs can ask of a node is one list, [`api::Request`], answered in the same way by a node in
//! this process and by one that runs elsewhere on the same home directory ([`Session`] chooses).
//!
//! # Who talks to whom
//! ```text
//! Session -> host (which process has the home open) -> (Unix socket ->) control -> publish / fetch / inspect -> store, network
//! gateway -> repos -> store, fetch (peers), upstream (HTTP)
//! network -> serve -> store
//! store changes -> announcing -> network (DHT)
//! store changes -> digesting -> store (what other hubs call the files)
//! scrubbing -> store (what is at rest is checked)
//! store damage -> repairing -> announcing, fetch (what is kept comes back)
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
