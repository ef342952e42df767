//! What the documents name exists.

use std::{
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn document(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The code in a line of Markdown.
fn code(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// The source files at or below a path.
fn sources(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let Ok(entries) = fs::read_dir(path) else {
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.retain(|path| path.is_dir() || path.extension().is_some_and(|end| end == "rs"));
    paths.iter().flat_map(|path| sources(path)).collect()
}

/// Whether a source has a test of this name.
fn has_test(text: &str, name: &str) -> bool {
    let Some(at) = text.find(&format!("fn {name}(")) else {
        return false;
    };
    // Its attributes and comments, up to the empty line before them.
    let before = text[..at].rsplit("\n\n").next().unwrap_or_default();
    ["#[test]", "#[tokio::test"]
        .iter()
        .any(|test| before.contains(test))
}

/// The files of a module that the table names: the first segment is a crate (`store::damage`) or a
/// path (`tests/damage`, `gateway/tests/gateway/guard.rs`), the others are modules below it.
fn files(place: &[&str]) -> Vec<PathBuf> {
    let Some((first, modules)) = place.split_first() else {
        return Vec::new();
    };
    let root = root();
    let file = format!("{first}.rs");
    let starts = match first.contains('/') {
        true => vec![
            root.join(first),
            root.join(file),
            root.join("crates").join(first),
        ],
        false => vec![root.join("crates").join(first)],
    };
    let mut files: Vec<PathBuf> = starts.iter().flat_map(|start| sources(start)).collect();
    files.retain(|path| {
        let path = path.with_extension("");
        let mut parts = path.iter();
        modules
            .iter()
            .all(|module| parts.any(|part| part == *module))
    });
    files
}

fn is_test(name: &str, place: &[&str]) -> bool {
    files(place)
        .iter()
        .any(|path| has_test(&document(path), name))
}

#[test]
fn each_test_that_the_security_table_names_exists() {
    let table = document(&root().join("docs/security.md"));
    let rows = table.lines().filter(|line| line.starts_with('|'));
    let (mut named, mut missing) = (0, Vec::new());
    for row in rows {
        let tests = row.trim_end_matches('|').rsplit('|').next();
        let mut place_before: Vec<&str> = Vec::new();
        for name in code(tests.unwrap_or_default()) {
            named += 1;
            let segments: Vec<&str> = name.split("::").collect();
            let (last, place) = segments.split_last().expect("a name has a segment");
            // A test without a place is beside the one before it.
            let place = if place.is_empty() {
                &place_before[..]
            } else {
                place
            };
            if is_test(last, place) {
                place_before = place.to_vec();
            } else if root().join(name).is_file() || !files(&segments).is_empty() {
                place_before = segments;
            } else {
                missing.push(name);
            }
        }
    }
    assert!(named > 50, "only {named} tests were found");
    assert!(
        missing.is_empty(),
        "docs/security.md names what does not exist: {missing:#?}"
    );
}

/// Folders of this repository, in whose paths no document may be wrong.
const FOLDERS: [&str; 6] = [
    "benches/", "crates/", "docs/", "proto/", "scripts/", "tests/",
];

#[test]
fn each_path_that_a_document_names_exists() {
    let folders = ["", "docs", "proto"].map(|folder| root().join(folder));
    let entries = folders
        .iter()
        .flat_map(|folder| fs::read_dir(folder).expect("a folder"));
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let (mut named, mut missing) = (0, Vec::new());
    for document_path in paths.filter(|path| path.extension().is_some_and(|end| end == "md")) {
        for line in document(&document_path).lines() {
            let is_path = |name: &&str| {
                FOLDERS.iter().any(|folder| name.starts_with(folder))
                    && !name.contains(['*', '<', '{', '…', ' '])
            };
            for name in code(line).filter(is_path) {
                named += 1;
                let path = name.split("::").next().unwrap_or_default();
                let exists = [root().join(path), root().join(format!("{path}.rs"))]
                    .iter()
                    .any(|path| path.exists());
                if !exists {
                    missing.push(format!("{}: {name}", document_path.display()));
                }
            }
        }
    }
    assert!(named > 20, "only {named} paths were found");
    assert!(
        missing.is_empty(),
        "documents name what does not exist: {missing:#?}"
    );
}
