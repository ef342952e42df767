//! Chunk lists: proof of a file's chunks from BLAKE3's own tree.

use std::{
    fmt,
    io::{self, Read},
    sync::Arc,
};

use blake3::hazmat::{self, HasherExt, Mode};
use bytes::Bytes;
use hubless_memory::AlignedBytes;

use crate::{
    chunk::{CHUNK_SIZE, ChunkIndex},
    chunk::{FILE_SIZE_MAX, chunk_count, chunk_len, chunk_offset},
    hash::{ChunkCv, FileHash},
};

/// Chaining values that do not merge to the file hash: their sender lied, or the file has another
/// size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the chunk list does not belong to file {file}")]
pub struct ChunkListMismatch {
    /// The file of the expected list.
    pub file: FileHash,
}

/// Bytes that do not match the expected chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("chunk {index} of file {file} has wrong bytes")]
pub struct ChunkMismatch {
    /// The file.
    pub file: FileHash,
    /// The chunk.
    pub index: ChunkIndex,
}

/// The chaining value of chunk `index` with these bytes, if the file has more than one chunk.
///
/// `bytes` is at most [`CHUNK_SIZE`] long; more gives a value that matches no chunk.
pub fn chunk_cv(index: ChunkIndex, bytes: &[u8]) -> ChunkCv {
    let bytes = &bytes[..bytes.len().min(CHUNK_SIZE)];
    if bytes.is_empty() {
        return ChunkCv::new([0; 32]);
    }
    let mut hasher = blake3::Hasher::new();
    hasher.set_input_offset(chunk_offset(index)).update(bytes);
    ChunkCv::new(hasher.finalize_non_root())
}

/// The proven chaining values of one file's chunks: one row of its BLAKE3 tree.
///
/// A value of this type is always true to its file hash, because it is made only by checking
/// ([`ChunkList::prove`]) or by hashing ([`ChunkList::from_hashed`]). Cloning is cheap.
#[derive(Clone, PartialEq, Eq)]
pub struct ChunkList {
    file: FileHash,
    size: u64,
    /// Empty for a file of one chunk, which is verified by its file hash.
    cvs: Arc<[ChunkCv]>,
}

impl ChunkList {
    /// The list of a file of at most one chunk: it has no chaining values of its own, the file
    /// hash is the proof.
    ///
    /// # Errors
    /// [`ChunkListMismatch`] if `size` needs more than one chunk.
    pub fn single(file: FileHash, size: u64) -> Result<Self, ChunkListMismatch> {
        Self::prove(file, size, Vec::new())
    }

    /// Checks chaining values from anywhere against the file hash.
    ///
    /// `cvs` are in order of their chunks; none for a file of one chunk.
    ///
    /// # Errors
    /// [`ChunkListMismatch`] if their number is not that of a file of `size` bytes, or if they do
    /// not merge to `file`.
    pub fn prove(file: FileHash, size: u64, cvs: Vec<ChunkCv>) -> Result<Self, ChunkListMismatch> {
        let mismatch = ChunkListMismatch { file };
        let count = chunk_count(size) as usize;
        // A single chunk is the root of its tree: its proof is the file hash.
        let expected = if count == 1 { 0 } else { count };
        if size > FILE_SIZE_MAX || cvs.len() != expected {
            return Err(mismatch);
        }
        if !cvs.is_empty() && merge_root(&cvs) != file {
            return Err(mismatch);
        }
        Ok(Self {
            file,
            size,
            cvs: cvs.into(),
        })
    }

    /// The list of a file whose chunks were hashed here, with [`chunk_cv`], possibly on several
    /// threads. For a file of one chunk use [`FileHasher`] or [`hash_reader`].
    ///
    /// Returns `None` if the number of values is not that of a file of `size` bytes with more than
    /// one chunk.
    pub fn from_hashed(size: u64, cvs: Vec<ChunkCv>) -> Option<Self> {
        if cvs.len() < 2 || size > FILE_SIZE_MAX || cvs.len() != chunk_count(size) as usize {
            return None;
        }
        Some(Self {
            file: merge_root(&cvs),
            size,
            cvs: cvs.into(),
        })
    }

    /// The file's hash.
    pub fn file(&self) -> FileHash {
        self.file
    }

    /// The file's bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The file's chunks; at least 1.
    pub fn count(&self) -> u32 {
        chunk_count(self.size)
    }

    /// The chaining values in order; none for a file of one chunk.
    pub fn cvs(&self) -> &[ChunkCv] {
        &self.cvs
    }

    /// Whether `bytes` are chunk `index`.
    ///
    /// # Errors
    /// [`ChunkMismatch`] if they are not, or if the file has no such chunk.
    pub fn check(&self, index: ChunkIndex, bytes: &[u8]) -> Result<(), ChunkMismatch> {
        // The length first: that also refuses an index beyond the end, which has no chaining value.
        let right = chunk_len(self.size, index) == Some(bytes.len())
            && match self.cvs.get(index.0 as usize) {
                Some(cv) => chunk_cv(index, bytes) == *cv,
                None => FileHash::from(blake3::hash(bytes)) == self.file,
            };
        if right {
            Ok(())
        } else {
            Err(ChunkMismatch {
                file: self.file,
                index,
            })
        }
    }

    /// Turns bytes from anywhere into a [`VerifiedChunk`].
    ///
    /// # Errors
    /// [`ChunkMismatch`] as [`ChunkList::check`].
    pub fn verify(&self, index: ChunkIndex, bytes: Bytes) -> Result<VerifiedChunk, ChunkMismatch> {
        self.check(index, &bytes)?;
        Ok(VerifiedChunk {
            file: self.file,
            size: self.size,
            index,
            bytes,
        })
    }
}

impl fmt::Debug for ChunkList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChunkList({:?}, {} bytes)", self.file, self.size)
    }
}

/// A chunk that was proven to belong to its file. Only [`ChunkList::verify`] makes it.
#[derive(Clone)]
pub struct VerifiedChunk {
    file: FileHash,
    size: u64,
    index: ChunkIndex,
    bytes: Bytes,
}

impl VerifiedChunk {
    /// The file.
    pub fn file(&self) -> FileHash {
        self.file
    }

    /// The file's bytes in all.
    pub fn file_size(&self) -> u64 {
        self.size
    }

    /// Which chunk of the file.
    pub fn index(&self) -> ChunkIndex {
        self.index
    }

    /// The chunk's bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

impl fmt::Debug for VerifiedChunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifiedChunk({:?}{:?})", self.file, self.index)
    }
}

/// Merges two or more chaining values, in order, to the file hash.
///
/// A stack machine: a run of values is one complete subtree for each 1 bit of its length, so
/// after value `n` as many merges follow as `n` has trailing zero bits. Iterative, because the
/// length comes from outside.
fn merge_root(cvs: &[ChunkCv]) -> FileHash {
    let mut stack: Vec<[u8; 32]> = Vec::with_capacity(33);
    let last = cvs.len() - 1;
    for (index, cv) in cvs[..last].iter().enumerate() {
        let mut subtree = *cv.as_bytes();
        for _ in 0..(index + 1).trailing_zeros() {
            if let Some(left) = stack.pop() {
                subtree = hazmat::merge_subtrees_non_root(&left, &subtree, Mode::Hash);
            }
        }
        stack.push(subtree);
    }
    // The left operands now lie on the stack, largest first; the last value closes the tree.
    let mut right = *cvs[last].as_bytes();
    while stack.len() > 1 {
        if let Some(left) = stack.pop() {
            right = hazmat::merge_subtrees_non_root(&left, &right, Mode::Hash);
        }
    }
    match stack.pop() {
        Some(left) => hazmat::merge_subtrees_root(&left, &right, Mode::Hash).into(),
        None => FileHash::new(right), // unreachable: there are at least two values
    }
}

/// Hashes a file of unknown length from its bytes in order.
pub struct FileHasher {
    chunk: Vec<u8>,
    cvs: Vec<ChunkCv>,
    size: u64,
}

impl FileHasher {
    /// A hasher of no bytes yet.
    pub fn new() -> Self {
        Self {
            chunk: Vec::with_capacity(CHUNK_SIZE),
            cvs: Vec::new(),
            size: 0,
        }
    }

    /// Takes the next bytes of the file.
    pub fn update(&mut self, mut bytes: &[u8]) {
        self.size += bytes.len() as u64;
        while !bytes.is_empty() {
            if self.chunk.len() == CHUNK_SIZE {
                self.close_chunk();
            }
            let room = CHUNK_SIZE - self.chunk.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.chunk.extend_from_slice(now);
            bytes = later;
        }
    }

    fn close_chunk(&mut self) {
        let index = ChunkIndex(u32::try_from(self.cvs.len()).unwrap_or(u32::MAX));
        self.cvs.push(chunk_cv(index, &self.chunk));
        self.chunk.clear();
    }

    /// The finished list; its [`ChunkList::file`] is what `b3sum` prints.
    pub fn finish(mut self) -> ChunkList {
        if self.cvs.is_empty() {
            let file = blake3::hash(&self.chunk).into();
            return ChunkList {
                file,
                size: self.size,
                cvs: Arc::new([]),
            };
        }
        self.close_chunk();
        ChunkList {
            file: merge_root(&self.cvs),
            size: self.size,
            cvs: self.cvs.into(),
        }
    }
}

impl Default for FileHasher {
    fn default() -> Self {
        Self::new()
    }
}

/// Reads to the end and returns the chunk list.
///
/// # Errors
/// Those of `reader`; [`io::ErrorKind::FileTooLarge`] beyond [`FILE_SIZE_MAX`].
pub fn hash_reader(mut reader: impl Read) -> io::Result<ChunkList> {
    let mut hasher = FileHasher::new();
    let mut buffer = AlignedBytes::zeroed(CHUNK_SIZE);
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(n) => hasher.update(&buffer[..n]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if hasher.size > FILE_SIZE_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The input of the official BLAKE3 test vectors: bytes 0, 1, .., 250, 0, 1, ..
    fn pattern(len: usize) -> Vec<u8> {
        (0..=250u8).cycle().take(len).collect()
    }

    fn list_impl(data: &[u8]) {
        let list = hash_reader(data).unwrap();
        assert_eq!(
            list.file(),
            FileHash::from(blake3::hash(data)),
            "{} bytes",
            data.len()
        );
        assert_eq!(list.size(), data.len() as u64);
        let proven = ChunkList::prove(list.file(), list.size(), list.cvs().to_vec());
        assert_eq!(proven.as_ref(), Ok(&list));
        for (index, chunk) in data.chunks(CHUNK_SIZE).enumerate() {
            list.check(ChunkIndex(index as u32), chunk).unwrap();
        }
        if list.count() > 1 {
            assert_eq!(
                ChunkList::from_hashed(list.size(), list.cvs().to_vec()),
                Some(list)
            );
        }
    }

    #[test]
    fn equals_blake3_around_every_boundary() {
        for chunks in [0usize, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33] {
            for offset in [-1025i64, -1024, -1, 0, 1, 64, 1024, 1025] {
                let len = (chunks * CHUNK_SIZE) as i64 + offset;
                if let Ok(len) = usize::try_from(len) {
                    list_impl(&pattern(len));
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn equals_blake3_on_any_size(len in 0usize..(6 * CHUNK_SIZE), step in 1usize..300_000) {
            let data = pattern(len);
            let mut hasher = FileHasher::new();
            data.chunks(step).for_each(|piece| hasher.update(piece));
            prop_assert_eq!(hasher.finish(), hash_reader(&data[..]).unwrap());
            list_impl(&data);
        }
    }

    /// From `test_vectors.json` of the BLAKE3 project (first 32 bytes of each output).
    #[test]
    fn equals_the_official_vectors() {
        for (len, hash) in [
            (
                0,
                "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
            ),
            (
                1,
                "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213",
            ),
            (
                1023,
                "10108970eeda3eb932baac1428c7a2163b0e924c9a9e25b35bba72b28f70bd11",
            ),
            (
                1024,
                "42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7",
            ),
            (
                1025,
                "d00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444",
            ),
            (
                102_400,
                "bc3e3d41a1146b069abffad3c0d44860cf664390afce4d9661f7902e7943e085",
            ),
        ] {
            assert_eq!(
                hash_reader(&pattern(len)[..]).unwrap().file().to_string(),
                hash
            );
        }
    }

    #[test]
    fn wrong_bytes_are_never_verified() {
        let data = pattern(3 * CHUNK_SIZE + 5);
        let list = hash_reader(&data[..]).unwrap();
        let chunk = |n: usize| Bytes::copy_from_slice(data.chunks(CHUNK_SIZE).nth(n).unwrap());
        assert_eq!(
            list.verify(ChunkIndex(1), chunk(1)).unwrap().bytes(),
            &chunk(1)
        );

        let mut flipped = chunk(1).to_vec();
        flipped[77] ^= 1;
        assert!(
            list.verify(ChunkIndex(1), flipped.into()).is_err(),
            "one bit"
        );
        assert!(
            list.verify(ChunkIndex(0), chunk(1)).is_err(),
            "another position"
        );
        assert!(
            list.verify(ChunkIndex(3), chunk(3).slice(..4)).is_err(),
            "too short"
        );
        assert!(
            list.verify(ChunkIndex(4), Bytes::new()).is_err(),
            "beyond the end"
        );
        let tiny = hash_reader(&b"x"[..]).unwrap();
        assert!(
            tiny.verify(ChunkIndex(0), Bytes::from_static(b"y"))
                .is_err()
        );
        assert!(tiny.verify(ChunkIndex(0), Bytes::from_static(b"x")).is_ok());
    }

    #[test]
    fn a_lie_in_the_list_is_found() {
        let list = hash_reader(&pattern(5 * CHUNK_SIZE)[..]).unwrap();
        let lie = |change: fn(&mut Vec<ChunkCv>)| {
            let mut cvs = list.cvs().to_vec();
            change(&mut cvs);
            ChunkList::prove(list.file(), list.size(), cvs)
        };
        assert!(lie(|_| ()).is_ok());
        assert!(lie(|cvs| cvs.swap(1, 2)).is_err());
        assert!(lie(|cvs| cvs[4] = ChunkCv::new([7; 32])).is_err());
        assert!(lie(|cvs| cvs.truncate(4)).is_err());
        assert!(lie(Vec::clear).is_err());
        assert!(ChunkList::single(list.file(), list.size()).is_err());
        assert!(ChunkList::prove(list.file(), u64::MAX, list.cvs().to_vec()).is_err());
    }
}
