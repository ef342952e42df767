//! Models for tests: files of pseudo-random bytes, the same in each run, and a real model.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

/// Bytes of a chunk, repeated here on purpose: the expectation of the tests, independent of the code.
pub const CHUNK: u64 = 256 * 1024;

const BUFFER_BYTES: usize = 1024 * 1024;

/// An endless stream of bytes made from a seed.
pub struct Noise(blake3::OutputReader);

impl Noise {
    /// The stream of `seed`.
    pub fn new(seed: u64) -> Self {
        Self(
            blake3::Hasher::new()
                .update(&seed.to_le_bytes())
                .finalize_xof(),
        )
    }

    /// The next number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        u64::from_le_bytes(bytes) % end
    }
}

impl Read for Noise {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.0.fill(out);
        Ok(out.len())
    }
}

/// Writes a file of `size` bytes, with the directories above it; returns its BLAKE3 in hex, as
/// `b3sum` prints it.
pub fn write_file(path: &Path, size: u64, seed: u64) -> String {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).expect("create directories");
    }
    let mut file = File::create(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut noise = Noise::new(seed).take(size);
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let read = noise.read(&mut buffer).expect("noise never fails");
        if read == 0 {
            return hasher.finalize().to_hex().to_string();
        }
        hasher.update(&buffer[..read]);
        file.write_all(&buffer[..read]).expect("write a test file");
    }
}

/// Writes files below `root`, each with other bytes.
pub fn write_tree(root: &Path, files: &[(&str, u64)], seed: u64) {
    for (number, (name, size)) in files.iter().enumerate() {
        write_file(
            &root.join(name),
            *size,
            seed.wrapping_mul(1_000_003) + number as u64,
        );
    }
}

/// Sizes at the boundaries of chunks and buffers, and unusual names.
pub const EDGE_FILES: [(&str, u64); 14] = [
    ("empty", 0),
    ("one byte", 1),
    ("chunk-1", CHUNK - 1),
    ("chunk", CHUNK),
    ("chunk+1", CHUNK + 1),
    ("two chunks", 2 * CHUNK),
    ("with space/in the/path .txt", 10),
    ("what?.bin", 3 * CHUNK + 7),
    ("100%25.txt", 25),
    ("a#b&c=d;e.txt", 13),
    ("ünïcödé/模型.bin", CHUNK + 2),
    ("🤗/🦀.json", 99),
    (".hidden", 5),
    ("UPPER/upper", 6),
];

/// The files below a directory: path (with `/`) to size and BLAKE3 in hex.
pub fn tree(root: &Path) -> BTreeMap<String, (u64, String)> {
    let mut found = BTreeMap::new();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        let entries = fs::read_dir(&directory)
            .unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
        for entry in entries {
            let path = entry.expect("read a directory").path();
            if path.is_dir() {
                directories.push(path);
                continue;
            }
            let name = path.strip_prefix(root).expect("below the root");
            let name = name.to_str().expect("test names are UTF-8").to_owned();
            found.insert(
                name,
                (path.metadata().expect("a file").len(), file_hash(&path)),
            );
        }
    }
    found
}

/// BLAKE3 of a file in hex.
pub fn file_hash(path: &Path) -> String {
    let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file).expect("read a file");
    hasher.finalize().to_hex().to_string()
}

/// Panics unless both directories have the same files with the same bytes, all compared.
pub fn assert_same_tree(left: &Path, right: &Path) {
    let (expected, found) = (tree(left), tree(right));
    let names = |tree: &BTreeMap<String, _>| tree.keys().cloned().collect::<Vec<_>>();
    assert_eq!(
        names(&expected),
        names(&found),
        "files of {left:?} and {right:?}"
    );
    for name in expected.keys() {
        assert_same_bytes(&left.join(name), &right.join(name));
    }
}

fn assert_same_bytes(left: &Path, right: &Path) {
    let open = |path| io::BufReader::with_capacity(BUFFER_BYTES, File::open(path).expect("open"));
    let (mut files, mut buffers) = ([open(left), open(right)], [Vec::new(), Vec::new()]);
    for offset in (0..).step_by(BUFFER_BYTES) {
        for (file, buffer) in files.iter_mut().zip(&mut buffers) {
            buffer.clear();
            file.take(BUFFER_BYTES as u64)
                .read_to_end(buffer)
                .expect("read");
        }
        let [left_bytes, right_bytes] = &buffers;
        let same = left_bytes == right_bytes;
        assert!(
            same,
            "{left:?} and {right:?} differ within the MiB at {offset}"
        );
        if left_bytes.is_empty() {
            return;
        }
    }
}

/// The directory of the real model: all-MiniLM-L6-v2, 13 files, 92 MB.
///
/// # Panics
/// If `scripts/fetch-model` has not been run.
pub fn minilm() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let model = root.join(".cache/minilm");
    assert!(
        model.join("model.safetensors").is_file(),
        "the real model is missing: run `scripts/fetch-model` once"
    );
    model.canonicalize().expect("an existing directory")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_bytes_each_time_and_another_seed_gives_others() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, seed| write_file(&dir.path().join(name), 3_000_000, seed);
        let [first, again, other] = [write("a", 1), write("b", 1), write("c", 2)];
        assert_eq!(first, again);
        assert_ne!(first, other);
        assert_eq!(first, file_hash(&dir.path().join("a")));
        assert_eq!(tree(dir.path())["c"], (3_000_000, other));
    }

    #[test]
    #[should_panic(expected = "differ within the MiB at 1048576")]
    fn one_other_byte_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let [left, right] = ["left", "right"].map(|name| dir.path().join(name));
        write_file(&left.join("file"), 3_000_000, 1);
        write_file(&right.join("file"), 3_000_000, 1);
        assert_same_tree(&left, &right);
        let mut bytes = fs::read(right.join("file")).unwrap();
        bytes[2_000_000] ^= 1;
        fs::write(right.join("file"), bytes).unwrap();
        assert_same_tree(&left, &right);
    }

    #[test]
    #[should_panic(expected = "files of")]
    fn a_missing_file_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let [left, right] = ["left", "right"].map(|name| dir.path().join(name));
        write_tree(&left, &[("a", 1), ("b/c", 2)], 1);
        write_tree(&right, &[("a", 1)], 1);
        assert_same_tree(&left, &right);
    }
}
