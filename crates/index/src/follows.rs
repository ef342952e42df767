//! Publishers that are followed, and which content of theirs is kept here.

use hubless_content::PublisherId;
use redb::ReadableTableMetadata;
use serde::{Deserialize, Serialize};

use crate::{
    database::{Database, at_most},
    error::IndexError,
    tables,
};

/// Publishers that one node follows: each is watched, or asked for news each hour.
pub const FOLLOWS_MAX: u64 = 10_000;

/// A publisher that is followed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Follow {
    /// The publisher.
    pub publisher: PublisherId,
    /// What of its content is kept here.
    pub mirror: Mirror,
    /// Since when: milliseconds since 1970, UTC.
    pub since: u64,
}

/// What of the content of a followed publisher is kept here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mirror {
    /// None: heads and history alone.
    Nothing,
    /// What branches lead to.
    Latest,
    /// What branches and tags lead to.
    Tags,
    /// That of all revisions.
    All,
}

/// The rows of followed publishers.
#[derive(Clone, Copy)]
pub struct FollowTable<'a> {
    pub(crate) database: &'a Database,
}

impl FollowTable<'_> {
    /// All of them, ordered by publisher.
    pub fn all(self) -> Result<Vec<Follow>, IndexError> {
        self.database
            .read(|read| tables::FOLLOWS.read(read)?.all_json())
    }

    /// How a publisher is followed, if it is.
    pub fn get(self, publisher: PublisherId) -> Result<Option<Follow>, IndexError> {
        self.database
            .read(|read| tables::FOLLOWS.read(read)?.get_json(publisher.as_bytes()))
    }

    /// Follows a publisher, or changes how. Durable when it returns.
    ///
    /// # Errors
    /// [`IndexError::TooMany`] beyond [`FOLLOWS_MAX`].
    pub fn put(self, follow: &Follow) -> Result<(), IndexError> {
        self.database.write_or_stop(|write| {
            let mut table = tables::FOLLOWS.write(write)?;
            table.insert_json(follow.publisher.as_bytes(), follow)?;
            at_most(table.table.len()?, "followed publishers", FOLLOWS_MAX)?;
            Ok(())
        })
    }

    /// Follows a publisher no longer; true if it was followed. Its heads stay seen.
    pub fn remove(self, publisher: PublisherId) -> Result<bool, IndexError> {
        self.database
            .write(|write| tables::FOLLOWS.write(write)?.remove(publisher.as_bytes()))
    }
}
