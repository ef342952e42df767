//! The directory of an export: what lies there, and how files come into it.
//!
//! A file is written under a temporary name, made durable and renamed: after a crash it is there
//! completely or not at all, and what had its name before is there otherwise. Temporary names are
//! random; those that a crash left are removed by the next export into the same directory.

use std::{
    cell::RefCell,
    collections::{BTreeSet, HashMap},
    ffi::OsStr,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use hubless_content::{ManifestEntry, ModelPath};
use hubless_disk::{Dir, Disk, DiskError, DiskFile, Entry, IoContext, Signature, clone_into};

use crate::{
    error::StoreError,
    work::temporary::{sweep, temporary_name},
};

/// Up to so many files are synced one by one; for more, one call for the whole file system is
/// cheaper, although it may wait for bytes of other programs.
const SYNC_EACH_MAX: usize = 32;

/// Files that wait for the sync of the file system together, which takes long where other programs
/// write much. A crash or an error costs the writing of these files again.
const SYNC_BATCH_FILES: usize = 16_384;

/// The directory that is exported to.
pub(crate) struct ExportTarget {
    path: PathBuf,
    root: Arc<dyn Dir>,
    device: u64,
    /// Whether names and bytes are made durable by one call for the file system.
    syncs_together: bool,
    /// Directories that were written to and those above them, relative to the target.
    touched: BTreeSet<String>,
    /// Those of them that earlier exports have left nothing in.
    swept: BTreeSet<String>,
    staged: Vec<Staged>,
    /// The directory that was used last: files come in the order of their paths.
    last: RefCell<Option<Opened>>,
}

/// A directory of the target.
#[derive(Clone)]
struct Opened {
    /// Relative to the target.
    path: String,
    directory: Arc<dyn Dir>,
    device: u64,
}

/// A file under its temporary name that is not durable yet.
struct Staged {
    path: ModelPath,
    temporary: String,
    before: Option<Signature>,
}

/// Where one file goes.
pub(crate) struct Spot {
    directory: Arc<dyn Dir>,
    device: u64,
    name: String,
    /// For messages.
    pub(crate) shown: PathBuf,
}

impl ExportTarget {
    /// Opens the directory, and makes it if there is none.
    pub(crate) fn open(disk: &dyn Disk, path: &Path) -> Result<Self, StoreError> {
        let root = disk.open_dir(path).context("open", path)?;
        let device = root.device().context("read", path)?;
        Ok(Self {
            path: path.to_owned(),
            root,
            device,
            syncs_together: false,
            touched: BTreeSet::new(),
            swept: BTreeSet::new(),
            staged: Vec::new(),
            last: RefCell::default(),
        })
    }

    /// A file of the target, for messages.
    pub(crate) fn path_of(&self, path: &ModelPath) -> PathBuf {
        self.path.join(path.as_str())
    }

    /// So many files will be written.
    pub(crate) fn expect(&mut self, files: usize) {
        self.syncs_together = files > SYNC_EACH_MAX;
    }

    /// Two names that differ only in case would become one file on some file systems.
    pub(crate) fn refuse_merged_names(&self, entries: &[&ManifestEntry]) -> Result<(), StoreError> {
        let Some((first, second)) = same_but_for_case(entries.iter().map(|entry| &entry.path))
        else {
            return Ok(());
        };
        if !self.ignores_case().context("write to", &self.path)? {
            return Ok(());
        }
        Err(StoreError::SameName {
            first,
            second,
            target: self.path.clone(),
        })
    }

    fn ignores_case(&self) -> io::Result<bool> {
        let probe = temporary_name();
        let upper = probe.to_uppercase();
        drop(self.root.create(&upper)?);
        let lower = self.root.entry(OsStr::new(&probe));
        self.root.remove(OsStr::new(&upper))?;
        Ok(lower?.is_some())
    }

    /// Where a file goes, if its directory is there.
    pub(crate) fn find(&self, path: &ModelPath) -> Result<Option<Spot>, StoreError> {
        match self.descend(path, |directory, name| directory.child(name)) {
            Err(StoreError::Disk(DiskError::Io { source, .. }))
                if source.kind() == io::ErrorKind::NotFound =>
            {
                Ok(None)
            }
            spot => spot.map(Some),
        }
    }

    /// Where a file goes; its directory is made if there is none. What an earlier export left
    /// there is removed.
    pub(crate) fn prepare(&mut self, path: &ModelPath) -> Result<Spot, StoreError> {
        let spot = self.descend(path, |directory, name| directory.make_child(name))?;
        let parent = path.ancestors().last().unwrap_or_default();
        if self.swept.insert(parent.to_owned()) {
            let directories = path.ancestors().chain([""]);
            self.touched.extend(directories.map(str::to_owned));
            sweep(&*spot.directory);
        }
        Ok(spot)
    }

    fn descend(
        &self,
        path: &ModelPath,
        open: impl Fn(&dyn Dir, &str) -> io::Result<Arc<dyn Dir>>,
    ) -> Result<Spot, StoreError> {
        let name = path.segments().next_back().unwrap_or_default().to_owned();
        let parent = path.ancestors().last().unwrap_or_default();
        let last = self.last.borrow().clone();
        let opened = match last.filter(|last| last.path == parent) {
            Some(last) => last,
            None => self.open_parent(path, parent, open)?,
        };
        Ok(Spot {
            directory: opened.directory,
            device: opened.device,
            name,
            shown: self.path_of(path),
        })
    }

    /// Opens the directory that a file lies in, from the top.
    fn open_parent(
        &self,
        path: &ModelPath,
        parent: &str,
        open: impl Fn(&dyn Dir, &str) -> io::Result<Arc<dyn Dir>>,
    ) -> Result<Opened, StoreError> {
        let mut directory = self.root.clone();
        let mut above = PathBuf::new();
        for segment in parent.split('/').filter(|segment| !segment.is_empty()) {
            above.push(segment);
            directory = match open(&*directory, segment) {
                Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                    return Err(StoreError::UnsafeTarget {
                        path: path.clone(),
                        obstacle: above,
                    });
                }
                opened => opened.context("open", &self.path.join(&above))?,
            };
        }
        let opened = Opened {
            path: parent.to_owned(),
            device: directory.device().context("read", &self.path_of(path))?,
            directory,
        };
        self.last.replace(Some(opened.clone()));
        Ok(opened)
    }

    /// Gives a written file its name as soon as it is durable: at once, or with others.
    pub(crate) fn keep(
        &mut self,
        spot: &Spot,
        path: &ModelPath,
        written: Written,
        before: Option<Signature>,
    ) -> Result<(), StoreError> {
        let Written { temporary, file } = written;
        if !self.syncs_together || spot.device != self.device {
            let synced = file.sync().context("sync", &spot.shown);
            let named = synced
                .map_err(StoreError::from)
                .and_then(|()| spot.name_it(&temporary, before));
            if named.is_err() {
                spot.discard(&temporary);
            }
            return named;
        }
        self.staged.push(Staged {
            path: path.clone(),
            temporary,
            before,
        });
        if self.staged.len() >= SYNC_BATCH_FILES {
            self.settle()?;
        }
        Ok(())
    }

    /// Makes all that was written durable under its names.
    pub(crate) fn finish(mut self) -> Result<(), StoreError> {
        self.settle()?;
        let synced = self.syncs_together && self.sync_file_system()?;
        for directory in &self.touched {
            let mut opened = self.root.clone();
            for segment in directory.split('/').filter(|segment| !segment.is_empty()) {
                opened = opened
                    .child(segment)
                    .context("open", &self.path.join(directory))?;
            }
            let is_elsewhere = opened.device().context("read", &self.path)? != self.device;
            if !synced || is_elsewhere {
                opened.sync().context("sync", &self.path.join(directory))?;
            }
        }
        Ok(())
    }

    fn settle(&mut self) -> Result<(), StoreError> {
        if self.staged.is_empty() {
            return Ok(());
        }
        if !self.sync_file_system()? {
            for staged in &self.staged {
                let spot = self.find(&staged.path)?;
                let spot = spot.ok_or_else(|| self.is_gone(&staged.path))?;
                let file = spot.directory.open(&staged.temporary);
                let synced = file.and_then(|file| file.sync());
                synced.context("sync", &spot.shown)?;
            }
        }
        while let Some(staged) = self.staged.pop() {
            let spot = self.find(&staged.path)?;
            let spot = spot.ok_or_else(|| self.is_gone(&staged.path))?;
            let named = spot.name_it(&staged.temporary, staged.before);
            if named.is_err() {
                spot.discard(&staged.temporary);
            }
            named?;
        }
        Ok(())
    }

    fn sync_file_system(&self) -> Result<bool, StoreError> {
        let synced = self.root.sync_file_system();
        Ok(synced.context("sync", &self.path)?)
    }

    fn is_gone(&self, path: &ModelPath) -> StoreError {
        StoreError::Changed {
            path: self.path_of(path),
        }
    }
}

impl Drop for ExportTarget {
    fn drop(&mut self) {
        for staged in &self.staged {
            if let Ok(Some(spot)) = self.find(&staged.path) {
                spot.discard(&staged.temporary);
            }
        }
    }
}

/// A file under its temporary name.
pub(crate) struct Written {
    temporary: String,
    file: Arc<dyn DiskFile>,
}

impl Spot {
    /// What has the name now.
    pub(crate) fn entry(&self) -> Result<Option<Entry>, StoreError> {
        let entry = self.directory.entry(OsStr::new(&self.name));
        Ok(entry.context("read", &self.shown)?)
    }

    /// Opens what has the name now.
    pub(crate) fn open(&self) -> io::Result<Arc<dyn DiskFile>> {
        self.directory.open(&self.name)
    }

    /// A file that shares the blocks of `source`; `None` if the file system cannot.
    pub(crate) fn clone_from(&self, source: &dyn DiskFile) -> Result<Option<Written>, StoreError> {
        let written = self.make_temporary()?;
        if clone_into(source, &*written.file) {
            return Ok(Some(written));
        }
        self.discard(&written.temporary);
        Ok(None)
    }

    /// A file with what `fill` writes into it.
    pub(crate) fn write(
        &self,
        fill: impl FnOnce(&dyn DiskFile) -> Result<(), StoreError>,
    ) -> Result<Written, StoreError> {
        let written = self.make_temporary()?;
        let filled = fill(&*written.file);
        if filled.is_err() {
            self.discard(&written.temporary);
        }
        filled.map(|()| written)
    }

    /// Gives `file`, which lies at `path` and whose bytes are durable, the name as well; false if
    /// the file system cannot, or another file lies there.
    pub(crate) fn link_to(
        &self,
        file: &dyn DiskFile,
        path: &Path,
        before: Option<Signature>,
    ) -> Result<bool, StoreError> {
        let temporary = temporary_name();
        if self.directory.link(path, &temporary).is_err() {
            return Ok(false);
        }
        let linked = self.directory.entry(OsStr::new(&temporary));
        let file = file.signature().context("read", path)?;
        let is_same = matches!(linked, Ok(Some(linked)) if linked.signature.is_same_file(&file));
        if !is_same {
            self.discard(&temporary);
            return Ok(false);
        }
        let named = self.name_it(&temporary, before);
        if named.is_err() {
            self.discard(&temporary);
        }
        named.map(|()| true)
    }

    fn make_temporary(&self) -> Result<Written, StoreError> {
        let temporary = temporary_name();
        let file = self.directory.create(&temporary);
        let file = file.context("make", &self.shown)?;
        Ok(Written { temporary, file })
    }

    /// Removes a temporary file; what led to it is the error that matters.
    fn discard(&self, temporary: &str) {
        let _ = self.directory.remove(OsStr::new(temporary));
    }

    /// Renames a temporary file, unless what had the name `before` has changed since.
    fn name_it(&self, temporary: &str, before: Option<Signature>) -> Result<(), StoreError> {
        let is_as_before = match (self.entry()?, before) {
            (None, None) => true,
            (Some(entry), Some(before)) => entry.signature.is_same_but_for_change(&before),
            _ => false,
        };
        if !is_as_before {
            return Err(StoreError::Changed {
                path: self.shown.clone(),
            });
        }
        let renamed = self.directory.rename(temporary, &self.name);
        Ok(renamed.context("make", &self.shown)?)
    }
}

/// The first two paths, or directories of paths, that differ only in case.
fn same_but_for_case<'a>(paths: impl Iterator<Item = &'a ModelPath>) -> Option<(String, String)> {
    let mut seen: HashMap<String, &str> = HashMap::new();
    for path in paths {
        for name in path.ancestors().chain([path.as_str()]) {
            let first = *seen.entry(name.to_lowercase()).or_insert(name);
            if first != name {
                return Some((first.to_owned(), name.to_owned()));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_a_file_system_may_merge_are_found() {
        let merged = |paths: &[&str]| {
            let paths: Vec<ModelPath> = paths.iter().map(|path| path.parse().unwrap()).collect();
            same_but_for_case(paths.iter())
        };
        assert_eq!(merged(&["a/b", "a/c", "b"]), None);
        assert_eq!(
            merged(&["README", "readme"]),
            Some(("README".into(), "readme".into()))
        );
        assert_eq!(
            merged(&["A/x", "a/y"]),
            Some(("A".into(), "a".into())),
            "directories"
        );
        assert_eq!(merged(&["Ä", "ä"]), Some(("Ä".into(), "ä".into())));
    }
}
