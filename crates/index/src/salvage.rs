//! Making an index anew from one with damaged pages.
//!
//! A flipped bit in a page makes redb refuse the whole database, though nearly all rows are right, and
//! every row proves itself or carries a checksum. So the rows that are right are copied to a new index,
//! and the old one is kept beside it. What may be lost is what can be had again: places and bytes of
//! files, chunk lists, digests, records of others. A store that lost a name, a revision, a pin, a manifest
//! or a head is not made anew but refused: a person has to know.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use hubless_content::{ContentHash, FileHash};
use hubless_disk::DiskFile;
use redb::{
    AccessGuard, Key, ReadOnlyDatabase, ReadOnlyTable, ReadTransaction, ReadableDatabase,
    ReadableTable, ReadableTableMetadata, StorageBackend, StorageError, TableDefinition, Value,
    WriteTransaction,
};

use crate::{
    backend::IndexFile,
    file_rows::decode_list,
    sealed::Sealed,
    tables,
    tx::{TxError, TxResult, caught},
};

/// Pages that are read to find the next row. A tree of a billion rows has ten levels; without a bound,
/// a page that points to one above it would be followed for ever.
const PAGES_PER_ROW_MAX: u32 = 256;

/// Copies the rows of a damaged index, which was closed in order, that prove themselves. Returns how
/// many were lost, for each table that lost any.
///
/// # Errors
/// [`TxError::Malformed`] with what was lost, if that cannot be had again; others if the old index
/// cannot be read at all, or the new one not be written.
pub(crate) fn salvage(
    damaged: &Arc<dyn DiskFile>,
    write: &WriteTransaction,
) -> TxResult<Vec<Loss>> {
    let pages = Arc::new(AtomicU32::new(0));
    let backend = Bounded {
        file: IndexFile(damaged.clone()),
        pages: pages.clone(),
    };
    let opened = caught(|| {
        let mut builder = redb::Database::builder();
        // Each page is read from the backend, which counts.
        builder.set_cache_size(0);
        let database: ReadOnlyDatabase = builder.open_read_only_with_backend(backend)?;
        let read = database.begin_read()?;
        TxResult::Ok((database, read))
    });
    let (_database, read) = opened.unwrap_or(Err(TxError::Malformed("an index")))?;
    let mut copy = Copy {
        read: &read,
        write,
        pages: &pages,
        losses: Vec::new(),
    };
    copy.all()?;
    Ok(copy.losses)
}

type Row<'t, K, V> = Result<(AccessGuard<'t, K>, AccessGuard<'t, V>), StorageError>;

/// Rows of a table that could not be copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Loss {
    /// What a row of the table is.
    pub(crate) what: &'static str,
    /// How many; at least one if it is not known.
    pub(crate) rows: u64,
}

/// From one index to another.
struct Copy<'a> {
    read: &'a ReadTransaction,
    write: &'a WriteTransaction,
    /// Pages read since the last row.
    pages: &'a AtomicU32,
    losses: Vec<Loss>,
}

/// Whether a table may lose rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rows {
    /// They are found, computed or fetched again.
    Derived,
    /// What a person or another program said.
    Said,
}

impl Copy<'_> {
    fn all(&mut self) -> TxResult<()> {
        use Rows::{Derived, Said};
        self.sealed(&tables::PINS, Said)?;
        self.sealed(&tables::REPOS, Said)?;
        self.sealed(&tables::REFS, Said)?;
        self.sealed(&tables::REVISIONS, Said)?;
        self.sealed(&tables::REMOVED, Said)?;
        // Without the heads and chains that were seen, older ones would be taken again.
        self.sealed(&tables::HEADS, Said)?;
        self.sealed(&tables::HEADS_OF, Said)?;
        self.sealed(&tables::DOCUMENTS, Said)?;
        self.sealed(&tables::CHAINS, Said)?;
        self.sealed(&tables::PUBLISHERS, Said)?;
        self.sealed(&tables::NAMESPACES, Said)?;
        self.sealed(&tables::FOLLOWS, Said)?;
        let manifest =
            |key: &[u8], value: &[u8]| ContentHash::of_manifest_bytes(value).as_bytes() == key;
        self.copy(tables::MANIFESTS, "a manifest", Said, manifest)?;
        self.sealed(&tables::FILES, Derived)?;
        self.sealed(&tables::HELD, Derived)?;
        let list = |key: &[u8], value: &[u8]| {
            let file = key.try_into().map(FileHash::new);
            file.is_ok_and(|file| decode_list(file, value).is_some())
        };
        self.copy(tables::CHUNK_LISTS, "a chunk list", Derived, list)?;
        let bytes = |key: &[u8], value: &[u8]| blake3::hash(value).as_bytes() == key;
        self.copy(tables::INLINE, "the bytes of a file", Derived, bytes)?;
        self.sealed(&tables::RECORDS, Derived)?;
        self.sealed(&tables::DIGESTS, Derived)?;
        self.sealed(&tables::SHA256S, Derived)?;
        self.sealed(&tables::GIT_BLOBS, Derived)?;
        self.sealed(&tables::USED, Derived)?;
        self.sealed(&tables::HISTORIES, Derived)
    }

    fn sealed<K: Key + 'static>(&mut self, table: &Sealed<K>, kind: Rows) -> TxResult<()> {
        let proves = |key: &[u8], value: &[u8]| table.proves(key, value);
        self.copy(table.definition(), table.what(), kind, proves)
    }

    fn copy<K: Key + 'static, V: Value + 'static>(
        &mut self,
        table: TableDefinition<K, V>,
        what: &'static str,
        kind: Rows,
        proves: impl Fn(&[u8], &[u8]) -> bool,
    ) -> TxResult<()> {
        self.pages.store(0, Ordering::Relaxed);
        let opened = caught(|| {
            let old = self.read.open_table(table).ok()?;
            let rows = old.len().ok()?;
            Some((old, rows))
        });
        // A table that cannot be opened does not say how many rows it had.
        let lost = match opened {
            Ok(Some((old, rows))) => {
                rows.saturating_sub(self.copy_rows(table, &old, rows, proves)?)
            }
            _ => 1,
        };
        if lost > 0 && kind == Rows::Said {
            return Err(TxError::Malformed(what));
        }
        if lost > 0 {
            self.losses.push(Loss { what, rows: lost });
        }
        Ok(())
    }

    /// Copies rows from both ends up to the damage. Returns how many.
    fn copy_rows<K: Key + 'static, V: Value + 'static>(
        &self,
        table: TableDefinition<K, V>,
        old: &ReadOnlyTable<K, V>,
        rows: u64,
        proves: impl Fn(&[u8], &[u8]) -> bool,
    ) -> TxResult<u64> {
        let mut new = self.write.open_table(table)?;
        let mut copied = 0;
        let mut copy = |row: Row<'_, K, V>| -> TxResult<()> {
            let (key, value) = row?;
            self.pages.store(0, Ordering::Relaxed);
            let (key, value) = (key.value(), value.value());
            if proves(K::as_bytes(&key).as_ref(), V::as_bytes(&value).as_ref()) {
                // The second pass may come to rows of the first.
                copied += u64::from(new.insert(key, value)?.is_none());
            }
            Ok(())
        };
        let limit = usize::try_from(rows).unwrap_or(usize::MAX);
        // An error or a panic of a pass ends it: what it did not come to is for the other, or lost.
        let pass = caught(|| -> TxResult<()> { old.iter()?.take(limit).try_for_each(&mut copy) });
        if !matches!(pass, Ok(Ok(()))) {
            self.pages.store(0, Ordering::Relaxed);
            let pass = caught(|| -> TxResult<()> {
                old.iter()?.rev().take(limit).try_for_each(&mut copy)
            });
            tracing::debug!(?pass, "rows before damage in the index");
        }
        Ok(copied)
    }
}

/// The file of a damaged index, from which only so many pages are read for a row.
#[derive(Debug)]
struct Bounded {
    file: IndexFile,
    pages: Arc<AtomicU32>,
}

impl StorageBackend for Bounded {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if self.pages.fetch_add(1, Ordering::Relaxed) >= PAGES_PER_ROW_MAX {
            return Err(io::Error::other("the pages of the index lead nowhere"));
        }
        self.file.read(offset, out)
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::PermissionDenied.into())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, _: u64, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::PermissionDenied.into())
    }
}

#[cfg(test)]
mod tests;
