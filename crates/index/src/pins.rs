//! Pins: the models that garbage collection keeps.

use hubless_content::ContentHash;

use crate::{
    error::StoreError,
    index::{Index, tables},
};

/// The rows of pins.
#[derive(Clone, Copy)]
pub(crate) struct PinTable<'a> {
    pub(super) index: &'a Index,
}

impl PinTable<'_> {
    pub(crate) fn add(self, model: ContentHash) -> Result<(), StoreError> {
        self.index
            .write(|write| tables::PINS.write(write)?.insert(model.as_bytes(), &[]))
    }

    /// True if the model was pinned.
    pub(crate) fn remove(self, model: ContentHash) -> Result<bool, StoreError> {
        self.index
            .write(|write| tables::PINS.write(write)?.remove(model.as_bytes()))
    }

    pub(crate) fn all(self) -> Result<Vec<ContentHash>, StoreError> {
        self.index.read(|read| {
            let table = tables::PINS.read(read)?;
            let rows = table.iter()?;
            rows.map(|row| Ok(ContentHash::new(*row?.0.value())))
                .collect()
        })
    }

    pub(crate) fn contains(self, model: ContentHash) -> Result<bool, StoreError> {
        self.index.read(|read| {
            let pins = tables::PINS.read(read)?;
            Ok(pins.get(model.as_bytes())?.is_some())
        })
    }
}
