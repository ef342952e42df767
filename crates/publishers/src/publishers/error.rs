//! Why something about this node's publishers was not done.

use std::{io, path::PathBuf};

use hubless_content::{
    HeadError, IdentityError, ProfileError, PublicKey, PublisherId, RefName, RepoId, RepoIdError,
    RevisionError, StateError,
};
use hubless_store::StoreError;
use hubless_transfer::Aborted;

use hubless_names::keys::{KeyError, SigningError};

/// Why something about this node's publishers was not done.
#[derive(Debug, thiserror::Error)]
pub enum PublisherError {
    /// The handle or the profile breaks a rule.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// The handle stands for another publisher on this node.
    #[error("{handle} stands for publisher {publisher} on this node")]
    HandleTaken {
        /// The handle.
        handle: String,
        /// Its publisher.
        publisher: PublisherId,
    },
    /// No publisher of this node has this handle or id.
    #[error("this node has no publisher {0}")]
    Unknown(String),
    /// No publisher was named, and this node has none.
    #[error("this node has no publisher")]
    NoPublisher,
    /// No publisher was named, and this node has several.
    #[error("this node has several publishers: {}", .0.join(", "))]
    Several(Vec<String>),
    /// The owner of an organization is none itself.
    #[error("{0} is an organization, and an organization belongs to a person")]
    OwnerIsOrg(String),
    /// A name that would be taken over has a ref that cannot travel.
    #[error("{repo} has {name}: only branches and tags can be signed")]
    Ref {
        /// The name.
        repo: RepoId,
        /// The ref.
        name: RefName,
    },
    /// A name that would be taken over leads to a revision that is not here.
    #[error("{repo} leads to a revision that is not here")]
    NoRevision {
        /// The name.
        repo: RepoId,
    },
    /// A name breaks a rule.
    #[error(transparent)]
    Name(#[from] RepoIdError),
    /// A revision breaks a rule.
    #[error(transparent)]
    Revision(#[from] RevisionError),
    /// A state breaks a rule.
    #[error(transparent)]
    State(#[from] StateError),
    /// A document of the identity breaks a rule.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// A head cannot be signed.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// The change would change nothing.
    #[error("nothing of the identity would change")]
    NothingToChange,
    /// A key to remove is no signer.
    #[error("{0} is no signer")]
    NoSigner(PublicKey),
    /// A key to add is a signer already.
    #[error("{0} is a signer already")]
    IsSigner(PublicKey),
    /// The key signs nothing of the proposal, or did before.
    #[error("the key {0} is no root key of the identity, or has signed already")]
    NotARoot(PublicKey),
    /// The change was made from an older state of the identity than this node knows.
    #[error("the identity changed since the proposal was made")]
    Outdated,
    /// The publisher's chain is not known here.
    #[error("nothing is known here of publisher {0}")]
    NoChain(PublisherId),
    /// A file is no proposal.
    #[error("{} is no proposal of an identity", path.display())]
    NotAProposal {
        /// The file.
        path: PathBuf,
    },
    /// A file could not be read or written.
    #[error("cannot access {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// Repos of the publisher change with each try.
    #[error("the repos of the publisher change all the time")]
    KeepsChanging,
    /// A key file cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// This node cannot sign for the publisher.
    #[error(transparent)]
    Signing(#[from] SigningError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A call of the store was aborted.
    #[error(transparent)]
    Aborted(#[from] Aborted),
}
