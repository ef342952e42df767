//! What the stories of these tests are made of.

pub(crate) mod author;
pub(crate) mod sim_disk;
pub(crate) mod workloads;

use std::{collections::BTreeMap, fs, path::Path};

use bytes::Bytes;
use hubless_content::{
    CHUNK_SIZE, ChunkIndex, ChunkList, ContentHash, Manifest, ManifestEntry, VerifiedChunk,
    hash_reader,
};
use hubless_store::{
    ExportOptions, Exported, ImportOptions, Imported, Store, StoreError, StoreOptions,
};

pub(crate) const CHUNK: usize = CHUNK_SIZE;

/// Bytes that look random, the same for the same seed.
pub(crate) fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut out: Vec<u8> = (0..len.div_ceil(8)).flat_map(|_| next()).collect();
    out.truncate(len);
    out
}

/// Numbers that look random, the same for the same seed (SplitMix64).
#[derive(Debug, Clone)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub(crate) fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        (!items.is_empty()).then(|| &items[self.below(items.len())])
    }
}

/// What an environment variable says, or `default`: how much a test does, or its seed.
pub(crate) fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{variable}: {text} is not a number"))
    })
}

pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// A small model: an empty file, tiny ones, exactly one chunk, and several chunks.
pub(crate) fn a_model() -> Files {
    [
        ("README.md", bytes(1, 500)),
        ("empty", Vec::new()),
        ("config/config.json", bytes(2, 2_000)),
        ("config/one.bin", bytes(3, CHUNK)),
        ("model.safetensors", bytes(4, 5 * CHUNK + 77)),
        ("copy-of-model.safetensors", bytes(4, 5 * CHUNK + 77)),
    ]
    .map(|(path, bytes)| (path.to_owned(), bytes))
    .into()
}

pub(crate) fn write_files(directory: &Path, files: &Files) {
    for (path, bytes) in files {
        let path = directory.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

pub(crate) fn read_files(directory: &Path) -> Files {
    let mut files = Files::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(next) = directories.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else {
                let name = path
                    .strip_prefix(directory)
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_owned();
                files.insert(name, fs::read(path).unwrap());
            }
        }
    }
    files
}

pub(crate) fn open(home: &Path) -> Store {
    Store::open(home, StoreOptions::default()).unwrap()
}

pub(crate) fn import(store: &Store, directory: &Path) -> Imported {
    store
        .import(directory, &ImportOptions::default(), &())
        .unwrap()
}

pub(crate) fn import_in_place(store: &Store, directory: &Path) -> Imported {
    let options = ImportOptions {
        in_place: true,
        ..ImportOptions::default()
    };
    store.import(directory, &options, &()).unwrap()
}

/// Exports all of a model.
pub(crate) fn export(
    store: &Store,
    model: ContentHash,
    target: &Path,
) -> Result<Exported, StoreError> {
    store.export(model, target, &ExportOptions::default(), &())
}

/// As [`export`], over the user's files.
pub(crate) fn export_by_force(
    store: &Store,
    model: ContentHash,
    target: &Path,
) -> Result<Exported, StoreError> {
    let options = ExportOptions {
        force: true,
        ..ExportOptions::default()
    };
    store.export(model, target, &options, &())
}

pub(crate) fn manifest_of(files: &Files) -> Manifest {
    let entries = files.iter().map(|(path, bytes)| ManifestEntry {
        path: path.parse().unwrap(),
        size: bytes.len() as u64,
        hash: list_of(bytes).file(),
    });
    Manifest::new(entries.collect()).unwrap()
}

pub(crate) fn list_of(bytes: &[u8]) -> ChunkList {
    hash_reader(bytes).unwrap()
}

pub(crate) fn chunk_of(bytes: &[u8], index: u32) -> VerifiedChunk {
    let start = index as usize * CHUNK;
    let end = (start + CHUNK).min(bytes.len());
    let chunk = Bytes::copy_from_slice(&bytes[start..end]);
    list_of(bytes).verify(ChunkIndex(index), chunk).unwrap()
}

/// All chunks of a file, as a fetch brings them.
pub(crate) fn put_all(store: &Store, bytes: &[u8]) {
    let list = list_of(bytes);
    store.put_chunk_list(&list).unwrap();
    for index in 0..list.count() {
        store.put(&chunk_of(bytes, index)).unwrap();
    }
}

pub(crate) fn copy_tree(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            fs::create_dir_all(&target).unwrap();
            copy_tree(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}
