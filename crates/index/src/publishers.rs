//! Publishers that this node signs for: people and organizations.
//!
//! Their keys are in files beside the index, their documents and repos in the tables of all publishers.

use hubless_content::PublisherId;
use redb::{ReadableTableMetadata, WriteTransaction};
use serde::{Deserialize, Serialize};

use crate::{
    database::{Database, Stop, at_most},
    error::IndexError,
    tables,
};

/// Publishers of one node: each has a profile that is confirmed once a day.
pub const OWN_PUBLISHERS_MAX: u64 = 1_000;

/// A publisher that this node signs for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnPublisher {
    /// Its id.
    pub id: PublisherId,
    /// The namespace that it proposes for itself.
    pub handle: String,
    /// Whether it is an organization, else a person.
    pub is_org: bool,
    /// The person that an organization belongs to.
    pub owner: Option<PublisherId>,
    /// Whether new repos are private unless their maker says otherwise.
    pub private_by_default: bool,
    /// When it was made: milliseconds since 1970, UTC.
    pub created: u64,
}

/// The rows of own publishers.
#[derive(Clone, Copy)]
pub struct PublisherTable<'a> {
    pub(crate) database: &'a Database,
}

impl PublisherTable<'_> {
    /// All of them, ordered by id.
    pub fn all(self) -> Result<Vec<OwnPublisher>, IndexError> {
        self.database
            .read(|read| tables::PUBLISHERS.read(read)?.all_json())
    }

    /// The one with this id.
    pub fn get(self, id: PublisherId) -> Result<Option<OwnPublisher>, IndexError> {
        self.database
            .read(|read| tables::PUBLISHERS.read(read)?.get_json(id.as_bytes()))
    }

    /// Keeps a publisher, or changes what is known about it. Durable when it returns.
    ///
    /// # Errors
    /// [`IndexError::TooMany`] beyond [`OWN_PUBLISHERS_MAX`].
    pub fn put(self, publisher: &OwnPublisher) -> Result<(), IndexError> {
        self.database
            .write_or_stop(|write| write_publisher(write, publisher))
    }
}

pub(crate) fn write_publisher(
    write: &WriteTransaction,
    publisher: &OwnPublisher,
) -> Result<(), Stop> {
    let mut table = tables::PUBLISHERS.write(write)?;
    table.insert_json(publisher.id.as_bytes(), publisher)?;
    at_most(table.table.len()?, "own publishers", OWN_PUBLISHERS_MAX)?;
    Ok(())
}
