//! Removing files: first from the index and from memory, then from the disk.
//!
//! A crash in between leaves a file that the index does not know, which opening the store puts aside.

use hubless_content::FileHash;
use hubless_disk::IoContext;
use hubless_index::Record;

use crate::{commit::Commits, error::StoreError, files::partial::PartialMap};

impl Commits {
    /// Removes files from the index, and from memory at the same time: the lock keeps others from
    /// loading one in between.
    pub(crate) fn forget_files(
        &self,
        files: &[FileHash],
    ) -> Result<Vec<(FileHash, Record)>, StoreError> {
        let mut partials = self.files.partials.lock();
        let removed = self.files.index.files().remove(files)?;
        for file in files {
            self.forget_in_memory(*file, &mut partials);
            self.files.uses.forget(*file);
        }
        Ok(removed)
    }

    /// A task that still works with the file must locate it again.
    pub(crate) fn forget_in_memory(&self, file: FileHash, partials: &mut PartialMap) {
        self.files.queue.forget_check(file);
        let partial = partials.remove(&file);
        if let Some(partial) = &partial {
            partial.lock().removed = true;
        }
        for partial in [0, partial.map_or(0, |partial| partial.id)] {
            self.files.drop_handle(file, partial);
        }
    }

    pub(crate) fn remove_file(&self, file: FileHash, record: &Record) -> Result<(), StoreError> {
        let Some(path) = self.files.home_path(file, &record.place) else {
            return Ok(());
        };
        match self.files.disk.remove(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            outcome => Ok(outcome.context("remove", &path)?),
        }
    }
}
