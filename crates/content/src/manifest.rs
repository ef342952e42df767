//! Manifests: the files of one directory, in one canonical encoding.
//!
//! The encoding is protobuf as in `proto/manifest.proto`, but stricter: fields in order,
//! no unknown fields, no default values on the wire, files sorted by path bytes. The same
//! directory therefore has the same bytes, and the same content hash, everywhere. It is written
//! by hand because the decoder must refuse what general protobuf decoders accept.

use std::collections::{HashMap, HashSet};

use crate::{
    chunk::{FILE_SIZE_MAX, chunk_count},
    encoding::{NotCanonical, Reader, put_bytes, put_varint},
    hash::{ContentHash, FileHash},
    path::PATH_BYTES_MAX,
    path::{ModelPath, PathError},
};

/// Files of a manifest. The largest Hub repositories have some 100,000.
pub const MANIFEST_FILES_MAX: usize = 1_000_000;

/// Bytes of an encoded manifest: a million files with paths of 90 bytes.
pub const MANIFEST_BYTES_MAX: usize = 128 * 1024 * 1024;

/// The only version of the encoding.
const VERSION: u64 = 1;

const TAG_VERSION: u8 = 1 << 3;
const TAG_FILE: u8 = 2 << 3 | 2;
const TAG_PATH: u8 = 1 << 3 | 2;
const TAG_SIZE: u8 = 2 << 3;
const TAG_HASH: u8 = 3 << 3 | 2;

/// Why bytes or a list of files are not a manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// It has no files.
    #[error("there are no files in it")]
    Empty,
    /// More than [`MANIFEST_FILES_MAX`] files.
    #[error("a model has at most {MANIFEST_FILES_MAX} files")]
    TooManyFiles,
    /// More than [`MANIFEST_BYTES_MAX`] bytes; holds their number.
    #[error("a manifest has at most {MANIFEST_BYTES_MAX} bytes, this has {0}")]
    TooLarge(usize),
    /// A path breaks a rule.
    #[error("file {position}: {source}")]
    Path {
        /// Position of the file in the manifest, from 0.
        position: usize,
        /// The rule.
        source: PathError,
    },
    /// A file is larger than [`FILE_SIZE_MAX`].
    #[error("{0:?} is larger than a file can be")]
    FileTooLarge(ModelPath),
    /// Two files have one path.
    #[error("the path {0:?} occurs twice")]
    Twice(ModelPath),
    /// A path is the directory of another.
    #[error("{0:?} is a file and a directory")]
    FileAndDirectory(ModelPath),
    /// The bytes are not in the canonical encoding; holds the offset of the first deviation.
    #[error("not a manifest in canonical encoding (at byte {0})")]
    Encoding(usize),
    /// Two files have one hash and two sizes: at least one of them cannot exist.
    #[error("{0:?} has the hash of another file, but not its size")]
    TwoSizes(ModelPath),
    /// All files together have more bytes than 64 bits count.
    #[error("the files together are too large")]
    TotalTooLarge,
}

impl From<NotCanonical> for ManifestError {
    fn from(NotCanonical(at): NotCanonical) -> Self {
        Self::Encoding(at)
    }
}

impl ContentHash {
    /// The address of the model whose encoded manifest this is: BLAKE3 of the bytes.
    pub fn of_manifest_bytes(bytes: &[u8]) -> Self {
        blake3::hash(bytes).into()
    }
}

/// One file of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestEntry {
    /// The file's path in the model.
    pub path: ModelPath,
    /// Its length in bytes.
    pub size: u64,
    /// BLAKE3 of its bytes.
    pub hash: FileHash,
}

/// The sorted list of a directory's files. At least one; all rules of the module hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    entries: Vec<ManifestEntry>,
    bytes: u64,
}

impl Manifest {
    /// The manifest of these files, in any order.
    ///
    /// # Errors
    /// If a rule or limit is broken.
    pub fn new(mut entries: Vec<ManifestEntry>) -> Result<Self, ManifestError> {
        entries.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        let bytes = check(&entries)?;
        let manifest = Self { entries, bytes };
        match manifest.encode().len() {
            len if len > MANIFEST_BYTES_MAX => Err(ManifestError::TooLarge(len)),
            _ => Ok(manifest),
        }
    }

    /// The files, sorted by the bytes of their paths.
    pub fn entries(&self) -> &[ManifestEntry] {
        &self.entries
    }

    /// Bytes of all files together.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Chunks of all files together.
    pub fn chunks(&self) -> u64 {
        self.entries
            .iter()
            .map(|entry| u64::from(chunk_count(entry.size)))
            .sum()
    }

    /// The file at `path`.
    pub fn get(&self, path: &str) -> Option<&ManifestEntry> {
        let found = self
            .entries
            .binary_search_by(|entry| entry.path.as_str().cmp(path));
        found.ok().map(|position| &self.entries[position])
    }

    /// The model's address: BLAKE3 of [`Manifest::encode`].
    pub fn content_hash(&self) -> ContentHash {
        ContentHash::of_manifest_bytes(&self.encode())
    }

    /// The canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![TAG_VERSION, VERSION as u8];
        let mut file = Vec::with_capacity(PATH_BYTES_MAX + 64);
        for entry in &self.entries {
            file.clear();
            put_bytes(&mut file, TAG_PATH, entry.path.as_str().as_bytes());
            if entry.size != 0 {
                file.push(TAG_SIZE);
                put_varint(&mut file, entry.size);
            }
            put_bytes(&mut file, TAG_HASH, entry.hash.as_bytes());
            put_bytes(&mut out, TAG_FILE, &file);
        }
        out
    }

    /// Decodes the output of [`Manifest::encode`], and refuses every other encoding.
    ///
    /// # Errors
    /// If a rule or limit is broken; nothing is allocated from declared lengths.
    pub fn decode(bytes: &[u8]) -> Result<Self, ManifestError> {
        if bytes.len() > MANIFEST_BYTES_MAX {
            return Err(ManifestError::TooLarge(bytes.len()));
        }
        let mut reader = Reader::new(bytes);
        reader.tag(TAG_VERSION)?;
        if reader.varint()? != VERSION {
            return Err(ManifestError::Encoding(0));
        }
        let mut entries = Vec::new();
        while reader.peek().is_some() {
            if entries.len() == MANIFEST_FILES_MAX {
                return Err(ManifestError::TooManyFiles);
            }
            reader.tag(TAG_FILE)?;
            let end = reader.length()?;
            entries.push(decode_entry(&mut reader, end, entries.len())?);
        }
        // Equal neighbours pass here, so that `check` can name the path.
        if !entries.is_sorted_by(|a, b| a.path <= b.path) {
            return Err(ManifestError::Encoding(0));
        }
        let bytes = check(&entries)?;
        Ok(Self { entries, bytes })
    }
}

fn decode_entry(
    reader: &mut Reader<'_>,
    end: usize,
    position: usize,
) -> Result<ManifestEntry, ManifestError> {
    reader.tag(TAG_PATH)?;
    let path = reader.slice()?;
    let path =
        ModelPath::from_bytes(path).map_err(|source| ManifestError::Path { position, source })?;
    let mut size = 0;
    if reader.peek() == Some(TAG_SIZE) {
        reader.tag(TAG_SIZE)?;
        size = reader.varint()?;
        // Canonical: a default value is left out.
        if size == 0 {
            return Err(ManifestError::Encoding(reader.at()));
        }
    }
    reader.tag(TAG_HASH)?;
    let hash = FileHash::from_slice(reader.slice()?).ok_or(ManifestError::Encoding(reader.at()))?;
    if reader.at() != end {
        return Err(ManifestError::Encoding(reader.at()));
    }
    Ok(ManifestEntry { path, size, hash })
}

/// Checks the rules between the files of a sorted list; returns the bytes of all files.
fn check(entries: &[ManifestEntry]) -> Result<u64, ManifestError> {
    if entries.is_empty() {
        return Err(ManifestError::Empty);
    }
    if entries.len() > MANIFEST_FILES_MAX {
        return Err(ManifestError::TooManyFiles);
    }
    let paths: HashSet<&str> = entries.iter().map(|entry| entry.path.as_str()).collect();
    if let Some(pair) = entries.windows(2).find(|pair| pair[0].path == pair[1].path) {
        return Err(ManifestError::Twice(pair[0].path.clone()));
    }
    let mut total = 0u64;
    let mut sizes = HashMap::with_capacity(entries.len());
    for entry in entries {
        // Stores and fetches know a file by its hash alone and take its size from here.
        if *sizes.entry(entry.hash).or_insert(entry.size) != entry.size {
            return Err(ManifestError::TwoSizes(entry.path.clone()));
        }
        if entry.size > FILE_SIZE_MAX {
            return Err(ManifestError::FileTooLarge(entry.path.clone()));
        }
        total = total
            .checked_add(entry.size)
            .ok_or(ManifestError::TotalTooLarge)?;
        // No file system could hold both.
        if let Some(file) = entry
            .path
            .ancestors()
            .find(|ancestor| paths.contains(ancestor))
        {
            let path = ModelPath::new(file).map_err(|source| ManifestError::Path {
                position: 0,
                source,
            })?;
            return Err(ManifestError::FileAndDirectory(path));
        }
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(path: &str, size: u64, fill: u8) -> ManifestEntry {
        ManifestEntry {
            path: path.parse().unwrap(),
            size,
            hash: FileHash::new([fill; 32]),
        }
    }

    fn sample() -> Manifest {
        let entries = vec![
            entry("sub/b", 300, 2),
            entry("a", 0, 1),
            entry("sub-x", FILE_SIZE_MAX, 3),
        ];
        Manifest::new(entries).unwrap()
    }

    #[test]
    fn bytes_and_back() {
        let manifest = sample();
        let paths: Vec<_> = manifest.entries().iter().map(|e| e.path.as_str()).collect();
        assert_eq!(paths, ["a", "sub-x", "sub/b"], "sorted by bytes");
        assert_eq!(Manifest::decode(&manifest.encode()), Ok(manifest.clone()));
        assert_eq!(manifest.get("sub/b").unwrap().size, 300);
        assert_eq!(manifest.get("sub"), None);
        assert_eq!(manifest.bytes(), FILE_SIZE_MAX + 300);
    }

    #[test]
    fn the_order_of_import_does_not_matter() {
        let mut entries = sample().entries().to_vec();
        entries.reverse();
        assert_eq!(
            Manifest::new(entries).unwrap().content_hash(),
            sample().content_hash()
        );
    }

    #[test]
    fn rules_between_files() {
        let refused = |entries: &[ManifestEntry]| Manifest::new(entries.to_vec()).unwrap_err();
        assert_eq!(refused(&[]), ManifestError::Empty);
        let path = |text: &str| text.parse().unwrap();
        let (a, b) = (entry("a", 1, 1), entry("a/b", 1, 1));
        assert_eq!(
            refused(&[a.clone(), a.clone()]),
            ManifestError::Twice(path("a"))
        );
        // "a-" sorts between "a" and "a/b": the two are not neighbours.
        let between = entry("a-", 1, 1);
        assert_eq!(
            refused(&[a, between, b]),
            ManifestError::FileAndDirectory(path("a"))
        );
        let sizes = [entry("a", 1, 1), entry("b", 2, 1)];
        assert_eq!(refused(&sizes), ManifestError::TwoSizes(path("b")));
        let large = entry("x", FILE_SIZE_MAX + 1, 1);
        assert_eq!(refused(&[large]), ManifestError::FileTooLarge(path("x")));
    }

    #[test]
    fn other_encodings_of_the_same_files_are_refused() {
        let good = sample().encode();
        let refused = |bytes: Vec<u8>| Manifest::decode(&bytes).unwrap_err();
        refused([&good[..], &[0x18, 1]].concat()); // an unknown field
        refused(good[..good.len() - 1].to_vec());
        refused([&[TAG_VERSION, 2][..], &good[2..]].concat());
        refused([&[TAG_VERSION, 0x81, 0][..], &good[2..]].concat()); // a longer varint
        refused(good[..2].to_vec());
        refused(Vec::new());
        // A declared length of 2^63 is refused before anything is allocated.
        let huge = [&good[..2], &[TAG_FILE], &[0xff; 8], &[0x7f]].concat();
        assert!(matches!(refused(huge), ManifestError::Encoding(_)));
        let unsorted = {
            let manifest = sample();
            let entries = manifest.entries().iter().rev().cloned().collect();
            Manifest {
                entries,
                bytes: manifest.bytes,
            }
            .encode()
        };
        assert_eq!(refused(unsorted), ManifestError::Encoding(0));
        let zero_size = [
            TAG_VERSION,
            1,
            TAG_FILE,
            39,
            TAG_PATH,
            1,
            b'a',
            TAG_SIZE,
            0,
            TAG_HASH,
            32,
        ];
        refused([&zero_size[..], &[1; 32]].concat());
    }

    #[test]
    fn hostile_paths_are_refused_on_decode() {
        let path = b"../x";
        let mut file = Vec::new();
        put_bytes(&mut file, TAG_PATH, path);
        put_bytes(&mut file, TAG_HASH, &[0; 32]);
        let mut bytes = vec![TAG_VERSION, 1];
        put_bytes(&mut bytes, TAG_FILE, &file);
        let error = ManifestError::Path {
            position: 0,
            source: PathError::Segment,
        };
        assert_eq!(Manifest::decode(&bytes), Err(error));
    }

    proptest! {
        #[test]
        fn every_accepted_encoding_is_the_canonical_one(bytes in mutated()) {
            if let Ok(manifest) = Manifest::decode(&bytes) {
                prop_assert_eq!(manifest.encode(), bytes);
            }
        }
    }

    fn mutated() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4).prop_map(|edits| {
            let mut bytes = sample().encode();
            for (at, value) in edits {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            bytes
        })
    }
}
