//! The publishers of a node: who they are, and the changes of names that they sign.
//!
//! ```text
//! publishers   identities of this node: made, joined, changed by their root keys
//! publish      changes of repos: commits, tags, deletions, squashes, moves
//! names        all parts that deal with names, put together for one node
//! ```
//!
//! # Not here
//! Heads of others: reading, following and serving them (see `hubless-names`). Key files are there too, since
//! a head of another signer is merged where it is taken.

#![deny(clippy::self_named_module_files)]

pub mod names;
pub mod publish;
pub mod publishers;
