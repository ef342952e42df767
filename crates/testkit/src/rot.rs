//! Bytes of a file that change while its size and times stay, as on a failing disk.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
    ptr::NonNull,
};

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// Bytes that are mapped: the smallest page of the systems that tests run on divides it.
const PAGE: u64 = 64 * 1024;

/// A page of a file in memory. The first write changes the times of the file. Those after it do not,
/// until the system has written the page to the disk.
pub struct Rot {
    file: File,
    page: NonNull<u8>,
    /// Where the byte that changes is in the page.
    at: usize,
}

impl Rot {
    /// Maps the page of a file that has this byte, and writes to it what is there.
    ///
    /// # Panics
    /// If it cannot.
    pub fn prepare(path: &Path, byte: u64) -> Self {
        fs::set_permissions(path, Permissions::from_mode(0o644)).expect("own file");
        let file = OpenOptions::new().read(true).write(true).open(path);
        let file = file.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let page = map(&file, byte / PAGE * PAGE).expect("a file can be mapped");
        let at = usize::try_from(byte % PAGE).expect("a page is small");
        let rot = Self { file, page, at };
        rot.change(0);
        rot
    }

    /// Flips a bit; false if the file's times show it, and then the bit is as it was.
    pub fn flip(&self) -> bool {
        let before = self.times();
        self.change(1);
        let is_silent = self.times() == before;
        if !is_silent {
            self.change(1);
        }
        is_silent
    }

    fn times(&self) -> [i64; 4] {
        let now = self.file.metadata().expect("an open file");
        [now.mtime(), now.mtime_nsec(), now.ctime(), now.ctime_nsec()]
    }

    #[expect(unsafe_code, reason = "nothing else changes a file and not its times")]
    fn change(&self, bits: u8) {
        // SAFETY: `at` is below `PAGE`, the length of the mapping, which lives as long as `self`;
        // volatile, because other processes read it.
        unsafe {
            let byte = self.page.add(self.at);
            byte.write_volatile(byte.read_volatile() ^ bits);
        }
    }
}

#[expect(unsafe_code, reason = "see `Rot::change`")]
fn map(file: &File, offset: u64) -> io::Result<NonNull<u8>> {
    let (protection, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
    // SAFETY: the kernel chooses an address that is free.
    let page = unsafe {
        mmap(
            std::ptr::null_mut(),
            PAGE as usize,
            protection,
            flags,
            file,
            offset,
        )
    };
    Ok(NonNull::new(page?.cast()).expect("no mapping is at 0"))
}

impl Drop for Rot {
    #[expect(unsafe_code, reason = "see `Rot::change`")]
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's own.
        let _ = unsafe { munmap(self.page.as_ptr().cast(), PAGE as usize) };
    }
}
