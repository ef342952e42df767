//! Reads small files completely, such as cards and configurations.

use std::time::Duration;

use hubless_content::{ContentHash, ManifestEntry};
use hubless_transfer::fetch::StoredStream;
use hubless_upstream::RepoError;

use crate::{file::RepoFile, repos::Repos, resolve::Resolved, stream::FileStream};

/// Time limit of one file: clients wait 10 s for a response, which may need more than one file.
const READ_WITHIN: Duration = Duration::from_secs(6);

impl Repos {
    /// Reads a small file completely, within the time that a client waits.
    ///
    /// # Errors
    /// If it cannot be fetched in time.
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
    /// If it cannot be fetched in time.
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
        let stored = StoredStream::new(self.fetches.clone(), Some(content), entry, all.clone());
        read_all(FileStream::stored(&self.fetches, stored, all, None)).await
    }
}

/// Reads a stream to its end, within the time that a client waits.
async fn read_all(mut stream: FileStream) -> Result<Vec<u8>, RepoError> {
    let read = async {
        let mut bytes = Vec::new();
        while let Some(piece) = stream.next().await? {
            bytes.extend_from_slice(&piece);
        }
        Ok::<_, RepoError>(bytes)
    };
    let read = tokio::time::timeout(READ_WITHIN, read).await;
    let late = || RepoError::Busy {
        retry_after: Duration::from_secs(1),
    };
    read.map_err(|_| late())?
}
