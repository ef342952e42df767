//! The one seam to the disk.
//!
//! Everything the store does with its home directory, and every byte it reads of the user's own
//! files, goes through [`Disk`] and [`DiskFile`], the index included. Tests put
//! disks behind it that fail, run full or lose what was not synced. Into an export's target lead
//! its directories ([`Dir`]). The exception is looking through a tree that is imported.

pub(crate) mod dir;
pub(crate) mod holder;
pub(crate) mod home;

use std::{
    ffi::OsString,
    fmt, fs,
    fs::{File, OpenOptions, TryLockError},
    io,
    ops::Range,
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::Path,
    sync::Arc,
};

#[cfg(target_os = "linux")]
use rustix::io::ReadWriteFlags;
use rustix::{
    fs::{FallocateFlags, OFlags, Stat},
    io::Errno,
};

use crate::disk::dir::{Dir, RealDir};

/// What `statfs` says of tmpfs (Linux, `magic.h`).
#[cfg(target_os = "linux")]
const TMPFS_MAGIC: i64 = 0x0102_1994;

/// Directories of the store: a hub gives some of what lies there to users with a token only.
const MODE_DIRECTORY: u32 = 0o700;

/// The rights of other users.
const MODE_OTHERS: u32 = 0o077;

/// Files of the store that are written to.
const MODE_WRITABLE: u32 = 0o600;

/// Complete files. An export may be the same file under another name, which others may read; the
/// store's name for it lies in a directory that they cannot open.
const MODE_READ_ONLY: u32 = 0o444;

/// The unit of [`MetadataExt::blocks`], whatever the file system's own.
const BLOCK_BYTES: u64 = 512;

/// How a file is opened. Only [`Access::ReadUsers`] follows a link in the file's place: what lies in
/// the home directory is the store's own, or wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// To read; it must be there.
    Read,
    /// As [`Access::Read`], for a file of the user's: if it is a link, that is followed.
    ReadUsers,
    /// To read and write; it must be there.
    Update,
    /// To read and write; made if it is not there, kept as it is if it is.
    Create,
}

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
    fn of(metadata: &fs::Metadata) -> Self {
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
    pub(crate) fn is_same_file(&self, other: &Self) -> bool {
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

/// A file system, as far as the store needs one.
pub trait Disk: fmt::Debug + Send + Sync + 'static {
    /// Opens a file.
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>>;
    /// Opens a directory of the user's to write into. It is made, with those above it, if there is
    /// none, and their names are durable then.
    fn open_dir(&self, path: &Path) -> io::Result<Arc<dyn Dir>>;
    /// The signature of the file that `path` leads to.
    fn signature(&self, path: &Path) -> io::Result<Signature>;
    /// Renames a file, over what is there.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes a directory and those above it if they are not there; only this user may list it
    /// afterwards.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// The names in a directory.
    fn list(&self, path: &Path) -> io::Result<Vec<OsString>>;
}

/// An open file; all calls say where they read or write, so threads share it.
pub trait DiskFile: fmt::Debug + Send + Sync {
    /// Its signature now.
    fn signature(&self) -> io::Result<Signature>;
    /// How many names it has.
    fn links(&self) -> io::Result<u64>;
    /// Fills `out` from `offset`; [`io::ErrorKind::UnexpectedEof`] if there is less.
    fn read_exact_at(&self, out: &mut [u8], offset: u64) -> io::Result<()>;
    /// Fills `out` from `offset` as far as the file goes; returns the bytes read.
    fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Fills `out` from `offset` if that needs no wait for the disk; false if it might.
    fn read_at_once(&self, out: &mut [u8], offset: u64) -> io::Result<bool> {
        let _ = (out, offset);
        Ok(false)
    }
    /// Writes all of `bytes` at `offset`.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Sets the length; what is new is zero.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Takes the space of the first `len` bytes now, so that a full disk shows early; nothing
    /// where the file system cannot.
    fn allocate(&self, len: u64) -> io::Result<()>;
    /// Makes the bytes and the length durable.
    fn sync(&self) -> io::Result<()>;
    /// Forbids or allows writing through later opens.
    fn set_read_only(&self, read_only: bool) -> io::Result<()>;
    /// Where bytes were written, as far as the file system knows: never less than there is.
    fn data_extents(&self) -> io::Result<Vec<Range<u64>>>;
    /// Takes the lock that one process can have; false if another has it.
    fn try_lock(&self) -> io::Result<bool>;
    /// Gives the lock back.
    fn unlock(&self) -> io::Result<()>;
    /// The file itself, for what only the system can do: cloning and linking.
    fn as_file(&self) -> Option<&File>;
}

/// The disk of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        // Without waiting for a writer, should a pipe lie there.
        let flags = match access {
            Access::ReadUsers => OFlags::NONBLOCK,
            _ => OFlags::NONBLOCK | OFlags::NOFOLLOW,
        };
        let file = OpenOptions::new()
            .read(true)
            .write(matches!(access, Access::Update | Access::Create))
            .create(access == Access::Create)
            .truncate(false)
            .mode(MODE_WRITABLE)
            .custom_flags(flags.bits().cast_signed())
            .open(path)?;
        Ok(Arc::new(RealFile(file)))
    }

    fn open_dir(&self, path: &Path) -> io::Result<Arc<dyn Dir>> {
        RealDir::open(path)
    }

    fn signature(&self, path: &Path) -> io::Result<Signature> {
        Ok(Signature::of(&fs::metadata(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)?;
        let permissions = fs::metadata(path)?.permissions();
        if permissions.mode() & MODE_OTHERS != 0
            && let Err(error) =
                fs::set_permissions(path, fs::Permissions::from_mode(MODE_DIRECTORY))
        {
            tracing::warn!(path = %path.display(), %error, "other users may read this directory");
        }
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        fs::read_dir(path)?
            .map(|entry| Ok(entry?.file_name()))
            .collect()
    }
}

#[derive(Debug)]
pub(crate) struct RealFile(pub(crate) File);

impl DiskFile for RealFile {
    fn signature(&self) -> io::Result<Signature> {
        Ok(Signature::of(&self.0.metadata()?))
    }

    fn links(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.nlink())
    }

    fn read_exact_at(&self, out: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(out, offset)
    }

    fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut read = 0;
        while read < out.len() {
            match self.0.read_at(&mut out[read..], offset + read as u64) {
                Ok(0) => break,
                Ok(more) => read += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(read)
    }

    #[cfg(target_os = "linux")]
    fn read_at_once(&self, out: &mut [u8], offset: u64) -> io::Result<bool> {
        let len = out.len();
        let mut room = [io::IoSliceMut::new(out)];
        match rustix::io::preadv2(&self.0, &mut room, offset, ReadWriteFlags::NOWAIT) {
            Ok(read) => Ok(read == len),
            // tmpfs does not know the flag, nor need it, unless memory is swapped out.
            Err(Errno::OPNOTSUPP) if is_in_memory(&self.0) => {
                self.0.read_exact_at(out, offset).map(|()| true)
            }
            Err(Errno::OPNOTSUPP | Errno::AGAIN | Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        if is_in_memory(&self.0) {
            return has_room(&self.0, len);
        }
        #[cfg(target_os = "linux")]
        let flags = FallocateFlags::KEEP_SIZE;
        #[cfg(not(target_os = "linux"))]
        let flags = FallocateFlags::empty();
        match rustix::fs::fallocate(&self.0, flags, 0, len) {
            Err(error) if error != Errno::OPNOTSUPP && error != Errno::NOSYS => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn set_read_only(&self, read_only: bool) -> io::Result<()> {
        let mode = if read_only {
            MODE_READ_ONLY
        } else {
            MODE_WRITABLE
        };
        self.0.set_permissions(fs::Permissions::from_mode(mode))
    }

    fn data_extents(&self) -> io::Result<Vec<Range<u64>>> {
        let len = self.0.metadata()?.len();
        let mut extents = Vec::new();
        let mut at = 0;
        while at < len {
            let start = match rustix::fs::seek(&self.0, rustix::fs::SeekFrom::Data(at)) {
                Ok(start) => start,
                Err(Errno::NXIO) => break,
                // A file system that does not report extents: all of it may be data.
                Err(Errno::INVAL | Errno::OPNOTSUPP) => at,
                Err(error) => return Err(error.into()),
            };
            at = match rustix::fs::seek(&self.0, rustix::fs::SeekFrom::Hole(start)) {
                Ok(end) if end > start => end,
                _ => len,
            };
            extents.push(start..at);
        }
        Ok(extents)
    }

    fn try_lock(&self) -> io::Result<bool> {
        match self.0.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn unlock(&self) -> io::Result<()> {
        self.0.unlock()
    }

    fn as_file(&self) -> Option<&File> {
        Some(&self.0)
    }
}

/// Makes `to` share the blocks of `from`; false if the file system cannot.
pub(crate) fn clone_into(from: &dyn DiskFile, to: &dyn DiskFile) -> bool {
    match (from.as_file(), to.as_file()) {
        (Some(from), Some(to)) => reflink_copy::reflink_file(from, to).is_ok(),
        _ => false,
    }
}

/// Whether an error says that a file of the store is gone, cut off or unreadable. Others, such as too
/// many open files, say nothing about it.
pub(crate) fn is_loss(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    let kind = matches!(
        error.kind(),
        Kind::NotFound
            | Kind::NotADirectory
            | Kind::IsADirectory
            | Kind::UnexpectedEof
            | Kind::NotSeekable
    );
    let code = error.raw_os_error().map(Errno::from_raw_os_error);
    kind || matches!(code, Some(Errno::IO | Errno::LOOP | Errno::NXIO))
}

/// Whether an error says that this process or machine has too little of something.
pub(crate) fn is_shortage(error: &io::Error) -> bool {
    let code = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(code, Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM))
}

/// Whether a file lies in memory: taking its space then takes every page, in one call that blocks
/// all writers meanwhile, for no gain in how it lies.
fn is_in_memory(file: &File) -> bool {
    #[cfg(target_os = "linux")]
    return rustix::fs::fstatfs(file).is_ok_and(|system| system.f_type == TMPFS_MAGIC);
    #[cfg(not(target_os = "linux"))]
    return false;
}

/// Fails as taking the space would, if there is less than `len` bytes for a file.
fn has_room(file: &File, len: u64) -> io::Result<()> {
    let system = rustix::fs::fstatvfs(file)?;
    let free = system.f_bavail.saturating_mul(system.f_frsize);
    let taken = file.metadata()?.blocks().saturating_mul(BLOCK_BYTES);
    // A tmpfs without a limit says that it has no blocks.
    if system.f_blocks == 0 || len <= free.saturating_add(taken) {
        Ok(())
    } else {
        Err(Errno::NOSPC.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_extents_find_what_was_written_into_an_allocated_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = RealDisk
            .open(&dir.path().join("sparse"), Access::Create)
            .unwrap();
        file.set_len(8 << 20).unwrap();
        file.allocate(8 << 20).unwrap();
        file.write_all_at(&[7; 4096], 5 << 20).unwrap();
        let extents = file.data_extents().unwrap();
        assert!(
            extents.iter().any(|extent| extent.contains(&(5 << 20))),
            "{extents:?}"
        );
    }

    #[test]
    fn reading_ends_with_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = RealDisk
            .open(&dir.path().join("short"), Access::Create)
            .unwrap();
        file.write_all_at(b"abcdef", 0).unwrap();
        let mut buffer = [0; 4];
        assert_eq!(file.read_at(&mut buffer, 1).unwrap(), 4);
        assert_eq!(&buffer, b"bcde");
        assert_eq!(file.read_at(&mut buffer, 4).unwrap(), 2);
        assert_eq!(&buffer, b"efde");
        assert_eq!(file.read_at(&mut buffer, 100).unwrap(), 0);
    }
}
