//! Pins: the models that garbage collection keeps.

use hubless_content::ContentHash;

use crate::{
    Store,
    error::StoreError,
    index::tables,
    sync::lock,
    work::in_use::{FilesGuard, Guard},
};

impl Store {
    /// Keeps a model from being collected.
    ///
    /// # Errors
    /// [`StoreError::UnknownModel`] if it is not known.
    pub fn pin(&self, model: ContentHash) -> Result<(), StoreError> {
        // Before looking: a collection that runs must not remove what is about to be pinned.
        let _guard = self.protect(model);
        if self.manifest(model)?.is_none() {
            return Err(StoreError::UnknownModel { model });
        }
        self.shared
            .index
            .write(|write| tables::PINS.write(write)?.insert(model.as_bytes(), &[]))
    }

    /// Lets a model be collected; true if it was pinned.
    ///
    /// # Errors
    /// If the index fails.
    pub fn unpin(&self, model: ContentHash) -> Result<bool, StoreError> {
        self.shared
            .index
            .write(|write| tables::PINS.write(write)?.remove(model.as_bytes()))
    }

    /// All pinned models.
    ///
    /// # Errors
    /// If the index fails.
    pub fn pins(&self) -> Result<Vec<ContentHash>, StoreError> {
        self.shared.index.read(|read| {
            let table = tables::PINS.read(read)?;
            let rows = table.iter()?;
            rows.map(|row| Ok(ContentHash::new(*row?.0.value())))
                .collect()
        })
    }

    pub(crate) fn is_pinned(&self, model: ContentHash) -> Result<bool, StoreError> {
        self.shared.index.read(|read| {
            let pins = tables::PINS.read(read)?;
            Ok(pins.get(model.as_bytes())?.is_some())
        })
    }

    /// Forgets a model. The room of its files is free after [`Store::gc`].
    ///
    /// # Errors
    /// [`StoreError::UnknownModel`] if it is not known, [`StoreError::Named`] if it is a revision of
    /// a repo.
    pub fn remove(&self, model: ContentHash) -> Result<(), StoreError> {
        if self.shared.is_named(model)? {
            return Err(StoreError::Named { model });
        }
        let was_known = self.shared.index.write(|write| {
            tables::PINS.write(write)?.remove(model.as_bytes())?;
            let mut manifests = write.open_table(tables::MANIFESTS)?;
            let was_known = manifests.remove(model.as_bytes())?.is_some();
            Ok(was_known)
        })?;
        lock(&self.shared.manifests).remove(model);
        if was_known {
            Ok(())
        } else {
            Err(StoreError::UnknownModel { model })
        }
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
}
