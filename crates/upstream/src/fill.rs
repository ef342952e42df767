//! What the upstream sends of a file that peers send too: no chunk has to come from both.
//!
//! The upstream sends from the beginning, because its readers read so; peers are asked for the end
//! first. The file is whole when the two meet, as fast as both together.

use std::convert::Infallible;

use hubless_content::{CHUNK_SIZE, ChunkIndex, chunk_count, chunk_offset};
use hubless_store::IncomingReader;
use hubless_transfer::{
    Failure,
    fetch::{ExternalChunks, PutOutcome},
};
use tokio::sync::watch;

use super::pull::{Pull, State};

/// Chunks that are looked at before it is looked how far the upstream is: 16 MiB.
const CHUNKS_AT_ONCE: u32 = 64;

/// Gives a fetch of a file of `size` bytes what the upstream sends of it. Ends only if it cannot.
pub(super) async fn fill(
    external: ExternalChunks,
    size: u64,
    pull: &Pull,
    mut state: watch::Receiver<State>,
) -> Result<Infallible, Failure> {
    let mut filling = Filling {
        external,
        size,
        next: 0,
        begun: false,
        alone: false,
    };
    loop {
        state.borrow_and_update();
        if let Some(came) = pull.came().filter(|_| filling.external.is_ready()) {
            filling.step(&came, pull.is_only_peers()).await?;
        }
        if state.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

struct Filling {
    external: ExternalChunks,
    size: u64,
    /// The first chunk that was not looked at.
    next: u32,
    begun: bool,
    /// Peers know that they are alone.
    alone: bool,
}

impl Filling {
    async fn step(&mut self, came: &IncomingReader, only_peers: bool) -> Result<(), Failure> {
        if !self.begun {
            self.begun = true;
            self.external.ask_peers_for_the_end().await;
        }
        let end = self.whole_chunks(came.written());
        while self.next < end {
            let chunks = self.next..end.min(self.next.saturating_add(CHUNKS_AT_ONCE));
            self.next = chunks.end;
            for chunk in self.external.missing(chunks).await? {
                self.give(chunk, came).await?;
            }
        }
        if only_peers && !self.alone {
            self.alone = true;
            self.external.ask_peers_from(self.next).await;
        }
        Ok(())
    }

    async fn give(&self, chunk: ChunkIndex, came: &IncomingReader) -> Result<(), Failure> {
        let came = came.clone();
        let read = move || came.read(chunk_offset(chunk), CHUNK_SIZE);
        match self.external.put(chunk, read).await? {
            PutOutcome::Held => Ok(()),
            // One of the two sends another file, and the digest of the whole shows which.
            PutOutcome::Wrong => std::future::pending().await,
        }
    }

    fn whole_chunks(&self, bytes: u64) -> u32 {
        match bytes == self.size {
            true => chunk_count(self.size),
            false => u32::try_from(bytes / CHUNK_SIZE as u64).unwrap_or(u32::MAX),
        }
    }
}
