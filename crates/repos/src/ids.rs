//! The ids that clients of a hub use for a file: git's SHA-1, and the SHA-256 of a large file.
//!
//! For a held file they are computed in the background after an import, and stored; a request
//! before that computes them at once, within the time that clients wait. For a file that is not
//! held, peers that hold it claim them ([`hubless_transfer::Claimed`]), without transferring the
//! file.
//!
//! If no peer knows them, a file of one chunk is fetched, and a larger one gets its own hash as its
//! id, which stays the same until it is held (decision 12).

use std::time::Duration;

use futures::{StreamExt, stream};
use hubless_content::{
    CHUNK_SIZE, ContentHash, FileHash, GitBlobId, Lfs, ManifestEntry, Sha256, Tree,
};
use hubless_store::{Digests, Store, StoreError};
use hubless_transfer::{
    TransferError,
    fetch::{SharedFetch, StoredStream},
    is_text,
};
use hubless_upstream::RepoError;
use hubless_wire::FileDigests;
use tokio::time::{Instant, timeout_at};

use crate::{attributes::Attributes, file::RepoFile, repos::Repos, resolve::Resolved};

/// Time limit of a metadata request about a file: clients wait 10 s.
const ANSWER_WITHIN: Duration = Duration::from_secs(6);

/// Time limit of the ids for a request that also gets the bytes: the time that a disk needs for a
/// file of some MiB.
const ANSWER_SOON: Duration = Duration::from_millis(200);

/// Time limit of peers' claims about a file: to connect, and the 2 s in which they may compute
/// them.
const CLAIMED_WITHIN: Duration = Duration::from_secs(3);

/// The same for a request that also gets the bytes, which come from the same peers.
const CLAIMED_SOON: Duration = Duration::from_secs(1);

/// How long a metadata request waits for a peer that has the file. The fetch keeps running, so a
/// repeated request finds a peer that answers later.
const HOLDER_WITHIN: Duration = Duration::from_secs(3);

/// Largest file that is fetched for its ids if no peer knows them: one chunk.
const FETCH_FOR_IDS_MAX: u64 = CHUNK_SIZE as u64;

/// Limit of the bytes of such files that a list fetches: the configurations and tokenizers of a
/// model, which the client that lists it is about to download.
const FETCH_FOR_LIST_MAX: u64 = 8 * 1024 * 1024;

/// How long a list waits for these fetches; the rest of its time is for peers and for computing.
const LIST_FETCHED_WITHIN: Duration = Duration::from_secs(2);

/// Files that a list fetches at once: round trips overlap, and the queue of the shared fetch is not filled.
const LIST_FETCHES_MAX: usize = 16;

/// How long a response waits for `.gitattributes`, which is fetched if it is not held.
const ATTRIBUTES_WITHIN: Duration = Duration::from_secs(3);

/// Bytes of `.gitattributes` that are read.
const ATTRIBUTES_BYTES_MAX: u64 = 256 * 1024;

/// Git's id for "no object".
const NO_OBJECT: &str = "0000000000000000000000000000000000000000";

/// The ids that a hub uses for a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileIds {
    /// A regular file.
    Regular(GitBlobId),
    /// A large file: git holds a pointer to it.
    Large {
        /// SHA-256 of the content.
        sha256: Sha256,
        /// Git's id of the pointer.
        pointer: GitBlobId,
        /// Bytes of the pointer.
        pointer_size: u32,
    },
    /// The file is not held, or was not read yet, and no peer claims its ids: only its address is
    /// known.
    Unknown(Option<FileHash>),
}

impl FileIds {
    fn large(sha256: Sha256, size: u64) -> Self {
        let pointer = pointer(sha256, size);
        Self::Large {
            sha256,
            pointer: Digests::of(pointer.as_bytes()).git_blob,
            pointer_size: pointer.len() as u32,
        }
    }

    /// Git's object at the path: 40 digits, if it is known.
    pub fn oid(&self) -> Option<GitBlobId> {
        match self {
            Self::Regular(id) => Some(*id),
            Self::Large { pointer, .. } => Some(*pointer),
            Self::Unknown(_) => None,
        }
    }

    /// As [`FileIds::oid`] for clients that require a value: zeros, git's "no object", if it is not
    /// known.
    pub fn oid_or_zeros(&self) -> String {
        self.oid()
            .map_or_else(|| NO_OBJECT.into(), |id| id.to_string())
    }

    /// The id of the content: 40 digits for a regular file, 64 for a large one, and for a file with
    /// unknown ids its BLAKE3.
    pub fn etag(&self) -> String {
        match self {
            Self::Regular(id) => id.to_string(),
            Self::Large { sha256, .. } => sha256.to_string(),
            Self::Unknown(file) => file.map_or_else(String::new, |file| file.to_string()),
        }
    }
}

/// The pointer that git stores in place of a large file.
pub fn pointer(sha256: Sha256, size: u64) -> String {
    format!("version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n")
}

/// The state of a file's digests.
enum Known {
    /// Computed on this node.
    Proven(Named),
    /// The file is held, but was not read yet; an earlier claim of a peer.
    NotRead(Option<Named>),
    /// The file is not held; a claim of a peer.
    NotHere(Option<Named>),
}

/// The digests of a file, and whether it begins as text.
#[derive(Debug, Clone, Copy)]
struct Named {
    digests: Digests,
    is_text: bool,
}

impl From<FileDigests> for Named {
    fn from(claim: FileDigests) -> Self {
        Self {
            digests: Digests {
                sha256: claim.sha256,
                git_blob: claim.git_blob,
            },
            is_text: !claim.binary,
        }
    }
}

impl Repos {
    /// The ids of a file. A `patient` caller, which requests only metadata, waits for peers and the
    /// disk as long as clients do. No bytes of the file are fetched, unless it has one chunk and no
    /// peer knows its ids.
    ///
    /// # Errors
    /// If the store fails, or if the caller is patient and no peer has the file.
    pub async fn ids(
        &self,
        resolved: &Resolved,
        file: &RepoFile,
        patient: bool,
    ) -> Result<FileIds, RepoError> {
        let start = Instant::now();
        if let Some(listed) = listed(file) {
            return Ok(listed);
        }
        if patient {
            self.expect_holder(resolved, file).await?;
        }
        let files = std::slice::from_ref(file);
        let (claimed, read) = match patient {
            true => (CLAIMED_WITHIN, ANSWER_WITHIN),
            false => (CLAIMED_SOON, ANSWER_SOON),
        };
        self.ask_peers(resolved, files, start + claimed).await?;
        if patient {
            let fetching = self.fetch_small(resolved, files);
            self.in_time(start + read, fetching).await?;
        }
        let deadline = Instant::now().max(start + read);
        let mut ids = self.ids_until(resolved, files, deadline).await?;
        Ok(ids.pop().unwrap_or(FileIds::Unknown(file.hash)))
    }

    /// The ids of files, as far as they are known, or can be computed or claimed by peers while a
    /// client waits.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn ids_of(
        &self,
        resolved: &Resolved,
        files: &[RepoFile],
    ) -> Result<Vec<FileIds>, RepoError> {
        let start = Instant::now();
        self.ask_peers(resolved, files, start + CLAIMED_WITHIN)
            .await?;
        let fetching = self.fetch_small(resolved, files);
        self.in_time(Instant::now() + LIST_FETCHED_WITHIN, fetching)
            .await?;
        self.ids_until(resolved, files, start + ANSWER_WITHIN).await
    }

    /// Waits until a peer that has some of the file's model is connected; returns at once if the
    /// file is held or comes from a hub.
    async fn expect_holder(&self, resolved: &Resolved, file: &RepoFile) -> Result<(), RepoError> {
        let Some((model, entry)) = resolved.addressed(file) else {
            return Ok(());
        };
        if self.store(move |store| is_held(store, entry.hash)).await? {
            return Ok(());
        }
        Ok(SharedFetch::join(&self.fetches, model)?
            .holder(HOLDER_WITHIN)
            .await?)
    }

    /// Requests the ids of files that are neither held nor claimed from peers.
    async fn ask_peers(
        &self,
        resolved: &Resolved,
        files: &[RepoFile],
        deadline: Instant,
    ) -> Result<(), RepoError> {
        let Tree::Content(model) = resolved.revision.tree else {
            return Ok(());
        };
        let hashes = self.unnamed(resolved, files).await?;
        let hashes: Vec<FileHash> = hashes.into_iter().map(|(_, entry)| entry.hash).collect();
        if hashes.is_empty() {
            return Ok(());
        }
        let shared = SharedFetch::join(&self.fetches, model)?;
        if timeout_at(deadline, shared.digests(&hashes)).await.is_err() {
            tracing::debug!(%model, "peers are not waited for any longer to say what files are called");
        }
        Ok(())
    }

    /// The files that are neither held nor claimed.
    async fn unnamed(
        &self,
        resolved: &Resolved,
        files: &[RepoFile],
    ) -> Result<Vec<(ContentHash, ManifestEntry)>, RepoError> {
        let unlisted = files.iter().filter(|file| listed(file).is_none());
        let wanted: Vec<_> = unlisted
            .filter_map(|file| resolved.addressed(file))
            .collect();
        let claimed = self.fetches.claimed.clone();
        self.store(move |store| {
            let mut unnamed = Vec::new();
            for (model, entry) in wanted {
                if claimed.get(entry.hash).is_none() && !is_held(store, entry.hash)? {
                    unnamed.push((model, entry));
                }
            }
            Ok(unnamed)
        })
        .await
    }

    /// Fetches the files of one chunk whose ids are unknown.
    async fn fetch_small(&self, resolved: &Resolved, files: &[RepoFile]) -> Result<(), RepoError> {
        let mut small = self.unnamed(resolved, files).await?;
        small.retain(|(_, entry)| entry.size <= FETCH_FOR_IDS_MAX);
        small.sort_by_key(|(_, entry)| entry.size);
        let mut room = FETCH_FOR_LIST_MAX;
        let small = small.into_iter().take_while(|(_, entry)| {
            let fits = entry.size <= room;
            room = room.saturating_sub(entry.size);
            fits
        });
        let reads = small.map(|(model, entry)| {
            let range = 0..entry.size;
            read_to_end(StoredStream::new(
                self.fetches.clone(),
                Some(model),
                entry,
                range,
            ))
        });
        // A file that no peer sends is not an error: its ids stay unknown.
        stream::iter(reads)
            .for_each_concurrent(LIST_FETCHES_MAX, |read| async { drop(read.await) })
            .await;
        Ok(())
    }

    /// Waits for the fetches up to the time limit; the ids of other files stay unknown.
    async fn in_time(
        &self,
        deadline: Instant,
        fetching: impl Future<Output = Result<(), RepoError>>,
    ) -> Result<(), RepoError> {
        timeout_at(deadline, fetching).await.unwrap_or_else(|_| {
            tracing::debug!(
                "files are not waited for any longer that were to be fetched for their ids"
            );
            Ok(())
        })
    }

    async fn ids_until(
        &self,
        resolved: &Resolved,
        files: &[RepoFile],
        deadline: Instant,
    ) -> Result<Vec<FileIds>, RepoError> {
        let attributes = self.attributes(resolved).await?;
        let mut all = Vec::with_capacity(files.len());
        for file in files {
            if let Some(listed) = listed(file) {
                all.push(listed);
                continue;
            }
            let named = match file.hash {
                Some(hash) => self.named(hash, deadline).await?,
                None => None,
            };
            all.push(match named {
                None => FileIds::Unknown(file.hash),
                Some(Named { digests, is_text }) => {
                    match !is_text || attributes.is_large(file.path.as_str(), file.size) {
                        true => FileIds::large(digests.sha256, file.size),
                        false => FileIds::Regular(digests.git_blob),
                    }
                }
            });
        }
        Ok(all)
    }

    /// The digests of a file: proven if it is held and can be read in time, else a peer's claim.
    async fn named(&self, hash: FileHash, deadline: Instant) -> Result<Option<Named>, RepoError> {
        match self.known(hash).await? {
            Known::Proven(named) => Ok(Some(named)),
            Known::NotHere(claimed) => Ok(claimed),
            Known::NotRead(claimed) => {
                let read = timeout_at(deadline, self.digester.now(hash)).await;
                match read {
                    Ok(Ok(_)) => Ok(match self.known(hash).await? {
                        Known::Proven(named) => Some(named),
                        Known::NotRead(claimed) | Known::NotHere(claimed) => claimed,
                    }),
                    // Too late for this client, which gets a response without them.
                    Ok(Err(_)) | Err(_) => Ok(claimed),
                }
            }
        }
    }

    async fn known(&self, hash: FileHash) -> Result<Known, RepoError> {
        let claimed = self.fetches.claimed.get(hash).map(Named::from);
        let known = self.store(move |store| known(store, hash, claimed)).await?;
        if let (Known::Proven(named), Some(_)) = (&known, claimed) {
            self.fetches.prove_digests(hash, named.digests).await;
        }
        Ok(known)
    }

    /// The rules of a revision. If its `.gitattributes` cannot be fetched in time, the rules of a
    /// new repository.
    async fn attributes(&self, resolved: &Resolved) -> Result<Attributes, RepoError> {
        let Tree::Content(_) = resolved.revision.tree else {
            return Ok(Attributes::new(None));
        };
        let tree = self.tree(resolved).await?;
        let Some(file) = tree
            .get(".gitattributes")
            .filter(|file| file.size <= ATTRIBUTES_BYTES_MAX)
        else {
            return Ok(Attributes::new(None));
        };
        let reading = self.read_small(resolved, &file);
        let text = tokio::time::timeout(ATTRIBUTES_WITHIN, reading).await;
        let text = text.ok().and_then(Result::ok);
        let text = text.map(|text| String::from_utf8_lossy(&text).into_owned());
        Ok(Attributes::new(text.as_deref()))
    }
}

/// The ids of a file as another hub lists them.
fn listed(file: &RepoFile) -> Option<FileIds> {
    match (file.lfs, file.git_blob) {
        (
            Some(Lfs {
                sha256,
                pointer_size,
            }),
            Some(pointer),
        ) => Some(FileIds::Large {
            sha256,
            pointer,
            pointer_size,
        }),
        (Some(lfs), None) => Some(FileIds::large(lfs.sha256, file.size)),
        (None, Some(git_blob)) => Some(FileIds::Regular(git_blob)),
        (None, None) => None,
    }
}

fn is_held(store: &Store, file: FileHash) -> Result<bool, StoreError> {
    Ok(store.file(file)?.is_some_and(|file| file.complete))
}

fn known(store: &Store, file: FileHash, claimed: Option<Named>) -> Result<Known, StoreError> {
    if let Some(digests) = store.digests(file)? {
        let is_text = is_text(store, file)?;
        return Ok(Known::Proven(Named { digests, is_text }));
    }
    Ok(match is_held(store, file)? {
        true => Known::NotRead(claimed),
        false => Known::NotHere(claimed),
    })
}

async fn read_to_end(mut stream: StoredStream) -> Result<(), TransferError> {
    while stream.next().await?.is_some() {}
    Ok(())
}
