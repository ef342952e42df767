//! Bringing the files in line with the index when a store is opened.
//!
//! A crash leaves files that the index does not know. So does an index that lost rows: nothing that
//! may be a file of the store is removed here. It is put aside in `lost/`, and taken back from there
//! when a model wants it; see `lost.rs`.

use std::path::{Path, PathBuf};

use hubless_content::FileHash;
use hubless_disk::{Access, Disk, Home, IoContext, is_import, is_loss};
use hubless_index::{FileLocation, Index};

use crate::error::StoreError;

/// Puts aside files that the index does not know, and moves back one that it calls partial, if it was
/// renamed and the commit after that did not come. Its chunks are found again by
/// [`Store::recover`](crate::Store::recover). What others left in the directories is named once.
pub(crate) fn sweep(disk: &dyn Disk, home: &Home, index: &Index) -> Result<(), StoreError> {
    let mut sweep = Sweep {
        disk,
        home,
        index,
        strays: Vec::new(),
    };
    sweep.partials()?;
    sweep.files()?;
    if let Some(first) = sweep.strays.first() {
        let (path, count) = (first.display(), sweep.strays.len());
        tracing::warn!(%path, count, "ignoring what is not the store's in its home directory");
    }
    Ok(())
}

struct Sweep<'a> {
    disk: &'a dyn Disk,
    home: &'a Home,
    index: &'a Index,
    strays: Vec<PathBuf>,
}

impl Sweep<'_> {
    fn partials(&mut self) -> Result<(), StoreError> {
        for path in self.list(&self.home.partials())? {
            let name = name_of(&path);
            let Some(file) = name.and_then(|name| name.parse::<FileHash>().ok()) else {
                // The file of an import that did not end.
                if !name.is_some_and(is_import) || self.disk.remove(&path).is_err() {
                    self.strays.push(path);
                }
                continue;
            };
            match self.place_of(file)? {
                Some(FileLocation::Partial) => {}
                // All of it is elsewhere.
                Some(FileLocation::Owned(_)) if self.is_there(&self.home.owned(file)) => {
                    self.remove(&path);
                }
                _ => self.put_aside(file, path),
            }
        }
        Ok(())
    }

    fn files(&mut self) -> Result<(), StoreError> {
        for directory in self.list(&self.home.files())? {
            for path in self.list(&directory)? {
                let file = name_of(&path).and_then(|name| name.parse::<FileHash>().ok());
                let Some(file) = file.filter(|file| self.home.owned(*file) == path) else {
                    self.strays.push(path);
                    continue;
                };
                match self.place_of(file)? {
                    Some(FileLocation::Owned(_)) => {}
                    Some(FileLocation::Partial) => self.move_back(file, &path)?,
                    _ => self.put_aside(file, path),
                }
            }
        }
        Ok(())
    }

    /// What is in a directory; nothing if it is a file that is not the store's.
    fn list(&mut self, directory: &Path) -> Result<Vec<PathBuf>, StoreError> {
        match self.disk.list(directory) {
            Err(error) if is_loss(&error) => {
                self.strays.push(directory.to_owned());
                Ok(Vec::new())
            }
            names => {
                let names = names.context("list", directory)?.into_iter();
                Ok(names.map(|name| directory.join(name)).collect())
            }
        }
    }

    fn place_of(&self, file: FileHash) -> Result<Option<FileLocation>, StoreError> {
        let record = self.index.files().get(file)?;
        Ok(record.map(|record| record.place))
    }

    fn is_there(&self, path: &Path) -> bool {
        self.disk.signature(path).is_ok()
    }

    fn remove(&self, path: &Path) {
        tracing::debug!(path = %path.display(), "removing what a crash left");
        if let Err(error) = self.disk.remove(path) {
            tracing::warn!(path = %path.display(), %error, "cannot remove what a crash left");
        }
    }

    fn put_aside(&mut self, file: FileHash, path: PathBuf) {
        let lost = self.home.lost(file);
        let moved = if self.is_there(&lost) {
            Err(std::io::ErrorKind::AlreadyExists.into())
        } else {
            let made = self.disk.create_dir_all(&self.home.losts());
            made.and_then(|()| self.disk.rename(&path, &lost))
        };
        match moved {
            Ok(()) => {
                let (path, lost) = (path.display(), lost.display());
                tracing::warn!(%path, %lost, "the index does not know this file; it was put aside");
            }
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "cannot put a file aside");
                self.strays.push(path);
            }
        }
    }

    fn move_back(&self, file: FileHash, owned: &Path) -> Result<(), StoreError> {
        let partial = self.home.partial(file);
        // A partial file that is there already is a copy made of a damaged one.
        if self.is_there(&partial) {
            self.remove(owned);
            return Ok(());
        }
        let file = self.disk.open(owned, Access::Read).context("open", owned)?;
        file.set_read_only(false).context("make writable", owned)?;
        let renamed = self.disk.rename(owned, &partial);
        Ok(renamed.context("rename", owned)?)
    }
}

fn name_of(path: &Path) -> Option<&str> {
    path.file_name()?.to_str()
}
