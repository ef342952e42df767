//! Damage to stored bytes that the node does not notice.

use std::{
    fs::{self, File, FileTimes},
    os::unix::fs::{FileExt, PermissionsExt, symlink},
    path::Path,
};

/// Kinds of damage. The modification time is restored afterwards, as bit rot and restored backups leave
/// it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Damage {
    /// One bit is flipped.
    Bit,
    /// The file ends before the requested bytes.
    Truncated,
    /// The file is missing.
    Gone,
    /// Zeros in place of the bytes, as a file system may leave them after a power failure.
    Zeros,
    /// A link to another file of the same size.
    Link,
}

impl Damage {
    pub(crate) const ALL: &[Self] = &[
        Self::Bit,
        Self::Truncated,
        Self::Gone,
        Self::Zeros,
        Self::Link,
    ];

    /// The kinds that leave the index itself readable.
    pub(crate) const INSIDE_THE_INDEX: &[Self] = &[Self::Bit, Self::Zeros];

    /// Damages `len` bytes at `offset` of a file.
    pub(crate) fn inflict(self, path: &Path, offset: u64, len: usize) {
        let before = fs::metadata(path).expect("the stored file");
        let mut writable = before.permissions();
        writable.set_mode(0o600);
        fs::set_permissions(path, writable).expect("an own file");
        let file = File::options()
            .read(true)
            .write(true)
            .open(path)
            .expect("an own file");
        match self {
            Self::Bit => {
                let (at, mut byte) = (offset + len as u64 / 2, [0]);
                file.read_exact_at(&mut byte, at).expect("an own file");
                file.write_all_at(&[byte[0] ^ 0x10], at)
                    .expect("an own file");
            }
            Self::Zeros => file
                .write_all_at(&vec![0; len], offset)
                .expect("an own file"),
            Self::Truncated => file.set_len(offset + 1).expect("an own file"),
            Self::Gone => return fs::remove_file(path).expect("an own file"),
            Self::Link => {
                let decoy = path.with_extension("decoy");
                fs::write(&decoy, vec![b'#'; before.len() as usize]).expect("an own directory");
                fs::remove_file(path).expect("an own file");
                return symlink(decoy, path).expect("an own directory");
            }
        }
        let times = FileTimes::new().set_modified(before.modified().expect("a time"));
        file.set_times(times).expect("an own file");
        fs::set_permissions(path, before.permissions()).expect("an own file");
    }
}
