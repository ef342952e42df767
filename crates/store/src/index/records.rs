//! Records of others: keys and values whose meaning the store does not know.

use crate::{
    Store,
    error::StoreError,
    index::{database::IndexError, tables},
};

/// A key and its value.
pub type StoredRecord = (Vec<u8>, Vec<u8>);

/// A key and its new value, or `None` to remove it.
pub type RecordChange = (Vec<u8>, Option<Vec<u8>>);

impl Store {
    /// Writes or, for `None`, removes records, all or none. They are durable some seconds later.
    pub fn records_write(&self, records: &[RecordChange]) {
        self.shared.queue.push_records(records);
    }

    /// All records, ordered by key.
    ///
    /// # Errors
    /// If the disk or the index fails.
    pub fn records_read_all(&self) -> Result<Vec<StoredRecord>, StoreError> {
        self.flush()?;
        self.shared.index.read(|read| {
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
