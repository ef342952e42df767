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
mod hosts;
mod lookup;
mod metadata;
mod no_peers;
mod pull;
mod repo_error;
mod room;
mod ttl_cache;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use hubless_content::{CommitId, FileHash, FileHasher, RepoId};
use hubless_store::PastCommit;
use hubless_transfer::Withheld;

pub use self::hosts::{ParseHostError, ParseUpstreamUrlError, UpstreamUrl};
pub use self::{
    body::Body,
    caller::Caller,
    error::{Refusal, SetupError, UpstreamError},
    lookup::{commit, history, permit, refresh_refs},
    no_peers::NoPeersCache,
    pull::{Origin, PullError, Pulled, PulledStream, expected, find_held},
    repo_error::{Cause, RepoError},
};
use self::{client::Client, complete::Missing, hosts::Hosts, pull::Pulls, ttl_cache::TtlCache};

/// Limit of cached histories, of at most about 200 KB each.
const HISTORIES_MAX: usize = 100;

/// The identity of a caller: a hash of its token, which is kept no longer than its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Asker(Option<FileHash>);

/// An upstream, with a cache of its recent responses.
pub struct Upstream {
    client: Client,
    /// The key of the token hashes, so that they are useless outside this process.
    salt: [u8; 32],
    commits: TtlCache<(RepoId, String, Asker), CommitId>,
    refs: TtlCache<(RepoId, Asker), ()>,
    access: TtlCache<(RepoId, Asker), ()>,
    histories: TtlCache<(RepoId, CommitId, Asker), Arc<Vec<PastCommit>>>,
    pulls: Pulls,
    missing: Missing,
    no_peers: NoPeersCache,
    bytes_received: AtomicU64,
    /// The files that peers must not get.
    withheld: Withheld,
    /// Whether repos that the hub deletes stay readable by commit id.
    keep_deleted: bool,
}

impl Upstream {
    /// An upstream with empty caches. With `keep_deleted`, repos that it deletes stay readable by
    /// commit id.
    ///
    /// # Errors
    /// If an entry of `hosts` names no host, or there are no CA certificates.
    pub fn new(
        url: &UpstreamUrl,
        hosts: &[String],
        keep_deleted: bool,
        withheld: Withheld,
    ) -> Result<Arc<Self>, SetupError> {
        let hosts = Hosts::new(url, hosts).map_err(SetupError::Hosts)?;
        Ok(Arc::new(Self {
            client: Client::new(hosts)?,
            salt: rand::random(),
            commits: TtlCache::default(),
            refs: TtlCache::default(),
            access: TtlCache::default(),
            histories: TtlCache::at_most(HISTORIES_MAX),
            pulls: Pulls::default(),
            missing: Missing::default(),
            no_peers: NoPeersCache::default(),
            bytes_received: AtomicU64::new(0),
            withheld,
            keep_deleted,
        }))
    }

    /// Its name for people: the URL.
    pub fn name(&self) -> String {
        self.client.name()
    }

    /// Bytes of files received from it.
    pub fn bytes_received(&self) -> u64 {
        self.bytes_received.load(Ordering::Relaxed)
    }

    /// Models that no peer provided lately.
    pub fn no_peers(&self) -> &NoPeersCache {
        &self.no_peers
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
