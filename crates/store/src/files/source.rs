//! Stored bytes, opened anew by their path: what a check reads.
//!
//! A handle from the cache may be of a file that another one took the place of; what is checked
//! here is what the next reader gets.

use std::{io, path::Path, sync::Arc};

use bytes::Bytes;
use hubless_content::{ChunkIndex, ChunkList, chunk_len, chunk_offset};
use hubless_disk::{DiskError, DiskFile, IoContext, Signature, is_shortage};
use hubless_memory::AlignedBytes;

use crate::{error::StoreError, files::Files};

pub(crate) enum OpenBytes {
    /// There is nothing to read where the bytes should be.
    Nothing,
    Bytes(Bytes),
    File(Arc<dyn DiskFile>),
}

impl OpenBytes {
    pub(crate) fn signature(&self) -> Option<Signature> {
        match self {
            Self::Nothing | Self::Bytes(_) => None,
            Self::File(file) => file.signature().ok(),
        }
    }

    /// Whether a chunk is there and right.
    pub(crate) fn is_right(
        &self,
        list: &ChunkList,
        index: ChunkIndex,
        buffer: &mut AlignedBytes,
    ) -> Result<bool, StoreError> {
        let file = match self {
            Self::Nothing => return Ok(false),
            Self::Bytes(bytes) => return Ok(list.check(index, bytes).is_ok()),
            Self::File(file) => file,
        };
        let room = buffer.room(chunk_len(list.size(), index).unwrap_or(0));
        match file.read_at(room, chunk_offset(index)) {
            Ok(read) => Ok(list.check(index, &room[..read]).is_ok()),
            Err(error) if is_shortage(&error) => Err(shortage(list, error)),
            Err(_) => Ok(false),
        }
    }
}

fn shortage(list: &ChunkList, error: io::Error) -> StoreError {
    DiskError::new("read", Path::new(&list.file().to_string()), error).into()
}

impl Files {
    /// An error if the home directory is not where it was: a disk that was unmounted has lost
    /// nothing.
    pub(crate) fn home_is_there(&self) -> Result<(), StoreError> {
        let index = self.home.index();
        self.disk.signature(&index).context("find", &index)?;
        Ok(())
    }
}
