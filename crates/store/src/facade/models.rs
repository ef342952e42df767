//! Models, pins, and records of others.

use std::path::Path;
use std::sync::Arc;

use hubless_content::{ChunkSet, ContentHash, Manifest};

use crate::{
    AnnounceKeys, ExportOptions, Exported, FilesGuard, Guard, ImportOptions, Imported, ModelInfo,
    Observer, RecordChange, Store, StoreError, StoredRecord,
};

impl Store {
    /// Makes a model known; its files may come later. Durable when it returns.
    ///
    /// # Errors
    /// If the disk is full or fails.
    pub fn put_manifest(&self, manifest: &Manifest) -> Result<ContentHash, StoreError> {
        self.work.put_manifest(manifest)
    }

    /// The manifest of a model, if it is known.
    ///
    /// # Errors
    /// If the index fails.
    pub fn manifest(&self, model: ContentHash) -> Result<Option<Arc<Manifest>>, StoreError> {
        Ok(self.index().manifests().get(model)?)
    }

    /// Keeps a model from being collected.
    ///
    /// # Errors
    /// [`StoreError::UnknownModel`] if it is not known.
    pub fn pin(&self, model: ContentHash) -> Result<(), StoreError> {
        self.work.pin(model)
    }

    /// Lets a model be collected; true if it was pinned.
    ///
    /// # Errors
    /// If the index fails.
    pub fn unpin(&self, model: ContentHash) -> Result<bool, StoreError> {
        Ok(self.index().pins().remove(model)?)
    }

    /// All pinned models.
    ///
    /// # Errors
    /// If the index fails.
    pub fn pins(&self) -> Result<Vec<ContentHash>, StoreError> {
        Ok(self.index().pins().all()?)
    }

    /// Forgets a model. The room of its files is free after [`Store::gc`].
    ///
    /// # Errors
    /// [`StoreError::UnknownModel`] if it is not known, [`StoreError::Named`] if it is a revision of
    /// a repo.
    pub fn remove(&self, model: ContentHash) -> Result<(), StoreError> {
        self.work.remove_model(model)
    }

    /// Keeps a model and its files from being collected as long as the guard lives: for a fetch,
    /// from before its manifest is put.
    pub fn protect(&self, model: ContentHash) -> Guard {
        self.work.in_use.protect_model(model)
    }

    /// Keeps single files from being collected, those that are added to the guard, as long as it
    /// lives: for a fetch of what no model names yet.
    pub fn protect_files(&self) -> FilesGuard {
        self.work.in_use.protect_files()
    }

    /// Writes or, for `None`, removes records, all or none. They are durable some seconds later.
    pub fn records_write(&self, records: &[RecordChange]) {
        self.work.files.queue.push_records(records);
    }

    /// All records, ordered by key.
    ///
    /// # Errors
    /// If the disk or the index fails.
    pub fn records_read_all(&self) -> Result<Vec<StoredRecord>, StoreError> {
        self.flush()?;
        Ok(self.index().records().all()?)
    }

    /// Everything of which at least one chunk can be served, in no order.
    ///
    /// # Errors
    /// If the index fails.
    pub fn announce_keys(&self) -> Result<AnnounceKeys, StoreError> {
        self.work.announce_keys()
    }

    /// Writes files of a model below `target`, which is made if it is not there, and makes them
    /// durable. Files that are right already are left alone. A file of the same name with other
    /// bytes is replaced only if the store has its bytes, as those of another revision, or if
    /// [`ExportOptions::force`] is set: what the user wrote is not lost.
    ///
    /// A file is cloned if the file system can, else linked (then it is read-only), else copied.
    /// The user's own files are never linked. No byte leaves that is not proven: a file that changed
    /// since it was last found to be right is read and checked before, and a wrong chunk is no
    /// longer held.
    ///
    /// # Errors
    /// [`StoreError::UnknownModel`]; [`StoreError::Incomplete`] for a file that is not here, or of
    /// which a chunk was found to be wrong: what is missing can be fetched then;
    /// [`StoreError::WouldReplace`]; [`StoreError::UnsafeTarget`] and [`StoreError::SameName`] where
    /// the target cannot take a file; others if a disk fails. Files that were exported until then
    /// stay.
    pub fn export(
        &self,
        model: ContentHash,
        target: &Path,
        options: &ExportOptions<'_>,
        observer: &dyn Observer,
    ) -> Result<Exported, StoreError> {
        self.work.export(model, target, options, observer)
    }

    /// Imports and pins a directory.
    ///
    /// # Errors
    /// Those of kind [`Input`](crate::StoreErrorKind::Input) name the file that cannot be
    /// imported; others if there is no room or a disk fails. Nothing is kept then.
    pub fn import(
        &self,
        directory: &Path,
        options: &ImportOptions,
        observer: &dyn Observer,
    ) -> Result<Imported, StoreError> {
        self.work.import(directory, options, observer)
    }

    /// All models that are known, complete or not, in the order of their hashes.
    ///
    /// # Errors
    /// If the index fails.
    pub fn models(&self) -> Result<Vec<ModelInfo>, StoreError> {
        self.work.models()
    }

    /// What is known about one model.
    ///
    /// # Errors
    /// If the index fails.
    pub fn model_info(&self, model: ContentHash) -> Result<Option<ModelInfo>, StoreError> {
        self.work.model_info(model)
    }

    /// Which chunks of a model can be read: those of all its files one after the other, in the
    /// order of the manifest. `None` if the model is not known.
    ///
    /// # Errors
    /// If the index fails.
    pub fn model_held(&self, model: ContentHash) -> Result<Option<ChunkSet>, StoreError> {
        self.work.model_held(model)
    }
}
