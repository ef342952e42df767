//! Tensors of completely held files of weights.

use std::io::{self, Read};

use bytes::{Buf, Bytes};
use hubless_content::{ChunkIndex, FileHash, TensorFormat, Tensors, TensorsError};
use hubless_store::Store;
use hubless_upstream::RepoError;

use crate::{file::RepoFile, repos::Repos};

impl Repos {
    /// The header of a file of weights; `None` if the file has another format or is not held
    /// completely. A malformed header is a result, and no error of this node.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn tensors(
        &self,
        file: &RepoFile,
    ) -> Result<Option<Result<Tensors, TensorsError>>, RepoError> {
        let (Some(format), Some(hash)) = (TensorFormat::of_path(file.path.as_str()), file.hash)
        else {
            return Ok(None);
        };
        if !self.is_held(file).await {
            return Ok(None);
        }
        let size = file.size;
        self.store(move |store| {
            let reader = HeldFile::new(store, hash);
            Ok(Some(Tensors::read(format, reader, size)))
        })
        .await
    }
}

/// A held file from its beginning.
struct HeldFile<'a> {
    store: &'a Store,
    file: FileHash,
    next: ChunkIndex,
    rest: Bytes,
}

impl<'a> HeldFile<'a> {
    fn new(store: &'a Store, file: FileHash) -> Self {
        Self {
            store,
            file,
            next: ChunkIndex(0),
            rest: Bytes::new(),
        }
    }
}

impl Read for HeldFile<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.rest.is_empty() {
            let chunk = self.store.read_proven(self.file, self.next);
            self.rest = chunk.map_err(io::Error::other)?.unwrap_or_default();
            self.next = ChunkIndex(self.next.0.saturating_add(1));
        }
        let bytes = buffer.len().min(self.rest.len());
        self.rest.copy_to_slice(&mut buffer[..bytes]);
        Ok(bytes)
    }
}
