//! Reads the directories of a node: from the newest state of their repos that is here.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use hubless_content::{ContentHash, ManifestEntry, PublisherId, RefName, RepoId, Tree};
use hubless_store::{Store, StoreError};
use hubless_sync::lock;
use hubless_transfer::{
    Aborted, Fetches, TransferError,
    fetch::{SharedFetch, StoredStream},
};

use super::{DIRECTORY_BYTES_MAX, Directory, DirectoryError};

/// The file of a directory in its repo.
const FILE: &str = "names.txt";

/// How long a file that is not held may take to come from peers: clients of the gateway wait 10 s for all
/// of an answer.
const READ_WITHIN: Duration = Duration::from_secs(6);

/// Why a directory gives no answer.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// No state of it is here: its publisher is not followed, or nothing has come yet.
    #[error("the directory {directory} is not here")]
    NotHere {
        /// The directory.
        directory: RepoId,
    },
    /// Its newest state has no file of names.
    #[error("the directory {directory} has no file {FILE}")]
    NoFile {
        /// The directory.
        directory: RepoId,
    },
    /// The file breaks a rule.
    #[error("the file {FILE} of {directory}: {source}")]
    Wrong {
        /// The directory.
        directory: RepoId,
        /// The first line that is wrong.
        source: DirectoryError,
    },
    /// Peers did not give the file.
    #[error("the file {FILE} of {directory} could not be read: {source}")]
    Transfer {
        /// The directory.
        directory: RepoId,
        /// Why.
        source: TransferError,
    },
    /// Peers did not give the file in time.
    #[error("the file {FILE} of {directory} did not come within {} s", READ_WITHIN.as_secs())]
    Late {
        /// The directory.
        directory: RepoId,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A call of the store was aborted.
    #[error(transparent)]
    Aborted(#[from] Aborted),
}

/// The directories of a node, in the order in which they are believed.
pub struct Directories {
    fetches: Arc<Fetches>,
    repos: Vec<RepoId>,
    /// Of each repo, the last content that was read, and what it said.
    read: Mutex<HashMap<RepoId, (ContentHash, Arc<Directory>)>>,
}

impl Directories {
    /// The directories in `repos`.
    pub fn new(fetches: Arc<Fetches>, repos: Vec<RepoId>) -> Self {
        Self {
            fetches,
            repos,
            read: Mutex::default(),
        }
    }

    /// The publisher that a folded namespace has in the first directory that knows it, and the
    /// directory.
    ///
    /// # Errors
    /// If a directory before that cannot be read: what it says of the namespace is not known then.
    pub async fn publisher(
        &self,
        folded: &str,
    ) -> Result<Option<(&RepoId, PublisherId)>, ReadError> {
        for repo in &self.repos {
            if let Some(publisher) = self.newest(repo).await?.publisher(folded) {
                return Ok(Some((repo, publisher)));
            }
        }
        Ok(None)
    }

    async fn newest(&self, repo: &RepoId) -> Result<Arc<Directory>, ReadError> {
        let (store, id) = (self.fetches.cx.store.clone(), repo.clone());
        let newest = move || content(&store, &id);
        let newest = self.fetches.cx.blocking.run(newest).await??;
        let content = newest.ok_or_else(|| ReadError::NotHere {
            directory: repo.clone(),
        })?;
        if let Some((read, directory)) = lock(&self.read).get(repo)
            && *read == content
        {
            return Ok(directory.clone());
        }
        let reading = tokio::time::timeout(READ_WITHIN, self.read(repo, content)).await;
        let late = |_| ReadError::Late {
            directory: repo.clone(),
        };
        let directory = Arc::new(reading.map_err(late)??);
        lock(&self.read).insert(repo.clone(), (content, directory.clone()));
        Ok(directory)
    }

    async fn read(&self, repo: &RepoId, content: ContentHash) -> Result<Directory, ReadError> {
        let directory = || repo.clone();
        let wrong = |source| ReadError::Wrong {
            directory: directory(),
            source,
        };
        let transfer = |source| ReadError::Transfer {
            directory: directory(),
            source,
        };
        let no_file = || ReadError::NoFile {
            directory: directory(),
        };
        let entry = self.entry(content).await.map_err(transfer)?;
        let entry = entry.ok_or_else(no_file)?;
        if entry.size > DIRECTORY_BYTES_MAX {
            return Err(wrong(DirectoryError::TooLarge));
        }
        let all = 0..entry.size;
        let mut stream = StoredStream::new(self.fetches.clone(), Some(content), entry, all);
        let mut bytes = Vec::new();
        while let Some(piece) = stream.next().await.map_err(transfer)? {
            bytes.extend_from_slice(&piece);
        }
        Directory::parse(&bytes).map_err(wrong)
    }

    /// The file of names in the content; a manifest that is not held comes from peers.
    async fn entry(&self, content: ContentHash) -> Result<Option<ManifestEntry>, TransferError> {
        let store = self.fetches.cx.store.clone();
        let held = move || store.manifest(content);
        let manifest = match self.fetches.cx.blocking.run(held).await?? {
            Some(manifest) => manifest,
            None => {
                SharedFetch::join(&self.fetches, content)?
                    .manifest()
                    .await?
            }
        };
        let mut entries = manifest.entries().iter();
        Ok(entries.find(|entry| entry.path.as_str() == FILE).cloned())
    }
}

/// The content of the newest state of a repo.
fn content(store: &Store, repo: &RepoId) -> Result<Option<ContentHash>, StoreError> {
    let Some(commit) = store.get_ref(repo, &RefName::main())? else {
        return Ok(None);
    };
    let revision = store.revision(repo, commit)?;
    Ok(revision.and_then(|revision| match revision.tree {
        Tree::Content(content) => Some(content),
        Tree::Listed(_) => None,
    }))
}
