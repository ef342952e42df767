//! Export: from a model to a directory of the user's.
//!
//! Every directory of the target is opened beneath the one above it, without following links, so
//! an export never leaves its target, whatever lies there and whoever changes it meanwhile. A file
//! is made under a temporary name and renamed: it is there completely or not at all, and a link in
//! its place is replaced, not followed.

use std::{
    collections::HashMap,
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use hubless_content::{
    AlignedBytes, ChunkIndex, ContentHash, FileHash, ManifestEntry, ModelPath, chunk_offset,
    hash_reader,
};
use rustix::{
    fd::OwnedFd,
    fs::{AtFlags, CWD, FileType, Mode, OFlags},
    io::Errno,
};

use crate::{
    Shared, Store,
    disk::{DiskFile, clone_file},
    error::{IoContext, StoreError},
    files::Located,
    observer::Observer,
    parallel::{Meter, read_chunks},
    record::Place,
};

/// What an export did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Exported {
    /// Files that are in the target now.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes that take room a second time, because the file system could not share them.
    pub copied_bytes: u64,
    /// Files that were there already.
    pub kept: u64,
}

impl Store {
    /// Writes those files of a model that `filter` accepts below `target`, which is made if it is
    /// not there. Files that are right already are left alone, others of the same name replaced.
    ///
    /// A file is cloned if the file system can, else linked (then it is read-only), else copied.
    /// The user's own files are never linked.
    ///
    /// # Errors
    /// [`StoreError::UnknownModel`]; [`StoreError::Incomplete`] for a file that is not here;
    /// [`StoreError::UnsafeTarget`] and [`StoreError::SameName`] where the target cannot take a
    /// file; others if a disk fails. Files that were exported until then stay.
    pub fn export(
        &self,
        model: ContentHash,
        target: &Path,
        filter: &dyn Fn(&ModelPath) -> bool,
        observer: &dyn Observer,
    ) -> Result<Exported, StoreError> {
        let manifest = self
            .manifest(model)?
            .ok_or(StoreError::UnknownModel { model })?;
        let _guard = self.protect(model);
        let entries: Vec<&ManifestEntry> = manifest
            .entries()
            .iter()
            .filter(|entry| filter(&entry.path))
            .collect();
        let target = Target::open(target)?;
        target.refuse_merged_names(&entries)?;
        let bytes = entries.iter().map(|entry| entry.size).sum();
        let meter = Meter::new(observer, entries.len() as u64, bytes);
        let mut exported = Exported::default();
        for entry in entries {
            self.shared.export_file(&target, entry, &mut exported)?;
            meter.add(1, entry.size)?;
        }
        Ok(exported)
    }
}

/// The directory that is exported to.
struct Target {
    path: PathBuf,
    root: OwnedFd,
}

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

impl Target {
    fn open(path: &Path) -> Result<Self, StoreError> {
        fs::create_dir_all(path).context("make", path)?;
        // The target itself is the user's word and may be a link.
        let flags = DIRECTORY.difference(OFlags::NOFOLLOW);
        let root = rustix::fs::openat(CWD, path, flags, Mode::empty());
        Ok(Self {
            path: path.to_owned(),
            root: io(root).context("open", path)?,
        })
    }

    /// Two names that differ only in case would become one file on some file systems.
    fn refuse_merged_names(&self, entries: &[&ManifestEntry]) -> Result<(), StoreError> {
        let Some((first, second)) = same_but_for_case(entries.iter().map(|entry| &entry.path))
        else {
            return Ok(());
        };
        if !self.ignores_case()? {
            return Ok(());
        }
        Err(StoreError::SameName {
            first,
            second,
            target: self.path.clone(),
        })
    }

    fn ignores_case(&self) -> Result<bool, StoreError> {
        let probe = temporary_name().to_uppercase();
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let made = rustix::fs::openat(&self.root, &probe, flags, Mode::RUSR | Mode::WUSR);
        io(made).context("write to", &self.path)?;
        let lower = rustix::fs::statat(&self.root, probe.to_lowercase(), AtFlags::SYMLINK_NOFOLLOW);
        let removed = rustix::fs::unlinkat(&self.root, &probe, AtFlags::empty());
        io(removed).context("write to", &self.path)?;
        Ok(lower.is_ok())
    }

    /// Opens the directory of a file, making those that are missing.
    fn directory_of(&self, path: &ModelPath) -> Result<Spot, StoreError> {
        let mut segments = path.segments();
        let name = segments.next_back().unwrap_or_default().to_owned();
        let mut directory = self.root.try_clone().context("open", &self.path)?;
        let mut above = PathBuf::new();
        for segment in segments {
            above.push(segment);
            match rustix::fs::mkdirat(&directory, segment, Mode::from_raw_mode(0o777)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return io(Err(error)).context("make", &self.path.join(&above)),
            }
            let opened = rustix::fs::openat(&directory, segment, DIRECTORY, Mode::empty());
            directory = match opened {
                Err(Errno::NOTDIR | Errno::LOOP) => {
                    return Err(StoreError::UnsafeTarget {
                        path: path.clone(),
                        obstacle: above,
                    });
                }
                opened => io(opened).context("open", &self.path.join(&above))?,
            };
        }
        Ok(Spot {
            directory,
            name,
            shown: self.path.join(path.as_str()),
        })
    }
}

fn io<T>(result: rustix::io::Result<T>) -> io::Result<T> {
    result.map_err(io::Error::from)
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

/// Not used by another export of this process, and hardly by another one.
fn temporary_name() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!(".hubless-{}-{number}", std::process::id())
}

/// Where one file goes.
struct Spot {
    directory: OwnedFd,
    name: String,
    /// For messages.
    shown: PathBuf,
}

impl Spot {
    /// Whether the file that is there has these bytes. Links are not followed, and so are wrong.
    fn holds(&self, file: FileHash, size: u64) -> bool {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let Ok(opened) = rustix::fs::openat(&self.directory, &self.name, flags, Mode::empty())
        else {
            return false;
        };
        let there = File::from(opened);
        let same_size = there
            .metadata()
            .is_ok_and(|there| there.is_file() && there.len() == size);
        same_size && hash_reader(there).is_ok_and(|list| list.file() == file)
    }

    /// Whether the file that is there is `file` itself, under another name.
    fn is_link_to(&self, file: &File) -> bool {
        let there = rustix::fs::statat(&self.directory, &self.name, AtFlags::SYMLINK_NOFOLLOW);
        let (Ok(there), Ok(file)) = (there, rustix::fs::fstat(file)) else {
            return false;
        };
        (there.st_dev, there.st_ino) == (file.st_dev, file.st_ino)
    }

    fn refuse_directory(&self, path: &ModelPath) -> Result<(), StoreError> {
        let there = rustix::fs::statat(&self.directory, &self.name, AtFlags::SYMLINK_NOFOLLOW);
        match there {
            Ok(there) if FileType::from_raw_mode(there.st_mode) == FileType::Directory => {
                let obstacle = path.as_str().into();
                Err(StoreError::UnsafeTarget {
                    path: path.clone(),
                    obstacle,
                })
            }
            _ => Ok(()),
        }
    }

    /// Clones `source` to here; false if the file system cannot.
    fn clone_from(&self, source: &dyn DiskFile) -> Result<bool, StoreError> {
        let (name, file) = self.make_temporary()?;
        let cloned = source
            .as_file()
            .is_some_and(|source| clone_file(source, &file));
        if cloned {
            self.rename(&name)?;
        } else {
            self.remove(&name);
        }
        Ok(cloned)
    }

    /// Links `source` to here; false if the file system cannot.
    fn link_to(&self, source: &Path) -> Result<bool, StoreError> {
        let name = temporary_name();
        let linked = rustix::fs::linkat(CWD, source, &self.directory, &name, AtFlags::empty());
        if linked.is_ok() {
            self.rename(&name)?;
        }
        Ok(linked.is_ok())
    }

    /// Makes a new file here with what `fill` writes into it.
    fn write(&self, fill: impl FnOnce(&File) -> Result<(), StoreError>) -> Result<(), StoreError> {
        let (name, file) = self.make_temporary()?;
        let filled = fill(&file);
        if filled.is_err() {
            self.remove(&name);
            return filled;
        }
        self.rename(&name)
    }

    fn make_temporary(&self) -> Result<(String, File), StoreError> {
        let name = temporary_name();
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let made = rustix::fs::openat(&self.directory, &name, flags, Mode::from_raw_mode(0o666));
        Ok((name, File::from(io(made).context("make", &self.shown)?)))
    }

    /// Removes a temporary file; what led to it is the error that matters.
    fn remove(&self, temporary: &str) {
        let _ = rustix::fs::unlinkat(&self.directory, temporary, AtFlags::empty());
    }

    fn rename(&self, temporary: &str) -> Result<(), StoreError> {
        let renamed = rustix::fs::renameat(&self.directory, temporary, &self.directory, &self.name);
        if renamed.is_err() {
            self.remove(temporary);
        }
        io(renamed).context("make", &self.shown)
    }
}

/// Where a file's bytes are taken from.
enum Source {
    Bytes(Bytes),
    /// The store's own file: its other names share its bytes.
    Owned(Arc<dyn DiskFile>, PathBuf),
    /// The user's own file, which gets no other name.
    External(Arc<dyn DiskFile>, PathBuf),
}

impl Shared {
    fn export_file(
        &self,
        target: &Target,
        entry: &ManifestEntry,
        exported: &mut Exported,
    ) -> Result<(), StoreError> {
        let source = self.export_source(entry.hash)?;
        let spot = target.directory_of(&entry.path)?;
        spot.refuse_directory(&entry.path)?;
        exported.files += 1;
        exported.bytes += entry.size;
        if source.is_at(&spot) || spot.holds(entry.hash, entry.size) {
            exported.kept += 1;
            return Ok(());
        }
        let shared = match &source {
            Source::Bytes(_) => false,
            Source::External(file, _) => spot.clone_from(&**file)?,
            Source::Owned(file, path) => {
                let is_linked = || {
                    let is_linked = spot.link_to(path)?;
                    self.relinked(entry.hash)?;
                    Ok::<_, StoreError>(is_linked)
                };
                spot.clone_from(&**file)? || is_linked()?
            }
        };
        if !shared {
            exported.copied_bytes += entry.size;
            self.copy_out(&source, entry, &spot)?;
        }
        Ok(())
    }

    fn export_source(&self, file: FileHash) -> Result<Source, StoreError> {
        let incomplete = StoreError::Incomplete { file };
        if let Located::Partial(_) = self.locate(file)? {
            // Its last chunks may wait for a commit, which makes it a file to link to.
            self.commit()?;
        }
        match self.locate(file)? {
            Located::Waiting(bytes) => Ok(Source::Bytes(bytes)),
            Located::Stored(record) if record.is_complete() => match record.place {
                Place::Inline => Ok(Source::Bytes(self.read_inline(file)?.ok_or(incomplete)?)),
                Place::Owned(_) => {
                    self.prove_file(file)?;
                    Ok(Source::Owned(
                        self.owned_handle(file)?,
                        self.home.owned(file),
                    ))
                }
                Place::External(external) => {
                    self.prove_file(file)?;
                    match self.fresh_external(file, &external)? {
                        Some(handle) => Ok(Source::External(handle, external.path)),
                        None => Err(incomplete),
                    }
                }
                Place::Partial => Err(incomplete),
            },
            _ => Err(incomplete),
        }
    }

    /// Copies a file, checking each chunk: an export has the right bytes or is not there.
    fn copy_out(
        &self,
        source: &Source,
        entry: &ManifestEntry,
        spot: &Spot,
    ) -> Result<(), StoreError> {
        let file = entry.hash;
        let list = self
            .chunk_list(file)?
            .ok_or(StoreError::Incomplete { file })?;
        let check = |chunk, bytes: &[u8]| {
            list.check(chunk, bytes)
                .map_err(|_| StoreError::Damaged { file, chunk })
        };
        spot.write(|to| match source {
            Source::Bytes(bytes) => {
                check(ChunkIndex(0), bytes)?;
                to.write_all_at(bytes, 0).context("write", &spot.shown)
            }
            Source::Owned(from, path) | Source::External(from, path) => {
                let (chunks, mut buffer) = (0..list.count(), AlignedBytes::default());
                read_chunks(
                    &**from,
                    path,
                    list.size(),
                    chunks,
                    &mut buffer,
                    |index, bytes| {
                        check(index, bytes)?;
                        let written = to.write_all_at(bytes, chunk_offset(index));
                        written.context("write", &spot.shown)
                    },
                )
            }
        })
    }
}

impl Source {
    fn is_at(&self, spot: &Spot) -> bool {
        match self {
            Self::Bytes(_) => false,
            Self::Owned(file, _) | Self::External(file, _) => {
                file.as_file().is_some_and(|file| spot.is_link_to(file))
            }
        }
    }
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
