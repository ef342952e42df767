//! The serving side: responses to requests of peers.
//!
//! Every response comes from verified bytes: the store returns nothing else. A node also serves
//! content that it is still fetching, and sends news of gained chunks to peers that requested its
//! availability ([`Gains`](crate::news::Gains)). `NotHere` is the response for unknown, damaged and changed content,
//! and never has a reason.

mod availability;
mod digests;
mod manifests;
mod service;
mod turns;

pub use self::service::Service;
