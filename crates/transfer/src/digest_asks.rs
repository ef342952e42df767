//! Of which files peers are asked what other hubs call them, and how far that is.
//!
//! Asks are shared: whatever many clients want to know goes to the sources of one fetch in batches,
//! and each file to two sources at most at a time, so that one that is silent holds up nothing.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use hubless_content::FileHash;
use hubless_sync::lock;
use hubless_wire::DIGESTS_PER_REQUEST_MAX;
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

/// Files that are wanted at once: far more than lists of clients have. Those beyond stay unknown.
const WANTED_MAX: usize = 100_000;

/// Sources that are asked about one file at once: one may be silent.
const ASKED_AT_ONCE_MAX: u8 = 2;

/// How long other sources are waited for when one does not know: those that are being dialled.
const GRACE: Duration = Duration::from_millis(500);

/// A file and how often it was wanted: a source that did not know it then may know it now.
pub(crate) type Round = (FileHash, u32);

/// The files that sources are to be asked about. Cloning is cheap.
#[derive(Debug, Clone, Default)]
pub(crate) struct DigestAsks(Arc<Wanted>);

#[derive(Debug, Default)]
struct Wanted {
    files: Mutex<HashMap<FileHash, Asked>>,
    changed: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Asked {
    round: u32,
    /// Sources that are being asked.
    sources: u8,
    /// Whether a source did not know it in this round.
    refused: bool,
}

impl DigestAsks {
    /// Has sources asked about these files.
    pub(crate) fn want(&self, files: &[FileHash]) {
        let mut wanted = self.files();
        for file in files {
            if wanted.len() >= WANTED_MAX && !wanted.contains_key(file) {
                continue;
            }
            let asked = wanted.entry(*file).or_default();
            if asked.refused {
                asked.refused = false;
                asked.round += 1;
            }
        }
        drop(wanted);
        self.0.changed.send_replace(());
    }

    /// Ends when of each of these files either the digests came or the sources do not know them.
    pub(crate) async fn answered(&self, files: &[FileHash]) {
        let mut changed = self.changes();
        loop {
            let (open, refused) = self.state(files);
            if open {
                // Fails only without a sender, and `self` has one.
                let _ = changed.changed().await;
            } else if !refused || timeout(GRACE, changed.changed()).await.is_err() {
                return;
            }
        }
    }

    /// Whether one of the files is still asked about, and whether a source did not know one.
    fn state(&self, files: &[FileHash]) -> (bool, bool) {
        let wanted = self.files();
        let asked = || files.iter().filter_map(|file| wanted.get(file));
        let is_open = |asked: &Asked| asked.sources > 0 || !asked.refused;
        (asked().any(is_open), asked().any(|asked| asked.refused))
    }

    /// Changes when there may be something to ask, or a peer answered.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.0.changed.subscribe()
    }

    /// The next files to ask a source about, but for those that it `refused`.
    pub(crate) fn claim(&self, refused: &HashSet<Round>) -> Option<DigestAsk> {
        let mut wanted = self.files();
        let free = wanted.iter_mut().filter(|(file, asked)| {
            asked.sources < ASKED_AT_ONCE_MAX && !refused.contains(&(**file, asked.round))
        });
        let files: Vec<Round> = free
            .take(DIGESTS_PER_REQUEST_MAX)
            .map(|(file, asked)| {
                asked.sources += 1;
                (*file, asked.round)
            })
            .collect();
        drop(wanted);
        (!files.is_empty()).then(|| DigestAsk {
            files,
            asks: self.clone(),
            since: Instant::now(),
        })
    }

    fn files(&self) -> MutexGuard<'_, HashMap<FileHash, Asked>> {
        lock(&self.0.files)
    }
}

/// One source is being asked about some files. Dropping it lets others ask.
#[derive(Debug)]
pub(crate) struct DigestAsk {
    files: Vec<Round>,
    asks: DigestAsks,
    since: Instant,
}

impl DigestAsk {
    /// The files, in the order in which they are asked about.
    pub(crate) fn files(&self) -> impl ExactSizeIterator<Item = FileHash> + '_ {
        self.files.iter().map(|(file, _)| *file)
    }

    /// How long ago it was asked.
    pub(crate) fn age(&self) -> Duration {
        self.since.elapsed()
    }

    /// The source answered, and knows these files; those that it does not know are returned.
    pub(crate) fn answered(self, known: &HashSet<FileHash>) -> Vec<Round> {
        let mut wanted = self.asks.files();
        let mut unknown = Vec::new();
        for (file, round) in &self.files {
            if known.contains(file) {
                wanted.remove(file);
            } else {
                unknown.push((*file, *round));
                if let Some(asked) = wanted.get_mut(file).filter(|asked| asked.round == *round) {
                    asked.refused = true;
                }
            }
        }
        unknown
    }
}

impl Drop for DigestAsk {
    fn drop(&mut self) {
        let mut wanted = self.asks.files();
        for (file, _) in &self.files {
            if let Some(asked) = wanted.get_mut(file) {
                asked.sources = asked.sources.saturating_sub(1);
            }
        }
        drop(wanted);
        self.asks.0.changed.send_replace(());
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures::poll;

    use super::*;

    fn file(fill: u8) -> FileHash {
        FileHash::new([fill; 32])
    }

    #[test]
    fn a_file_is_asked_of_two_sources_and_again_of_one_that_did_not_know_it() {
        let asks = DigestAsks::default();
        let nothing = HashSet::new();
        asks.want(&[file(1), file(2)]);
        let first = asks.claim(&nothing).unwrap();
        let second = asks.claim(&nothing).unwrap();
        assert_eq!((first.files().len(), second.files().len()), (2, 2));
        assert!(asks.claim(&nothing).is_none(), "two are at it");
        drop(second);
        let refused: HashSet<Round> = first
            .answered(&HashSet::from([file(1)]))
            .into_iter()
            .collect();
        assert_eq!(refused, HashSet::from([(file(2), 0)]));
        assert!(asks.claim(&refused).is_none(), "it does not know the other");
        assert_eq!(asks.claim(&nothing).unwrap().files().len(), 1);
        asks.want(&[file(2)]);
        assert_eq!(
            asks.claim(&refused).unwrap().files().len(),
            1,
            "a new round"
        );
    }

    #[tokio::test]
    async fn a_waiting_caller_goes_on_when_all_is_known_or_no_source_knows_it() {
        let asks = DigestAsks::default();
        asks.want(&[file(1), file(2)]);
        let files = [file(1), file(2)];
        let mut answered = pin!(asks.answered(&files));
        assert!(poll!(&mut answered).is_pending());
        let ask = asks.claim(&HashSet::new()).unwrap();
        let start = Instant::now();
        ask.answered(&HashSet::from([file(1)]));
        assert!(
            poll!(&mut answered).is_pending(),
            "another source may know it"
        );
        answered.await;
        assert!(start.elapsed() >= GRACE);

        asks.want(&files);
        let ask = asks.claim(&HashSet::new()).unwrap();
        ask.answered(&HashSet::from(files));
        asks.answered(&files).await;
    }

    #[test]
    fn an_ask_is_bounded() {
        let asks = DigestAsks::default();
        let files: Vec<FileHash> = (0..1000u16)
            .map(|number| {
                let mut bytes = [0; 32];
                bytes[..2].copy_from_slice(&number.to_le_bytes());
                FileHash::new(bytes)
            })
            .collect();
        asks.want(&files);
        let ask = asks.claim(&HashSet::new()).unwrap();
        assert_eq!(ask.files().len(), DIGESTS_PER_REQUEST_MAX);
    }
}
