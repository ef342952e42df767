//! Chunks of a file that come from elsewhere while its fetch from peers is under way.
//!
//! Another hub sends the same bytes in order. Each chunk of them is one that no peer needs to send, if it
//! is what the chunk list says; peers begin at the end then, so that both meet.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use hubless_content::{ChunkIndex, ModelChunk};
use hubless_fetch::{FileNumber, Layout};
use hubless_store::StoreError;

use crate::{
    error::TransferError,
    fetch::connection::{Input, Shared, Stored, put},
};

/// Parts of a file, of which peers are asked for the last one first. The scheduler keeps as many
/// ranges that come first.
const PARTS: u32 = 16;

/// The only file of a fetch of one.
const FILE: FileNumber = FileNumber(0);

/// Where a fetch of one file takes chunks from elsewhere.
#[derive(Clone)]
pub struct ExternalChunks(Arc<Shared>);

/// What became of a chunk from elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutOutcome {
    /// It is stored, or was here already.
    Held,
    /// It is not what the file has in this place.
    Wrong,
}

impl ExternalChunks {
    pub(in crate::fetch) fn new(shared: &Arc<Shared>) -> Self {
        Self(shared.clone())
    }

    /// Whether chunks can be proven, and so put.
    pub fn is_ready(&self) -> bool {
        self.layout().is_some()
    }

    /// Asks peers for the end of the file first, since its beginning comes from elsewhere.
    pub async fn ask_peers_for_the_end(&self) {
        let Some(layout) = self.layout() else { return };
        let part = layout.chunks().div_ceil(PARTS).max(1);
        let chunks = layout.range(FILE);
        for start in ModelChunk::each(chunks.clone()).step_by(part as usize) {
            let end = start.plus(part).min(chunks.end);
            self.prioritize(start..end).await;
        }
    }

    /// Asks peers for what follows this chunk first.
    pub async fn ask_peers_from(&self, index: ChunkIndex) {
        if let Some(layout) = self.layout() {
            let first = layout.chunk(FILE, index);
            self.prioritize(first..layout.range(FILE).end).await;
        }
    }

    /// Chunks among these that are not here.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn missing(
        &self,
        chunks: Range<ChunkIndex>,
    ) -> Result<Vec<ChunkIndex>, TransferError> {
        let Some(layout) = self.layout() else {
            return Ok(Vec::new());
        };
        let (store, file) = (self.0.fetches.cx.store.clone(), layout.entry(FILE).hash);
        let held = self
            .0
            .fetches
            .cx
            .blocking
            .run(move || store.held(file))
            .await??;
        let is_missing = |chunk: &u32| !held.as_ref().is_some_and(|held| held.contains(*chunk));
        let numbers = chunks.start.0..chunks.end.0;
        Ok(numbers.filter(is_missing).map(ChunkIndex).collect())
    }

    /// Takes the bytes that `read` returns for a chunk, if they are right.
    ///
    /// # Errors
    /// If they cannot be read or stored.
    pub async fn put(
        &self,
        index: ChunkIndex,
        read: impl FnOnce() -> Result<Bytes, StoreError> + Send + 'static,
    ) -> Result<PutOutcome, TransferError> {
        let Some(layout) = self.layout() else {
            return Ok(PutOutcome::Held);
        };
        let fetches = self.0.fetches.clone();
        let chunk = layout.chunk(FILE, index);
        let store = move || Ok(put(&fetches, &layout, chunk, FILE, read()?));
        let stored: Result<Stored, StoreError> = self.0.fetches.cx.blocking.run(store).await?;
        match stored? {
            Stored::Right { chunk, bytes } => {
                self.report(Input::External { chunk, bytes }).await;
                Ok(PutOutcome::Held)
            }
            Stored::Failed { error, .. } => Err(error.into()),
            _ => Ok(PutOutcome::Wrong),
        }
    }

    /// Known when the chunk list is.
    fn layout(&self) -> Option<Arc<Layout>> {
        let layout = self.0.layout.borrow().clone();
        layout.filter(|layout| layout.list(FILE).is_some())
    }

    async fn prioritize(&self, chunks: Range<ModelChunk>) {
        self.report(Input::Prioritize(chunks)).await;
    }

    async fn report(&self, input: Input) {
        // Fails only if the fetch has ended.
        let _ = self.0.report(input).await;
    }
}
