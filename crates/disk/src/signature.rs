//! What shows whether a file is still the one it was.

use std::{fs, os::unix::fs::MetadataExt};

use rustix::fs::Stat;

/// What shows whether a file is still the one it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Signature {
    /// Bytes.
    pub size: u64,
    /// Last write, seconds since 1970; a program can set it.
    pub modified: i64,
    /// Nanoseconds beside [`Signature::modified`].
    pub modified_nanos: u32,
    /// Last change of the bytes, the names or the mode, seconds since 1970: a program cannot set it.
    pub changed: i64,
    /// Nanoseconds beside [`Signature::changed`].
    pub changed_nanos: u32,
    /// The inode.
    pub inode: u64,
    /// The device.
    pub device: u64,
}

impl Signature {
    /// Of a file or directory of this machine.
    pub(crate) fn of(metadata: &fs::Metadata) -> Self {
        Self {
            size: metadata.size(),
            modified: metadata.mtime(),
            modified_nanos: u32::try_from(metadata.mtime_nsec()).unwrap_or(0),
            changed: metadata.ctime(),
            changed_nanos: u32::try_from(metadata.ctime_nsec()).unwrap_or(0),
            inode: metadata.ino(),
            device: metadata.dev(),
        }
    }

    /// As [`Signature::of`], of what was found beneath an open directory.
    pub(crate) fn of_stat(stat: &Stat) -> Self {
        Self {
            size: stat.st_size.cast_unsigned(),
            modified: stat.st_mtime,
            modified_nanos: u32::try_from(stat.st_mtime_nsec).unwrap_or(0),
            changed: stat.st_ctime,
            changed_nanos: u32::try_from(stat.st_ctime_nsec).unwrap_or(0),
            inode: stat.st_ino,
            device: stat.st_dev,
        }
    }

    /// Whether `other` is of the same file, at whatever time.
    pub fn is_same_file(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }

    /// Whether `other` differs in [`Signature::changed`] at most: the file got or lost a name or got
    /// another mode, or a program that wrote to it has put the time of the last write back.
    pub fn is_same_but_for_change(&self, other: &Self) -> bool {
        let of_other = Self {
            changed: other.changed,
            changed_nanos: other.changed_nanos,
            ..*self
        };
        of_other == *other
    }
}
