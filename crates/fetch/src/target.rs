//! What a fetch is for: a model, or one file alone.

use std::{fmt, sync::Arc};

use hubless_content::{ContentHash, Manifest, ManifestEntry, ManifestError};
use hubless_wire::Scope;

/// What a fetch is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A model, or some of its files. What they are is learned from a peer.
    Model(ContentHash),
    /// One file, whatever models it is in. Its path is what it is called here.
    File(ManifestEntry),
}

impl Target {
    /// The model, if it is one.
    pub fn model(&self) -> Option<ContentHash> {
        match self {
            Self::Model(model) => Some(*model),
            Self::File(_) => None,
        }
    }

    /// What peers are asked about.
    pub fn scope(&self) -> Scope {
        match self {
            Self::Model(model) => Scope::Content(*model),
            Self::File(file) => Scope::File(file.hash),
        }
    }

    /// A manifest of one file for a file alone, which never leaves this node; `None` for a model.
    ///
    /// # Errors
    /// If the entry breaks a rule of manifests.
    pub fn own_manifest(&self) -> Result<Option<Arc<Manifest>>, ManifestError> {
        match self {
            Self::Model(_) => Ok(None),
            Self::File(file) => Ok(Some(Arc::new(Manifest::new(vec![file.clone()])?))),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Model(model) => model.fmt(f),
            Self::File(file) => write!(f, "the file {}", file.hash),
        }
    }
}
