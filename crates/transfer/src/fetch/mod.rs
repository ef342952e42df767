//! Fetching a model, or one file of any: from a hash to verified files.
//!
//! # The way of a fetch
//! 1. [`discovery`] finds peers: those the caller named, the local network, the DHT, and the peers
//!    of peers.
//! 2. Each peer that answers becomes a [`source`]: a task that asks it and hands on what it says.
//! 3. The first source with the right manifest gives the [`layout`]: every file, every chunk.
//! 4. Sources give the chunk lists of the files that are missing; each is proven, and its chunks
//!    become wanted.
//! 5. The [`job`] feeds the scheduler and does what it says; every chunk is verified, stored, and
//!    from then on served to others.
//! 6. When nothing is missing, the files are exported.
//!
//! An interrupted fetch goes on where it was: what is stored stays stored.

mod availability;
pub mod claims;
mod digests;
pub mod discovery;
mod failures;
mod feed;
mod file;
mod job;
mod layout;
mod lists;
mod locks;
mod manifest;
mod plan;
mod selection;
mod source;
mod stream;
mod supply;
mod swarm;
mod target;
mod widen;

pub(crate) use self::feed::Feeds;
pub use self::{
    feed::{Demand, Feed},
    file::{FileFetch, Introductions},
    job::{Fetch, Job, Wish},
    layout::Layout,
    locks::Locks,
    selection::Selection,
    stream::StoredStream,
    supply::{Given, Supply},
    swarm::{Swarm, SwarmMember, swarm},
    target::Target,
};
