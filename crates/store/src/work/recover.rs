//! Finding chunks that were written but not committed before a process was killed.

use hubless_content::{CHUNK_SIZE, ChunkIndex, ChunkList, ChunkSet, FileHash, chunk_count};
use hubless_disk::{IoContext, parallel::read_chunks};
use hubless_memory::AlignedBytes;

use crate::{
    error::StoreError,
    files::{
        located::LocatedFile,
        partial::{Inserted, Partial},
    },
    work::Work,
};

/// The chunks that have any byte in `extents`, ascending.
fn written_chunks(
    size: u64,
    extents: Vec<std::ops::Range<u64>>,
) -> impl Iterator<Item = ChunkIndex> {
    let count = chunk_count(size);
    let mut next = 0;
    extents.into_iter().flat_map(move |extent| {
        let first = u32::try_from(extent.start / CHUNK_SIZE as u64)
            .unwrap_or(count)
            .max(next);
        let end = u32::try_from(extent.end.div_ceil(CHUNK_SIZE as u64))
            .unwrap_or(count)
            .min(count);
        next = end.max(next);
        (first..end).map(ChunkIndex)
    })
}

impl Work {
    /// Finds chunks of a partial file that were written but not committed, or of one that was put
    /// aside because the index did not know it; verifies them, and returns how many are held again.
    /// It needs the chunk list, and searches each file once; where nothing was written it does not read.
    pub(crate) fn recover(&self, file: FileHash) -> Result<u32, StoreError> {
        let LocatedFile::Partial(partial) = self.locate_lost(file)? else {
            return Ok(0);
        };
        let Some(list) = self.files.chunk_list(file)? else {
            return Ok(0);
        };
        let candidates = {
            let mut state = partial.lock();
            if std::mem::replace(&mut state.recovered, true) || state.published {
                return Ok(0);
            }
            state.held.clone()
        };
        self.regain(&partial, &list, &candidates)
    }

    fn regain(
        &self,
        partial: &Partial,
        list: &ChunkList,
        held: &ChunkSet,
    ) -> Result<u32, StoreError> {
        let path = self.files.home.partial(partial.file);
        let handle = self.files.partial_handle(partial)?;
        let extents = handle.data_extents().context("read", &path)?;
        let mut buffer = AlignedBytes::default();
        let mut regained = 0;
        for index in written_chunks(list.size(), extents).filter(|index| !held.contains(index.0)) {
            let chunk = index.0..index.0 + 1;
            read_chunks(
                &*handle,
                &path,
                list.size(),
                chunk,
                &mut buffer,
                |index, bytes| {
                    let right = list.check(index, bytes).is_ok();
                    if right && matches!(partial.insert(index), Inserted::New { .. }) {
                        regained += 1;
                        self.files
                            .queue
                            .push_dirty(partial.file, bytes.len() as u64);
                    }
                    Ok::<_, StoreError>(())
                },
            )?;
        }
        Ok(regained)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_written_chunk_is_read_once() {
        let chunk = CHUNK_SIZE as u64;
        let extents = vec![10..20, chunk - 1..chunk + 1, 3 * chunk..9 * chunk];
        let indices: Vec<u32> = written_chunks(5 * chunk, extents)
            .map(|index| index.0)
            .collect();
        assert_eq!(indices, [0, 1, 3, 4]);
    }
}
