//! Proposals: documents of an identity on their way from one holder of a root key to the next.
//!
//! A proposal has the chain that it goes on from, so a holder of a root key can check and sign it on any
//! machine. It is a JSON file without secrets.

use std::{fs, io, io::Read as _, path::Path};

use data_encoding::HEXLOWER;
use hubless_content::{
    CHAIN_BYTES_MAX, Chain, Identity, IdentityError, PublicKey, PublisherId, SecretKey,
    SignedIdentity,
};
use hubless_network::open_regular;
use serde::{Deserialize, Serialize};

use super::error::PublisherError;

/// Bytes of a proposal file: a chain, one more document, each byte two digits, and the rest of the JSON.
const PROPOSAL_BYTES_MAX: u64 = 4 * CHAIN_BYTES_MAX as u64 + 4_096;

/// Changes of an identity.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// Signers to add.
    pub add: Vec<PublicKey>,
    /// Signers to remove.
    pub remove: Vec<PublicKey>,
    /// The new root keys; those that there are, if empty.
    pub keys: Vec<PublicKey>,
    /// How many root keys a change needs from then on; as many as before, if `None`.
    pub threshold: Option<usize>,
}

/// A document that is not signed by enough root keys yet, and the chain that it goes on from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Proposal {
    chain: Chain,
    document: SignedIdentity,
}

/// A proposal in a file.
#[derive(Serialize, Deserialize)]
struct ProposalFile {
    publisher: PublisherId,
    /// The documents of the chain, in hexadecimal digits.
    chain: Vec<String>,
    /// The proposed one, with the signatures so far.
    document: String,
}

impl Proposal {
    /// The next document of an identity.
    pub(super) fn new(chain: Chain, changes: &Changes) -> Result<Self, PublisherError> {
        let current = chain.current();
        let mut signers = current.signers.clone();
        for key in &changes.remove {
            let position = signers.binary_search(key);
            signers.remove(position.map_err(|_| PublisherError::NoSigner(*key))?);
        }
        for key in &changes.add {
            match signers.binary_search(key) {
                Ok(_) => return Err(PublisherError::IsSigner(*key)),
                Err(position) => signers.insert(position, *key),
            }
        }
        let mut keys = match changes.keys.is_empty() {
            true => current.keys.clone(),
            false => changes.keys.clone(),
        };
        keys.sort_unstable();
        let next = Identity {
            number: current.number.saturating_add(1),
            root: Some(chain.root().1),
            keys,
            threshold: changes.threshold.unwrap_or(current.threshold),
            signers,
            salt: None,
        };
        if next.signers == current.signers && !next.changes_keys_of(current) {
            return Err(PublisherError::NothingToChange);
        }
        Ok(Self {
            document: SignedIdentity::unsigned(next)?,
            chain,
        })
    }

    /// The proposal in a file.
    pub(super) fn read(path: &Path) -> Result<Self, PublisherError> {
        let not_one = || PublisherError::NotAProposal {
            path: path.to_owned(),
        };
        let bytes = read_file(path).map_err(|source| PublisherError::File {
            path: path.to_owned(),
            source,
        })?;
        let file: ProposalFile = serde_json::from_slice(&bytes).map_err(|_| not_one())?;
        let decode = |digits: &String| {
            let bytes = HEXLOWER.decode(digits.as_bytes()).ok()?;
            SignedIdentity::decode(&bytes).ok()
        };
        let documents: Option<Vec<_>> = file.chain.iter().map(decode).collect();
        let chain = Chain::new(documents.ok_or_else(not_one)?)?;
        let document = decode(&file.document).ok_or_else(not_one)?;
        let follows = document.identity().root == Some(chain.root().1);
        if chain.publisher() != file.publisher || !follows {
            return Err(not_one());
        }
        Ok(Self { chain, document })
    }

    /// The file of the proposal.
    pub(super) fn encode(&self) -> Vec<u8> {
        let encode = |document: &SignedIdentity| HEXLOWER.encode(&document.encode());
        let file = ProposalFile {
            publisher: self.publisher(),
            chain: self.chain.documents().iter().map(encode).collect(),
            document: encode(&self.document),
        };
        // A struct of texts is always JSON.
        let mut bytes = serde_json::to_vec_pretty(&file).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    pub(super) fn publisher(&self) -> PublisherId {
        self.chain.publisher()
    }

    pub(super) fn identity(&self) -> &Identity {
        self.document.identity()
    }

    /// Adds the signatures of a root key.
    pub(super) fn sign(&mut self, key: &SecretKey) -> Result<(), PublisherError> {
        match self.document.sign(self.chain.root().0, key) {
            true => Ok(()),
            false => Err(PublisherError::NotARoot(key.public())),
        }
    }

    /// How many signatures are missing: of the root keys so far, and of the new ones.
    pub(super) fn missing(&self) -> (usize, usize) {
        let (root, next) = (self.chain.root().0, self.identity());
        let (by_root, by_own) = self.document.signed_by();
        let own = match next.changes_keys_of(root) {
            true => next.threshold.saturating_sub(by_own),
            false => 0,
        };
        (root.threshold.saturating_sub(by_root), own)
    }

    /// The chain with the document, which enough root keys have signed.
    pub(super) fn finish(&self) -> Result<Chain, IdentityError> {
        self.chain.with(self.document.clone())
    }
}

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file: fs::File = open_regular(path)?;
    file.take(PROPOSAL_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u8) -> SecretKey {
        SecretKey::new(&[seed; 32])
    }

    fn chain(roots: &[u8], threshold: usize) -> Chain {
        let keys = roots.iter().map(|seed| key(*seed).public()).collect();
        let first = Identity::first(keys, threshold, vec![key(100).public()], [9; 16]);
        Chain::new(vec![SignedIdentity::unsigned(first).unwrap()]).unwrap()
    }

    fn adding(seed: u8) -> Changes {
        Changes {
            add: vec![key(seed).public()],
            ..Changes::default()
        }
    }

    #[test]
    fn two_of_three_sign_one_after_the_other_through_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("proposal");
        let mut proposal = Proposal::new(chain(&[1, 2, 3], 2), &adding(101)).unwrap();
        assert_eq!(proposal.missing(), (2, 0));
        proposal.sign(&key(2)).unwrap();
        assert!(proposal.finish().is_err());
        let again = proposal.sign(&key(2));
        assert!(matches!(again, Err(PublisherError::NotARoot(_))));
        let stranger = proposal.sign(&key(9));
        assert!(matches!(stranger, Err(PublisherError::NotARoot(_))));
        fs::write(&path, proposal.encode()).unwrap();
        let mut read = Proposal::read(&path).unwrap();
        assert_eq!(read, proposal);
        read.sign(&key(3)).unwrap();
        assert_eq!(read.missing(), (0, 0));
        let chain = read.finish().unwrap();
        assert!(chain.has_signer(&key(101).public()));
        assert_eq!(chain.current().number, 1);
    }

    #[test]
    fn new_root_keys_need_the_old_and_the_new_ones() {
        let keys = [4, 5].map(|seed| key(seed).public());
        let changes = Changes {
            keys: keys.into(),
            threshold: Some(2),
            ..Changes::default()
        };
        let mut proposal = Proposal::new(chain(&[1], 1), &changes).unwrap();
        for (seed, missing) in [(1, (0, 2)), (4, (0, 1)), (5, (0, 0))] {
            assert!(proposal.finish().is_err());
            proposal.sign(&key(seed)).unwrap();
            assert_eq!(proposal.missing(), missing);
        }
        assert_eq!(proposal.finish().unwrap().current().threshold, 2);
    }

    #[test]
    fn a_change_that_is_none_or_of_other_signers_is_refused() {
        let refused = |changes: &Changes| Proposal::new(chain(&[1], 1), changes).unwrap_err();
        assert!(matches!(
            refused(&Changes::default()),
            PublisherError::NothingToChange
        ));
        assert!(matches!(refused(&adding(100)), PublisherError::IsSigner(_)));
        let removing = Changes {
            remove: vec![key(7).public()],
            ..Changes::default()
        };
        assert!(matches!(refused(&removing), PublisherError::NoSigner(_)));
    }

    #[test]
    fn what_is_no_proposal_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("proposal");
        let proposal = Proposal::new(chain(&[1], 1), &adding(101)).unwrap();
        let text = String::from_utf8(proposal.encode()).unwrap();
        let publisher = proposal.publisher().to_string();
        let other = chain(&[2], 1).publisher().to_string();
        let graft = Proposal::new(chain(&[2], 1), &adding(101)).unwrap();
        let document = |proposal: &Proposal| HEXLOWER.encode(&proposal.document.encode());
        for wrong in [
            String::new(),
            "{}".into(),
            text.replace(&publisher, &other),
            text.replace(&document(&proposal), &document(&graft)),
            text.replace("\"document\": \"", "\"document\": \"0g"),
        ] {
            fs::write(&path, &wrong).unwrap();
            let refused = Proposal::read(&path).unwrap_err();
            assert!(
                matches!(refused, PublisherError::NotAProposal { .. }),
                "{wrong}"
            );
        }
    }
}
