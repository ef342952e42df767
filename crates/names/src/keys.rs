//! Keys of publishers, in files that only their owner can read.
//!
//! | file | holds | made by |
//! |---|---|---|
//! | `signing.key` | the key with which this node signs heads, for all publishers it is a signer of | the first use |
//! | `root.key`, `root-HANDLE.key` | a key that may change who signs | each new publisher; to be moved away |
//!
//! A file has two lines: what it holds, and the 64 hexadecimal digits of the key. A file of one kind is
//! not taken for the other. None is ever replaced.

use std::{
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
};

use hubless_content::{
    Chain, DocumentHash, FileHash, Head, HeadError, HeadRecord, KEY_BYTES, PublisherId, SecretKey,
    Subject, VerifiedHead,
};
use hubless_network::{read_secret, write_secret};
use hubless_store::{Store, StoreError};

/// Bytes of a key file: two short lines.
const KEY_FILE_BYTES_MAX: u64 = 1024;

const SIGNING_KEY_FILE: &str = "signing.key";
const ROOT_KEY_FILE: &str = "root.key";

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// It signs heads.
    Signing,
    /// It changes an identity.
    Root,
}

impl KeyKind {
    /// The first line of the file.
    const fn title(self) -> &'static str {
        match self {
            Self::Signing => "hubless signing key",
            Self::Root => "hubless root key",
        }
    }
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file could not be read or written, or others can read it.
    #[error("cannot use the key file {}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// The file holds something else.
    #[error("{} does not hold a {}", path.display(), kind.title())]
    NotAKey {
        /// Which file.
        path: PathBuf,
        /// What it should hold.
        kind: KeyKind,
    },
}

/// Why this node cannot sign for a publisher.
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    /// The publisher is not one of this node.
    #[error("this node does not sign for publisher {0}")]
    NotOwn(PublisherId),
    /// The publisher is one of this node, but the file of the signing key is not there.
    #[error("the signing key of this node is lost: {} is not there", path.display())]
    Lost {
        /// The publisher.
        publisher: PublisherId,
        /// The file.
        path: PathBuf,
    },
    /// The key of this node was removed from the signers, or never was one.
    #[error("the signing key of this node is no signer of publisher {0}")]
    NoSigner(PublisherId),
    /// The key file cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What signs for a publisher on this node.
#[derive(Debug, Clone)]
pub struct Signing {
    /// The newest chain of the publisher.
    pub chain: Chain,
    /// The signing key of this node, which is a signer of that chain.
    pub key: SecretKey,
}

impl Signing {
    /// The head after `last` with this state, or the first one; `now` in milliseconds since 1970.
    ///
    /// # Errors
    /// If a head with the chain is too large.
    pub fn next(
        &self,
        subject: &Subject,
        last: Option<&VerifiedHead>,
        state: DocumentHash,
        now: u64,
    ) -> Result<VerifiedHead, HeadError> {
        let number = self.chain.current().number;
        let head = match last {
            Some(last) => last.head().next(state, number, now),
            None => Head {
                subject: subject.clone(),
                number,
                seq: 1,
                state,
                previous: None,
                summary: None,
                time: now,
            },
        };
        HeadRecord::sign(&head, &self.chain, &self.key)
    }

    /// The same head, confirmed now: milliseconds since 1970. Its time never goes back.
    ///
    /// # Errors
    /// If a head with the chain is too large.
    pub fn confirm(&self, head: &Head, now: u64) -> Result<VerifiedHead, HeadError> {
        let confirmed = Head {
            number: self.chain.current().number,
            time: now.max(head.time),
            ..head.clone()
        };
        HeadRecord::sign(&confirmed, &self.chain, &self.key)
    }
}

/// The key files of one node.
#[derive(Debug, Clone)]
pub struct Keys {
    home: PathBuf,
}

impl Keys {
    /// Those in this home directory.
    pub fn new(home: &Path) -> Self {
        Self {
            home: home.to_owned(),
        }
    }

    /// What signs for one of this node's publishers.
    ///
    /// # Errors
    /// If this node is no signer of the publisher, or its key cannot be read.
    pub fn signing(&self, store: &Store, publisher: PublisherId) -> Result<Signing, SigningError> {
        if store.own_publisher(publisher)?.is_none() {
            return Err(SigningError::NotOwn(publisher));
        }
        let key = self.own()?.ok_or_else(|| SigningError::Lost {
            publisher,
            path: self.signing_file(),
        })?;
        let chain = store.chain(publisher)?;
        match chain.filter(|chain| chain.has_signer(&key.public())) {
            Some(chain) => Ok(Signing { chain, key }),
            None => Err(SigningError::NoSigner(publisher)),
        }
    }

    /// The signing key of this node; `None` if it has none.
    ///
    /// # Errors
    /// If the file cannot be read, others can read it, or it holds something else.
    pub fn own(&self) -> Result<Option<SecretKey>, KeyError> {
        match read_key(&self.signing_file(), KeyKind::Signing) {
            Ok(key) => Ok(Some(key)),
            Err(KeyError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The signing key of this node, which is made if there is none.
    ///
    /// # Errors
    /// As [`Keys::own`], and if the file cannot be written.
    pub fn own_or_new(&self) -> Result<SecretKey, KeyError> {
        if let Some(key) = self.own()? {
            return Ok(key);
        }
        let path = self.signing_file();
        match make_key(&path, KeyKind::Signing) {
            // Another process was faster: its key is the one that stays.
            Err(error) if error.is_there() => read_key(&path, KeyKind::Signing),
            made => made,
        }
    }

    /// A new root key for the publisher with this handle, and the file that it is in: `root.key`, or
    /// `root-HANDLE.key` if another one is there.
    ///
    /// # Errors
    /// If the file cannot be written, or both are there.
    pub fn new_root(&self, handle: &str) -> Result<(SecretKey, PathBuf), KeyError> {
        let path = self.home.join(ROOT_KEY_FILE);
        match make_key(&path, KeyKind::Root) {
            Err(error) if error.is_there() => {
                let path = self.home.join(format!("root-{handle}.key"));
                Ok((make_key(&path, KeyKind::Root)?, path))
            }
            made => Ok((made?, path)),
        }
    }

    /// The root keys in the home directory: a thief of the machine takes them with it.
    pub fn roots(&self) -> Vec<PathBuf> {
        let is_root = |name: &str| {
            name == ROOT_KEY_FILE || (name.starts_with("root-") && name.ends_with(".key"))
        };
        let entries = fs::read_dir(&self.home).into_iter().flatten().flatten();
        let mut roots: Vec<PathBuf> = entries
            .filter(|entry| entry.file_name().to_str().is_some_and(is_root))
            .map(|entry| entry.path())
            .collect();
        roots.sort_unstable();
        roots
    }

    fn signing_file(&self) -> PathBuf {
        self.home.join(SIGNING_KEY_FILE)
    }
}

impl KeyError {
    /// Whether a file could not be made because there is one.
    fn is_there(&self) -> bool {
        matches!(self, Self::File { source, .. } if source.kind() == io::ErrorKind::AlreadyExists)
    }
}

/// A new key in a new file.
///
/// # Errors
/// If there is such a file, or it cannot be written.
pub fn make_key(path: &Path, kind: KeyKind) -> Result<SecretKey, KeyError> {
    let key = SecretKey::new(&rand::random::<[u8; KEY_BYTES]>());
    let mut text = format!("{}\n", kind.title());
    for byte in key.to_bytes() {
        // Writing to a text cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text.push('\n');
    let written = write_secret(path, text.as_bytes());
    written.map(|()| key).map_err(|source| KeyError::File {
        path: path.to_owned(),
        source,
    })
}

/// The key in a file.
///
/// # Errors
/// If the file cannot be read, others can read it, or it holds something else.
pub fn read_key(path: &Path, kind: KeyKind) -> Result<SecretKey, KeyError> {
    let bytes = read_secret(path, KEY_FILE_BYTES_MAX).map_err(|source| KeyError::File {
        path: path.to_owned(),
        source,
    })?;
    parse(&bytes, kind).ok_or_else(|| KeyError::NotAKey {
        path: path.to_owned(),
        kind,
    })
}

fn parse(bytes: &[u8], kind: KeyKind) -> Option<SecretKey> {
    let mut lines = std::str::from_utf8(bytes).ok()?.lines().map(str::trim_end);
    if lines.next()? != kind.title() {
        return None;
    }
    // A hash has the same digits: those of 32 bytes.
    let seed: FileHash = lines.next()?.parse().ok()?;
    let key = SecretKey::new(seed.as_bytes());
    lines.next().is_none().then_some(key)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_signing_key_is_made_once_for_its_owner_alone() {
        let home = tempfile::tempdir().unwrap();
        let keys = Keys::new(home.path());
        assert!(keys.own().unwrap().is_none());
        let made = keys.own_or_new().unwrap().public();
        assert_eq!(keys.own_or_new().unwrap().public(), made);
        let path = home.path().join("signing.key");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
        let readable = keys.own().unwrap_err();
        assert!(matches!(readable, KeyError::File { .. }), "{readable}");
        assert_eq!(
            keys.own_or_new().unwrap_err().to_string(),
            readable.to_string()
        );
    }

    #[test]
    fn root_keys_lie_beside_each_other_and_none_is_replaced() {
        let home = tempfile::tempdir().unwrap();
        let keys = Keys::new(home.path());
        let (first, path) = keys.new_root("alice").unwrap();
        assert_eq!(path, home.path().join("root.key"));
        let (second, other) = keys.new_root("acme").unwrap();
        assert_eq!(other, home.path().join("root-acme.key"));
        assert!(keys.new_root("acme").unwrap_err().is_there());
        assert_eq!(
            read_key(&path, KeyKind::Root).unwrap().public(),
            first.public()
        );
        assert_eq!(
            read_key(&other, KeyKind::Root).unwrap().public(),
            second.public()
        );
        keys.own_or_new().unwrap();
        assert_eq!(keys.roots(), [other, path]);
    }

    #[test]
    fn a_key_of_the_other_kind_or_any_other_file_is_no_key() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("key");
        let key = make_key(&path, KeyKind::Root).unwrap();
        let text = fs::read(&path).unwrap();
        assert_eq!(parse(&text, KeyKind::Root).unwrap().public(), key.public());
        let wrong = read_key(&path, KeyKind::Signing).unwrap_err();
        assert!(matches!(wrong, KeyError::NotAKey { .. }), "{wrong}");
        for len in 0..text.len() - 1 {
            assert!(parse(&text[..len], KeyKind::Root).is_none(), "{len} bytes");
        }
        let longer = [&text[..], b"more\n"].concat();
        assert!(parse(&longer, KeyKind::Root).is_none());
    }
}
