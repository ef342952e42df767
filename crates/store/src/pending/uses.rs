//! When files were last read or brought: what eviction goes by.
//!
//! Times are exact in memory, and coarse in the index, which is brought up to date with other
//! commits. After a crash a file may seem older than it is, which costs at most a second download.

use std::{
    collections::HashMap,
    sync::Mutex,
    time::{SystemTime, UNIX_EPOCH},
};

use hubless_content::FileHash;
use hubless_sync::lock;

/// Files whose last use is in memory: some 5 MB. The use of more of them between two commits is not
/// noted.
const NOTED_MAX: usize = 100_000;

/// How much older a time in the index may be: an hour, in milliseconds. Reading must not make a
/// store write.
const COARSENESS: u64 = 3_600_000;

#[derive(Default)]
pub(crate) struct Uses(Mutex<Noted>);

#[derive(Default)]
struct Noted {
    files: HashMap<FileHash, Use>,
    /// The newest time in it: no two uses have the same.
    last: u64,
}

/// Milliseconds since 1970.
struct Use {
    at: u64,
    /// The time that the index has, as far as this process wrote it.
    written: u64,
}

impl Uses {
    /// A file is read or was brought just now. Takes no lock that is held while a disk works.
    pub(crate) fn note(&self, file: FileHash) {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let at = since.map_or(0, |since| since.as_millis() as u64);
        let mut noted = lock(&self.0);
        let at = at.max(noted.last + 1);
        noted.last = at;
        let is_full = noted.files.len() >= NOTED_MAX;
        match noted.files.get_mut(&file) {
            Some(used) => used.at = at,
            None if is_full => {}
            None => drop(noted.files.insert(file, Use { at, written: 0 })),
        }
    }

    pub(crate) fn each(&self, mut visit: impl FnMut(FileHash, u64)) {
        let noted = lock(&self.0);
        noted
            .files
            .iter()
            .for_each(|(file, used)| visit(*file, used.at));
    }

    /// What the index should learn.
    pub(crate) fn due(&self) -> Vec<(FileHash, u64)> {
        let noted = lock(&self.0);
        let due = noted
            .files
            .iter()
            .filter(|(_, used)| used.at.saturating_sub(used.written) >= COARSENESS);
        due.map(|(file, used)| (*file, used.at)).collect()
    }

    /// The index has these times.
    pub(crate) fn settle(&self, written: &[(FileHash, u64)]) {
        let mut noted = lock(&self.0);
        for (file, at) in written {
            if let Some(used) = noted.files.get_mut(file) {
                used.written = *at;
            }
        }
        if noted.files.len() >= NOTED_MAX {
            noted.files.retain(|_, used| used.at > used.written);
        }
    }

    pub(crate) fn forget(&self, file: FileHash) {
        lock(&self.0).files.remove(&file);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_use_is_written_once_an_hour() {
        let (uses, file) = (Uses::default(), FileHash::new([1; 32]));
        uses.note(file);
        let due = uses.due();
        assert_eq!(due.len(), 1);
        uses.settle(&due);
        uses.note(file);
        assert_eq!(uses.due(), []);
        uses.settle(&[(file, due[0].1 - COARSENESS)]);
        assert_eq!(uses.due().len(), 1);
    }

    #[test]
    fn no_more_files_are_noted_than_fit() {
        let uses = Uses::default();
        for number in 0..=NOTED_MAX as u64 {
            let mut hash = [0; 32];
            hash[..8].copy_from_slice(&number.to_le_bytes());
            uses.note(FileHash::new(hash));
        }
        let due = uses.due();
        assert_eq!(due.len(), NOTED_MAX);
        uses.settle(&due);
        assert_eq!(
            lock(&uses.0).files.len(),
            0,
            "what the index has needs no memory"
        );
    }
}
