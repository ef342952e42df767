//! A file over which writes are kept in memory: a check of an index need not change it.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex},
};

use hubless_disk::DiskFile;
use hubless_sync::lock;
use redb::{StorageBackend, StorageError};

use crate::{backend::IndexFile, tx::caught};

/// Bytes of a block: what is written is kept in whole ones.
const BLOCK: u64 = 4096;

#[derive(Debug)]
pub(crate) struct Overlay {
    file: IndexFile,
    state: Mutex<OverlayState>,
}

#[derive(Debug)]
struct OverlayState {
    len: u64,
    /// Bytes of the file that may still be read; what is cut off and grown again is zero.
    file_len: u64,
    written: HashMap<u64, Box<[u8; BLOCK as usize]>>,
}

impl Overlay {
    pub(crate) fn new(file: Arc<dyn DiskFile>) -> io::Result<Self> {
        let file = IndexFile(file);
        let len = file.len()?;
        let state = OverlayState {
            len,
            file_len: len,
            written: HashMap::new(),
        };
        Ok(Self {
            file,
            state: Mutex::new(state),
        })
    }

    /// A block as it is now.
    fn block(&self, state: &OverlayState, number: u64) -> io::Result<Box<[u8; BLOCK as usize]>> {
        if let Some(written) = state.written.get(&number) {
            return Ok(written.clone());
        }
        let mut block = Box::new([0; BLOCK as usize]);
        let start = number * BLOCK;
        let there = state.file_len.saturating_sub(start).min(BLOCK) as usize;
        if there > 0 {
            self.file.read(start, &mut block[..there])?;
        }
        Ok(block)
    }
}

/// The blocks of a range: for each its number, the range within it, and where that lies in the range.
fn blocks(offset: u64, len: usize) -> impl Iterator<Item = (u64, std::ops::Range<usize>, usize)> {
    let end = offset + len as u64;
    let first = offset / BLOCK;
    (first..end.div_ceil(BLOCK)).map(move |number| {
        let start = (number * BLOCK).max(offset);
        let stop = ((number + 1) * BLOCK).min(end);
        let within = (start - number * BLOCK) as usize..(stop - number * BLOCK) as usize;
        (number, within, (start - offset) as usize)
    })
}

impl StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        Ok(lock(&self.state).len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = lock(&self.state);
        if offset.saturating_add(out.len() as u64) > state.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        for (number, within, at) in blocks(offset, out.len()) {
            let block = self.block(&state, number)?;
            out[at..at + within.len()].copy_from_slice(&block[within]);
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = lock(&self.state);
        state.len = len;
        state.file_len = state.file_len.min(len);
        let kept = len.div_ceil(BLOCK);
        state.written.retain(|number, _| *number < kept);
        if let Some(last) = state.written.get_mut(&(len / BLOCK)) {
            last[(len % BLOCK) as usize..].fill(0);
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = lock(&self.state);
        for (number, within, at) in blocks(offset, data.len()) {
            let mut block = self.block(&state, number)?;
            block[within.clone()].copy_from_slice(&data[at..at + within.len()]);
            state.written.insert(number, block);
        }
        state.len = state.len.max(offset.saturating_add(data.len() as u64));
        Ok(())
    }
}

/// Whether all pages of an index are as they were written.
///
/// redb compares pages with their checksums, but writes to the file it checks, and falls back to an older
/// state where it can; so it checks a file over which its writes are kept in memory.
///
/// # Errors
/// If the file cannot be read.
pub(crate) fn pages_are_right(file: &Arc<dyn DiskFile>) -> io::Result<bool> {
    let overlay = Overlay::new(file.clone())?;
    let checked = caught(|| {
        let mut database = redb::Database::builder().create_with_backend(overlay)?;
        database.check_integrity()
    });
    match checked {
        Ok(Err(redb::DatabaseError::Storage(StorageError::Io(error))))
            if error.kind() != io::ErrorKind::InvalidData
                && error.kind() != io::ErrorKind::UnexpectedEof =>
        {
            Err(error)
        }
        // What is not right, or made redb panic, may still have rows that are.
        Ok(checked) => Ok(checked.unwrap_or(false)),
        Err(_) => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use hubless_disk::{Access, Disk, RealDisk};

    use super::*;

    #[test]
    fn what_is_written_is_read_and_the_file_stays_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let before: Vec<u8> = (0..10_000u32).map(|n| n as u8).collect();
        std::fs::write(&path, &before).unwrap();
        let overlay = Overlay::new(RealDisk.open(&path, Access::Update).unwrap()).unwrap();
        let mut expected = before.clone();
        overlay.write(4000, &[7; 5000]).unwrap();
        expected[4000..9000].fill(7);
        overlay.set_len(8500).unwrap();
        expected.truncate(8500);
        overlay.set_len(20_000).unwrap();
        expected.resize(20_000, 0);
        overlay.write(19_990, &[9; 10]).unwrap();
        expected[19_990..].fill(9);
        let mut found = vec![1; 20_000];
        overlay.read(0, &mut found).unwrap();
        assert_eq!(found, expected);
        assert!(overlay.read(19_999, &mut [0; 2]).is_err(), "beyond the end");
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }
}
