//! Records of others: keys and values whose meaning the store does not know.

use crate::{database::Database, error::IndexError, tables, tx::TxError};

/// A key and its value.
pub type StoredRecord = (Vec<u8>, Vec<u8>);

/// A key and its new value, or `None` to remove it.
pub type RecordChange = (Vec<u8>, Option<Vec<u8>>);

/// The rows of records.
#[derive(Clone, Copy)]
pub struct RecordTable<'a> {
    pub(crate) database: &'a Database,
}

impl RecordTable<'_> {
    /// All records, ordered by key.
    pub fn all(self) -> Result<Vec<StoredRecord>, IndexError> {
        self.database.read(|read| {
            let table = tables::RECORDS.read(read)?;
            let mut records = Vec::new();
            for row in table.iter()? {
                match row {
                    Ok((key, value)) => records.push((key.value().to_vec(), value)),
                    // It is known elsewhere, and comes again.
                    Err(TxError::Malformed(what)) => {
                        tracing::warn!(what, "a damaged value of the index is left out");
                    }
                    Err(error) => return Err(error),
                }
            }
            Ok(records)
        })
    }
}
