//! An open index, and its tables.

use std::sync::{Arc, Mutex};

use hubless_content::{ContentHash, Manifest};
use hubless_memory::Lru;
use redb::ReadableTableMetadata;

use crate::{
    chains::ChainTable,
    database::Database,
    digests::DigestTable,
    error::IndexError,
    files::FileTable,
    follows::FollowTable,
    heads::HeadTable,
    histories::HistoryTable,
    manifests::{DECODED_FILES_MAX, ManifestTable},
    namespaces::NamespaceTable,
    pins::PinTable,
    publishers::PublisherTable,
    records::RecordTable,
    repos::RepoTable,
    revisions::RevisionTable,
    tables,
};

/// The index of a store, open.
pub struct Index {
    pub(crate) database: Database,
    decoded: Mutex<Lru<ContentHash, Arc<Manifest>>>,
}

/// How many rows there are.
pub struct Counts {
    /// Manifests.
    pub models: u64,
    /// Files of which anything is known.
    pub files: u64,
    /// Repos.
    pub repos: u64,
}

impl Index {
    pub(crate) fn new(database: Database) -> Self {
        Self {
            database,
            decoded: Mutex::new(Lru::new(DECODED_FILES_MAX)),
        }
    }

    /// Files: where their bytes are, and which of them are held.
    pub fn files(&self) -> FileTable<'_> {
        FileTable {
            database: &self.database,
        }
    }

    /// Manifests of models.
    pub fn manifests(&self) -> ManifestTable<'_> {
        ManifestTable {
            database: &self.database,
            decoded: &self.decoded,
        }
    }

    /// The models that garbage collection keeps.
    pub fn pins(&self) -> PinTable<'_> {
        PinTable {
            database: &self.database,
        }
    }

    /// What other hubs call files.
    pub fn digests(&self) -> DigestTable<'_> {
        DigestTable {
            database: &self.database,
        }
    }

    /// Keys and values of others.
    pub fn records(&self) -> RecordTable<'_> {
        RecordTable {
            database: &self.database,
        }
    }

    /// Repos and their refs.
    pub fn repos(&self) -> RepoTable<'_> {
        RepoTable {
            database: &self.database,
        }
    }

    /// Revisions of repos.
    pub fn revisions(&self) -> RevisionTable<'_> {
        RevisionTable {
            database: &self.database,
        }
    }

    /// Histories of repos, as their hub listed them.
    pub fn histories(&self) -> HistoryTable<'_> {
        HistoryTable {
            database: &self.database,
        }
    }

    /// Heads, and the states and profiles that they name.
    pub fn heads(&self) -> HeadTable<'_> {
        HeadTable {
            database: &self.database,
        }
    }

    /// Chains of identities.
    pub fn chains(&self) -> ChainTable<'_> {
        ChainTable {
            database: &self.database,
        }
    }

    /// Publishers that this node signs for.
    pub fn publishers(&self) -> PublisherTable<'_> {
        PublisherTable {
            database: &self.database,
        }
    }

    /// The publishers that namespaces stand for.
    pub fn namespaces(&self) -> NamespaceTable<'_> {
        NamespaceTable {
            database: &self.database,
        }
    }

    /// Publishers that are followed.
    pub fn follows(&self) -> FollowTable<'_> {
        FollowTable {
            database: &self.database,
        }
    }

    /// Takes the same short time however much there is.
    ///
    /// # Errors
    /// If the index cannot be read.
    pub fn counts(&self) -> Result<Counts, IndexError> {
        self.database.read(|read| {
            Ok(Counts {
                models: read.open_table(tables::MANIFESTS)?.len()?,
                files: tables::FILES.read(read)?.table.len()?,
                repos: tables::REPOS.read(read)?.table.len()?,
            })
        })
    }

    /// Whether the index was opened to read, as one that cannot be written to is.
    pub fn is_read_only(&self) -> bool {
        self.database.is_read_only()
    }

    /// Asks whether the index takes changes.
    ///
    /// # Errors
    /// [`DiskError::ReadOnly`](hubless_disk::DiskError::ReadOnly) if it was opened to read.
    pub fn writable(&self) -> Result<(), IndexError> {
        self.database.writable()
    }

    /// Compares all pages with their checksums.
    ///
    /// # Errors
    /// [`IndexError::Corrupt`] if a page is damaged.
    pub fn check(&self) -> Result<(), IndexError> {
        self.database.check()
    }

    /// Ends all work; the file is no longer touched.
    pub fn close(&self) {
        self.database.close();
    }
}
