//! Chunks that are found to be wrong: deciding that once more, and holding them no longer.
//!
//! A reader, a check or a peer suspects chunks while others add and remove files. What they saw may
//! be gone by now, so it is decided here, under the commit lock, by reading the chunks again from
//! where the index has them now.

use std::path::Path;

use hubless_content::{ChunkIndex, ChunkSet, FileHash, chunk_count, chunk_offset};
use hubless_disk::{Access, DiskFile, IoContext, clone_into, is_loss, parallel};
use hubless_memory::AlignedBytes;

use crate::{
    commit::Commits,
    error::StoreError,
    files::{chunk_source::AfterDamage, damage::Damaged, located::LocatedFile, partial::Partial},
};

/// Chunks that are read again while other tasks wait for the commit lock: some 10 ms of a disk.
const CHUNKS_PER_LOCK: usize = 64;

impl Commits {
    /// Holds those of the suspected chunks no longer that are wrong when they are read again.
    /// Returns them.
    pub(crate) fn reject(
        &self,
        file: FileHash,
        suspected: &[ChunkIndex],
    ) -> Result<Vec<ChunkIndex>, StoreError> {
        let mut rejected = Vec::new();
        for group in suspected.chunks(CHUNKS_PER_LOCK) {
            let _no_commit_meanwhile = self.committing.lock();
            rejected.extend(self.reject_locked(file, group)?);
        }
        Ok(rejected)
    }

    /// As [`Shared::reject`], for a few chunks and a caller that holds the commit lock.
    pub(crate) fn reject_locked(
        &self,
        file: FileHash,
        suspected: &[ChunkIndex],
    ) -> Result<Vec<ChunkIndex>, StoreError> {
        let Some(list) = self.files.chunk_list(file)? else {
            return Ok(Vec::new());
        };
        let located = self.files.locate(file)?;
        let source = self.files.source(file, &located)?;
        let held = self.files.presence(file, &located);
        let mut buffer = AlignedBytes::default();
        let mut wrong = Vec::new();
        for index in suspected.iter().filter(|index| held.contains(index.0)) {
            if !source.is_right(&list, *index, &mut buffer)? {
                wrong.push(*index);
            }
        }
        if !wrong.is_empty() {
            self.unhold(file, &located, held, &wrong)?;
        }
        Ok(wrong)
    }

    /// Holds chunks of a file no longer. The caller holds the commit lock.
    pub(crate) fn unhold(
        &self,
        file: FileHash,
        located: &LocatedFile,
        mut held: ChunkSet,
        wrong: &[ChunkIndex],
    ) -> Result<(), StoreError> {
        for index in wrong {
            held.remove(index.0);
        }
        let path = match located {
            // That cannot be recorded: each reader finds it again.
            _ if self.files.index.is_read_only() => self.files.home.owned(file),
            LocatedFile::Missing | LocatedFile::Waiting(_) => return Ok(()),
            LocatedFile::Partial(partial) => {
                self.unhold_partial(partial, wrong)?;
                self.files.home.partial(file)
            }
            LocatedFile::Stored(record) => match self.files.after_damage(&record.place) {
                AfterDamage::Forget => {
                    self.forget(file)?;
                    self.files.home.index()
                }
                AfterDamage::Demote => {
                    self.demote(file, record.size, &held)?;
                    self.files.home.owned(file)
                }
                AfterDamage::Suspect(path) => {
                    self.files.suspect(file)?;
                    path
                }
                AfterDamage::Nothing => return Ok(()),
            },
        };
        let damaged = Damaged {
            file,
            chunks: wrong.to_vec(),
            external: located.is_external(),
        };
        self.files.damage.push(damaged, &path);
        Ok(())
    }

    pub(crate) fn unhold_partial(
        &self,
        partial: &Partial,
        wrong: &[ChunkIndex],
    ) -> Result<(), StoreError> {
        let mut state = partial.lock();
        if state.published {
            // Its commit failed, so the index still calls it partial.
            let (owned, path) = (
                self.files.home.owned(partial.file),
                self.files.home.partial(partial.file),
            );
            let file = self
                .files
                .disk
                .open(&owned, Access::Read)
                .context("open", &owned)?;
            file.set_read_only(false).context("make writable", &owned)?;
            self.files
                .disk
                .rename(&owned, &path)
                .context("rename", &owned)?;
            state.published = false;
            self.files.drop_handle(partial.file, partial.id);
        }
        state.lose(wrong);
        drop(state);
        self.files.queue.push_dirty(partial.file, 0);
        Ok(())
    }

    /// Makes a complete file partial. The index goes first: if a crash comes in between, opening
    /// the store moves the file. A file that is gone is forgotten.
    pub(crate) fn demote(
        &self,
        file: FileHash,
        size: u64,
        held: &ChunkSet,
    ) -> Result<(), StoreError> {
        let (owned, partial) = (self.files.home.owned(file), self.files.home.partial(file));
        let handle = match self.files.disk.open(&owned, Access::Read) {
            Err(error) if is_loss(&error) => return self.forget(file),
            handle => handle.context("open", &owned)?,
        };
        // An exported file may be the same one under another name, and is not ours to write to.
        let is_shared = handle.links().context("read", &owned)? > 1;
        if is_shared {
            self.copy_for_repair(&*handle, size, held, &partial)?;
            let directory = self.files.home.partials();
            self.files
                .disk
                .sync_dir(&directory)
                .context("sync", &directory)?;
        }
        let _no_loading_meanwhile = self.files.partials.lock();
        self.files.index.files().make_partial(file, size, held)?;
        self.files.drop_handle(file, 0);
        if is_shared {
            return Ok(self.files.disk.remove(&owned).context("remove", &owned)?);
        }
        handle
            .set_read_only(false)
            .context("make writable", &owned)?;
        let renamed = self.files.disk.rename(&owned, &partial);
        Ok(renamed.context("rename", &owned)?)
    }

    pub(crate) fn forget(&self, file: FileHash) -> Result<(), StoreError> {
        for (file, record) in self.forget_files(&[file])? {
            self.files.quota.give_back(record.bytes_owned());
            self.remove_file(file, &record)?;
        }
        Ok(())
    }

    /// Holds a complete file no longer that has no chunk list, and whose bytes as a whole are wrong.
    /// They stay: with the list, [`Store::recover`] finds the chunks that are right.
    pub(crate) fn reject_unlisted(&self, file: FileHash) -> Result<(), StoreError> {
        let _no_commit_meanwhile = self.committing.lock();
        let located = self.files.locate(file)?;
        let LocatedFile::Stored(record) = &located else {
            return Ok(());
        };
        if self.files.index.is_read_only() {
            return Ok(());
        }
        let path = match self.files.after_damage(&record.place) {
            AfterDamage::Demote => {
                self.demote(
                    file,
                    record.size,
                    &ChunkSet::empty(chunk_count(record.size)),
                )?;
                self.files.home.owned(file)
            }
            AfterDamage::Suspect(path) => {
                self.files.suspect(file)?;
                path
            }
            // A file of one chunk is its own list.
            AfterDamage::Forget | AfterDamage::Nothing => return Ok(()),
        };
        let damaged = Damaged {
            file,
            chunks: (0..chunk_count(record.size)).map(ChunkIndex).collect(),
            external: located.is_external(),
        };
        self.files.damage.push(damaged, &path);
        Ok(())
    }

    /// A copy of the right chunks of a file, to complete in its place.
    pub(crate) fn copy_for_repair(
        &self,
        from: &dyn DiskFile,
        size: u64,
        held: &ChunkSet,
        path: &Path,
    ) -> Result<(), StoreError> {
        let copy = self
            .files
            .disk
            .open(path, Access::Create)
            .context("make", path)?;
        if !clone_into(from, &*copy) {
            copy.allocate(size).context("make", path)?;
            let mut buffer = AlignedBytes::default();
            for chunks in held.ranges() {
                parallel::read_chunks(from, path, size, chunks, &mut buffer, |index, bytes| {
                    let written = copy.write_all_at(bytes, chunk_offset(index));
                    Ok::<_, StoreError>(written.context("write", path)?)
                })?;
            }
            copy.set_len(size).context("resize", path)?;
        }
        Ok(copy.sync().context("sync", path)?)
    }
}
