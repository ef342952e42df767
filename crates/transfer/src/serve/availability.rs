//! The held chunks: a bitmap, then news. A partial node sends news of gained chunks, a complete one
//! of chunks that it begins to send to other peers.

use std::{collections::HashMap, ops::Range, time::Duration};

use bytes::Bytes;
use hubless_content::{CHUNK_SIZE, ChunkSet, FileHash, Manifest, chunk_count};
use hubless_network::{AskerGone, PeerId, Reply};
use hubless_store::{Store, StoreError};
use hubless_wire::{HAVE_RANGES_MAX, Response, Scope};
use tokio::sync::broadcast::{Receiver, error::RecvError};

use super::{
    gains::{FirstSending, Gain},
    service::Service,
};

/// News is gathered for so long before it is sent: at 100 MB/s, 12 chunks in one frame. Until a
/// swarm knows of another holder, it requests a chunk from the only complete node once more.
const GATHER: Duration = Duration::from_millis(30);

/// The position of a file's chunks in the requested scope.
struct Places(HashMap<FileHash, Vec<u32>>);

impl Places {
    fn of(scope: Scope, manifest: Option<&Manifest>) -> Self {
        let mut places: HashMap<FileHash, Vec<u32>> = HashMap::new();
        if let Scope::File(file) = scope {
            places.insert(file, vec![0]);
        }
        let mut first = 0u32;
        for entry in manifest.into_iter().flat_map(Manifest::entries) {
            places.entry(entry.hash).or_default().push(first);
            first = first.saturating_add(chunk_count(entry.size));
        }
        Self(places)
    }

    fn mark(&self, gain: Gain, held: &mut ChunkSet) {
        for first in self.0.get(&gain.file).into_iter().flatten() {
            held.insert(first.saturating_add(gain.index.0));
        }
    }
}

fn held(store: &Store, scope: Scope) -> Result<Option<ChunkSet>, StoreError> {
    match scope {
        Scope::Content(content) => store.model_held(content),
        Scope::File(file) => store.held(file),
    }
}

impl Service {
    pub(super) async fn availability(
        &self,
        peer: PeerId,
        scope: Scope,
        reply: &Reply,
    ) -> Result<(), AskerGone> {
        // Subscribe before reading the store, so that no change is missed.
        let (gains, sendings) = (self.gains.listen(), self.first_sendings.listen());
        let Some(told) = self.read(move |store| held(store, scope)).await else {
            return reply.send(Response::NotHere, Bytes::new()).await;
        };
        tell_all(&told, reply).await?;
        if told.is_full() {
            drop(gains);
            let of_others = (peer, sendings);
            return self
                .tell_sendings(scope, told.len(), of_others, reply)
                .await;
        }
        drop(sendings);
        self.tell_gains(scope, told, gains, reply).await
    }

    /// The chunks that begin to be sent to peers other than `peer`, each for the first time.
    async fn tell_sendings(
        &self,
        scope: Scope,
        chunks: u32,
        (peer, mut sendings): (PeerId, Receiver<FirstSending>),
        reply: &Reply,
    ) -> Result<(), AskerGone> {
        let Some(places) = self.read(move |store| places(store, scope)).await else {
            return Ok(());
        };
        loop {
            let mut sent = ChunkSet::empty(chunks);
            let mut mark = |sending: FirstSending| {
                if sending.to != peer {
                    places.mark(sending.chunk, &mut sent);
                }
            };
            match sendings.recv().await {
                Ok(sending) => mark(sending),
                Err(RecvError::Lagged(_)) => continue, // missed news only costs duplicate requests
                Err(RecvError::Closed) => return Ok(()),
            }
            tokio::time::sleep(GATHER).await;
            while let Ok(sending) = sendings.try_recv() {
                mark(sending);
            }
            tell_ranges(&sent, Response::OnTheWay, reply).await?;
        }
    }

    async fn tell_gains(
        &self,
        scope: Scope,
        mut told: ChunkSet,
        mut gains: Receiver<Gain>,
        reply: &Reply,
    ) -> Result<(), AskerGone> {
        let places = self.read(move |store| places(store, scope)).await;
        let Some(places) = places else { return Ok(()) };
        while !told.is_full() {
            let mut now = told.clone();
            let mut lagged = match gains.recv().await {
                Ok(gain) => {
                    places.mark(gain, &mut now);
                    false
                }
                Err(RecvError::Lagged(_)) => true,
                Err(RecvError::Closed) => return Ok(()),
            };
            if now == told && !lagged {
                continue; // of another model
            }
            tokio::time::sleep(GATHER).await;
            loop {
                match gains.try_recv() {
                    Ok(gain) => places.mark(gain, &mut now),
                    Err(tokio::sync::broadcast::error::TryRecvError::Lagged(_)) => lagged = true,
                    Err(_) => break,
                }
            }
            if lagged && let Some(held) = self.read(move |store| held(store, scope)).await {
                now = held;
            }
            tell_difference(&told, &now, reply).await?;
            told = now;
        }
        Ok(())
    }
}

fn places(store: &Store, scope: Scope) -> Result<Option<Places>, StoreError> {
    let manifest = match scope {
        Scope::Content(content) => store.manifest(content)?,
        Scope::File(_) => None,
    };
    Ok(Some(Places::of(scope, manifest.as_deref())))
}

async fn tell_all(held: &ChunkSet, reply: &Reply) -> Result<(), AskerGone> {
    let total = held.len();
    if held.is_full() {
        return reply
            .send(
                Response::Availability {
                    first: 0,
                    total,
                    complete: true,
                },
                Bytes::new(),
            )
            .await;
    }
    let bytes = Bytes::from(held.to_bytes());
    for start in (0..bytes.len()).step_by(CHUNK_SIZE) {
        let page = bytes.slice(start..bytes.len().min(start + CHUNK_SIZE));
        let first = u32::try_from(start * 8).unwrap_or(u32::MAX);
        reply
            .send(
                Response::Availability {
                    first,
                    total,
                    complete: false,
                },
                page,
            )
            .await?;
    }
    Ok(())
}

async fn tell_difference(told: &ChunkSet, now: &ChunkSet, reply: &Reply) -> Result<(), AskerGone> {
    let mut gained = now.clone();
    told.iter().for_each(|chunk| {
        gained.remove(chunk);
    });
    tell_ranges(&gained, Response::Have, reply).await
}

async fn tell_ranges(
    chunks: &ChunkSet,
    answer: impl Fn(Vec<Range<u32>>) -> Response,
    reply: &Reply,
) -> Result<(), AskerGone> {
    let ranges: Vec<Range<u32>> = chunks.ranges().collect();
    for ranges in ranges.chunks(HAVE_RANGES_MAX) {
        reply.send(answer(ranges.to_vec()), Bytes::new()).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use hubless_content::{ChunkIndex, ManifestEntry};

    use super::*;

    #[test]
    fn a_file_that_is_in_a_model_twice_is_gained_twice() {
        let entry = |path: &str, size, fill| ManifestEntry {
            path: path.parse().unwrap(),
            size,
            hash: FileHash::new([fill; 32]),
        };
        let large = 3 * CHUNK_SIZE as u64;
        let entries = vec![entry("a", large, 1), entry("b", 5, 2), entry("c", large, 1)];
        let manifest = Manifest::new(entries).unwrap();
        let scope = Scope::Content(manifest.content_hash());
        let places = Places::of(scope, Some(&manifest));
        let mut held = ChunkSet::empty(7);
        places.mark(
            Gain {
                file: FileHash::new([1; 32]),
                index: ChunkIndex(1),
            },
            &mut held,
        );
        places.mark(
            Gain {
                file: FileHash::new([9; 32]),
                index: ChunkIndex(0),
            },
            &mut held,
        );
        assert_eq!(held.iter().collect::<Vec<_>>(), [1, 5]);
    }
}
