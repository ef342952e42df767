//! The paths in a home directory.

use std::path::{Path, PathBuf};

use hubless_content::ContentHash;

/// A home directory: store, identity, configuration and socket of one node.
#[derive(Debug, Clone)]
pub(crate) struct Home(PathBuf);

impl Home {
    pub(crate) fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The secret key.
    pub(crate) fn identity(&self) -> PathBuf {
        self.0.join("identity.key")
    }

    /// The control socket of a running node.
    pub(crate) fn socket(&self) -> PathBuf {
        self.0.join("node.sock")
    }

    /// The directory of a model that `get` exports without `-o`.
    pub(crate) fn export(&self, model: ContentHash) -> PathBuf {
        self.0.join("models").join(model.to_string())
    }
}
