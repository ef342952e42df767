//! Models, pins, and records of others.

use std::sync::Arc;

use hubless_content::{ContentHash, Manifest};

use crate::{FilesGuard, Guard, RecordChange, Store, StoreError, StoredRecord};

impl Store {
    /// Makes a model known; its files may come later. Durable when it returns.
    ///
    /// # Errors
    /// If the disk is full or fails.
    pub fn put_manifest(&self, manifest: &Manifest) -> Result<ContentHash, StoreError> {
        self.shared.put_manifest(manifest)
    }

    /// The manifest of a model, if it is known.
    ///
    /// # Errors
    /// If the index fails.
    pub fn manifest(&self, model: ContentHash) -> Result<Option<Arc<Manifest>>, StoreError> {
        self.index().manifests().get(model)
    }

    /// Keeps a model from being collected.
    ///
    /// # Errors
    /// [`StoreError::UnknownModel`] if it is not known.
    pub fn pin(&self, model: ContentHash) -> Result<(), StoreError> {
        self.shared.pin(model)
    }

    /// Lets a model be collected; true if it was pinned.
    ///
    /// # Errors
    /// If the index fails.
    pub fn unpin(&self, model: ContentHash) -> Result<bool, StoreError> {
        self.index().pins().remove(model)
    }

    /// All pinned models.
    ///
    /// # Errors
    /// If the index fails.
    pub fn pins(&self) -> Result<Vec<ContentHash>, StoreError> {
        self.index().pins().all()
    }

    /// Forgets a model. The room of its files is free after [`Store::gc`].
    ///
    /// # Errors
    /// [`StoreError::UnknownModel`] if it is not known, [`StoreError::Named`] if it is a revision of
    /// a repo.
    pub fn remove(&self, model: ContentHash) -> Result<(), StoreError> {
        self.shared.remove_model(model)
    }

    /// Keeps a model and its files from being collected as long as the guard lives: for a fetch,
    /// from before its manifest is put.
    pub fn protect(&self, model: ContentHash) -> Guard {
        self.shared.in_use.protect_model(model)
    }

    /// Keeps single files from being collected, those that are added to the guard, as long as it
    /// lives: for a fetch of what no model names yet.
    pub fn protect_files(&self) -> FilesGuard {
        self.shared.in_use.protect_files()
    }

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
        self.index().records().all()
    }
}
