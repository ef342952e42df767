//! Export: from a model to a directory of the user's.
//!
//! First everything is proven that is to leave, then it is decided what of the target may be
//! replaced, and only then files are written. How they get there is [`ExportTarget`]'s.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::Arc,
};

use hubless_content::{
    CHUNK_SIZE, ChunkIndex, ContentHash, FileHash, ManifestEntry, ModelPath, VerifiedChunk,
    chunk_count, chunk_offset, hash_reader,
};
use hubless_disk::{
    DiskError, DiskFile, EntryKind, IoContext, Signature,
    parallel::{self, read_chunks},
};
use hubless_index::FileLocation;
use hubless_memory::AlignedBytes;

use crate::{
    error::StoreError,
    files::{located::LocatedFile, source::OpenBytes},
    observer::{Meter, Observer},
    work::{
        Work,
        target::{ExportTarget, Spot, Written},
    },
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

/// What is to be done for one file.
struct Step<'a> {
    entry: &'a ManifestEntry,
    there: TargetEntry,
}

/// What has a file's name in the target.
enum TargetEntry {
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
    work: &'a Work,
    target: ExportTarget,
    proven: ProvenChunks,
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
                Some(spot) => self.inspect(&spot, entry, force)?,
                None => TargetEntry::Nothing,
            };
            if matches!(there, TargetEntry::Users) {
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

    fn inspect(
        &self,
        spot: &Spot,
        entry: &ManifestEntry,
        force: bool,
    ) -> Result<TargetEntry, StoreError> {
        let Some(there) = spot.entry()? else {
            return Ok(TargetEntry::Nothing);
        };
        if there.kind == EntryKind::Directory {
            return Err(StoreError::UnsafeTarget {
                path: entry.path.clone(),
                obstacle: entry.path.as_str().into(),
            });
        }
        if there.kind == EntryKind::File {
            if self.work.is_stored_as(entry.hash, &there.signature)? {
                return Ok(TargetEntry::Right);
            }
            let may_be_right = there.signature.size == entry.size;
            if let Some(file) = (may_be_right || !force).then(|| hash_of(spot)).flatten() {
                if file == entry.hash {
                    return Ok(TargetEntry::Right);
                }
                let located = self.work.files.locate(file)?;
                if matches!(located, LocatedFile::Stored(record) if record.is_complete()) {
                    return Ok(TargetEntry::Other(there.signature));
                }
            }
        }
        Ok(if force {
            TargetEntry::Other(there.signature)
        } else {
            TargetEntry::Users
        })
    }

    fn run(mut self, steps: &[Step<'_>], meter: &Meter<'_>) -> Result<Exported, StoreError> {
        let is_written = |step: &&Step<'_>| !matches!(step.there, TargetEntry::Right);
        self.target.expect(steps.iter().filter(is_written).count());
        let mut buffer = AlignedBytes::default();
        for Step { entry, there } in steps {
            match there {
                TargetEntry::Right => self.exported.kept += 1,
                TargetEntry::Nothing => self.write(entry, None, &mut buffer)?,
                TargetEntry::Other(before) => {
                    self.write(entry, Some(*before), &mut buffer)?;
                    self.exported.replaced += 1;
                }
                TargetEntry::Users => {} // refused by the survey
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
        self.work.files.uses.note(entry.hash);
        let origin = match self.proven.get(entry.hash) {
            Some(chunk) => ExportOrigin::Chunk(chunk),
            None => self.work.origin(entry.hash)?,
        };
        let spot = self.target.prepare(&entry.path)?;
        let cloned = match &origin {
            ExportOrigin::Chunk(_) => None,
            ExportOrigin::Owned(file, _) if !self.clones => None,
            ExportOrigin::Owned(file, _) | ExportOrigin::External(file, _) => {
                spot.clone_from(&**file)?
            }
        };
        if let Some(written) = cloned {
            return self.target.keep(&spot, &entry.path, written, before);
        }
        if let ExportOrigin::Owned(file, path) = &origin {
            self.clones = false;
            if spot.link_to(&**file, path, before)? {
                return self.work.relinked(entry.hash);
            }
        }
        let written = match &origin {
            ExportOrigin::Chunk(chunk) => spot.write(|to| {
                let written = to.write_all_at(chunk.bytes(), 0);
                Ok(written.context("write", &spot.shown)?)
            })?,
            ExportOrigin::Owned(file, path) | ExportOrigin::External(file, path) => {
                let from = (&**file, &**path);
                self.work.copy_out(entry.hash, from, &spot, buffer)?
            }
        };
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

/// Bytes that an export keeps in memory from their proof until they are written, as many as may wait
/// for a commit. What exceeds them is read and proven a second time.
const PROVEN_BYTES_MAX: usize = 64 << 20;

/// Files of one chunk that were proven and are to be written.
#[derive(Default)]
struct ProvenChunks {
    chunks: HashMap<FileHash, VerifiedChunk>,
    bytes: usize,
}

impl ProvenChunks {
    /// Keeps a chunk if there is room for it.
    fn keep(&mut self, chunk: VerifiedChunk) {
        let bytes = self.bytes + chunk.bytes().len();
        if bytes <= PROVEN_BYTES_MAX {
            self.bytes = bytes;
            self.chunks.insert(chunk.file(), chunk);
        }
    }

    fn get(&self, file: FileHash) -> Option<VerifiedChunk> {
        self.chunks.get(&file).cloned()
    }
}

/// Where a file's bytes are taken from.
enum ExportOrigin {
    /// The only chunk of a file.
    Chunk(VerifiedChunk),
    /// The store's own file: its other names share its bytes.
    Owned(Arc<dyn DiskFile>, PathBuf),
    /// The user's own file, which gets no other name.
    External(Arc<dyn DiskFile>, PathBuf),
}

impl Work {
    /// Writes files of a model below `target`, which is made if it is not there, and makes them
    /// durable. Files that are right already are left alone. A file of the same name with other
    /// bytes is replaced only if the store has its bytes, as those of another revision, or if
    /// [`ExportOptions::force`] is set: what the user wrote is not lost.
    pub(crate) fn export(
        &self,
        model: ContentHash,
        target: &Path,
        options: &ExportOptions<'_>,
        observer: &dyn Observer,
    ) -> Result<Exported, StoreError> {
        let outcome = self.export_model(model, target, options, observer);
        self.files.damage.deliver();
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
            .files
            .index
            .manifests()
            .get(model)?
            .ok_or(StoreError::UnknownModel { model })?;
        let _guard = self.in_use.protect_model(model);
        let entries: Vec<&ManifestEntry> = manifest
            .entries()
            .iter()
            .filter(|entry| (options.wants)(&entry.path))
            .collect();
        let proven = self.prove_all(&entries, options.verify)?;
        let target = ExportTarget::open(&*self.files.disk, target)?;
        target.refuse_merged_names(&entries)?;
        let bytes = entries.iter().map(|entry| entry.size).sum();
        let meter = Meter::new(observer, entries.len() as u64, bytes);
        let export = Export {
            work: self,
            target,
            proven,
            exported: Exported::default(),
            clones: true,
        };
        let steps = export.survey(&entries, options.force)?;
        export.run(&steps, &meter)
    }

    /// Proves all files before any leaves, so that all that is missing is known at once. Chunks that
    /// are proven by it and have room in memory need not be read again.
    fn prove_all(
        &self,
        entries: &[&ManifestEntry],
        verify: bool,
    ) -> Result<ProvenChunks, StoreError> {
        let files: BTreeMap<FileHash, u64> =
            (entries.iter().map(|entry| (entry.hash, entry.size))).collect();
        let is_inline = |size: u64| chunk_count(size) == 1;
        // The last chunks of a file may wait for a commit, which makes it a file to link to.
        for (file, _) in files.iter().filter(|(_, size)| !is_inline(**size)) {
            if matches!(self.files.locate(*file)?, LocatedFile::Partial(_)) {
                self.commit()?;
                break;
            }
        }
        let mut chunks = ProvenChunks::default();
        let mut outcome = Ok(());
        for (file, size) in files {
            if !verify
                && is_inline(size)
                && let Some(chunk) = self.files.proven_inline(file, ChunkIndex(0))?
            {
                chunks.keep(chunk);
                continue;
            }
            let proven = match verify {
                true => self.check_file(file),
                false => self.prove_file(file),
            };
            match proven {
                Err(StoreError::Incomplete { .. }) => outcome = outcome.and(proven),
                proven => proven?,
            }
        }
        outcome.map(|()| chunks)
    }

    /// Whether what has this signature is the very file that `file` is stored in.
    fn is_stored_as(&self, file: FileHash, there: &Signature) -> Result<bool, StoreError> {
        let stored = self
            .files
            .source(file, &self.files.locate(file)?)?
            .signature();
        Ok(stored.is_some_and(|stored| stored.is_same_file(there)))
    }

    fn origin(&self, file: FileHash) -> Result<ExportOrigin, StoreError> {
        let incomplete = StoreError::Incomplete { file };
        if let Some(chunk) = self.files.proven_inline(file, ChunkIndex(0))? {
            return Ok(ExportOrigin::Chunk(chunk));
        }
        self.prove_file(file)?;
        let located = self.files.locate(file)?;
        let source = self.files.source(file, &located)?;
        let place = match located {
            LocatedFile::Stored(record) if record.is_complete() => Some(record.place),
            _ => None,
        };
        match (source, place) {
            (OpenBytes::File(handle), Some(FileLocation::Owned(_))) => {
                Ok(ExportOrigin::Owned(handle, self.files.home.owned(file)))
            }
            (OpenBytes::File(handle), Some(FileLocation::External(external))) => {
                Ok(ExportOrigin::External(handle, external.path))
            }
            _ => Err(incomplete),
        }
    }

    /// Copies a file, checking each chunk: an export has the right bytes or is not there.
    fn copy_out(
        &self,
        file: FileHash,
        (from, path): (&dyn DiskFile, &Path),
        spot: &Spot,
        buffer: &mut AlignedBytes,
    ) -> Result<Written, StoreError> {
        let list = self.list_or_make(file)?;
        let list = list.ok_or(StoreError::Incomplete { file })?;
        let mut wrong = None;
        let copied = spot.write(|to| {
            let copy = |index: ChunkIndex, bytes: &[u8]| {
                if list.check(index, bytes).is_err() {
                    wrong = Some(index);
                    return Err(StoreError::Incomplete { file });
                }
                let written = to.write_all_at(bytes, chunk_offset(index));
                Ok(written.context("write", &spot.shown)?)
            };
            read_chunks(from, path, list.size(), 0..list.count(), buffer, copy)
        });
        match (&copied, wrong) {
            (_, Some(index)) => drop(self.commits.reject(file, &[index])?),
            // What cannot be read is damaged as well.
            (Err(StoreError::Disk(DiskError::Io { path: at, .. })), None) if at == path => {
                self.check_file(file)?;
            }
            _ => {}
        }
        copied
    }
}
