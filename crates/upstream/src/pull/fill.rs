//! What the upstream sends of a file that peers send too: no chunk has to come from both.
//!
//! The upstream sends from the beginning, because its readers read so; peers are asked for the end
//! first. The file is whole when the two meet, as fast as both together.

use std::convert::Infallible;

use hubless_content::{CHUNK_SIZE, ChunkIndex, chunk_count, chunk_offset};
use hubless_store::IncomingReader;
use hubless_transfer::{
    TransferError,
    fetch::{ExternalChunks, PutOutcome},
};
use tokio::sync::watch;

use crate::pulls::Shared;

/// Chunks that are checked before the upstream's progress is read again: 16 MiB.
const CHUNKS_AT_ONCE: u32 = 64;

/// Gives a fetch of a file of `size` bytes what the upstream sends of it. Ends only if it cannot.
pub(super) async fn fill(
    external: ExternalChunks,
    size: u64,
    mut stored: watch::Receiver<u64>,
    shared: &Shared,
) -> Result<Infallible, TransferError> {
    let mut changes = shared.changes();
    let mut filling = Filling {
        external,
        size,
        next: ChunkIndex(0),
        begun: false,
        alone: false,
    };
    loop {
        if let Some(body) = shared.body().filter(|_| filling.external.is_ready()) {
            filling.step(&body, shared.is_of_peers_only()).await?;
        }
        // With the first stored chunk, chunks can be proven.
        tokio::select! {
            () = changes.next() => {}
            Ok(()) = stored.changed() => {}
        }
    }
}

struct Filling {
    external: ExternalChunks,
    size: u64,
    /// The first chunk that was not checked.
    next: ChunkIndex,
    begun: bool,
    /// Peers are asked for all that is left: the upstream sends no more.
    alone: bool,
}

impl Filling {
    async fn step(
        &mut self,
        body: &IncomingReader,
        is_of_peers_only: bool,
    ) -> Result<(), TransferError> {
        if !self.begun {
            self.begun = true;
            self.external.ask_peers_for_the_end().await;
        }
        let end = self.end_of_whole_chunks(body.written());
        while self.next < end {
            let next = ChunkIndex(self.next.0.saturating_add(CHUNKS_AT_ONCE)).min(end);
            let chunks = std::mem::replace(&mut self.next, next)..next;
            for chunk in self.external.missing(chunks).await? {
                self.give(chunk, body).await?;
            }
        }
        if is_of_peers_only && !self.alone {
            self.alone = true;
            self.external.ask_peers_from(self.next).await;
        }
        Ok(())
    }

    async fn give(&self, chunk: ChunkIndex, body: &IncomingReader) -> Result<(), TransferError> {
        let body = body.clone();
        let read = move || body.read(chunk_offset(chunk), CHUNK_SIZE);
        match self.external.put(chunk, read).await? {
            PutOutcome::Held => Ok(()),
            // One of the two sends another file, and the digest of the whole shows which.
            PutOutcome::Wrong => std::future::pending().await,
        }
    }

    /// The first chunk that is not whole among so many bytes.
    fn end_of_whole_chunks(&self, bytes: u64) -> ChunkIndex {
        ChunkIndex(if bytes == self.size {
            chunk_count(self.size)
        } else {
            u32::try_from(bytes / CHUNK_SIZE as u64).unwrap_or(u32::MAX)
        })
    }
}
