//! An index for the tests of this crate.

use hubless_disk::{Disk, Home, RealDisk};

use crate::index::Index;

/// A new index in a directory that goes with the guard.
pub(crate) fn new_index() -> (tempfile::TempDir, Index) {
    let directory = tempfile::tempdir().expect("a directory");
    let home = Home::new(directory.path());
    RealDisk
        .create_dir_all(&home.files())
        .expect("a directory of files");
    let index = Index::open(&RealDisk, &home).expect("a new index");
    (directory, index)
}
