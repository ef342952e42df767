//! Changing who signs for a publisher.

use std::{
    fs,
    path::{Path, PathBuf},
};

use hubless_content::{Chain, Continues, PublisherId, VerifiedHead};
use hubless_store::StoreErrorKind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Node, TRIES_MAX,
    error::PublisherError,
    proposal::{Changes, Proposal},
};
use hubless_names::{
    clock,
    keys::{KeyKind, Signing, read_key},
};

/// A change of an identity to make or to sign.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Sign {
    /// Handle or id of the publisher; the only one of this node, if `None`.
    pub publisher: Option<String>,
    /// The file of a proposal; if `None`, one is made of the changes.
    pub proposal: Option<PathBuf>,
    /// The changes to propose.
    pub changes: Changes,
    /// The file of a root key; `None` if the proposal has all its signatures.
    pub root: Option<PathBuf>,
    /// Where the proposal is written if it does not take effect at once.
    pub output: PathBuf,
}

/// How far a change of an identity is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SignState {
    /// Signatures are missing.
    Proposed,
    /// All signatures are there, but this node is no signer of the new document.
    Signed,
    /// It is in effect, with all heads.
    Published,
}

/// A change of an identity.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Signed {
    /// The publisher.
    #[schemars(with = "String")]
    pub id: PublisherId,
    /// The number of the document.
    pub number: u64,
    /// How far it is.
    pub state: SignState,
    /// Signatures of the root keys so far that are missing.
    pub missing: usize,
    /// Signatures of new root keys that are missing.
    pub missing_new: usize,
    /// Where the proposal was written, unless the change is in effect.
    pub proposal: Option<PathBuf>,
    /// Heads that were signed again.
    pub heads: usize,
}

pub(super) fn sign(node: &Node, sign: &Sign) -> Result<Signed, PublisherError> {
    let mut proposal = match &sign.proposal {
        Some(path) => Proposal::read(path)?,
        None => propose(node, sign)?,
    };
    if let Some(root) = &sign.root {
        proposal.sign(&read_key(root, KeyKind::Root)?)?;
    }
    let (missing, missing_new) = proposal.missing();
    let mut signed = Signed {
        id: proposal.publisher(),
        number: proposal.identity().number,
        state: SignState::Proposed,
        missing,
        missing_new,
        proposal: None,
        heads: 0,
    };
    if (missing, missing_new) == (0, 0) {
        let chain = proposal.finish()?;
        match publish(node, &chain)? {
            Some(heads) => {
                signed.heads = heads.len();
                signed.state = SignState::Published;
                return Ok(signed);
            }
            None => signed.state = SignState::Signed,
        }
    }
    write(&sign.output, &proposal)?;
    signed.proposal = Some(sign.output.clone());
    Ok(signed)
}

fn propose(node: &Node, sign: &Sign) -> Result<Proposal, PublisherError> {
    let publisher = node.find(sign.publisher.as_deref())?.id;
    let chain = node.store.chain(publisher)?;
    let chain = chain.ok_or(PublisherError::NoChain(publisher))?;
    Proposal::new(chain, &sign.changes)
}

/// Has a document take effect, with all heads signed again; `None` if this node is no signer of it.
fn publish(node: &Node, chain: &Chain) -> Result<Option<Vec<VerifiedHead>>, PublisherError> {
    let publisher = chain.publisher();
    let key = node.keys.own()?;
    let Some(key) = key.filter(|key| chain.has_signer(&key.public())) else {
        return Ok(None);
    };
    if node.store.own_publisher(publisher)?.is_none() {
        return Ok(None);
    }
    for _ in 0..TRIES_MAX {
        let signing = Signing {
            chain: newest(node, chain)?,
            key: key.clone(),
        };
        let heads = node.store.heads_of(publisher)?;
        let now = clock::now();
        let heads = heads
            .iter()
            .map(|record| signing.confirm(record.head(), now));
        let heads: Vec<VerifiedHead> = heads.collect::<Result<_, _>>()?;
        match node.store.renew(&signing.chain, &heads) {
            Ok(()) => {
                node.report(&heads);
                return Ok(Some(heads));
            }
            // A repo changed meanwhile.
            Err(error) if error.kind() == StoreErrorKind::Conflict => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(PublisherError::KeepsChanging)
}

/// The chain to sign under: the one that is known, if it has the same document with other signatures.
fn newest(node: &Node, chain: &Chain) -> Result<Chain, PublisherError> {
    match node.store.chain(chain.publisher())? {
        Some(known) if chain.compare(&known) == Continues::Same => Ok(known),
        Some(known) if chain.current().number <= known.current().number => {
            Err(PublisherError::Outdated)
        }
        _ => Ok(chain.clone()),
    }
}

/// Writes a proposal beside its place and renames it, so that a crash leaves the old one or the new one.
fn write(path: &Path, proposal: &Proposal) -> Result<(), PublisherError> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(".new");
    let written = fs::write(&draft, proposal.encode()).and_then(|()| fs::rename(&draft, path));
    written.map_err(|source| PublisherError::File {
        path: path.to_owned(),
        source,
    })
}
