//! Export: from a model to a directory of the user's.
//!
//! First everything is proven that is to leave, then it is decided what of the target may be
//! replaced, and only then files are written. How they get there is [`Target`]'s.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use hubless_content::{
    CHUNK_SIZE, ChunkIndex, ContentHash, FileHash, ManifestEntry, ModelPath, chunk_count,
    chunk_offset, hash_reader,
};
use hubless_memory::AlignedBytes;

use crate::{
    Shared, Store,
    disk::{DiskFile, Signature, dir::EntryKind},
    error::{IoContext, StoreError},
    files::{located::Located, source::Source},
    index::record::Place,
    observer::Observer,
    parallel::{self, Meter, read_chunks},
    work::target::{Spot, Target, Written},
};

/// What is exported, and how.
#[derive(Clone, Copy)]
pub struct ExportOptions<'a> {
    /// Which files of the model.
    pub wants: &'a dyn Fn(&ModelPath) -> bool,
    /// Reads all stored bytes and checks them, also of files that did not change since they were
    /// last found to be right.
    pub verify: bool,
    /// Replaces files of the user's, too.
    pub force: bool,
}

impl Default for ExportOptions<'_> {
    fn default() -> Self {
        Self {
            wants: &|_| true,
            verify: false,
            force: false,
        }
    }
}

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
    /// Files that took the place of others.
    pub replaced: u64,
}

impl Store {
    /// Writes files of a model below `target`, which is made if it is not there, and makes them
    /// durable. Files that are right already are left alone. A file of the same name with other
    /// bytes is replaced only if the store has its bytes, as those of another revision, or if
    /// [`ExportOptions::force`] is set: what the user wrote is not lost.
    ///
    /// A file is cloned if the file system can, else linked (then it is read-only), else copied.
    /// The user's own files are never linked. No byte leaves that is not proven: a file that changed
    /// since it was last found to be right is read and checked before, and a wrong chunk is no
    /// longer held.
    ///
    /// # Errors
    /// [`StoreError::UnknownModel`]; [`StoreError::Incomplete`] for a file that is not here, or of
    /// which a chunk was found to be wrong: what is missing can be fetched then;
    /// [`StoreError::WouldReplace`]; [`StoreError::UnsafeTarget`] and [`StoreError::SameName`] where
    /// the target cannot take a file; others if a disk fails. Files that were exported until then
    /// stay.
    pub fn export(
        &self,
        model: ContentHash,
        target: &Path,
        options: &ExportOptions<'_>,
        observer: &dyn Observer,
    ) -> Result<Exported, StoreError> {
        let outcome = self.export_model(model, target, options, observer);
        self.shared.damage.deliver();
        outcome
    }

    fn export_model(
        &self,
        model: ContentHash,
        target: &Path,
        options: &ExportOptions<'_>,
        observer: &dyn Observer,
    ) -> Result<Exported, StoreError> {
        let manifest = self
            .manifest(model)?
            .ok_or(StoreError::UnknownModel { model })?;
        let _guard = self.protect(model);
        let entries: Vec<&ManifestEntry> = manifest
            .entries()
            .iter()
            .filter(|entry| (options.wants)(&entry.path))
            .collect();
        self.shared.prove_all(&entries, options.verify)?;
        let target = Target::open(&*self.shared.disk, target)?;
        target.refuse_merged_names(&entries)?;
        let bytes = entries.iter().map(|entry| entry.size).sum();
        let meter = Meter::new(observer, entries.len() as u64, bytes);
        let export = Export {
            shared: &self.shared,
            target,
            exported: Exported::default(),
            clones: true,
        };
        let steps = export.survey(&entries, options.force)?;
        export.run(&steps, &meter)
    }
}

/// What is to be done for one file.
struct Step<'a> {
    entry: &'a ManifestEntry,
    there: There,
}

/// What has a file's name in the target.
enum There {
    Nothing,
    /// The file.
    Right,
    /// Something that may be replaced, as long as it is as it was.
    Other(Signature),
    /// Something that is not ours to replace.
    Users,
}

/// An export under way.
struct Export<'a> {
    shared: &'a Shared,
    target: Target,
    exported: Exported,
    /// Whether the store's files can be cloned to the target, as far as is known.
    clones: bool,
}

impl Export<'_> {
    /// What is to be done, if it may be done.
    fn survey<'e>(
        &self,
        entries: &[&'e ManifestEntry],
        force: bool,
    ) -> Result<Vec<Step<'e>>, StoreError> {
        let mut steps = Vec::new();
        let mut users = Vec::new();
        for entry in entries {
            let there = match self.target.find(&entry.path)? {
                Some(spot) => self.look_at(&spot, entry, force)?,
                None => There::Nothing,
            };
            if matches!(there, There::Users) {
                users.push(&entry.path);
            }
            steps.push(Step { entry, there });
        }
        match users.first() {
            None => Ok(steps),
            Some(first) => Err(StoreError::WouldReplace {
                path: self.target.path_of(first),
                more: users.len() as u64 - 1,
            }),
        }
    }

    fn look_at(
        &self,
        spot: &Spot,
        entry: &ManifestEntry,
        force: bool,
    ) -> Result<There, StoreError> {
        let Some(there) = spot.entry()? else {
            return Ok(There::Nothing);
        };
        if there.kind == EntryKind::Directory {
            return Err(StoreError::UnsafeTarget {
                path: entry.path.clone(),
                obstacle: entry.path.as_str().into(),
            });
        }
        if there.kind == EntryKind::File {
            if self.shared.is_stored_as(entry.hash, &there.signature)? {
                return Ok(There::Right);
            }
            let may_be_right = there.signature.size == entry.size;
            if let Some(file) = (may_be_right || !force).then(|| hash_of(spot)).flatten() {
                if file == entry.hash {
                    return Ok(There::Right);
                }
                let located = self.shared.locate(file)?;
                if matches!(located, Located::Stored(record) if record.is_complete()) {
                    return Ok(There::Other(there.signature));
                }
            }
        }
        Ok(if force {
            There::Other(there.signature)
        } else {
            There::Users
        })
    }

    fn run(mut self, steps: &[Step<'_>], meter: &Meter<'_>) -> Result<Exported, StoreError> {
        let is_written = |step: &&Step<'_>| !matches!(step.there, There::Right);
        self.target.expect(steps.iter().filter(is_written).count());
        let mut buffer = AlignedBytes::default();
        for Step { entry, there } in steps {
            match there {
                There::Right => self.exported.kept += 1,
                There::Nothing => self.write(entry, None, &mut buffer)?,
                There::Other(before) => {
                    self.write(entry, Some(*before), &mut buffer)?;
                    self.exported.replaced += 1;
                }
                There::Users => {} // refused by the survey
            }
            self.exported.files += 1;
            self.exported.bytes += entry.size;
            meter.add(1, entry.size)?;
        }
        self.target.finish()?;
        Ok(self.exported)
    }

    fn write(
        &mut self,
        entry: &ManifestEntry,
        before: Option<Signature>,
        buffer: &mut AlignedBytes,
    ) -> Result<(), StoreError> {
        let origin = self.shared.origin(entry.hash)?;
        let spot = self.target.prepare(&entry.path)?;
        let cloned = match &origin {
            Origin::Bytes(_) => None,
            Origin::Owned(file, _) if !self.clones => None,
            Origin::Owned(file, _) | Origin::External(file, _) => spot.clone_from(&**file)?,
        };
        if let Some(written) = cloned {
            return self.target.keep(&spot, &entry.path, written, before);
        }
        if let Origin::Owned(file, path) = &origin {
            self.clones = false;
            if spot.link_to(&**file, path, before)? {
                return self.shared.relinked(entry.hash);
            }
        }
        let written = self.shared.copy_out(&origin, entry, &spot, buffer)?;
        self.exported.copied_bytes += entry.size;
        self.target.keep(&spot, &entry.path, written, before)
    }
}

/// The address of the file at a spot; `None` if it cannot be read, or is written to meanwhile.
fn hash_of(spot: &Spot) -> Option<FileHash> {
    let file = spot.open().ok()?;
    let size = file.signature().ok()?.size;
    if chunk_count(size) > 1 {
        let list = parallel::hash(&*file, &spot.shown, size).ok()??;
        return Some(list.file());
    }
    let mut bytes = vec![0; CHUNK_SIZE];
    let read = file.read_at(&mut bytes, 0).ok()?;
    Some(hash_reader(&bytes[..read]).ok()?.file())
}

/// Where a file's bytes are taken from.
enum Origin {
    Bytes(Bytes),
    /// The store's own file: its other names share its bytes.
    Owned(Arc<dyn DiskFile>, PathBuf),
    /// The user's own file, which gets no other name.
    External(Arc<dyn DiskFile>, PathBuf),
}

impl Shared {
    /// Proves all files before any leaves, so that all that is missing is known at once.
    fn prove_all(&self, entries: &[&ManifestEntry], verify: bool) -> Result<(), StoreError> {
        let files: BTreeSet<FileHash> = entries.iter().map(|entry| entry.hash).collect();
        // The last chunks of a file may wait for a commit, which makes it a file to link to.
        for file in &files {
            if matches!(self.locate(*file)?, Located::Partial(_)) {
                self.commit()?;
                break;
            }
        }
        let mut outcome = Ok(());
        for file in files {
            let proven = match verify {
                true => self.check_file(file),
                false => self.prove_file(file),
            };
            match proven {
                Err(StoreError::Incomplete { .. }) => outcome = outcome.and(proven),
                proven => proven?,
            }
        }
        outcome
    }

    /// Whether what has this signature is the very file that `file` is stored in.
    fn is_stored_as(&self, file: FileHash, there: &Signature) -> Result<bool, StoreError> {
        let stored = self.source(file, &self.locate(file)?)?.signature();
        Ok(stored.is_some_and(|stored| stored.is_same_file(there)))
    }

    fn origin(&self, file: FileHash) -> Result<Origin, StoreError> {
        let incomplete = StoreError::Incomplete { file };
        self.uses.note(file);
        let located = self.locate(file)?;
        // These are checked as they are copied.
        if let Source::Bytes(bytes) = self.source(file, &located)? {
            return Ok(Origin::Bytes(bytes));
        }
        self.prove_file(file)?;
        let located = self.locate(file)?;
        let source = self.source(file, &located)?;
        let place = match located {
            Located::Stored(record) if record.is_complete() => Some(record.place),
            _ => None,
        };
        match (source, place) {
            (Source::Bytes(bytes), _) => Ok(Origin::Bytes(bytes)),
            (Source::File(handle), Some(Place::Owned(_))) => {
                Ok(Origin::Owned(handle, self.home.owned(file)))
            }
            (Source::File(handle), Some(Place::External(external))) => {
                Ok(Origin::External(handle, external.path))
            }
            _ => Err(incomplete),
        }
    }

    /// Copies a file, checking each chunk: an export has the right bytes or is not there.
    fn copy_out(
        &self,
        origin: &Origin,
        entry: &ManifestEntry,
        spot: &Spot,
        buffer: &mut AlignedBytes,
    ) -> Result<Written, StoreError> {
        let file = entry.hash;
        let list = self.list_or_make(file)?;
        let list = list.ok_or(StoreError::Incomplete { file })?;
        let mut wrong = None;
        let copied = spot.write(|to| {
            let mut copy = |index: ChunkIndex, bytes: &[u8]| {
                if list.check(index, bytes).is_err() {
                    wrong = Some(index);
                    return Err(StoreError::Incomplete { file });
                }
                let written = to.write_all_at(bytes, chunk_offset(index));
                written.context("write", &spot.shown)
            };
            match origin {
                Origin::Bytes(bytes) => copy(ChunkIndex(0), bytes),
                Origin::Owned(from, path) | Origin::External(from, path) => {
                    read_chunks(&**from, path, list.size(), 0..list.count(), buffer, copy)
                }
            }
        });
        match (&copied, wrong) {
            (_, Some(index)) => drop(self.reject(file, &[index])?),
            // What cannot be read is damaged as well.
            (Err(StoreError::Io { path, .. }), None) if origin.is_at(path) => {
                self.check_file(file)?;
            }
            _ => {}
        }
        copied
    }
}

impl Origin {
    fn is_at(&self, path: &Path) -> bool {
        match self {
            Self::Bytes(_) => false,
            Self::Owned(_, at) | Self::External(_, at) => at == path,
        }
    }
}
