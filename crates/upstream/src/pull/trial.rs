//! A file that peers claim to be the wanted one, fetched to see whether it is.
//!
//! Each chunk is verified against the claimed file hash; only the digest of the whole shows that it
//! is the file that the upstream lists. Until then it is held back from peers, and it is removed if
//! it turns out to be another.

use std::{convert::Infallible, sync::Arc, time::Duration};

use hubless_content::FileHash;
use hubless_store::{Ahead, Digests, DigestsAhead, Expected};
use hubless_transfer::{
    Blocking, Fetches, HeldBack, TransferError,
    fetch::{FileFetch, Introductions},
};
use tokio::sync::watch;

use super::fill::fill;
use crate::{
    pulls::{Input, Origin, Shared, TrialEnd},
    upstream::Upstream,
};

/// How long peers may give nothing until another claim is tried, and the upstream has its turn.
const PATIENCE: Duration = Duration::from_secs(5);

/// Chunks whose digests are computed before the fetch is checked for its end: 16 MiB.
const DIGESTED_AT_ONCE: u32 = 64;

/// A claimed file that is fetched, or was.
pub(super) struct Trial {
    fetches: Arc<Fetches>,
    origin: Origin,
    file: FileHash,
    is_trusted: bool,
    /// Nothing of it was here before.
    is_fresh: bool,
    held_back: Option<HeldBack>,
}

impl Trial {
    /// Holds the file back before anything of it comes, unless it was here before.
    pub(super) async fn begin(
        fetches: &Arc<Fetches>,
        upstream: &Upstream,
        origin: &Origin,
        file: FileHash,
        is_trusted: bool,
    ) -> Result<Self, TransferError> {
        let store = fetches.cx.store.clone();
        let known = fetches.cx.blocking.run(move || store.file(file)).await??;
        let is_fresh = known.is_none();
        let held_back = (is_fresh && !is_trusted).then(|| upstream.withheld.hold_back(file));
        Ok(Self {
            fetches: fetches.clone(),
            origin: origin.clone(),
            file,
            is_trusted,
            is_fresh,
            held_back,
        })
    }

    pub(super) fn file(&self) -> FileHash {
        self.file
    }

    /// The fetch, and a way to name peers to it.
    pub(super) fn fetch(
        &self,
        shared: Arc<Shared>,
    ) -> Result<
        (
            Introductions,
            impl Future<Output = TrialEnd> + Send + 'static,
        ),
        TransferError,
    > {
        let entry = self.origin.entry(self.file);
        let mut fetch = FileFetch::new(&self.fetches, entry, PATIENCE)?;
        fetch.list_as(self.origin.show(&self.fetches, None));
        let introductions = fetch.introductions();
        let (fetches, expected, size) =
            (self.fetches.clone(), self.origin.expected, self.origin.size);
        let (file, is_trusted) = (self.file, self.is_trusted);
        let path = self.origin.path.clone();
        let run = async move {
            let filled = fill(fetch.external_chunks(), size, fetch.stored(), &shared);
            let reported = report(fetch.stored(), is_trusted, &shared);
            let proven = prove(&fetches, expected, file, size, fetch.stored());
            let fetched = async { tokio::try_join!(fetch.run(), proven) };
            let fetched: Result<((), bool), TransferError> = tokio::select! {
                fetched = fetched => fetched,
                Err(failure) = filled => Err(failure),
                never = reported => match never {},
            };
            match fetched {
                Ok(((), true)) => TrialEnd::Proven,
                Ok(((), false)) => {
                    tracing::warn!(%file, %path, "peers claimed another file");
                    TrialEnd::OtherFile
                }
                Err(failure) => {
                    tracing::debug!(%file, %failure, "no file from peers");
                    TrialEnd::Failed
                }
            }
        };
        Ok((introductions, run))
    }

    /// Removes what came for nothing.
    pub(super) async fn discard(self) {
        if !self.is_fresh {
            return;
        }
        let (store, file) = (self.fetches.cx.store.clone(), self.file);
        let discarded = Blocking::run_long(move || store.discard(file)).await;
        if let Ok(Err(error)) = discarded {
            tracing::warn!(%file, %error, "cannot remove what peers sent for nothing");
        }
        drop(self.held_back);
        self.fetches.cx.note_change();
    }
}

/// Reports the stored chunks of a trusted file, which readers get as they come.
async fn report(mut stored: watch::Receiver<u64>, is_trusted: bool, shared: &Shared) -> Infallible {
    while is_trusted && stored.changed().await.is_ok() {
        let chunks = *stored.borrow_and_update();
        shared.handle(Input::ChunksStored(chunks));
    }
    std::future::pending().await
}

/// Whether a file that is fetched is the expected one.
async fn prove(
    fetches: &Fetches,
    expected: Expected,
    file: FileHash,
    size: u64,
    stored: watch::Receiver<u64>,
) -> Result<bool, TransferError> {
    // Each chunk is verified against the hash that the upstream lists.
    if expected.file == Some(file) {
        return Ok(true);
    }
    let digests = digest(fetches, DigestsAhead::new(file, size), stored).await?;
    Ok(is_expected(expected, digests))
}

/// The digests of a file that is fetched, soon after its last chunk has come.
async fn digest(
    fetches: &Fetches,
    mut ahead: DigestsAhead,
    mut stored: watch::Receiver<u64>,
) -> Result<Digests, TransferError> {
    let mut is_over = false;
    loop {
        stored.borrow_and_update();
        let store = fetches.cx.store.clone();
        let step = move || (store.digest_ahead(&mut ahead, DIGESTED_AT_ONCE), ahead);
        let (came, now) = Blocking::run_long(step).await?;
        ahead = now;
        match came? {
            Ahead::Done(digests) => return Ok(digests),
            Ahead::More => {}
            // The fetch reports why it failed.
            Ahead::Waits if is_over => return Err(TransferError::Interrupted),
            Ahead::Waits => is_over = stored.changed().await.is_err(),
        }
    }
}

fn is_expected(expected: Expected, found: Digests) -> bool {
    let sha256 = expected.sha256.map(|sha256| sha256 == found.sha256);
    let git_blob = expected.git_blob.map(|id| id == found.git_blob);
    // Of a file of which nothing is known, anything would do.
    let is_known = sha256.is_some() || git_blob.is_some();
    is_known && sha256 != Some(false) && git_blob != Some(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_the_expected_one_if_every_known_digest_is_right_and_one_is_known() {
        let found = Digests::of(b"the file");
        let other = Digests::of(b"another");
        let expected = |sha256: Option<Digests>, git_blob: Option<Digests>| Expected {
            file: None,
            sha256: sha256.map(|digests| digests.sha256),
            git_blob: git_blob.map(|digests| digests.git_blob),
        };
        assert!(is_expected(expected(Some(found), None), found));
        assert!(is_expected(expected(None, Some(found)), found));
        assert!(is_expected(expected(Some(found), Some(found)), found));
        assert!(!is_expected(expected(Some(other), None), found));
        assert!(!is_expected(expected(Some(found), Some(other)), found));
        assert!(
            !is_expected(expected(None, None), found),
            "nothing is known"
        );
    }
}
