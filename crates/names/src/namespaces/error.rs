//! Why a namespace stands for no publisher.

use std::fmt;

use hubless_content::PublisherId;
use hubless_store::{NamespaceSource, StoreError};
use hubless_transfer::Aborted;

use crate::{
    directory::{NotNamespace, ReadError},
    dns::DnsError,
};

/// Why a namespace stands for no publisher, or cannot be bound to one.
#[derive(Debug, thiserror::Error)]
pub enum NamespaceError {
    /// The source that is asked now names another publisher than the one that the namespace was first
    /// used for.
    #[error("{0}")]
    Changed(Box<Change>),
    /// The DNS names a publisher whose profile does not list the domain.
    #[error(
        "the DNS of {domain} names publisher {publisher}, whose profile does not list that domain"
    )]
    NotClaimed {
        /// The domain.
        domain: String,
        /// The publisher.
        publisher: PublisherId,
    },
    /// The DNS names a publisher whose profile was not found, so that its claim is not known.
    #[error(
        "the DNS of {domain} names publisher {publisher}, but no node gave its profile, which has to \
         list that domain"
    )]
    NoProfile {
        /// The domain.
        domain: String,
        /// The publisher.
        publisher: PublisherId,
    },
    /// A name that only the DNS may answer, but this node does not ask it.
    #[error("{namespace} is a name of the DNS, which this node does not ask")]
    NoDns {
        /// The namespace.
        namespace: String,
    },
    /// A name that only the DNS may answer, but it is no domain or has no record.
    #[error("the DNS of {namespace} names no publisher")]
    NotInDns {
        /// The namespace.
        namespace: String,
    },
    /// The DNS gave no answer that can be used.
    #[error(transparent)]
    Dns(#[from] DnsError),
    /// A directory cannot be read.
    #[error(transparent)]
    Directory(#[from] ReadError),
    /// It cannot be a namespace of a publisher.
    #[error("{namespace:?} cannot be bound to a publisher: {reason}")]
    NotNamespace {
        /// What was given.
        namespace: String,
        /// The rule that is broken.
        reason: NotNamespace,
    },
    /// It is the handle of a publisher of this node.
    #[error("{namespace} is publisher {publisher}, whose keys are on this node")]
    Own {
        /// The namespace.
        namespace: String,
        /// The publisher.
        publisher: PublisherId,
    },
    /// Names that were given on this node begin with it.
    #[error("names that were given on this node begin with {namespace}/")]
    Local {
        /// The namespace.
        namespace: String,
    },
    /// Its names are those of another publisher, so none can be given on this node.
    #[error("{namespace} stands for publisher {publisher}, which alone gives its names content")]
    OfPublisher {
        /// The namespace.
        namespace: String,
        /// The publisher.
        publisher: PublisherId,
    },
    /// It is not bound.
    #[error("{namespace} is bound to no publisher on this node")]
    Unbound {
        /// The namespace.
        namespace: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A call of the store was aborted.
    #[error(transparent)]
    Aborted(#[from] Aborted),
}

/// A namespace whose source names another publisher than before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The namespace.
    pub namespace: String,
    /// The publisher that it is bound to.
    pub bound: PublisherId,
    /// The source that bound it.
    pub bound_by: NamespaceSource,
    /// The publisher that is named now.
    pub named: PublisherId,
    /// The source that names it.
    pub named_by: NamespaceSource,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bound_by, named_by) = (how(&self.bound_by), what(&self.named_by));
        let Self {
            namespace,
            bound,
            named,
            ..
        } = self;
        write!(
            f,
            "{namespace} is bound to publisher {bound} on this node ({bound_by}), but {named_by} now \
             names {named}"
        )
    }
}

fn how(source: &NamespaceSource) -> String {
    match source {
        NamespaceSource::Own => "its keys are here".to_owned(),
        NamespaceSource::Petname => "by hand".to_owned(),
        NamespaceSource::Directory(directory) => format!("by the directory {directory}"),
        NamespaceSource::Dns => "by the DNS".to_owned(),
    }
}

fn what(source: &NamespaceSource) -> String {
    match source {
        NamespaceSource::Own | NamespaceSource::Petname => "this node".to_owned(),
        NamespaceSource::Directory(directory) => format!("the directory {directory}"),
        NamespaceSource::Dns => "its DNS".to_owned(),
    }
}
