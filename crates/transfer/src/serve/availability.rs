//! The held chunks: a bitmap, then news. A partial node sends news of gained chunks, a complete one
//! of chunks that it begins to send to other peers.
//!
//! A chunk that is lost to damage is no news: a peer that requests it gets `NotHere`, and does not
//! request it again. Therefore it is news when the node holds it again, whether the node was complete
//! or not.

use std::{collections::HashMap, ops::Range, time::Duration};

use bytes::Bytes;
use hubless_content::{CHUNK_SIZE, ChunkSet, FileHash, Manifest, chunk_count};
use hubless_network::{PeerId, Reply, RequesterGone};
use hubless_store::{Damaged, Store, StoreError};
use hubless_wire::{HAVE_RANGES_MAX, Response, Scope};
use tokio::sync::broadcast::{
    Receiver,
    error::{RecvError, TryRecvError},
};

use super::{service::Service, turns::FirstSending};
use crate::news::Gain;

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

    /// Removes damaged chunks from the announced ones; returns whether their file is in the scope.
    fn unmark(&self, damaged: &Damaged, announced: &mut ChunkSet) -> bool {
        let Some(places) = self.0.get(&damaged.file) else {
            return false;
        };
        for first in places {
            for index in &damaged.chunks {
                announced.remove(first.saturating_add(index.0));
            }
        }
        true
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
    ) -> Result<(), RequesterGone> {
        // Subscribe before reading the store, so that no change is missed.
        let changes = Changes {
            gains: self.gains.subscribe(),
            losses: self.damage.subscribe(),
        };
        let sendings = self.first_sendings.subscribe();
        let Some(announced) = self.read(move |store| held(store, scope)).await else {
            return reply.send(Response::NotHere, Bytes::new()).await;
        };
        announce_all(&announced, reply).await?;
        let Some(places) = self.read(move |store| places(store, scope)).await else {
            return Ok(());
        };
        if !announced.is_full() {
            drop(sendings);
            return self
                .announce_gains(scope, &places, announced, changes, reply)
                .await;
        }
        let of_others = announce_sendings(&places, announced.len(), (peer, sendings), reply);
        let gains = self.announce_gains(scope, &places, announced, changes, reply);
        futures::future::try_join(of_others, gains).await.map(drop)
    }

    /// The chunks that are held and were not when they were last announced.
    async fn announce_gains(
        &self,
        scope: Scope,
        places: &Places,
        mut announced: ChunkSet,
        mut changes: Changes,
        reply: &Reply,
    ) -> Result<(), RequesterGone> {
        loop {
            let mut now = announced.clone();
            let mut is_unsure = false;
            match changes.next(announced.is_full()).await {
                Ok(Change::Gained(gain)) => places.mark(gain, &mut now),
                // It may be held again already, and of a user's file no chunk is served any more.
                Ok(Change::Lost(damaged)) => {
                    is_unsure = places.unmark(&damaged, &mut announced);
                    now.clone_from(&announced);
                }
                Err(RecvError::Lagged(_)) => is_unsure = true,
                Err(RecvError::Closed) => return Ok(()),
            }
            if now == announced && !is_unsure {
                continue; // of another model
            }
            tokio::time::sleep(GATHER).await;
            is_unsure |= changes.gather(|gain| places.mark(gain, &mut now));
            if is_unsure && let Some(held) = self.read(move |store| held(store, scope)).await {
                now = held;
            }
            announce_difference(&announced, &now, reply).await?;
            announced = now;
        }
    }
}

/// A change of the held chunks.
enum Change {
    Gained(Gain),
    Lost(Damaged),
}

/// The changes of the held chunks of all models.
struct Changes {
    gains: Receiver<Gain>,
    losses: Receiver<Damaged>,
}

impl Changes {
    /// The next change; a complete scope has no gains. After `Lagged` and a loss the store has to be
    /// read again: gains before that moment are not reported any more.
    async fn next(&mut self, is_complete: bool) -> Result<Change, RecvError> {
        let change = tokio::select! {
            lost = self.losses.recv() => lost.map(Change::Lost),
            gained = self.gains.recv(), if !is_complete => gained.map(Change::Gained),
        };
        if !matches!(change, Ok(Change::Gained(_))) {
            self.gains = self.gains.resubscribe();
        }
        change
    }

    /// Gains that came meanwhile; returns whether some were missed.
    fn gather(&mut self, mut mark: impl FnMut(Gain)) -> bool {
        let mut is_unsure = false;
        loop {
            match self.gains.try_recv() {
                Ok(gain) => mark(gain),
                Err(TryRecvError::Lagged(_)) => is_unsure = true,
                Err(TryRecvError::Empty | TryRecvError::Closed) => return is_unsure,
            }
        }
    }
}

/// The chunks that begin to be sent to peers other than `peer`, each for the first time.
async fn announce_sendings(
    places: &Places,
    chunks: u32,
    (peer, mut sendings): (PeerId, Receiver<FirstSending>),
    reply: &Reply,
) -> Result<(), RequesterGone> {
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
        announce_ranges(&sent, Response::OnTheWay, reply).await?;
    }
}

fn places(store: &Store, scope: Scope) -> Result<Option<Places>, StoreError> {
    let manifest = match scope {
        Scope::Content(content) => store.manifest(content)?,
        Scope::File(_) => None,
    };
    Ok(Some(Places::of(scope, manifest.as_deref())))
}

async fn announce_all(held: &ChunkSet, reply: &Reply) -> Result<(), RequesterGone> {
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

async fn announce_difference(
    announced: &ChunkSet,
    now: &ChunkSet,
    reply: &Reply,
) -> Result<(), RequesterGone> {
    let mut gained = now.clone();
    announced.iter().for_each(|chunk| {
        gained.remove(chunk);
    });
    announce_ranges(&gained, Response::Have, reply).await
}

async fn announce_ranges(
    chunks: &ChunkSet,
    answer: impl Fn(Vec<Range<u32>>) -> Response,
    reply: &Reply,
) -> Result<(), RequesterGone> {
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
