//! Where things lie below the home directory.
//!
//! ```text
//! store.redb         the index; store.redb.new while it is made
//! store.redb.damaged the last index that had damaged pages
//! files/ab/<hash>    complete files, read-only; ab: first two digits of the hash
//! partial/<hash>     files that are being fetched
//! partial/import-N   files that are being copied or come from another hub: their hash is not known yet
//! lost/<hash>        files that the index did not know when the store was opened; made when needed
//! ```

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use hubless_content::FileHash;

/// The home directory of a store.
#[derive(Debug)]
pub struct Home {
    root: PathBuf,
    imports: AtomicU64,
}

impl Home {
    /// The home in this directory.
    pub fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            imports: AtomicU64::new(0),
        }
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The index.
    pub fn index(&self) -> PathBuf {
        self.root.join("store.redb")
    }

    /// Where an index is made before it gets its name.
    pub fn new_index(&self) -> PathBuf {
        self.root.join("store.redb.new")
    }

    /// Where a damaged index is kept after a new one was made of what was right in it.
    pub fn damaged_index(&self) -> PathBuf {
        self.root.join("store.redb.damaged")
    }

    /// Where complete files lie.
    pub fn files(&self) -> PathBuf {
        self.root.join("files")
    }

    /// Where files lie that are not complete, or have no name yet.
    pub fn partials(&self) -> PathBuf {
        self.root.join("partial")
    }

    /// Where files lie that the index did not know.
    pub fn losts(&self) -> PathBuf {
        self.root.join("lost")
    }

    /// The directory of a complete file.
    pub fn owned_dir(&self, file: FileHash) -> PathBuf {
        self.files().join(&file.to_string()[..2])
    }

    /// A complete file.
    pub fn owned(&self, file: FileHash) -> PathBuf {
        self.owned_dir(file).join(file.to_string())
    }

    /// A file that is being fetched.
    pub fn partial(&self, file: FileHash) -> PathBuf {
        self.partials().join(file.to_string())
    }

    /// A file that the index did not know.
    pub fn lost(&self, file: FileHash) -> PathBuf {
        self.losts().join(file.to_string())
    }

    /// A name that no other import of this process uses; those of earlier ones are swept at open.
    pub fn new_import(&self) -> PathBuf {
        let number = self.imports.fetch_add(1, Ordering::Relaxed);
        self.partials().join(format!("{IMPORT}{number}"))
    }
}

/// How the names of [`Home::new_import`] begin.
const IMPORT: &str = "import-";

/// Whether a name is one of [`Home::new_import`].
pub fn is_import(name: &str) -> bool {
    let number = name.strip_prefix(IMPORT);
    number.is_some_and(|number| number.parse::<u64>().is_ok())
}
