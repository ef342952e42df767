//! The DHT's records, kept in the store.

use hubless_network::{RecordBatch, RecordDb};
use hubless_store::Store;
use tracing::warn;

/// The record store for `network`.
pub(crate) struct StoreRecords(Store);

impl StoreRecords {
    pub(crate) fn new(store: Store) -> Self {
        Self(store)
    }
}

impl RecordDb for StoreRecords {
    fn load(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.0.records_read_all().unwrap_or_else(|error| {
            warn!(%error, "DHT records could not be read; they will be learned again");
            Vec::new()
        })
    }

    fn write(&self, batch: RecordBatch) {
        self.0.records_write(&batch);
    }
}
