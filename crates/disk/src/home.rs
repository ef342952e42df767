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

#[derive(Debug)]
pub(crate) struct Home {
    root: PathBuf,
    imports: AtomicU64,
}

impl Home {
    pub(crate) fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            imports: AtomicU64::new(0),
        }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn index(&self) -> PathBuf {
        self.root.join("store.redb")
    }

    /// Where an index is made before it gets its name.
    pub(crate) fn new_index(&self) -> PathBuf {
        self.root.join("store.redb.new")
    }

    /// Where a damaged index is kept after a new one was made of what was right in it.
    pub(crate) fn damaged_index(&self) -> PathBuf {
        self.root.join("store.redb.damaged")
    }

    pub(crate) fn files(&self) -> PathBuf {
        self.root.join("files")
    }

    pub(crate) fn partials(&self) -> PathBuf {
        self.root.join("partial")
    }

    pub(crate) fn losts(&self) -> PathBuf {
        self.root.join("lost")
    }

    /// The directory of a complete file.
    pub(crate) fn owned_dir(&self, file: FileHash) -> PathBuf {
        self.files().join(&file.to_string()[..2])
    }

    pub(crate) fn owned(&self, file: FileHash) -> PathBuf {
        self.owned_dir(file).join(file.to_string())
    }

    pub(crate) fn partial(&self, file: FileHash) -> PathBuf {
        self.partials().join(file.to_string())
    }

    pub(crate) fn lost(&self, file: FileHash) -> PathBuf {
        self.losts().join(file.to_string())
    }

    /// A name that no other import of this process uses; those of earlier ones are swept at open.
    pub(crate) fn new_import(&self) -> PathBuf {
        let number = self.imports.fetch_add(1, Ordering::Relaxed);
        self.partials().join(format!("{IMPORT}{number}"))
    }
}

/// How the names of [`Home::new_import`] begin.
const IMPORT: &str = "import-";

/// Whether a name is one of [`Home::new_import`].
pub(crate) fn is_import(name: &str) -> bool {
    let number = name.strip_prefix(IMPORT);
    number.is_some_and(|number| number.parse::<u64>().is_ok())
}
