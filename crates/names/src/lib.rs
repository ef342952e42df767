//! Names of the network: which publisher a namespace stands for, what the newest signed head of a
//! repo is, and how this node signs, announces, follows and serves heads.
//!
//! Repos of a publisher lie in the store as `ID/name`, beside repos that were named on this node; a
//! head that was adopted has written its refs and revisions there, so readers of repos need no
//! second way.
//!
//! # Not here
//! Formats and their proofs (see `content`), the value table of the DHT (see `dht`), what clients of
//! a hub see (see `repos`).

#![deny(clippy::self_named_module_files)]

pub mod announce;
pub mod ask;
pub mod book;
pub mod clock;
pub mod directory;
pub mod dns;
pub mod follow;
pub mod keys;
pub mod namespaces;
pub mod resolve;
pub mod serve;
pub mod sync;
pub mod watchers;
