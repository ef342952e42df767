//! Bringing a store that an earlier version wrote to this one, in one transaction.

use hubless_content::FileHash;
use redb::{Key, ReadableTable, TableDefinition, Value, WriteTransaction};

use crate::{
    file_rows::put_record,
    record::Record,
    sealed::Sealed,
    tables::{self, Hash},
    tx::{TxError, TxResult},
};

// The tables of version 3 whose values had no checksum.
const USED: TableDefinition<Hash, u64> = TableDefinition::new("used.v1");
const REMOVED: TableDefinition<&[u8], ()> = TableDefinition::new("removed.v1");

// The tables of versions 1 and 2 whose values had no checksum; version 1 had the first four.
const FILES: TableDefinition<Hash, &[u8]> = TableDefinition::new("files.v1");
const HELD: TableDefinition<Hash, &[u8]> = TableDefinition::new("held.v1");
const PINS: TableDefinition<Hash, ()> = TableDefinition::new("pins.v1");
const RECORDS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("records.v1");
const DIGESTS: TableDefinition<Hash, &[u8; 52]> = TableDefinition::new("digests.v1");
const SHA256S: TableDefinition<Hash, Hash> = TableDefinition::new("sha256s.v1");
const GIT_BLOBS: TableDefinition<&[u8; 20], Hash> = TableDefinition::new("git_blobs.v1");
const REPOS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("repos.v1");
const REFS: TableDefinition<&[u8], &[u8; 20]> = TableDefinition::new("refs.v1");
const REVISIONS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("revisions.v1");

/// Moves the rows of the tables of versions 1 and 2.
pub(crate) fn from_versions_1_and_2(write: &WriteTransaction) -> TxResult<()> {
    move_files(write)?;
    seal(write, HELD, &tables::HELD)?;
    seal(write, PINS, &tables::PINS)?;
    seal(write, RECORDS, &tables::RECORDS)?;
    seal(write, DIGESTS, &tables::DIGESTS)?;
    seal(write, SHA256S, &tables::SHA256S)?;
    seal(write, GIT_BLOBS, &tables::GIT_BLOBS)?;
    seal(write, REPOS, &tables::REPOS)?;
    seal(write, REFS, &tables::REFS)?;
    seal(write, REVISIONS, &tables::REVISIONS)
}

/// Moves the rows of the tables that version 3 added.
pub(crate) fn from_version_3(write: &WriteTransaction) -> TxResult<()> {
    seal(write, USED, &tables::USED)?;
    seal(write, REMOVED, &tables::REMOVED)
}

/// Nothing is known of when these files were last right, so all are checked before their bytes are
/// trusted.
fn move_files(write: &WriteTransaction) -> TxResult<()> {
    let mut files = tables::FILES.write(write)?;
    for row in write.open_table(FILES)?.iter()? {
        let (key, value) = row?;
        let record = Record::decode_v1(value.value());
        let record = record.ok_or(TxError::Malformed("the record of a file"))?;
        put_record(&mut files, FileHash::new(*key.value()), &record)?;
    }
    write.delete_table(FILES)?;
    Ok(())
}

/// Moves rows to a table with checksums. The old table is made first if there is none.
fn seal<K: Key + 'static, V: Value + 'static>(
    write: &WriteTransaction,
    from: TableDefinition<K, V>,
    to: &Sealed<K>,
) -> TxResult<()> {
    let mut sealed = to.write(write)?;
    for row in write.open_table(from)?.iter()? {
        let (key, value) = row?;
        sealed.insert(key.value(), V::as_bytes(&value.value()).as_ref())?;
    }
    write.delete_table(from)?;
    Ok(())
}
