//! From a temporary name to the place of complete files: how an import and what comes from other
//! hubs end.

use std::{
    collections::{BTreeSet, HashMap},
    path::PathBuf,
    sync::Arc,
};

use hubless_content::{ChunkList, FileHash, Manifest};
use hubless_disk::{Access, Disk, IoContext, Signature};
use hubless_index::{Digests, FileLocation, PlacedRow, Record};

use crate::{commit::Commits, error::StoreError, pending::quota::Reservation};

/// A file that is about to be known.
pub(crate) struct Placed {
    pub(crate) record: Record,
    pub(crate) list: ChunkList,
    pub(crate) copy: Option<TempFile>,
    pub(crate) digests: Option<Digests>,
}

/// A file under a temporary name that goes, with the room it takes, unless it is placed.
pub(crate) struct TempFile {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) path: PathBuf,
    pub(crate) reservation: Option<Reservation>,
}

impl Drop for TempFile {
    fn drop(&mut self) {
        // After it was moved to its place there is nothing to remove.
        let _ = self.disk.remove(&self.path);
    }
}

impl TempFile {
    /// Makes it durable and read-only.
    pub(crate) fn seal(&self) -> Result<(), StoreError> {
        let handle = self
            .disk
            .open(&self.path, Access::Update)
            .context("open", &self.path)?;
        handle.sync().context("sync", &self.path)?;
        Ok(handle
            .set_read_only(true)
            .context("make read-only", &self.path)?)
    }
}

impl Commits {
    /// Puts sealed files in their places and makes all known, and a manifest with them, in one
    /// transaction; all or none.
    pub(crate) fn place(
        &self,
        placed: HashMap<FileHash, Placed>,
        manifest: Option<&Manifest>,
    ) -> Result<(), StoreError> {
        self.files.index.writable()?;
        let _no_commit_meanwhile = self.committing.lock();
        let outcome = self.publish_placed(&placed, manifest);
        if outcome.is_err() {
            self.take_back(&placed);
        }
        self.settle_placed(placed, outcome?);
        Ok(())
    }

    /// Moves the copies and commits. Returns the records that were there before.
    fn publish_placed(
        &self,
        placed: &HashMap<FileHash, Placed>,
        manifest: Option<&Manifest>,
    ) -> Result<HashMap<FileHash, Record>, StoreError> {
        let mut directories = BTreeSet::new();
        let mut signatures = HashMap::new();
        for (file, placed) in placed {
            if let Some(copy) = &placed.copy {
                let moved = self.move_to_owned(&copy.path, *file);
                moved.context("rename to", &self.files.home.owned(*file))?;
                signatures.insert(*file, self.owned_signature(*file)?);
                directories.insert(self.files.home.owned_dir(*file));
            }
        }
        self.sync_directories(directories)?;
        let mut partials = self.files.partials.lock();
        let before = self.write_placed(placed, &signatures, manifest)?;
        for file in placed.keys() {
            self.forget_in_memory(*file, &mut partials);
        }
        Ok(before)
    }

    fn write_placed(
        &self,
        placed: &HashMap<FileHash, Placed>,
        signatures: &HashMap<FileHash, Signature>,
        manifest: Option<&Manifest>,
    ) -> Result<HashMap<FileHash, Record>, StoreError> {
        let rows: Vec<PlacedRow<'_>> = placed
            .iter()
            .map(|(file, placed)| {
                let mut record = placed.record.clone();
                if let Some(signature) = signatures.get(file) {
                    record.place = FileLocation::Owned(*signature);
                }
                PlacedRow {
                    file: *file,
                    record,
                    list: &placed.list,
                    digests: placed.digests,
                }
            })
            .collect();
        Ok(self.files.index.place(&rows, manifest)?)
    }

    /// After the commit: the room that the copies take is theirs, that of what they replaced is
    /// free.
    fn settle_placed(&self, placed: HashMap<FileHash, Placed>, before: HashMap<FileHash, Record>) {
        for (file, mut placed) in placed {
            let reservation = placed
                .copy
                .as_mut()
                .and_then(|copy| copy.reservation.take());
            if let Some(reservation) = reservation {
                reservation.keep();
            }
            let Some(old) = before.get(&file) else {
                continue;
            };
            self.files.quota.give_back(old.bytes_owned());
            if old.is_partial() {
                // Opening the store sweeps it if this fails.
                let _ = self.files.disk.remove(&self.files.home.partial(file));
            }
        }
    }

    /// After a failure: removes those copies from their places that the index does not know, unless
    /// they took the place of a fetched file whose commit is still to come.
    fn take_back(&self, placed: &HashMap<FileHash, Placed>) {
        let copies = placed.iter().filter(|(_, placed)| placed.copy.is_some());
        for file in copies.map(|(file, _)| file) {
            let partial = self.files.partials.lock().get(file).cloned();
            let is_published = partial.is_some_and(|partial| partial.lock().published);
            let record = self.files.record(*file);
            let is_unknown = record.is_ok_and(|record| !record.is_some_and(|r| r.is_owned()));
            if is_unknown && !is_published {
                let _ = self.files.disk.remove(&self.files.home.owned(*file));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use hubless_content::{CHUNK_SIZE, ChunkIndex, hash_reader};

    use super::*;
    use crate::{Store, StoreOptions};

    /// The commit after a fetch failed, so that the index still calls its file partial; then an import
    /// of the same file fails too.
    #[test]
    fn a_failed_import_does_not_take_the_only_copy_of_a_fetched_file() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(home.path(), StoreOptions::default()).unwrap();
        let bytes = vec![7; 600_000];
        let list = hash_reader(&bytes[..]).unwrap();
        let file = list.file();
        let work = &store.work;
        let no_commit_meanwhile = work.commits.lock();
        store.put_chunk_list(&list).unwrap();
        for (index, chunk) in (0..).map(ChunkIndex).zip(bytes.chunks(CHUNK_SIZE)) {
            let chunk = Bytes::copy_from_slice(chunk);
            store.put(&list.verify(index, chunk).unwrap()).unwrap();
        }
        let partial = work.files.partials.lock().get(&file).cloned().unwrap();
        work.commits.publish(std::iter::once(&*partial)).unwrap();
        let placed = Placed {
            record: Record::new(list.size(), FileLocation::Owned(Signature::default())),
            copy: Some(work.make_temporary(list.size()).unwrap().0),
            list,
            digests: None,
        };
        work.commits.take_back(&HashMap::from([(file, placed)]));
        assert_eq!(std::fs::read(work.files.home.owned(file)).unwrap(), bytes);
        drop(no_commit_meanwhile);
        store.flush().unwrap();
        assert!(store.file(file).unwrap().unwrap().complete);
    }
}
