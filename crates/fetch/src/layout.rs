//! A model as a row of chunks: the numbers that the scheduler and the connections use, and what they
//! stand for.

use std::{
    collections::HashSet,
    ops::Range,
    sync::{Arc, OnceLock},
};

use hubless_content::{
    CHUNK_SIZE, ChunkIndex, ChunkList, ChunkSet, FileHash, Manifest, ManifestEntry, ModelChunk,
    chunk_count, chunk_len,
};

use crate::target::Target;

/// Position of a file in the manifest, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileNumber(pub usize);

/// One fetch's view of a model.
#[derive(Debug)]
pub struct Layout {
    /// What is fetched.
    pub target: Target,
    /// Its files.
    pub manifest: Arc<Manifest>,
    /// First chunk of each file; one more at the end for the total.
    firsts: Vec<ModelChunk>,
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
        let (mut next, mut bytes_total, mut seen) = (ModelChunk(0), 0, HashSet::new());
        for entry in manifest.entries() {
            firsts.push(next);
            next = next.plus(chunk_count(entry.size));
            let wants = wants(entry);
            if wants {
                bytes_total += entry.size;
            }
            wanted.push(wants && seen.insert(entry.hash));
        }
        firsts.push(ModelChunk(total));
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
        self.all().end.0
    }

    /// The numbers of all chunks.
    pub fn all(&self) -> Range<ModelChunk> {
        let start = ModelChunk(0);
        start..self.firsts.last().copied().unwrap_or(start)
    }

    /// The entry of a file.
    pub fn entry(&self, file: FileNumber) -> &ManifestEntry {
        &self.manifest.entries()[file.0]
    }

    /// The files to fetch, each content once.
    pub fn wanted(&self) -> impl Iterator<Item = FileNumber> + '_ {
        let numbers = (0..self.wanted.len()).map(FileNumber);
        numbers.filter(|file| self.wanted[file.0])
    }

    /// Whether there is anything to fetch.
    pub fn wants_any(&self) -> bool {
        self.wanted.contains(&true)
    }

    /// The numbers of a file's chunks.
    pub fn range(&self, file: FileNumber) -> Range<ModelChunk> {
        self.firsts[file.0]..self.firsts[file.0 + 1]
    }

    /// All places of a file's content: the same bytes may have several paths.
    pub fn ranges_of(&self, hash: FileHash) -> impl Iterator<Item = Range<ModelChunk>> + '_ {
        let entries = self.manifest.entries().iter().enumerate();
        entries
            .filter(move |(_, entry)| entry.hash == hash)
            .map(|(file, _)| self.range(FileNumber(file)))
    }

    /// Which file a chunk is in, and where; `None` beyond the end.
    pub fn place(&self, chunk: ModelChunk) -> Option<(FileNumber, ChunkIndex)> {
        if !self.all().contains(&chunk) {
            return None;
        }
        let file = self.firsts.partition_point(|first| *first <= chunk) - 1;
        let index = ChunkIndex(chunk.0 - self.firsts[file].0);
        Some((FileNumber(file), index))
    }

    /// The number of a chunk of a file; that of the next file's first chunk for all beyond its end.
    pub fn chunk(&self, file: FileNumber, index: ChunkIndex) -> ModelChunk {
        let chunks = self.range(file);
        chunks.start.plus(index.0).min(chunks.end)
    }

    /// Bytes of these chunks together.
    pub fn bytes_of(&self, chunks: &ChunkSet) -> u64 {
        let bytes = |chunk| {
            let (file, index) = self.place(chunk)?;
            chunk_len(self.entry(file).size, index)
        };
        chunks
            .iter()
            .map(ModelChunk)
            .filter_map(bytes)
            .map(|bytes| bytes as u64)
            .sum()
    }

    /// The chunks of a file that hold bytes of a range of it.
    pub fn chunks_with(&self, file: FileNumber, bytes: &Range<u64>) -> Range<ModelChunk> {
        let at = |index: u64| {
            let index = u32::try_from(index).unwrap_or(u32::MAX);
            self.chunk(file, ChunkIndex(index))
        };
        at(bytes.start / CHUNK_SIZE as u64)..at(bytes.end.div_ceil(CHUNK_SIZE as u64))
    }

    /// The proven list of a file, if it came.
    pub fn list(&self, file: FileNumber) -> Option<&ChunkList> {
        self.lists[file.0].get()
    }

    /// Keeps the proven list of a file; a second one is dropped.
    pub fn set_list(&self, file: FileNumber, list: ChunkList) {
        let _ = self.lists[file.0].set(list);
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

    fn chunks(numbers: Range<u32>) -> Range<ModelChunk> {
        ModelChunk(numbers.start)..ModelChunk(numbers.end)
    }

    #[test]
    fn every_chunk_has_its_place() {
        let layout = layout(|_| true);
        let place = |chunk| {
            let (file, index) = layout.place(ModelChunk(chunk))?;
            assert_eq!(layout.chunk(file, index), ModelChunk(chunk));
            Some((file.0, index.0))
        };
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
        assert_eq!(layout.range(FileNumber(1)), chunks(1..4));
        let beyond = layout.chunk(FileNumber(1), ChunkIndex(u32::MAX));
        assert_eq!(beyond, ModelChunk(4));
    }

    #[test]
    fn the_same_content_is_fetched_once() {
        let all = layout(|_| true);
        assert_eq!(all.wanted().collect::<Vec<_>>(), [0, 1, 2].map(FileNumber));
        assert_eq!(
            all.ranges_of(FileHash::new([2; 32])).collect::<Vec<_>>(),
            [1..4, 5..8].map(chunks)
        );
        assert_eq!(all.bytes_total, 2 * (2 * CHUNK_SIZE as u64 + 1) + 7);
        let last = layout(|entry| entry.path.as_str() == "d");
        assert_eq!(last.wanted().collect::<Vec<_>>(), [FileNumber(3)]);
    }
}
