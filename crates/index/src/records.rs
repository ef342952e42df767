//! Records of others: keys and values whose meaning the store does not know.

use crate::{
    error::StoreError,
    index::{Index, database::IndexError, tables},
};

/// A key and its value.
pub type StoredRecord = (Vec<u8>, Vec<u8>);

/// A key and its new value, or `None` to remove it.
pub type RecordChange = (Vec<u8>, Option<Vec<u8>>);

/// The rows of records.
#[derive(Clone, Copy)]
pub(crate) struct RecordTable<'a> {
    pub(super) index: &'a Index,
}

impl RecordTable<'_> {
    /// All records, ordered by key.
    pub(crate) fn all(self) -> Result<Vec<StoredRecord>, StoreError> {
        self.index.read(|read| {
            let table = tables::RECORDS.read(read)?;
            let mut records = Vec::new();
            for row in table.iter()? {
                match row {
                    Ok((key, value)) => records.push((key.value().to_vec(), value)),
                    // It is known elsewhere, and comes again.
                    Err(IndexError::Malformed(what)) => {
                        tracing::warn!(what, "a damaged value of the index is left out");
                    }
                    Err(error) => return Err(error),
                }
            }
            Ok(records)
        })
    }
}
