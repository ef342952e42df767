//! Import: from a directory to a model.
//!
//! Files are read once, on all cores: each chunk is hashed and, unless the import is in place,
//! written to a temporary file from the same buffer. When a file's last chunk is hashed its
//! address is known; the temporary file stays aside until all files are done. Then all are moved
//! to their places, and one transaction makes them, the manifest and the pin known. An import that
//! fails before leaves nothing.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

use bytes::Bytes;
use hubless_content::{
    ChunkList, ContentHash, FileHash, FileHasher, Manifest, ManifestEntry, chunk_count, chunk_len,
    chunk_offset,
};
use hubless_disk::{
    Access, DiskFile, IoContext, Signature, clone_into,
    parallel::{self, CvSlots, Span},
};
use hubless_index::{FileLocation, Record};
use hubless_memory::AlignedBytes;
use hubless_sync::lock;

use crate::{
    commit::place::{Placed, TempFile},
    error::StoreError,
    files::external::external_record,
    observer::{Meter, Observer},
    work::{
        Work,
        in_use::FilesGuard,
        walk::{FoundFile, walk},
    },
};

/// Chunks after which a copy is synced, so that the disk is busy while others still hash: 64 MiB.
const SYNC_CHUNKS: u32 = 256;

/// How a directory is imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ImportOptions {
    /// Files of more than one chunk stay where they are, and are served from there as long as
    /// they do not change.
    pub in_place: bool,
    /// Links are followed wherever they lead.
    pub follow_links: bool,
}

/// What was imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Imported {
    /// The model's address.
    pub hash: ContentHash,
    /// Its files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

fn total_bytes(found: &[FoundFile]) -> u64 {
    found
        .iter()
        .map(|found| found.size)
        .fold(0, u64::saturating_add)
}

struct Import<'a> {
    work: &'a Work,
    in_place: bool,
    /// A file of such a size may be held already: it is hashed before it is copied.
    sizes_held: HashSet<u64>,
    guard: FilesGuard,
    meter: Meter<'a>,
    jobs: Vec<ImportJob>,
    /// The files that the last transaction makes known.
    placed: Mutex<HashMap<FileHash, Placed>>,
}

/// One file on its way.
struct ImportJob {
    found: FoundFile,
    spans_left: AtomicU32,
    source: Mutex<Option<Arc<ImportSource>>>,
    hash: Mutex<Option<FileHash>>,
}

/// A file that is being read.
struct ImportSource {
    file: Arc<dyn DiskFile>,
    before: Signature,
    cvs: CvSlots,
    copy: Mutex<Option<TempFile>>,
    /// Where chunks are written while they are hashed; not if they were cloned, or come later.
    write_to: Option<Arc<dyn DiskFile>>,
}

impl ImportJob {
    fn new(found: FoundFile) -> Self {
        let spans_left = AtomicU32::new(parallel::span_count(found.size));
        Self {
            found,
            spans_left,
            source: Mutex::default(),
            hash: Mutex::default(),
        }
    }

    fn changed(&self) -> StoreError {
        StoreError::Changed {
            path: self.found.path.clone(),
        }
    }
}

impl Import<'_> {
    fn span(&self, span: &Span, buffer: &mut AlignedBytes) -> Result<(), StoreError> {
        let job = &self.jobs[span.item];
        let FoundFile { path, size, .. } = &job.found;
        let source = self.source(job)?;
        let mut bytes_done = 0;
        parallel::read_chunks(
            &*source.file,
            path,
            *size,
            span.chunks.clone(),
            buffer,
            |index, bytes| {
                if chunk_len(*size, index) != Some(bytes.len()) {
                    return Err(job.changed());
                }
                bytes_done += bytes.len() as u64;
                if chunk_count(*size) == 1 {
                    return self.place_small(job, bytes);
                }
                source.cvs.set(index, bytes);
                if let Some(copy) = &source.write_to {
                    let written = copy.write_all_at(bytes, chunk_offset(index));
                    written.context("copy", path)?;
                }
                Ok(())
            },
        )?;
        if let Some(copy) = &source.write_to
            && span.chunks.end.is_multiple_of(SYNC_CHUNKS)
        {
            copy.sync().context("sync", path)?;
        }
        let is_last = job.spans_left.fetch_sub(1, Ordering::AcqRel) == 1;
        if is_last {
            lock(&job.source).take();
            self.end_of_file(job, &source, buffer)?;
        }
        self.meter.add(u64::from(is_last), bytes_done)
    }

    /// The open file of a job; its first span opens it.
    fn source(&self, job: &ImportJob) -> Result<Arc<ImportSource>, StoreError> {
        let mut slot = lock(&job.source);
        if let Some(source) = &*slot {
            return Ok(source.clone());
        }
        let FoundFile { path, size, .. } = &job.found;
        let file = self
            .work
            .files
            .disk
            .open(path, Access::Read)
            .context("open", path)?;
        let before = file.signature().context("read", path)?;
        if before.size != *size {
            return Err(job.changed());
        }
        let is_large = chunk_count(*size) > 1;
        let copy_now = is_large && !self.in_place && !self.sizes_held.contains(size);
        let (copy, write_to) = match copy_now
            .then(|| self.make_copy(&*file, *size))
            .transpose()?
        {
            None => (None, None),
            Some((copy, _, Cloned(true))) => (Some(copy), None),
            Some((copy, handle, Cloned(false))) => (Some(copy), Some(handle)),
        };
        let cvs = CvSlots::new(if is_large { *size } else { 0 });
        let source = Arc::new(ImportSource {
            file,
            before,
            cvs,
            copy: Mutex::new(copy),
            write_to,
        });
        *slot = Some(source.clone());
        Ok(source)
    }

    /// A temporary file for a copy, cloned if the file system can share blocks.
    fn make_copy(
        &self,
        from: &dyn DiskFile,
        size: u64,
    ) -> Result<(TempFile, Arc<dyn DiskFile>, Cloned), StoreError> {
        let (copy, handle) = self.work.make_temporary(size)?;
        let cloned = clone_into(from, &*handle);
        if !cloned {
            handle.allocate(size).context("make", &copy.path)?;
        }
        Ok((copy, handle, Cloned(cloned)))
    }

    fn place_small(&self, job: &ImportJob, bytes: &[u8]) -> Result<(), StoreError> {
        let mut hasher = FileHasher::new();
        hasher.update(bytes);
        let hash = hasher.finish().file();
        self.guard.add(hash);
        self.work.put_inline(hash, &Bytes::copy_from_slice(bytes))?;
        *lock(&job.hash) = Some(hash);
        Ok(())
    }

    fn end_of_file(
        &self,
        job: &ImportJob,
        source: &ImportSource,
        buffer: &mut AlignedBytes,
    ) -> Result<(), StoreError> {
        let path = &job.found.path;
        // By its path, so that a file that was replaced shows too.
        if self.work.files.disk.signature(path).context("read", path)? != source.before {
            return Err(job.changed());
        }
        let size = job.found.size;
        if source.file.read_at(&mut [0], size).context("read", path)? > 0 {
            let path = path.clone();
            return Err(StoreError::PseudoFile { path, size });
        }
        if chunk_count(size) == 1 {
            return Ok(());
        }
        let list = source.cvs.finish().ok_or_else(|| job.changed())?;
        let file = list.file();
        *lock(&job.hash) = Some(file);
        self.guard.add(file);
        let is_owned = self
            .work
            .files
            .record(file)?
            .is_some_and(|record| record.is_owned());
        if is_owned || lock(&self.placed).contains_key(&file) {
            return Ok(());
        }
        let placed = if self.in_place {
            let record = external_record(list.size(), path.clone(), source.before);
            Placed {
                record,
                list,
                copy: None,
                digests: None,
            }
        } else {
            let copy = match lock(&source.copy).take() {
                Some(copy) => copy,
                None => self.copy_hashed(job, source, &list, buffer)?,
            };
            copy.seal()?;
            Placed {
                record: Record::new(list.size(), FileLocation::Owned(Signature::default())),
                list,
                copy: Some(copy),
                digests: None,
            }
        };
        lock(&self.placed).entry(file).or_insert(placed);
        Ok(())
    }

    /// Copies a file that was hashed before, because it might have been held.
    fn copy_hashed(
        &self,
        job: &ImportJob,
        source: &ImportSource,
        list: &ChunkList,
        buffer: &mut AlignedBytes,
    ) -> Result<TempFile, StoreError> {
        let size = list.size();
        let (copy, handle, _) = self.make_copy(&*source.file, size)?;
        let path = &job.found.path;
        parallel::read_chunks(
            &*source.file,
            path,
            size,
            0..list.count(),
            buffer,
            |index, bytes| {
                list.check(index, bytes).map_err(|_| job.changed())?;
                let written = handle.write_all_at(bytes, chunk_offset(index));
                Ok::<_, StoreError>(written.context("copy", path)?)
            },
        )?;
        Ok(copy)
    }

    fn manifest(&self, directory: &Path) -> Result<Manifest, StoreError> {
        let entries = self.jobs.iter().filter_map(|job| {
            let hash = (*lock(&job.hash))?;
            Some(ManifestEntry {
                path: job.found.name.clone(),
                size: job.found.size,
                hash,
            })
        });
        Manifest::new(entries.collect()).map_err(|source| StoreError::Manifest {
            path: directory.to_owned(),
            source,
        })
    }

    /// Puts the copies in their places and makes all known.
    fn finish(self, manifest: &Manifest) -> Result<(), StoreError> {
        let placed = std::mem::take(&mut *lock(&self.placed));
        // A collection that began before the pin is there must see the model nevertheless.
        let _guard = self.work.in_use.protect_model(manifest.content_hash());
        // The payload of small files first: what the manifest names must be there.
        self.work.commit()?;
        self.work.commits.place(placed, Some(manifest))
    }
}

/// Whether a copy shares its blocks with what it was made from, and is complete.
struct Cloned(bool);

impl Work {
    /// Imports and pins a directory.
    pub(crate) fn import(
        &self,
        directory: &Path,
        options: &ImportOptions,
        observer: &dyn Observer,
    ) -> Result<Imported, StoreError> {
        let found = walk(directory, options.follow_links)?;
        let import = Import {
            work: self,
            in_place: options.in_place,
            sizes_held: if options.in_place {
                HashSet::new()
            } else {
                self.sizes_held()?
            },
            guard: self.in_use.protect_files(),
            meter: Meter::new(observer, found.len() as u64, total_bytes(&found)),
            jobs: found.into_iter().map(ImportJob::new).collect(),
            placed: Mutex::default(),
        };
        let sizes = import.jobs.iter().map(|job| job.found.size);
        parallel::for_each(&parallel::spans(sizes), |span, buffer| {
            import.span(span, buffer)
        })?;
        let manifest = import.manifest(directory)?;
        import.finish(&manifest)?;
        Ok(Imported {
            hash: manifest.content_hash(),
            files: manifest.entries().len() as u64,
            bytes: manifest.bytes(),
        })
    }

    /// Sizes of the files that need not be copied again.
    fn sizes_held(&self) -> Result<HashSet<u64>, StoreError> {
        let add = |sizes: &mut HashSet<u64>, _, record: Record| {
            if record.is_owned() {
                sizes.insert(record.size);
            }
        };
        Ok(self.files.index.files().fold(HashSet::new, add)?)
    }
}
