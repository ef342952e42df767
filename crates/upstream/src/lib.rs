//! Pulling through: files that this node does not hold are fetched from another hub.
//!
//! # The path of a request
//! ```text
//! repos::resolve -> lookup: name -> commit, its files listed      JSON over HTTP, kept in the store
//! repos::permit  -> lookup: may this caller have the files?       asked of the upstream, per token
//! repos::open    -> held: from the store, whatever its source
//!                   else pull, once for all readers: from peers that claim to have it, and by a
//!                   ranged GET -> store::Incoming -> the store
//! ```
//!
//! # Trust
//! The upstream is the authority for what a name means, so a client gets its bytes as they come,
//! as it would without this node; but the last of them only when SHA-256 or git's SHA-1 of all is
//! what the upstream's listing said, and only then the file is kept and announced. Of what peers
//! claim to be the file, a client gets nothing before that (`pull`). A caller's token
//! goes to the upstream and nowhere else (`client`); no other host is contacted (`hosts`).
//!
//! # Not here
//! What clients ask (`gateway`), and how chunks come from peers (`fetch`).

mod body;
mod caller;
mod client;
mod complete;
mod error;
mod held;
mod hosts;
mod lookup;
mod metadata;
mod no_peers;
mod pull;
mod pulls;
mod repo_error;
mod room;
mod ttl_cache;
mod upstream;

pub use self::{
    body::Body,
    caller::Caller,
    error::{Refusal, SetupError, UpstreamError},
    held::{expected, find_held},
    hosts::{ParseHostError, ParseUpstreamUrlError, UpstreamUrl},
    lookup::{commit, history, permit, refresh_refs},
    no_peers::NoPeersCache,
    pull::{Pulled, PulledStream},
    pulls::{Origin, PullError},
    repo_error::{Cause, RepoError},
    upstream::Upstream,
};
