//! Verified bytes between this store and other nodes.
//!
//! [`Context`] is the leaf: the store, the network, the counters and the lifetime of one node. The
//! [`Fetches`] (incoming bytes), the [`Service`] (outgoing bytes) and the [`Digester`] (aliases of
//! the files, computed in the background) use it.
//!
//! # Data flow
//! ```text
//! node, upstream, repos -> Fetches -> {scheduler, network, store}
//! network -> Service -> store
//! store damage -> Fetches::damage -> readers
//! ```
//!
//! # Not here
//! Names (`repos`), other hubs (`upstream`), requests and their texts (`node`).

mod blocking;
mod busy;
mod claimed;
mod context;
mod counters;
mod damage;
mod digest_asks;
mod digests;
mod error;
pub mod fetch;
mod fetches;
mod locks;
mod news;
mod pacing;
mod progress;
mod sample;
mod serve;
mod shared_fetches;
mod swarms;
pub mod text;
mod transfers;
mod withheld;

pub use self::{
    blocking::{Aborted, Blocking},
    busy::{Busy, BusyGuard},
    claimed::{Claimed, Made},
    context::{Changes, Context},
    counters::{Count, Counters, Level},
    damage::DamageWatch,
    digests::{DigestQueue, Digester},
    error::{TransferError, is_unavailable_in_store},
    fetches::{Fetches, KnownPeers},
    locks::Locks,
    news::News,
    pacing::Pacer,
    progress::{Progress, ProgressSink, Stall, State, Subject, Transfer, TransferSource},
    sample::{REGULAR_BYTES_MAX, is_text},
    serve::Service,
    swarms::Swarms,
    transfers::{Live, TransferReport, Transfers},
    withheld::{HeldBack, Withheld},
};
