//! The identity of this node: an Ed25519 key pair in a file that only its owner can read.

use std::{
    io,
    path::{Path, PathBuf},
};

use libp2p::{PeerId, identity::Keypair};

use crate::small_file::{read_secret, write_secret};

/// Bytes of a key file: libp2p's protobuf encoding of an Ed25519 key pair has 68.
const KEY_FILE_BYTES_MAX: u64 = 4096;

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file could not be read or written.
    #[error("cannot access the key file {}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// The file holds something else.
    #[error("{} does not hold a key of a node", path.display())]
    NotAKey {
        /// Which file.
        path: PathBuf,
    },
}

/// The key pair that a node proves itself with; its peer id is the name others know it by.
#[derive(Debug, Clone)]
pub struct Identity {
    keypair: Keypair,
}

impl Identity {
    /// A new one that is kept nowhere.
    pub fn generate() -> Self {
        Self {
            keypair: Keypair::generate_ed25519(),
        }
    }

    /// The identity in this file, which is made, readable for its owner alone, if there is none.
    ///
    /// # Errors
    /// If the file cannot be read or written, others can read it, or it holds something else.
    pub fn load_or_create(path: &Path) -> Result<Self, IdentityError> {
        match read_secret(path, KEY_FILE_BYTES_MAX) {
            Ok(bytes) => Self::decode(&bytes, path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::create(path),
            Err(source) => Err(IdentityError::File {
                path: path.to_owned(),
                source,
            }),
        }
    }

    /// The name that others know this node by.
    pub fn peer_id(&self) -> PeerId {
        self.keypair.public().to_peer_id()
    }

    /// The key pair itself.
    pub fn keypair(&self) -> &Keypair {
        &self.keypair
    }

    fn decode(bytes: &[u8], path: &Path) -> Result<Self, IdentityError> {
        let not_a_key = || IdentityError::NotAKey {
            path: path.to_owned(),
        };
        let keypair = Keypair::from_protobuf_encoding(bytes).map_err(|_| not_a_key())?;
        Ok(Self { keypair })
    }

    fn create(path: &Path) -> Result<Self, IdentityError> {
        let identity = Self::generate();
        let not_a_key = |_| IdentityError::NotAKey {
            path: path.to_owned(),
        };
        let bytes = identity.keypair.to_protobuf_encoding().map_err(not_a_key)?;
        match write_secret(path, &bytes) {
            Ok(()) => Ok(identity),
            // Another process was faster: its identity is the one that stays.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Self::load_or_create(path)
            }
            Err(source) => Err(IdentityError::File {
                path: path.to_owned(),
                source,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_only_its_owner_can_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("identity.key");
        let made = Identity::load_or_create(&path).unwrap();
        assert_eq!(
            Identity::load_or_create(&path).unwrap().peer_id(),
            made.peer_id()
        );
        assert_eq!(
            fs::read_dir(dir.path()).unwrap().count(),
            1,
            "no draft stays behind"
        );
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(
                fs::metadata(&path).unwrap().permissions().mode() & 0o777,
                0o600
            );
        }
    }

    #[test]
    fn a_file_of_something_else_is_not_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("identity.key");
        write_secret(&path, b"my thesis").unwrap();
        let error = Identity::load_or_create(&path).unwrap_err();
        assert!(matches!(error, IdentityError::NotAKey { .. }));
        assert_eq!(fs::read(&path).unwrap(), b"my thesis");
    }
}
