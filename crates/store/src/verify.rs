//! Reading everything again, and admitting what is no longer right.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Mutex,
};

use hubless_content::{
    AlignedBytes, ChunkIndex, ChunkList, ChunkSet, ContentHash, FileHash, chunk_count, chunk_len,
    chunk_offset,
};

use crate::{
    Shared, Store,
    disk::{Access, DiskFile, clone_into},
    error::{IoContext, StoreError},
    files::{Chunks, HandleKey, Located},
    observer::Observer,
    parallel::{self, Meter, Span},
    record::{Place, Record},
    sync::lock,
    tables,
};

/// A file whose stored bytes are no longer right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damaged {
    /// The file.
    pub file: FileHash,
    /// The chunks that are wrong, ascending; they are no longer held.
    pub chunks: Vec<ChunkIndex>,
    /// Whether it is the user's own file, which is no longer served.
    pub external: bool,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VerifyReport {
    /// Files that were read.
    pub files: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// Those that are wrong.
    pub damaged: Vec<Damaged>,
}

/// A file to read.
struct Target {
    file: FileHash,
    record: Record,
    held: ChunkSet,
    list: ChunkList,
}

impl Store {
    /// Reads all stored bytes of a model, or of all files, and checks them. Wrong chunks are no
    /// longer held afterwards, so that fetching the model again fetches only them; external files
    /// that changed are no longer served.
    ///
    /// # Errors
    /// [`StoreError::UnknownModel`]; others if the index fails. Damage is not an error.
    pub fn verify(
        &self,
        model: Option<ContentHash>,
        observer: &dyn Observer,
    ) -> Result<VerifyReport, StoreError> {
        self.flush()?;
        let targets = self.shared.targets(model)?;
        let bytes = targets.iter().map(Target::bytes_held).sum();
        let meter = Meter::new(observer, targets.len() as u64, bytes);
        let wrong = Mutex::new(BTreeMap::<usize, Vec<ChunkIndex>>::new());
        let spans = parallel::spans(targets.iter().map(|target| target.record.size));
        parallel::for_each(&spans, |span, buffer| {
            let target = &targets[span.item];
            let (bad, bytes) = self.shared.check_span(target, span, buffer)?;
            if !bad.is_empty() {
                lock(&wrong).entry(span.item).or_default().extend(bad);
            }
            let is_last = span.chunks.end == chunk_count(target.record.size);
            meter.add(u64::from(is_last), bytes)
        })?;
        let mut damaged = Vec::new();
        for (item, mut chunks) in std::mem::take(&mut *lock(&wrong)) {
            chunks.sort_unstable();
            let target = &targets[item];
            self.shared.admit(target, &chunks)?;
            let external = matches!(target.record.place, Place::External(_));
            damaged.push(Damaged {
                file: target.file,
                chunks,
                external,
            });
        }
        self.flush()?;
        Ok(VerifyReport {
            files: targets.len() as u64,
            bytes,
            damaged,
        })
    }
}

impl Shared {
    /// What can be checked: files with a chunk list. Only a partial file may lack it.
    fn targets(&self, model: Option<ContentHash>) -> Result<Vec<Target>, StoreError> {
        let files = match model {
            None => self.all_files()?,
            Some(model) => {
                let manifest = self
                    .manifest(model)?
                    .ok_or(StoreError::UnknownModel { model })?;
                let files: BTreeSet<_> =
                    manifest.entries().iter().map(|entry| entry.hash).collect();
                files.into_iter().collect()
            }
        };
        let targets = files.into_iter().map(|file| self.target(file));
        targets.filter_map(Result::transpose).collect()
    }

    fn target(&self, file: FileHash) -> Result<Option<Target>, StoreError> {
        let Some((record, mut held)) = self.record_and_held(file)? else {
            return Ok(None);
        };
        if record.is_complete() {
            held = ChunkSet::full(chunk_count(record.size));
        }
        let Some(list) = self.chunk_list(file)? else {
            return Ok(None);
        };
        Ok((!held.is_empty()).then_some(Target {
            file,
            record,
            held,
            list,
        }))
    }

    /// The chunks of a span that are held and wrong, and how many bytes were read for that.
    fn check_span(
        &self,
        target: &Target,
        span: &Span,
        buffer: &mut AlignedBytes,
    ) -> Result<(Vec<ChunkIndex>, u64), StoreError> {
        let mut wrong = Vec::new();
        let mut bytes_read = 0;
        for n in span.chunks.clone().filter(|n| target.held.contains(*n)) {
            let index = ChunkIndex(n);
            // What cannot be read is damaged as well.
            let read = self.read_stored(target, index, buffer);
            let right = read.is_ok_and(|bytes| target.list.check(index, bytes).is_ok());
            if !right {
                wrong.push(index);
            }
            bytes_read += chunk_len(target.record.size, index).unwrap_or(0) as u64;
        }
        Ok((wrong, bytes_read))
    }

    fn read_stored<'b>(
        &self,
        target: &Target,
        index: ChunkIndex,
        buffer: &'b mut AlignedBytes,
    ) -> Result<&'b [u8], StoreError> {
        let key = HandleKey {
            file: target.file,
            partial: 0,
        };
        let (handle, path) = match &target.record.place {
            Place::Inline => {
                let bytes = self.read_inline(target.file)?.unwrap_or_default();
                let room = buffer.room(bytes.len());
                room.copy_from_slice(&bytes);
                return Ok(room);
            }
            Place::Owned => (
                self.owned_handle(target.file)?,
                self.home.owned(target.file),
            ),
            Place::External(external) => {
                let handle = self.handle(key, Access::Read, || external.path.clone())?;
                (handle, external.path.clone())
            }
            Place::Partial => match self.locate(target.file)? {
                Located::Partial(partial) => (
                    self.partial_handle(&partial)?,
                    self.home.partial(target.file),
                ),
                _ => (
                    self.owned_handle(target.file)?,
                    self.home.owned(target.file),
                ),
            },
        };
        let len = chunk_len(target.record.size, index).unwrap_or(0);
        let room = buffer.room(len);
        let read = handle.read_at(room, chunk_offset(index));
        let read = read.context("read", &path)?;
        Ok(&room[..read])
    }

    /// Holds wrong chunks no longer.
    fn admit(&self, target: &Target, wrong: &[ChunkIndex]) -> Result<(), StoreError> {
        tracing::warn!(file = %target.file, chunks = wrong.len(), "damaged on disk");
        match target.record.place {
            Place::External(_) => return self.suspect(target.file),
            Place::Partial => return self.unhold(target, wrong),
            Place::Inline | Place::Owned => {}
        }
        let _no_commit_meanwhile = lock(&self.committing);
        let mut held = target.held.clone();
        for index in wrong {
            held.remove(index.0);
        }
        if held.is_empty() {
            for (file, record) in self.forget_files(&[target.file])? {
                self.quota.give_back(record.bytes_owned());
                self.remove_file(file, &record)?;
            }
            return Ok(());
        }
        self.demote(target, &held)
    }

    fn unhold(&self, target: &Target, wrong: &[ChunkIndex]) -> Result<(), StoreError> {
        if let Located::Partial(partial) = self.locate(target.file)? {
            let mut state = partial.lock();
            for index in wrong {
                state.held.remove(index.0);
            }
            state.dirty = true;
            drop(state);
            self.queue.push_dirty(target.file, 0);
        }
        Ok(())
    }

    /// Makes a complete file partial. The index goes first: if a crash comes in between, opening
    /// the store moves the file.
    fn demote(&self, target: &Target, held: &ChunkSet) -> Result<(), StoreError> {
        let (owned, partial) = (self.home.owned(target.file), self.home.partial(target.file));
        let handle = self
            .disk
            .open(&owned, Access::Read)
            .context("open", &owned)?;
        // An exported file may be the same one under another name, and is not ours to write to.
        let is_shared = handle.links().context("read", &owned)? > 1;
        if is_shared {
            self.copy_for_repair(&*handle, target.record.size, &partial)?;
        }
        let _no_loading_meanwhile = self.partials.lock();
        self.index.write(|write| {
            let record = Record::new(target.record.size, Place::Partial);
            let mut files = write.open_table(tables::FILES)?;
            files.insert(target.file.as_bytes(), &record.encode()[..])?;
            let mut table = write.open_table(tables::HELD)?;
            table.insert(target.file.as_bytes(), &held.to_bytes()[..])?;
            Ok(())
        })?;
        lock(&self.handles).remove(HandleKey {
            file: target.file,
            partial: 0,
        });
        if is_shared {
            return self.disk.remove(&owned).context("remove", &owned);
        }
        handle
            .set_read_only(false)
            .context("make writable", &owned)?;
        self.disk.rename(&owned, &partial).context("rename", &owned)
    }

    fn copy_for_repair(
        &self,
        from: &dyn DiskFile,
        size: u64,
        path: &Path,
    ) -> Result<(), StoreError> {
        let copy = self.disk.open(path, Access::Create).context("make", path)?;
        if !clone_into(from, &*copy) {
            copy.allocate(size).context("make", path)?;
            let mut buffer = AlignedBytes::default();
            parallel::read_chunks(
                from,
                path,
                size,
                0..chunk_count(size),
                &mut buffer,
                |index, bytes| {
                    copy.write_all_at(bytes, chunk_offset(index))
                        .context("write", path)
                },
            )?;
            copy.set_len(size).context("resize", path)?;
        }
        copy.sync().context("sync", path)
    }
}

impl Target {
    fn bytes_held(&self) -> u64 {
        Chunks::Some(self.held.clone()).bytes(self.record.size)
    }
}
