//! File systems for tests: one with reflinks, in an image of its own.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::Command,
};

/// Bytes of the image: XFS needs at least 300 MB. It is sparse.
const IMAGE_BYTES: u64 = 1 << 30;

/// An XFS that is mounted until this is dropped; cloned files share their bytes.
/// Needs root, loop devices and `mkfs.xfs` (Debian's `xfsprogs`; `scripts/test` installs it).
pub struct Reflinks {
    directory: tempfile::TempDir,
}

impl Reflinks {
    /// Makes and mounts one.
    ///
    /// # Panics
    /// If that fails: a test that needs it must not pass without it.
    pub fn mount() -> Self {
        let directory = tempfile::Builder::new().prefix("hubless-xfs-").tempdir();
        let directory = directory.expect("a temporary directory");
        let image = directory.path().join("image");
        let made = File::create(&image).and_then(|file| file.set_len(IMAGE_BYTES));
        made.expect("an own directory");
        let mounted = Self { directory };
        std::fs::create_dir(mounted.path()).expect("an own directory");
        run(Command::new("mkfs.xfs").arg("-q").arg(&image));
        run(Command::new("mount")
            .args(["-o", "loop"])
            .arg(&image)
            .arg(mounted.path()));
        mounted
    }

    /// Where it is mounted.
    pub fn path(&self) -> PathBuf {
        self.directory.path().join("mounted")
    }
}

impl Drop for Reflinks {
    fn drop(&mut self) {
        // Lazily, because a process of the test may still be ending.
        unmount(&self.path());
    }
}

fn unmount(path: &Path) {
    let _ = Command::new("umount").arg("--lazy").arg(path).status();
}

fn run(command: &mut Command) {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
}
