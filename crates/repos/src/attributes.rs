//! Decides which files a hub stores as large files: by `.gitattributes`, by size, by content.

use globset::{Glob, GlobBuilder, GlobMatcher};
use hubless_transfer::REGULAR_BYTES_MAX;

/// Patterns of a file that are read; the hub's own file has some forty.
const PATTERNS_MAX: usize = 1000;

/// Extensions of the files that the hub marks as large in a new repository, for a directory that
/// was never on a hub and has no `.gitattributes`.
const LARGE_ENDINGS: [&str; 35] = [
    ".7z",
    ".arrow",
    ".bin",
    ".bz2",
    ".ckpt",
    ".ftz",
    ".gz",
    ".h5",
    ".joblib",
    ".mlmodel",
    ".model",
    ".msgpack",
    ".npy",
    ".npz",
    ".onnx",
    ".ot",
    ".parquet",
    ".pb",
    ".pickle",
    ".pkl",
    ".pt",
    ".pth",
    ".rar",
    ".safetensors",
    ".tar",
    ".tflite",
    ".tgz",
    ".wasm",
    ".xz",
    ".zip",
    ".zst",
    ".png",
    ".jpg",
    ".gguf",
    ".webp",
];

/// The rules of one revision.
pub(super) struct Attributes(Option<Vec<(GlobMatcher, bool)>>);

impl Attributes {
    /// Reads `.gitattributes`; without one, the rules of a new repository apply.
    pub(super) fn new(text: Option<&str>) -> Self {
        Self(text.map(|text| text.lines().filter_map(rule).take(PATTERNS_MAX).collect()))
    }

    /// Whether the file at `path` is a large file.
    pub(super) fn is_large(&self, path: &str, size: u64) -> bool {
        if size > REGULAR_BYTES_MAX {
            return true;
        }
        match &self.0 {
            // The last rule that fits decides, as in git.
            Some(rules) => rules
                .iter()
                .rev()
                .find(|(glob, _)| glob.is_match(path))
                .is_some_and(|(_, large)| *large),
            None => LARGE_ENDINGS.iter().any(|ending| path.ends_with(ending)),
        }
    }
}

fn rule(line: &str) -> Option<(GlobMatcher, bool)> {
    let mut words = line.split_whitespace();
    let pattern = words.next().filter(|pattern| !pattern.starts_with('#'))?;
    let filters: Vec<&str> = words.filter(|word| word.contains("filter")).collect();
    let large = match filters.as_slice() {
        [] => return None,
        words => words.contains(&"filter=lfs"),
    };
    Some((glob(pattern)?, large))
}

/// A pattern without a slash matches a name in any directory.
fn glob(pattern: &str) -> Option<GlobMatcher> {
    let anchored = match pattern.strip_prefix('/') {
        Some(rest) => rest.to_owned(),
        None if pattern.contains('/') => pattern.to_owned(),
        None => format!("**/{pattern}"),
    };
    let glob: Result<Glob, _> = GlobBuilder::new(&anchored).literal_separator(true).build();
    glob.ok().map(|glob| glob.compile_matcher())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_git_reads_it() {
        let text = "# large\n*.bin filter=lfs diff=lfs merge=lfs -text\n\
                    /top.txt filter=lfs\nsaved_model/**/* filter=lfs -text\n\
                    small.bin -filter\n*.md text\n[ filter=lfs\n";
        let attributes = Attributes::new(Some(text));
        for (path, large) in [
            ("a.bin", true),
            ("x/y/a.bin", true),
            ("x/small.bin", false),
            ("top.txt", true),
            ("x/top.txt", false),
            ("saved_model/a/b", true),
            ("README.md", false),
            ("model.safetensors", false),
        ] {
            assert_eq!(attributes.is_large(path, 5), large, "{path}");
        }
        assert!(attributes.is_large("README.md", 10_000_001));
    }

    #[test]
    fn a_directory_without_rules_has_those_of_a_new_repository() {
        let attributes = Attributes::new(None);
        assert!(attributes.is_large("x/model.safetensors", 5));
        assert!(!attributes.is_large("config.json", 5));
    }
}
