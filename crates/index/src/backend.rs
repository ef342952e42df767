//! The file of the index, as redb uses it: through the seam to the disk.

use std::{io, sync::Arc};

use hubless_disk::DiskFile;

/// The file of the index. The lock on it is the store's, so that it outlives a reopening.
#[derive(Debug)]
pub(crate) struct IndexFile(pub(crate) Arc<dyn DiskFile>);

impl redb::StorageBackend for IndexFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.signature()?.size)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(out, offset)
    }

    // The space is taken before the file grows: a full disk then refuses the growth, instead of
    // a write into the middle of what redb believes to have.
    fn set_len(&self, len: u64) -> io::Result<()> {
        if len > self.len()? {
            self.0.allocate(len)?;
        }
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write_all_at(data, offset)
    }
}
