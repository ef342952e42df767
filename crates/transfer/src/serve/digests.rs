//! The aliases of held files, for peers that do not hold them yet.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use hubless_content::FileHash;
use hubless_network::{Reply, RequesterGone};
use hubless_store::{Store, StoreError};
use hubless_wire::{DIGESTS_WAIT_MS_MAX, FileDigests, Response};
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, timeout_at},
};

use super::Service;
use crate::{
    sample::{REGULAR_BYTES_MAX, is_text},
    withheld::Withheld,
};

/// Requests that wait for digests at once, each with some KiB in memory. Further ones get the known
/// digests at once.
pub(super) const DIGEST_WAITS_MAX: usize = 64;

/// The state of a file's digests.
enum Found {
    Digests(FileDigests),
    /// The file is held, but its digests are not computed yet.
    NotRead,
    /// The file is not held completely, or not given to peers.
    Nothing,
}

impl Service {
    /// Answers with the known digests. Missing ones are computed before those of other files, with
    /// a short wait.
    pub(super) async fn digests(
        &self,
        files: Vec<FileHash>,
        reply: &Reply,
    ) -> Result<(), RequesterGone> {
        let deadline = Instant::now() + Duration::from_millis(DIGESTS_WAIT_MS_MAX);
        let mut answers = vec![None; files.len()];
        let mut open: Vec<(usize, FileHash)> = files.into_iter().enumerate().collect();
        self.find(&mut open, &mut answers).await;
        let wanted: Vec<FileHash> = open.iter().map(|(_, file)| *file).collect();
        if let Some((_place, mut done)) = self.want(&wanted) {
            loop {
                self.find(&mut open, &mut answers).await;
                let is_over = open.is_empty()
                    || !matches!(timeout_at(deadline, done.changed()).await, Ok(Ok(())));
                if is_over {
                    break;
                }
            }
        }
        // One response for all reasons, equal to that of a node that does not know the request.
        let answer = match answers.iter().all(Option::is_none) {
            true => Response::NotHere,
            false => Response::Digests(answers),
        };
        reply.send(answer, Bytes::new()).await
    }

    /// Requests the computation of digests; `None` if none is needed, or too many requests wait
    /// already.
    fn want(
        &self,
        wanted: &[FileHash],
    ) -> Option<(OwnedSemaphorePermit, tokio::sync::watch::Receiver<u64>)> {
        if wanted.is_empty() {
            return None;
        }
        let done = self.digest_queue.want(wanted)?;
        let place = Arc::clone(&self.digest_waits).try_acquire_owned();
        Some((place.ok()?, done))
    }

    /// Moves known digests to `answers`, and leaves in `open` the files without.
    async fn find(&self, open: &mut Vec<(usize, FileHash)>, answers: &mut [Option<FileDigests>]) {
        let (files, withheld) = (std::mem::take(open), self.withheld.clone());
        let find_all = move |store: &Store| {
            let found = files.into_iter().map(|(position, file)| {
                let found = find(store, &withheld, file).unwrap_or_else(|error| {
                    tracing::debug!(%file, %error, "a peer asked for digests of what cannot be read");
                    Found::Nothing
                });
                (position, file, found)
            });
            Ok(Some(found.collect::<Vec<_>>()))
        };
        for (position, file, found) in self.read(find_all).await.unwrap_or_default() {
            match found {
                Found::Digests(digests) => answers[position] = Some(digests),
                Found::NotRead => open.push((position, file)),
                Found::Nothing => {}
            }
        }
    }
}

fn find(store: &Store, withheld: &Withheld, file: FileHash) -> Result<Found, StoreError> {
    if withheld.has_file(file) {
        return Ok(Found::Nothing);
    }
    let Some(held) = store.file(file)?.filter(|held| held.complete) else {
        return Ok(Found::Nothing);
    };
    let Some(digests) = store.digests(file)? else {
        return Ok(Found::NotRead);
    };
    Ok(Found::Digests(FileDigests {
        sha256: digests.sha256,
        git_blob: digests.git_blob,
        // A file that is large by its size needs no examination of its beginning.
        binary: held.size > REGULAR_BYTES_MAX || !is_text(store, file)?,
    }))
}
