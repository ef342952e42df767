//! Bringing a store that an earlier version wrote to this one, in one transaction.

use hubless_content::FileHash;
use redb::{ReadableTable, TableDefinition, WriteTransaction};

use crate::{
    files::put_record,
    index::{IndexError, IndexResult},
    record::Record,
    tables,
};

/// As [`tables::FILES`], without checksums; its records are those of version 1.
const FILES_V1: TableDefinition<tables::Hash, &[u8]> = TableDefinition::new("files.v1");

/// Moves the rows of the tables of versions 1 and 2. Nothing is known of when these files were last
/// right, so all are checked before their bytes are trusted.
pub(crate) fn from_versions_1_and_2(write: &WriteTransaction) -> IndexResult<()> {
    let mut files = tables::FILES.write(write)?;
    for row in write.open_table(FILES_V1)?.iter()? {
        let (key, value) = row?;
        let record = Record::decode_v1(value.value());
        let record = record.ok_or(IndexError::Malformed("the record of a file"))?;
        put_record(&mut files, FileHash::new(*key.value()), &record)?;
    }
    write.delete_table(FILES_V1)?;
    Ok(())
}
