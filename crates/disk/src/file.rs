//! Files of this machine.

use std::{
    fs::{File, Permissions, TryLockError},
    io,
    ops::Range,
    os::unix::fs::{FileExt, MetadataExt, PermissionsExt},
};

#[cfg(target_os = "linux")]
use rustix::io::ReadWriteFlags;
use rustix::{fs::FallocateFlags, io::Errno};

use crate::{seam::DiskFile, signature::Signature};

/// What `statfs` says of tmpfs (Linux, `magic.h`).
#[cfg(target_os = "linux")]
const TMPFS_MAGIC: i64 = 0x0102_1994;

/// Files of the store that are written to.
pub(crate) const MODE_WRITABLE: u32 = 0o600;

/// Complete files. An export may be the same file under another name, which others may read; the
/// store's name for it lies in a directory that they cannot open.
const MODE_READ_ONLY: u32 = 0o444;

/// The unit of [`MetadataExt::blocks`], whatever the file system's own.
const BLOCK_BYTES: u64 = 512;

/// A file of this machine.
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
        self.0.set_permissions(Permissions::from_mode(mode))
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
pub fn clone_into(from: &dyn DiskFile, to: &dyn DiskFile) -> bool {
    match (from.as_file(), to.as_file()) {
        (Some(from), Some(to)) => reflink_copy::reflink_file(from, to).is_ok(),
        _ => false,
    }
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
