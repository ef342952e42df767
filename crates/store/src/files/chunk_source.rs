//! The places where chunks of a file may lie, as one trait.
//!
//! A second place for bulk bytes is one more implementation, one arm in each function of this file that
//! matches locations, what users are shown of it (`located.rs`), and one tag of a record in the crate
//! `index`.

use std::path::PathBuf;

use bytes::Bytes;
use hubless_content::{ChunkIndex, ChunkSet, FileHash, chunk_count};
use hubless_index::{FileLocation, Record};

use crate::{
    error::StoreError,
    files::{
        Files,
        external::ExternalFile,
        inline::{Absent, InlineFile, WaitingFile},
        located::LocatedFile,
        owned::OwnedFile,
        partial_file::PartialFile,
        source::OpenBytes,
    },
};

/// A chunk as it was read.
pub(crate) enum ChunkRead {
    /// It is not held.
    Absent,
    /// `is_known` if its file is as it was when it was last found to be right.
    Bytes { bytes: Bytes, is_known: bool },
    /// It is held, but not there in full.
    Lost,
}

/// What is done with a file of which bytes are wrong.
pub(crate) enum AfterDamage {
    /// It is forgotten: it has one chunk.
    Forget,
    /// It becomes partial: its other chunks stay.
    Demote,
    /// It stays as it is, since it is another's, and is not read before it is checked; holds its path.
    Suspect(PathBuf),
    /// Its chunks are kept apart from the index.
    Nothing,
}

/// A file at one of the places where its bytes may lie.
pub(crate) trait ChunkSource {
    /// The chunks that can be read.
    fn presence(&self) -> ChunkSet;

    /// Reads a chunk; may wait for a disk.
    ///
    /// # Errors
    /// If the disk or the index fails. A chunk that is lost is no error.
    fn read(&self, index: ChunkIndex) -> Result<ChunkRead, StoreError>;

    /// Reads a chunk if that needs no wait and its file is as it was when it was last found to be right.
    /// `None` says that [`ChunkSource::read`] is to be called.
    fn read_now(&self, index: ChunkIndex) -> Option<Bytes>;

    /// Opens the bytes anew, as the next reader would find them: for a check.
    ///
    /// # Errors
    /// If the disk or the index fails. Bytes that are gone are no error.
    fn open(&self) -> Result<OpenBytes, StoreError>;
}

impl Files {
    /// Runs `work` on a file where it was located.
    pub(crate) fn at<T>(
        &self,
        file: FileHash,
        located: &LocatedFile,
        work: impl FnOnce(&dyn ChunkSource) -> T,
    ) -> T {
        match located {
            LocatedFile::Missing => work(&Absent { chunks: 0 }),
            LocatedFile::Waiting(bytes) => work(&WaitingFile { bytes }),
            LocatedFile::Partial(partial) => work(&PartialFile {
                files: self,
                partial,
            }),
            LocatedFile::Stored(record) => self.at_record(file, record, work),
        }
    }

    /// Runs `work` on a file where the index has it.
    fn at_record<T>(
        &self,
        file: FileHash,
        record: &Record,
        work: impl FnOnce(&dyn ChunkSource) -> T,
    ) -> T {
        let (files, size) = (self, record.size);
        match &record.place {
            FileLocation::Inline => work(&InlineFile { files, file, size }),
            FileLocation::Owned(right) => work(&OwnedFile {
                files,
                file,
                size,
                right,
            }),
            FileLocation::External(external) => work(&ExternalFile {
                files,
                file,
                size,
                external,
            }),
            // One that was located is in memory; of any other no chunk is known.
            FileLocation::Partial => work(&Absent {
                chunks: chunk_count(size),
            }),
        }
    }

    /// The file of the home directory that has the bytes, if one has.
    pub(crate) fn home_path(&self, file: FileHash, place: &FileLocation) -> Option<PathBuf> {
        match place {
            FileLocation::Owned(_) => Some(self.home.owned(file)),
            FileLocation::Partial => Some(self.home.partial(file)),
            FileLocation::Inline | FileLocation::External(_) => None,
        }
    }

    /// What is done with a file of which bytes are wrong.
    pub(crate) fn after_damage(&self, place: &FileLocation) -> AfterDamage {
        match place {
            FileLocation::Inline => AfterDamage::Forget,
            // Even if no chunk is right: a disk that fails now may give its bytes later, and
            // `Store::recover` finds them then.
            FileLocation::Owned(_) => AfterDamage::Demote,
            FileLocation::External(external) => AfterDamage::Suspect(external.path.clone()),
            FileLocation::Partial => AfterDamage::Nothing,
        }
    }

    /// The chunks of a located file that can be read.
    pub(crate) fn presence(&self, file: FileHash, located: &LocatedFile) -> ChunkSet {
        self.at(file, located, |source| source.presence())
    }

    pub(crate) fn read(
        &self,
        file: FileHash,
        located: &LocatedFile,
        index: ChunkIndex,
    ) -> Result<ChunkRead, StoreError> {
        self.at(file, located, |source| source.read(index))
    }

    /// A chunk that is in memory, and the size of its file, which is as it was when it was last found
    /// to be right. Takes no lock that is held while a disk works.
    pub(crate) fn read_at_once(&self, file: FileHash, index: ChunkIndex) -> Option<(Bytes, u64)> {
        // To open it would be to wait.
        self.open_handle(file)?;
        let record = self.record(file).ok()??;
        let bytes = self.at_record(file, &record, |source| source.read_now(index))?;
        Some((bytes, record.size))
    }

    /// Opens what a located file's bytes are in.
    pub(crate) fn source(
        &self,
        file: FileHash,
        located: &LocatedFile,
    ) -> Result<OpenBytes, StoreError> {
        self.at(file, located, |source| source.open())
    }
}
