//! Where records rest across restarts: an opaque table of bytes that the owner of the node brings.

use std::{collections::BTreeMap, sync::Mutex};

use hubless_sync::lock;

/// Changes for a [`RecordDb`] in their order: key and new value, or `None` to delete. If a key comes
/// twice, the later change holds.
pub type RecordBatch = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// A persistent table of small keys and values. What the bytes mean is written down in
/// `proto/dht-records.md`.
///
/// Losing it costs little: foreign records come back when their providers republish, own keys are
/// announced anew. So there are no errors here; an implementation logs its own.
pub trait RecordDb: Send + Sync + 'static {
    /// All entries, in any order.
    fn load(&self) -> Vec<(Vec<u8>, Vec<u8>)>;

    /// Applies one batch. May block; batches must be applied in the order in which they were
    /// taken, each as a whole or not at all.
    fn write(&self, batch: RecordBatch);
}

/// A [`RecordDb`] in memory: for tests, and for nodes that keep nothing.
#[derive(Debug, Default)]
pub struct MemoryDb(Mutex<BTreeMap<Vec<u8>, Vec<u8>>>);

impl RecordDb for MemoryDb {
    fn load(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        lock(&self.0)
            .iter()
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    }

    fn write(&self, batch: RecordBatch) {
        let mut entries = lock(&self.0);
        for (key, value) in batch {
            match value {
                Some(value) => entries.insert(key, value),
                None => entries.remove(&key),
            };
        }
    }
}
