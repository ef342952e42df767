//! One document of an identity, and the signatures below it.

use super::{IdentityError, PublisherId};
use crate::{
    encoding::{Reader, bytes_tag, number_tag, put_bytes, put_number},
    hash::DocumentHash,
    signing::{Context, KEY_BYTES, PublicKey, SIGNATURE_BYTES, SecretKey, Signature},
};

/// Root keys of an identity: as many as may sign one change of it.
pub const ROOT_KEYS_MAX: usize = 8;

/// Signers of an identity: devices and servers of one publisher.
pub const SIGNERS_MAX: usize = 16;

/// Bytes of the salt of a first document.
const SALT_BYTES: usize = 16;

/// The only version of the encoding.
const VERSION: u64 = 1;

const TAG_VERSION: u8 = number_tag(1);
const TAG_NUMBER: u8 = number_tag(2);
const TAG_ROOT: u8 = bytes_tag(3);
const TAG_KEY: u8 = bytes_tag(4);
const TAG_THRESHOLD: u8 = number_tag(5);
const TAG_SIGNER: u8 = bytes_tag(6);
const TAG_SALT: u8 = bytes_tag(7);

const TAG_IDENTITY: u8 = bytes_tag(1);
const TAG_BY_ROOT: u8 = bytes_tag(2);
const TAG_BY_OWN: u8 = bytes_tag(3);

/// A document of an identity: the keys that count from it on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// 0 in the first document; each later one has a higher number than those before.
    pub number: u64,
    /// The document whose root keys sign this one: the first, or the latest that changed keys. `None`
    /// in the first document.
    pub root: Option<DocumentHash>,
    /// Keys that may change the identity, sorted: 1 to [`ROOT_KEYS_MAX`].
    pub keys: Vec<PublicKey>,
    /// Signatures of root keys that a change needs: 1 to the number of keys.
    pub threshold: usize,
    /// Keys that may sign heads, sorted: at most [`SIGNERS_MAX`].
    pub signers: Vec<PublicKey>,
    /// Random bytes, in the first document only: the same keys can have two identities.
    pub salt: Option<[u8; SALT_BYTES]>,
}

impl Identity {
    /// The first document of a new publisher.
    pub fn first(
        mut keys: Vec<PublicKey>,
        threshold: usize,
        mut signers: Vec<PublicKey>,
        salt: [u8; SALT_BYTES],
    ) -> Self {
        keys.sort_unstable();
        signers.sort_unstable();
        Self {
            number: 0,
            root: None,
            keys,
            threshold,
            signers,
            salt: Some(salt),
        }
    }

    /// Whether the root keys or the threshold differ from those of `root`.
    pub fn changes_keys_of(&self, root: &Self) -> bool {
        (&self.keys, self.threshold) != (&root.keys, root.threshold)
    }

    /// The canonical bytes.
    ///
    /// # Errors
    /// If a rule or limit is broken.
    pub fn encode(&self) -> Result<Vec<u8>, IdentityError> {
        self.check()?;
        let mut out = Vec::new();
        put_number(&mut out, TAG_VERSION, VERSION);
        put_number(&mut out, TAG_NUMBER, self.number);
        if let Some(root) = &self.root {
            put_bytes(&mut out, TAG_ROOT, root.as_bytes());
        }
        for key in &self.keys {
            put_bytes(&mut out, TAG_KEY, key.as_bytes());
        }
        put_number(&mut out, TAG_THRESHOLD, self.threshold as u64);
        for signer in &self.signers {
            put_bytes(&mut out, TAG_SIGNER, signer.as_bytes());
        }
        if let Some(salt) = &self.salt {
            put_bytes(&mut out, TAG_SALT, salt);
        }
        Ok(out)
    }

    /// Decodes the output of [`Identity::encode`], and refuses every other encoding.
    ///
    /// # Errors
    /// If a rule or limit is broken; nothing is allocated from declared lengths.
    pub fn decode(bytes: &[u8]) -> Result<Self, IdentityError> {
        let mut reader = Reader::new(bytes);
        if reader.number(TAG_VERSION)? != VERSION {
            return Err(IdentityError::Encoding(0));
        }
        let number = reader.number(TAG_NUMBER)?;
        let root = reader.fixed(TAG_ROOT, DocumentHash::from_slice)?;
        let mut keys = Vec::new();
        while let Some(key) = reader.fixed(TAG_KEY, PublicKey::from_slice)? {
            if keys.len() == ROOT_KEYS_MAX {
                return Err(IdentityError::RootKeys);
            }
            keys.push(key);
        }
        let threshold = usize::try_from(reader.number(TAG_THRESHOLD)?);
        let mut signers = Vec::new();
        while let Some(signer) = reader.fixed(TAG_SIGNER, PublicKey::from_slice)? {
            if signers.len() == SIGNERS_MAX {
                return Err(IdentityError::Signers);
            }
            signers.push(signer);
        }
        let salt = reader.fixed(TAG_SALT, |bytes| bytes.try_into().ok())?;
        reader.end()?;
        let identity = Self {
            number,
            root,
            keys,
            threshold: threshold.map_err(|_| IdentityError::Threshold)?,
            signers,
            salt,
        };
        identity.check()?;
        Ok(identity)
    }

    fn check(&self) -> Result<(), IdentityError> {
        if !(1..=ROOT_KEYS_MAX).contains(&self.keys.len()) {
            return Err(IdentityError::RootKeys);
        }
        if self.signers.len() > SIGNERS_MAX {
            return Err(IdentityError::Signers);
        }
        let is_sorted = |keys: &[PublicKey]| keys.is_sorted_by(|a, b| a < b);
        if !is_sorted(&self.keys) || !is_sorted(&self.signers) {
            return Err(IdentityError::Order);
        }
        if !(1..=self.keys.len()).contains(&self.threshold) {
            return Err(IdentityError::Threshold);
        }
        let is_first = self.number == 0;
        if is_first != self.root.is_none() || is_first != self.salt.is_some() {
            return Err(IdentityError::First);
        }
        Ok(())
    }
}

/// A document and the signatures that make it count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedIdentity {
    document: Vec<u8>,
    identity: Identity,
    by_root: Vec<(u8, Signature)>,
    by_own: Vec<(u8, Signature)>,
}

impl SignedIdentity {
    /// A document without signatures: complete if it is a first one, else a proposal to be signed.
    ///
    /// # Errors
    /// If a rule or limit is broken.
    pub fn unsigned(identity: Identity) -> Result<Self, IdentityError> {
        Ok(Self {
            document: identity.encode()?,
            identity,
            by_root: Vec::new(),
            by_own: Vec::new(),
        })
    }

    /// The document.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The hash of the document's exact bytes.
    pub fn hash(&self) -> DocumentHash {
        DocumentHash::of(&self.document)
    }

    /// The publisher whose first document this is; `None` for later documents.
    pub fn publisher(&self) -> Option<PublisherId> {
        let is_first = self.identity.number == 0;
        is_first.then(|| PublisherId::of_first_document(&self.document))
    }

    /// Signatures below the document: what its proof costs.
    pub fn signatures(&self) -> usize {
        self.by_root.len() + self.by_own.len()
    }

    /// Adds the signatures of `key`, as far as it is a root key of `root` or of the document itself
    /// and the document needs that. Returns whether one was added.
    pub fn sign(&mut self, root: &Identity, key: &SecretKey) -> bool {
        let public = key.public();
        let signature = key.sign(Context::Identity, &self.document);
        let needs_own = self.identity.changes_keys_of(root);
        let by_root = add(&mut self.by_root, &root.keys, public, signature);
        let by_own = needs_own && add(&mut self.by_own, &self.identity.keys, public, signature);
        by_root || by_own
    }

    /// How many root keys of the root document, and of the document itself, signed it.
    pub fn signed_by(&self) -> (usize, usize) {
        (self.by_root.len(), self.by_own.len())
    }

    /// Whether as many root keys of `root`, and of the document itself if it changes keys, signed it as
    /// have to. Each signature that is there has to be right.
    pub fn is_signed(&self, root: &Identity) -> bool {
        let own_needed = if self.identity.changes_keys_of(root) {
            self.identity.threshold
        } else {
            0
        };
        // Signatures that are not needed would be bytes without a use in each record.
        let own_max = if own_needed == 0 {
            0
        } else {
            self.identity.keys.len()
        };
        (root.threshold..=root.keys.len()).contains(&self.by_root.len())
            && (own_needed..=own_max).contains(&self.by_own.len())
            && self.all_right(&self.by_root, &root.keys)
            && self.all_right(&self.by_own, &self.identity.keys)
    }

    fn all_right(&self, signatures: &[(u8, Signature)], keys: &[PublicKey]) -> bool {
        signatures.iter().all(|(position, signature)| {
            keys.get(usize::from(*position))
                .is_some_and(|key| key.verifies(Context::Identity, &self.document, signature))
        })
    }

    /// The canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_bytes(&mut out, TAG_IDENTITY, &self.document);
        for (tag, signatures) in [(TAG_BY_ROOT, &self.by_root), (TAG_BY_OWN, &self.by_own)] {
            for (position, signature) in signatures {
                let bytes = [&[*position], &signature.as_bytes()[..]].concat();
                put_bytes(&mut out, tag, &bytes);
            }
        }
        out
    }

    /// Decodes the output of [`SignedIdentity::encode`], and refuses every other encoding. Checks no
    /// signature.
    ///
    /// # Errors
    /// If a rule or limit is broken; nothing is allocated from declared lengths.
    pub fn decode(bytes: &[u8]) -> Result<Self, IdentityError> {
        let mut reader = Reader::new(bytes);
        let document = reader.field(TAG_IDENTITY)?.unwrap_or_default();
        let identity = Identity::decode(document)?;
        let by_root = signatures(&mut reader, TAG_BY_ROOT)?;
        let by_own = signatures(&mut reader, TAG_BY_OWN)?;
        reader.end()?;
        // A first document proves itself: its hash is the publisher.
        if identity.number == 0 && !(by_root.is_empty() && by_own.is_empty()) {
            return Err(IdentityError::First);
        }
        Ok(Self {
            document: document.to_vec(),
            identity,
            by_root,
            by_own,
        })
    }
}

/// Inserts a signature at its position among `keys`, once; whether it was.
fn add(
    signatures: &mut Vec<(u8, Signature)>,
    keys: &[PublicKey],
    key: PublicKey,
    signature: Signature,
) -> bool {
    let Ok(position) = keys.binary_search(&key) else {
        return false;
    };
    let position = position as u8; // below ROOT_KEYS_MAX
    match signatures.binary_search_by_key(&position, |(position, _)| *position) {
        Ok(_) => false,
        Err(at) => {
            signatures.insert(at, (position, signature));
            true
        }
    }
}

fn signatures(reader: &mut Reader<'_>, tag: u8) -> Result<Vec<(u8, Signature)>, IdentityError> {
    let mut signatures: Vec<(u8, Signature)> = Vec::new();
    let parse = |bytes: &[u8]| {
        let bytes: &[u8; 1 + SIGNATURE_BYTES] = bytes.try_into().ok()?;
        Some((bytes[0], Signature::from_slice(&bytes[1..])?))
    };
    while let Some((position, signature)) = reader.fixed(tag, parse)? {
        let rises = signatures.last().is_none_or(|(last, _)| *last < position);
        if !rises || usize::from(position) >= ROOT_KEYS_MAX {
            return Err(IdentityError::Encoding(reader.at()));
        }
        signatures.push((position, signature));
    }
    Ok(signatures)
}

const _: () = assert!(KEY_BYTES == 32 && ROOT_KEYS_MAX <= u8::MAX as usize);
