//! An upstream: its client, what it answered lately, and the pulls of its files.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use hubless_content::{CommitId, FileHash, FileHasher, RepoId};
use hubless_store::PastCommit;
use hubless_transfer::Withheld;

use crate::{
    client::Client,
    complete::Missing,
    error::SetupError,
    hosts::{Hosts, UpstreamUrl},
    no_peers::NoPeersCache,
    pulls::Pulls,
    ttl_cache::TtlCache,
};

/// Limit of cached histories, of at most about 200 KB each.
const HISTORIES_MAX: usize = 100;

/// The identity of a caller: a hash of its token, which is kept no longer than its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Asker(Option<FileHash>);

/// An upstream, with a cache of its recent responses.
pub struct Upstream {
    pub(crate) client: Client,
    /// The key of the token hashes, so that they are useless outside this process.
    salt: [u8; 32],
    pub(crate) commits: TtlCache<(RepoId, String, Asker), CommitId>,
    pub(crate) refs: TtlCache<(RepoId, Asker), ()>,
    pub(crate) access: TtlCache<(RepoId, Asker), ()>,
    pub(crate) histories: TtlCache<(RepoId, CommitId, Asker), Arc<Vec<PastCommit>>>,
    pub(crate) pulls: Pulls,
    pub(crate) missing: Missing,
    no_peers: NoPeersCache,
    pub(crate) bytes_received: AtomicU64,
    /// The files that peers must not get.
    pub(crate) withheld: Withheld,
    /// Whether repos that the hub deletes stay readable by commit id.
    pub(crate) keep_deleted: bool,
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

    pub(crate) fn asker(&self, token: Option<&str>) -> Asker {
        Asker(token.map(|token| {
            let mut hasher = FileHasher::new();
            hasher.update(&self.salt);
            hasher.update(token.as_bytes());
            hasher.finish().file()
        }))
    }
}
