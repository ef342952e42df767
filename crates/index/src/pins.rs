//! Pins: the models that garbage collection keeps.

use hubless_content::ContentHash;

use crate::{database::Database, error::IndexError, tables};

/// The rows of pins.
#[derive(Clone, Copy)]
pub struct PinTable<'a> {
    pub(crate) database: &'a Database,
}

impl PinTable<'_> {
    /// Pins a model.
    pub fn insert(self, model: ContentHash) -> Result<(), IndexError> {
        self.database
            .write(|write| tables::PINS.write(write)?.insert(model.as_bytes(), &[]))
    }

    /// True if the model was pinned.
    /// Takes the pin off a model.
    pub fn remove(self, model: ContentHash) -> Result<bool, IndexError> {
        self.database
            .write(|write| tables::PINS.write(write)?.remove(model.as_bytes()))
    }

    /// The pinned models, in the order of their hashes.
    pub fn all(self) -> Result<Vec<ContentHash>, IndexError> {
        self.database.read(|read| {
            let table = tables::PINS.read(read)?;
            let rows = table.iter()?;
            rows.map(|row| Ok(ContentHash::new(*row?.0.value())))
                .collect()
        })
    }

    /// Whether a model is pinned.
    pub fn contains(self, model: ContentHash) -> Result<bool, IndexError> {
        self.database.read(|read| {
            let pins = tables::PINS.read(read)?;
            Ok(pins.get(model.as_bytes())?.is_some())
        })
    }
}
