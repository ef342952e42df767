//! Namespaces: local views of publishers.
//!
//! A row says which publisher a namespace stands for on this node. It is written when the namespace is
//! first used, so that a later answer of a directory or of DNS does not change what a name means.

use hubless_content::PublisherId;
use redb::{ReadableTableMetadata, WriteTransaction};
use serde::{Deserialize, Serialize};

use crate::{
    database::{Database, Stop, at_most},
    error::IndexError,
    tables,
};

/// Namespaces of a store: as many as a directory has lines. Clients of a gateway make it grow.
pub const NAMESPACES_MAX: u64 = 100_000;

/// Which publisher a namespace stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespace {
    /// The namespace, in the spelling that is shown.
    pub spelled: String,
    /// The publisher.
    pub publisher: PublisherId,
    /// How it became known.
    pub source: NamespaceSource,
    /// Since when: milliseconds since 1970, UTC.
    pub since: u64,
}

/// How it became known which publisher a namespace stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NamespaceSource {
    /// This node signs for the publisher.
    Own,
    /// A person said so on this node.
    Petname,
    /// A directory lists it; holds the repo of the directory.
    Directory(String),
    /// A record of DNS, which the publisher's profile answers.
    Dns,
}

/// The rows of namespaces.
#[derive(Clone, Copy)]
pub struct NamespaceTable<'a> {
    pub(crate) database: &'a Database,
}

impl NamespaceTable<'_> {
    /// What a namespace stands for, in any case of its letters.
    pub fn get(self, namespace: &str) -> Result<Option<Namespace>, IndexError> {
        let key = folded(namespace);
        self.database
            .read(|read| tables::NAMESPACES.read(read)?.get_json(key.as_bytes()))
    }

    /// All of them, ordered by namespace.
    pub fn all(self) -> Result<Vec<Namespace>, IndexError> {
        self.database
            .read(|read| tables::NAMESPACES.read(read)?.all_json())
    }

    /// Has a namespace stand for a publisher, whatever it stood for before. Durable when it returns.
    ///
    /// # Errors
    /// [`IndexError::TooMany`] beyond [`NAMESPACES_MAX`].
    pub fn put(self, namespace: &Namespace) -> Result<(), IndexError> {
        self.database
            .write_or_stop(|write| write_namespace(write, namespace))
    }

    /// Forgets a namespace; true if it was known.
    pub fn remove(self, namespace: &str) -> Result<bool, IndexError> {
        let key = folded(namespace);
        self.database
            .write(|write| tables::NAMESPACES.write(write)?.remove(key.as_bytes()))
    }
}

pub(crate) fn write_namespace(write: &WriteTransaction, namespace: &Namespace) -> Result<(), Stop> {
    let mut table = tables::NAMESPACES.write(write)?;
    table.insert_json(folded(&namespace.spelled).as_bytes(), namespace)?;
    at_most(table.table.len()?, "namespaces", NAMESPACES_MAX)?;
    Ok(())
}

/// As [`write_namespace`], but only if the namespace stands for no other publisher.
pub(crate) fn write_free_namespace(
    write: &WriteTransaction,
    namespace: &Namespace,
) -> Result<(), Stop> {
    let key = folded(&namespace.spelled);
    let known: Option<Namespace> = tables::NAMESPACES.write(write)?.get_json(key.as_bytes())?;
    match known {
        Some(known) if known.publisher != namespace.publisher => Err(IndexError::NamespaceTaken {
            namespace: known.spelled,
            publisher: known.publisher,
        }
        .into()),
        _ => write_namespace(write, namespace),
    }
}

fn folded(namespace: &str) -> String {
    namespace.to_ascii_lowercase()
}
