//! Pulling through: what this node does not have, it gets from a hub outside.
//!
//! # The way of a request
//! ```text
//! repos::resolve -> lookup: name -> commit, its files listed      JSON over HTTP, kept in the store
//! repos::permit  -> lookup: may this caller have the files?       asked of the upstream, per token
//! repos::open    -> held: from the store, whoever brought it
//!                   else pull, once for all readers: from peers who claim to have it, and by a
//!                   ranged GET -> store::Incoming -> the store
//! ```
//!
//! # Trust
//! The upstream is the authority for what a name means, so a client gets its bytes as they come,
//! as it would without this node; but the last of them only when SHA-256 or git's SHA-1 of all is
//! what the upstream's listing said, and only then the file is kept and announced. Of what peers
//! claim to be the file, a client gets nothing before that ([`peers`]). A caller's token
//! goes to the upstream and nowhere else ([`client`]); no other host is contacted ([`hosts`]).
//!
//! # Not here
//! What clients ask (`gateway`), and how chunks come from peers (`fetch`).

mod body;
mod client;
mod complete;
mod error;
mod fill;
mod hosts;
mod known;
mod lookup;
mod metadata;
mod peerless;
mod peers;
mod pull;
mod room;
mod withheld;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use hubless_content::{CommitId, FileHash, FileHasher, RepoId};
use hubless_store::PastCommit;

pub use self::hosts::{ParseUpstreamUrlError, UpstreamUrl};
pub(crate) use self::{
    body::Body,
    lookup::{commit, history, permit, refresh_refs},
    pull::{Origin, Pulled, PulledStream, expected, find_held},
    withheld::Withheld,
};
use self::{
    client::Client, complete::Missing, hosts::Hosts, known::Known, peerless::Peerless, pull::Pulls,
};
use crate::api::{Failure, FailureKind};

/// Histories remembered, some 200 KB each at most.
const HISTORIES_MAX: usize = 100;

/// Who asked: a hash of the caller's token, which is kept no longer than its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Asker(Option<FileHash>);

/// A hub outside, and what it said lately.
pub(crate) struct Upstream {
    client: Client,
    /// So that hashes of tokens say nothing outside this process.
    salt: [u8; 32],
    commits: Known<(RepoId, String, Asker), CommitId>,
    refs: Known<(RepoId, Asker), ()>,
    access: Known<(RepoId, Asker), ()>,
    histories: Known<(RepoId, CommitId, Asker), Arc<Vec<PastCommit>>>,
    pulls: Pulls,
    missing: Missing,
    peerless: Peerless,
    bytes_received: AtomicU64,
}

impl Upstream {
    /// # Errors
    /// If an entry of `hosts` names no host, or there are no CA certificates.
    pub(crate) fn new(url: &UpstreamUrl, hosts: &[String]) -> Result<Arc<Self>, Failure> {
        let hosts = Hosts::new(url, hosts).map_err(|error| {
            Failure::new(FailureKind::Usage, format!("upstream_hosts: {error}"))
                .hint("a host without a scheme, such as cdn.example, or *.cdn.example")
        })?;
        Ok(Arc::new(Self {
            client: Client::new(hosts)?,
            salt: rand::random(),
            commits: Known::default(),
            refs: Known::default(),
            access: Known::default(),
            histories: Known::at_most(HISTORIES_MAX),
            pulls: Pulls::default(),
            missing: Missing::default(),
            peerless: Peerless::default(),
            bytes_received: AtomicU64::new(0),
        }))
    }

    /// What people know it by: its URL.
    pub(crate) fn name(&self) -> String {
        self.client.name()
    }

    /// Bytes of files that came from it.
    pub(crate) fn bytes_received(&self) -> u64 {
        self.bytes_received.load(Ordering::Relaxed)
    }

    /// Models that no peer gave lately.
    pub(crate) fn peerless(&self) -> &Peerless {
        &self.peerless
    }

    fn asker(&self, token: Option<&str>) -> Asker {
        Asker(token.map(|token| {
            let mut hasher = FileHasher::new();
            hasher.update(&self.salt);
            hasher.update(token.as_bytes());
            hasher.finish().file()
        }))
    }
}
