//! Checking a whole file, and what is known of it afterwards.
//!
//! A file that was read and found right has a signature, which is kept in its record with the time.
//! As long as the file has that signature it is taken to be right, where hashing it each time would
//! cost too much: for a peer, which verifies what it gets, and for a link or clone of the file.

use hubless_content::{ChunkIndex, ChunkList, ChunkSet, FileHash, chunk_count};
use hubless_disk::{
    DiskError, Signature, is_loss,
    parallel::{self, Span},
};
use hubless_index::{Check, FileLocation, Presence};
use hubless_memory::AlignedBytes;
use hubless_sync::lock;

use crate::{
    error::StoreError,
    files::{located::LocatedFile, source::OpenBytes},
    observer::{Meter, Observer},
    work::Work,
};

/// A file to read.
pub(crate) struct FileToCheck {
    pub(crate) file: FileHash,
    pub(crate) located: LocatedFile,
    pub(crate) held: ChunkSet,
    pub(crate) list: ChunkList,
    before: Option<Signature>,
}

/// What a check of several files found.
#[derive(Default)]
pub(crate) struct Checked {
    pub(crate) bytes: u64,
    /// By the number of the target, the chunks that are wrong, ascending; they were rejected.
    pub(crate) wrong: Vec<(usize, Vec<ChunkIndex>)>,
}

impl FileToCheck {
    pub(crate) fn new(
        file: FileHash,
        located: LocatedFile,
        held: ChunkSet,
        list: ChunkList,
    ) -> Self {
        Self {
            file,
            located,
            held,
            list,
            before: None,
        }
    }

    /// Bytes of the chunks that are read.
    pub(crate) fn bytes(&self) -> u64 {
        Presence::Some(self.held.clone()).bytes(self.list.size())
    }
}

impl Work {
    /// What can be checked of a file; `None` if nothing of it is held, or if its chunk list is not
    /// known and cannot be made. A stale file of the user's is read in full: it may be right again.
    pub(crate) fn target(&self, file: FileHash) -> Result<Option<FileToCheck>, StoreError> {
        let located = self.files.locate(file)?;
        let mut held = self.files.presence(file, &located);
        if located.is_external() {
            held = ChunkSet::full(chunk_count(located.size()));
        }
        if held.is_empty() {
            return Ok(None);
        }
        let Some(list) = self.list_or_make(file)? else {
            return Ok(None);
        };
        let mut target = FileToCheck::new(file, located, held, list);
        target.before = self.files.source(file, &target.located)?.signature();
        Ok(Some(target))
    }

    /// Reads targets in full, rejects what is wrong, and records which of them are right.
    pub(crate) fn check_all(
        &self,
        targets: &[FileToCheck],
        observer: &dyn Observer,
    ) -> Result<Checked, StoreError> {
        let bytes = targets.iter().map(FileToCheck::bytes).sum();
        let meter = Meter::new(observer, targets.len() as u64, bytes);
        let wrong: Vec<_> = targets
            .iter()
            .map(|_| std::sync::Mutex::new(Vec::new()))
            .collect();
        let spans = parallel::spans(targets.iter().map(|target| target.list.size()));
        parallel::for_each(&spans, |span, buffer| {
            let target = &targets[span.item];
            let (bad, bytes) = self.check_span(target, span, buffer)?;
            lock(&wrong[span.item]).extend(bad);
            let is_last = span.chunks.end == target.list.count();
            meter.add(u64::from(is_last), bytes)
        })?;
        let mut checked = Checked {
            bytes,
            wrong: Vec::new(),
        };
        for (number, (target, wrong)) in targets.iter().zip(wrong).enumerate() {
            let mut wrong = std::mem::take(&mut *lock(&wrong));
            wrong.sort_unstable();
            let wrong = self.conclude(target, &wrong)?;
            if !wrong.is_empty() {
                checked.wrong.push((number, wrong));
            }
        }
        Ok(checked)
    }

    /// The chunks of a span that are held and wrong, and how many bytes were read for that.
    fn check_span(
        &self,
        target: &FileToCheck,
        span: &Span,
        buffer: &mut AlignedBytes,
    ) -> Result<(Vec<ChunkIndex>, u64), StoreError> {
        let source = self.files.source(target.file, &target.located)?;
        let mut wrong = Vec::new();
        let mut bytes_read = 0;
        for index in span.chunks.clone().filter(|n| target.held.contains(*n)) {
            let index = ChunkIndex(index);
            if !source.is_right(&target.list, index, buffer)? {
                wrong.push(index);
            }
            let len = hubless_content::chunk_len(target.list.size(), index);
            bytes_read += len.unwrap_or(0) as u64;
        }
        Ok((wrong, bytes_read))
    }

    /// After all of a target was read: rejects the chunks that seem wrong, or records that it is
    /// right. Returns the chunks that were rejected.
    pub(crate) fn conclude(
        &self,
        target: &FileToCheck,
        suspected: &[ChunkIndex],
    ) -> Result<Vec<ChunkIndex>, StoreError> {
        if !suspected.is_empty() {
            // Nothing is held of a stale file, so there is nothing to reject.
            let is_stale = target.located.is_external()
                && self.files.presence(target.file, &target.located).is_empty();
            return match is_stale {
                true => Ok(suspected.to_vec()),
                false => self.commits.reject(target.file, suspected),
            };
        }
        match &target.located {
            LocatedFile::Partial(partial) => {
                (target.held.iter()).for_each(|n| partial.prove(ChunkIndex(n)));
            }
            LocatedFile::Stored(_) => {
                let now = self.files.source(target.file, &target.located)?.signature();
                // If it changed while it was read, it is not known which signature is right.
                let signature = now.filter(|_| now == target.before);
                self.files
                    .queue
                    .push_check(target.file, Check::now(signature));
                // What the cache has open may be what lay there before.
                self.files.drop_handle(target.file, 0);
            }
            LocatedFile::Missing | LocatedFile::Waiting(_) => {}
        }
        Ok(Vec::new())
    }

    /// The chunk list of a file; that of a complete file which lost its list is made anew. If that
    /// cannot be, because its bytes are wrong, the file is no longer held.
    pub(crate) fn list_or_make(&self, file: FileHash) -> Result<Option<ChunkList>, StoreError> {
        if let Some(list) = self.files.chunk_list(file)? {
            return Ok(Some(list));
        }
        let located = self.files.locate(file)?;
        if !matches!(located, LocatedFile::Stored(_)) {
            return Ok(None);
        }
        let hashed = match self.files.source(file, &located)? {
            OpenBytes::File(handle) => {
                match parallel::hash(&*handle, &self.files.home.owned(file), located.size()) {
                    Err(DiskError::Io { source, .. }) if is_loss(&source) => None,
                    hashed => hashed?,
                }
            }
            OpenBytes::Bytes(_) | OpenBytes::Nothing => None,
        };
        match hashed.filter(|list| list.file() == file) {
            Some(list) => {
                self.files.queue.push_list(&list);
                Ok(Some(list))
            }
            None => {
                self.commits.reject_unlisted(file)?;
                Ok(None)
            }
        }
    }

    /// Before bytes leave in a way that is not checked chunk by chunk, as a link or a clone: the file
    /// has the signature with which it was last found to be right, or else it is read and checked now.
    ///
    /// # Errors
    /// [`StoreError::Incomplete`] if not all of it is held, or was until it was found to be wrong.
    pub(crate) fn prove_file(&self, file: FileHash) -> Result<(), StoreError> {
        let located = self.files.locate(file)?;
        if !self.files.presence(file, &located).is_full() {
            return Err(StoreError::Incomplete { file });
        }
        let recorded = match &located {
            LocatedFile::Stored(record) => record.place.right(),
            _ => None,
        };
        let known = recorded.map(|recorded| self.files.known_signature(file, recorded));
        let source = self.files.source(file, &located)?;
        let right = match &source {
            // A file of one chunk, which is at hand: its hash is the proof.
            OpenBytes::Bytes(bytes) => blake3::hash(bytes).as_bytes() == file.as_bytes(),
            OpenBytes::Nothing => false,
            OpenBytes::File(_) => known.is_some() && known == source.signature(),
        };
        if right {
            return Ok(());
        }
        self.check_file(file)
    }

    /// Reads a whole file and checks it, whatever is known of it.
    ///
    /// # Errors
    /// As [`Shared::prove_file`].
    pub(crate) fn check_file(&self, file: FileHash) -> Result<(), StoreError> {
        let target = self.target(file)?.filter(|target| target.held.is_full());
        let target = target.ok_or(StoreError::Incomplete { file })?;
        let checked = self.check_all(&[target], &())?;
        self.files.damage.deliver();
        if checked.wrong.is_empty() {
            Ok(())
        } else {
            Err(StoreError::Incomplete { file })
        }
    }

    /// After the store gave an owned file another name or mode, and it was proven before that: its
    /// signature now is that of a right file, if nothing else about it changed.
    pub(crate) fn relinked(&self, file: FileHash) -> Result<(), StoreError> {
        let located = self.files.locate(file)?;
        let LocatedFile::Stored(record) = &located else {
            return Ok(());
        };
        let FileLocation::Owned(right) = &record.place else {
            return Ok(());
        };
        let known = self.files.known_signature(file, right);
        if let Some(now) = self.files.source(file, &located)?.signature()
            && now != known
            && now.is_same_but_for_change(&known)
        {
            let check = Check {
                signature: Some(now),
                at: record.checked,
            };
            self.files.queue.push_check(file, check);
        }
        Ok(())
    }
}
