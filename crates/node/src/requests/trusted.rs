//! `trusted`: the namespaces that are bound to publishers.

use std::sync::Arc;

use hubless_content::PublisherId;
use hubless_names::namespaces::{Bound, NameSource};
use hubless_store::{Namespace, NamespaceSource};
use serde::{Deserialize, Serialize};

use super::Call;
use crate::{core::Core, failure::Failure, replies::ReplySink};

/// Lists the namespaces that are bound to publishers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Trusted {}

/// The namespaces that are bound to publishers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TrustedNames {
    /// In the order of their names.
    pub names: Vec<TrustedName>,
}

/// A namespace that is bound to a publisher.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TrustedName {
    /// The namespace.
    pub name: String,
    /// The publisher.
    pub id: PublisherId,
    /// What bound it.
    pub source: NameSource,
    /// The directory that bound it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<String>,
    /// Since when: milliseconds since 1970, UTC.
    pub since: u64,
}

impl From<Namespace> for TrustedName {
    fn from(namespace: Namespace) -> Self {
        Self {
            name: namespace.spelled.clone(),
            id: namespace.publisher,
            directory: match &namespace.source {
                NamespaceSource::Directory(directory) => Some(directory.clone()),
                NamespaceSource::Own | NamespaceSource::Petname | NamespaceSource::Dns => None,
            },
            since: namespace.since,
            source: NameSource::from(&Bound::from(namespace)),
        }
    }
}

impl Call for Trusted {
    type Answer = TrustedNames;

    async fn handle(self, core: &Arc<Core>, _: &ReplySink) -> Result<TrustedNames, Failure> {
        let all = core.names.namespaces.all().await?;
        Ok(TrustedNames {
            names: all.into_iter().map(Into::into).collect(),
        })
    }
}
