//! A model as a row of chunks: the numbers that the scheduler and the connections use, and what they
//! stand for.

use std::{
    collections::HashSet,
    ops::Range,
    sync::{Arc, OnceLock},
};

use hubless_content::{
    CHUNK_SIZE, ChunkIndex, ChunkList, ChunkSet, FileHash, Manifest, ManifestEntry, chunk_count,
    chunk_len,
};

use crate::Target;

/// Position of a file in the manifest.
pub type FileNumber = usize;

/// One fetch's view of a model.
#[derive(Debug)]
pub struct Layout {
    /// What is fetched.
    pub target: Target,
    /// Its files.
    pub manifest: Arc<Manifest>,
    /// First chunk of each file; one more at the end for the total.
    firsts: Vec<u32>,
    /// Files to fetch: wanted, and the first of their hash.
    wanted: Vec<bool>,
    /// The proven chunk lists, as they come.
    lists: Vec<OnceLock<ChunkList>>,
    /// Bytes of all wanted files, those that are there twice counted twice.
    pub bytes_total: u64,
}

/// A model has more chunks than numbers: beyond 1 PiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the model has more chunks than can be counted")]
pub struct TooManyChunks;

impl Layout {
    /// Counts the chunks of a manifest, of which the files that `wants` accepts may be fetched.
    ///
    /// # Errors
    /// If there are too many.
    pub fn new(
        target: Target,
        manifest: Arc<Manifest>,
        wants: impl Fn(&ManifestEntry) -> bool,
    ) -> Result<Self, TooManyChunks> {
        let total = u32::try_from(manifest.chunks()).map_err(|_| TooManyChunks)?;
        let (mut firsts, mut wanted) = (Vec::new(), Vec::new());
        let (mut next, mut bytes_total, mut seen) = (0, 0, HashSet::new());
        for entry in manifest.entries() {
            firsts.push(next);
            next += chunk_count(entry.size);
            let wants = wants(entry);
            if wants {
                bytes_total += entry.size;
            }
            wanted.push(wants && seen.insert(entry.hash));
        }
        firsts.push(total);
        let lists = manifest.entries().iter().map(|_| OnceLock::new()).collect();
        Ok(Self {
            target,
            manifest,
            firsts,
            wanted,
            lists,
            bytes_total,
        })
    }

    /// Chunks of the whole model.
    pub fn chunks(&self) -> u32 {
        self.firsts.last().copied().unwrap_or(0)
    }

    /// The entry of a file.
    pub fn entry(&self, file: FileNumber) -> &ManifestEntry {
        &self.manifest.entries()[file]
    }

    /// The files to fetch, each content once.
    pub fn wanted(&self) -> impl Iterator<Item = FileNumber> + '_ {
        (0..self.wanted.len()).filter(|file| self.wanted[*file])
    }

    /// Whether there is anything to fetch.
    pub fn wants_any(&self) -> bool {
        self.wanted.contains(&true)
    }

    /// The numbers of a file's chunks.
    pub fn range(&self, file: FileNumber) -> Range<u32> {
        self.firsts[file]..self.firsts[file + 1]
    }

    /// All places of a file's content: the same bytes may have several paths.
    pub fn ranges_of(&self, hash: FileHash) -> impl Iterator<Item = Range<u32>> + '_ {
        let entries = self.manifest.entries().iter().enumerate();
        entries
            .filter(move |(_, entry)| entry.hash == hash)
            .map(|(file, _)| self.range(file))
    }

    /// Which file a chunk is in, and where; `None` beyond the end.
    pub fn place(&self, chunk: u32) -> Option<(FileNumber, ChunkIndex)> {
        if chunk >= self.chunks() {
            return None;
        }
        let file = self.firsts.partition_point(|first| *first <= chunk) - 1;
        Some((file, ChunkIndex(chunk - self.firsts[file])))
    }

    /// Bytes of these chunks together.
    pub fn bytes_of(&self, chunks: &ChunkSet) -> u64 {
        let bytes = |chunk| {
            let (file, index) = self.place(chunk)?;
            chunk_len(self.entry(file).size, index)
        };
        chunks
            .iter()
            .filter_map(bytes)
            .map(|bytes| bytes as u64)
            .sum()
    }

    /// The chunks of a file that hold bytes of a range of it.
    pub fn chunks_with(&self, file: FileNumber, bytes: &Range<u64>) -> Range<u32> {
        let chunks = self.range(file);
        let at = |index: u64| {
            let index = u32::try_from(index).unwrap_or(u32::MAX);
            chunks.start.saturating_add(index).min(chunks.end)
        };
        at(bytes.start / CHUNK_SIZE as u64)..at(bytes.end.div_ceil(CHUNK_SIZE as u64))
    }

    /// The proven list of a file, if it came.
    pub fn list(&self, file: FileNumber) -> Option<&ChunkList> {
        self.lists[file].get()
    }

    /// Keeps the proven list of a file; a second one is dropped.
    pub fn set_list(&self, file: FileNumber, list: ChunkList) {
        let _ = self.lists[file].set(list);
    }
}

/// Two fetches never share a layout: it is equal to itself alone.
impl PartialEq for Layout {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(wants: impl Fn(&ManifestEntry) -> bool) -> Layout {
        let entry = |path: &str, size: usize, fill| ManifestEntry {
            path: path.parse().unwrap(),
            size: size as u64,
            hash: FileHash::new([fill; 32]),
        };
        let large = 2 * CHUNK_SIZE + 1;
        let entries = vec![
            entry("a", 0, 1),
            entry("b", large, 2),
            entry("c", 7, 3),
            entry("d", large, 2),
        ];
        let manifest = Manifest::new(entries).unwrap();
        let target = Target::Model(manifest.content_hash());
        Layout::new(target, Arc::new(manifest), wants).unwrap()
    }

    #[test]
    fn every_chunk_has_its_place() {
        let layout = layout(|_| true);
        let place = |chunk| layout.place(chunk).map(|(file, index)| (file, index.0));
        let places: Vec<_> = (0..9).map(place).collect();
        let expected = [
            (0, 0),
            (1, 0),
            (1, 1),
            (1, 2),
            (2, 0),
            (3, 0),
            (3, 1),
            (3, 2),
        ];
        assert_eq!(places[..8], expected.map(Some));
        assert_eq!(places[8], None);
        assert_eq!(layout.range(1), 1..4);
    }

    #[test]
    fn the_same_content_is_fetched_once() {
        let all = layout(|_| true);
        assert_eq!(all.wanted().collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(
            all.ranges_of(FileHash::new([2; 32])).collect::<Vec<_>>(),
            [1..4, 5..8]
        );
        assert_eq!(all.bytes_total, 2 * (2 * CHUNK_SIZE as u64 + 1) + 7);
        let last = layout(|entry| entry.path.as_str() == "d");
        assert_eq!(last.wanted().collect::<Vec<_>>(), [3]);
    }
}
