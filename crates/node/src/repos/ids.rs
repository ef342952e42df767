//! What clients of a hub call a file: git's SHA-1, and the SHA-256 of a large one.
//!
//! They are found in the background after an import, and kept. Asked for before that, they are
//! computed now, within the time that clients wait for an answer.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use hubless_content::{ContentHash, FileHash, GitBlobId, Lfs, ManifestEntry, Sha256, Tree};
use hubless_store::{Digests, Store, StoreError};
use tokio::time::{Instant, timeout_at};

use super::{FileStream, RepoError, RepoFile, Repos, Resolved, attributes::Attributes};
use crate::{api::Failure, core::Core, digesting, fetch::StoredStream};

/// Clients wait 10 s for the answer to a question about a file.
const ANSWER_WITHIN: Duration = Duration::from_secs(6);

/// Who wants the bytes waits no longer for the ids than a disk takes for a file of some MiB.
const ANSWER_SOON: Duration = Duration::from_millis(200);

/// A file that is not here is fetched for its ids up to this size; more does not come in time.
const FETCH_FOR_IDS_MAX: u64 = 1024 * 1024 * 1024;

/// What a list fetches for the ids in it: the configurations and tokenizers of a model, which who
/// lists it is about to download. Weights are not known before somebody wants their bytes.
const FETCH_FOR_LIST_MAX: u64 = 8 * 1024 * 1024;

/// How long a list waits for that; the rest of its time is for computing.
const LIST_FETCHED_WITHIN: Duration = Duration::from_secs(3);

/// Files that a list fetches at once: round trips overlap, and the feed's queue is not filled.
const LIST_FETCHES_MAX: usize = 16;

/// The bytes by which a hub tells text from other content.
const SAMPLE_BYTES: usize = 512;

/// Bytes of `.gitattributes` that are read.
const ATTRIBUTES_BYTES_MAX: u64 = 256 * 1024;

/// What a hub calls a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileIds {
    /// A regular file.
    Regular(GitBlobId),
    /// A large file: git holds a pointer to it.
    Large {
        /// SHA-256 of the content.
        sha256: Sha256,
        /// What git calls the pointer.
        pointer: GitBlobId,
        /// Bytes of the pointer.
        pointer_size: u32,
    },
    /// Its bytes are not here, or were not read yet: only its address is known.
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

    /// What git holds at the path: 40 digits.
    pub fn oid(&self) -> String {
        match self {
            Self::Regular(id) => id.to_string(),
            Self::Large { pointer, .. } => pointer.to_string(),
            Self::Unknown(file) => {
                file.map_or_else(|| "0".repeat(40), |file| file.to_string()[..40].to_owned())
            }
        }
    }

    /// What identifies the content: 40 digits of a regular file, 64 of a large one.
    pub fn etag(&self) -> String {
        match self {
            Self::Regular(id) => id.to_string(),
            Self::Large { sha256, .. } => sha256.to_string(),
            Self::Unknown(file) => file.map_or_else(String::new, |file| file.to_string()),
        }
    }
}

/// The text that git holds in place of a large file.
pub fn pointer(sha256: Sha256, size: u64) -> String {
    format!("version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n")
}

impl Repos {
    /// The ids of a file. For a caller that is `patient`, because it asks for nothing else, the
    /// file is fetched and read if that can be done while a client waits.
    ///
    /// # Errors
    /// If the store fails. That nobody has the file is no error: its ids are not known then.
    pub async fn ids(
        &self,
        resolved: &Resolved,
        file: &RepoFile,
        patient: bool,
    ) -> Result<FileIds, RepoError> {
        let within = if patient { ANSWER_WITHIN } else { ANSWER_SOON };
        let deadline = Instant::now() + within;
        let wanted = self.ids_until(resolved, std::slice::from_ref(file), deadline, patient);
        let mut ids = wanted.await?;
        Ok(ids.pop().unwrap_or(FileIds::Unknown(file.hash)))
    }

    /// The ids of files, as many as are known or can be computed while a client waits, from what
    /// is held and from small files that peers have.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn ids_of(
        &self,
        resolved: &Resolved,
        files: &[RepoFile],
    ) -> Result<Vec<FileIds>, RepoError> {
        let start = Instant::now();
        let fetching = self.fetch_small(resolved, files);
        match timeout_at(start + LIST_FETCHED_WITHIN, fetching).await {
            Ok(fetched) => fetched?,
            Err(_) => tracing::debug!("a list does not wait any longer for the files in it"),
        }
        self.ids_until(resolved, files, start + ANSWER_WITHIN, false)
            .await
    }

    /// Fetches those of the files that are not here, the small ones.
    async fn fetch_small(&self, resolved: &Resolved, files: &[RepoFile]) -> Result<(), RepoError> {
        let unlisted = files.iter().filter(|file| listed(file).is_none());
        let wanted: Vec<_> = unlisted
            .filter_map(|file| resolved.addressed(file))
            .filter(|(_, entry)| entry.size <= FETCH_FOR_LIST_MAX)
            .collect();
        let mut missing = self.store(move |store| missing(store, wanted)).await?;
        missing.sort_by_key(|(_, entry)| entry.size);
        let mut room = FETCH_FOR_LIST_MAX;
        let small = missing.into_iter().take_while(|(_, entry)| {
            let fits = entry.size <= room;
            room = room.saturating_sub(entry.size);
            fits
        });
        let reads = small.map(|(model, entry)| {
            let range = 0..entry.size;
            read_to_end(StoredStream::new(
                self.core.clone(),
                Some(model),
                entry,
                range,
            ))
        });
        // That nobody has one of them is no error: its ids are not known then.
        stream::iter(reads)
            .for_each_concurrent(LIST_FETCHES_MAX, |read| async { drop(read.await) })
            .await;
        Ok(())
    }

    async fn ids_until(
        &self,
        resolved: &Resolved,
        files: &[RepoFile],
        deadline: Instant,
        fetch: bool,
    ) -> Result<Vec<FileIds>, RepoError> {
        let attributes = self.attributes(resolved).await?;
        let mut all = Vec::with_capacity(files.len());
        for file in files {
            if let Some(listed) = listed(file) {
                all.push(listed);
                continue;
            }
            let digests = match file.hash {
                Some(hash) => self.digests(resolved, file, hash, deadline, fetch).await?,
                None => None,
            };
            all.push(match digests {
                None => FileIds::Unknown(file.hash),
                Some((digests, is_text)) => {
                    if attributes.is_large(file.path.as_str(), file.size) || !is_text {
                        FileIds::large(digests.sha256, file.size)
                    } else {
                        FileIds::Regular(digests.git_blob)
                    }
                }
            });
        }
        Ok(all)
    }

    /// A file's digests, and whether it is text.
    async fn digests(
        &self,
        resolved: &Resolved,
        file: &RepoFile,
        hash: FileHash,
        deadline: Instant,
        fetch: bool,
    ) -> Result<Option<(Digests, bool)>, RepoError> {
        let before = self.store(move |store| known(store, hash)).await?;
        if before.is_some() {
            return Ok(before);
        }
        let is_held = self.store(move |store| is_held(store, hash)).await?;
        let stream = match resolved.addressed(file) {
            Some((model, entry)) if fetch && !is_held && file.size <= FETCH_FOR_IDS_MAX => Some(
                StoredStream::new(self.core.clone(), Some(model), entry, 0..file.size),
            ),
            _ if !is_held => return Ok(None),
            _ => None,
        };
        let found = timeout_at(deadline, find(self.core.clone(), hash, stream)).await;
        match found {
            Ok(Ok(())) => self.store(move |store| known(store, hash)).await,
            // In time or not at all: the client gets an answer without.
            Ok(Err(_)) | Err(_) => Ok(None),
        }
    }

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
        let text = self.read_small(resolved, &file).await;
        let text = text.map(|text| String::from_utf8_lossy(&text).into_owned());
        Ok(Attributes::new(text.ok().as_deref()))
    }

    /// A small file as a whole, within the time that a client waits.
    ///
    /// # Errors
    /// If it cannot be had in time.
    pub async fn read_small(
        &self,
        resolved: &Resolved,
        file: &RepoFile,
    ) -> Result<Vec<u8>, RepoError> {
        read_all(self.open(resolved, file, 0..file.size).await?).await
    }

    /// As [`Repos::read_small`], of content by its address.
    ///
    /// # Errors
    /// If it cannot be had in time.
    pub async fn read_small_of(
        &self,
        content: ContentHash,
        file: &RepoFile,
    ) -> Result<Vec<u8>, RepoError> {
        let hash = file.hash.ok_or_else(|| RepoError::NoEntry {
            path: file.path.to_string(),
        })?;
        let entry = ManifestEntry {
            path: file.path.clone(),
            size: file.size,
            hash,
        };
        let all = 0..file.size;
        let stored =
            StoredStream::new(self.core.clone(), Some(content), entry.clone(), all.clone());
        read_all(FileStream::stored(&self.core, stored, entry, all, None)).await
    }
}

/// All of a small file, within the time that a client waits.
async fn read_all(mut stream: FileStream) -> Result<Vec<u8>, RepoError> {
    let read = async {
        let mut bytes = Vec::new();
        while let Some(piece) = stream.next().await? {
            bytes.extend_from_slice(&piece);
        }
        Ok::<_, Failure>(bytes)
    };
    let read = tokio::time::timeout(ANSWER_WITHIN, read).await;
    let late = || RepoError::Busy {
        retry_after: Duration::from_secs(1),
    };
    Ok(read.map_err(|_| late())??)
}

/// What another hub says about a file.
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

/// Those that are not held.
fn missing(
    store: &Store,
    files: Vec<(ContentHash, ManifestEntry)>,
) -> Result<Vec<(ContentHash, ManifestEntry)>, StoreError> {
    let mut missing = Vec::new();
    for (model, entry) in files {
        if !is_held(store, entry.hash)? {
            missing.push((model, entry));
        }
    }
    Ok(missing)
}

fn is_held(store: &Store, file: FileHash) -> Result<bool, StoreError> {
    Ok(store.file(file)?.is_some_and(|file| file.complete))
}

fn known(store: &Store, file: FileHash) -> Result<Option<(Digests, bool)>, StoreError> {
    match store.digests(file)? {
        Some(digests) => Ok(Some((digests, is_text(store, file)?))),
        None => Ok(None),
    }
}

/// Whether the beginning of a file is text; one that is not here is taken for it.
fn is_text(store: &Store, file: FileHash) -> Result<bool, StoreError> {
    let first = store.read_proven(file, hubless_content::ChunkIndex(0))?;
    let Some(first) = first else {
        return Ok(true);
    };
    let sample = &first[..first.len().min(SAMPLE_BYTES)];
    Ok(match std::str::from_utf8(sample) {
        Ok(text) => !text.contains('\0'),
        // The sample may end inside a character.
        Err(error) => error.error_len().is_none() && sample.len() == SAMPLE_BYTES,
    })
}

async fn read_to_end(mut stream: StoredStream) -> Result<(), Failure> {
    while stream.next().await?.is_some() {}
    Ok(())
}

/// Reads a file to its end, so that it is held, and has its digests computed: once, whoever asks.
async fn find(
    core: Arc<Core>,
    file: FileHash,
    stream: Option<StoredStream>,
) -> Result<(), Failure> {
    if let Some(stream) = stream {
        read_to_end(stream).await?;
    }
    digesting::now(&core, file).await?;
    Ok(())
}
