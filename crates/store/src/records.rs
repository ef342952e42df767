//! Records of others: keys and values whose meaning the store does not know.

use redb::ReadableTable;

use crate::{Store, error::StoreError, tables};

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
            let table = read.open_table(tables::RECORDS)?;
            let mut records = Vec::new();
            for row in table.iter()? {
                let (key, value) = row?;
                records.push((key.value().to_vec(), value.value().to_vec()));
            }
            Ok(records)
        })
    }
}
