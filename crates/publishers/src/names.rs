//! The parts of a node that deal with names of the network, put together.

use std::{path::Path, sync::Arc};

use hubless_content::{RepoId, Subject};
use hubless_network::Network;
use hubless_transfer::{Context, Fetches};

use hubless_names::{
    announce,
    follow::Follower,
    keys::{Keys, SigningError},
    namespaces::{NamespaceError, Namespaces, Profiles, Sources},
    resolve::Resolver,
    sync::Adopter,
    watchers::Watchers,
};

use crate::publish::Signer;

/// Names of the network, for one node. Its parts are used one by one.
pub struct Names {
    /// Takes heads of publishers.
    pub adopter: Arc<Adopter>,
    /// Follows publishers.
    pub follower: Arc<Follower>,
    /// Which publishers the namespaces that people write stand for.
    pub namespaces: Namespaces,
    /// Finds the newest heads.
    pub resolver: Arc<Resolver>,
    /// Signs changes of the repos of this node's publishers.
    pub signer: Signer,
}

impl Names {
    /// The names of the node of `fetches`, whose keys lie in `home`; `namespaces` are its local views.
    pub fn new(
        fetches: &Arc<Fetches>,
        namespaces: impl FnOnce(Arc<dyn Profiles>) -> Namespaces,
        home: &Path,
    ) -> Self {
        let cx = &fetches.cx;
        let keys = Arc::new(Keys::new(home));
        let adopter = Adopter::new(cx.clone(), Watchers::default());
        let adopter = Arc::new(adopter.signing(keys.clone(), fetches.clone()));
        let known_peers = fetches.known_peers.clone();
        let resolver = Arc::new(Resolver::new(cx.clone(), adopter.clone(), known_peers));
        Self {
            follower: Follower::new(fetches.clone(), adopter.clone()),
            namespaces: namespaces(resolver.clone()),
            signer: Signer::new(cx.clone(), adopter.clone(), resolver.clone(), keys),
            resolver,
            adopter,
        }
    }

    /// Keeps the heads of this node in the DHT, until the node stops.
    pub async fn announce(&self, cx: Arc<Context>, network: Network) {
        let watchers = self.adopter.watchers().clone();
        announce::run(cx, network, watchers, Arc::new(self.signer.clone())).await;
    }

    /// The repo that a person wrote, if its namespace stands for a publisher; `None` if the name is one of
    /// this node alone.
    ///
    /// # Errors
    /// If this node does not sign for the publisher.
    pub async fn signed_subject(&self, written: &RepoId) -> Result<Option<Subject>, NotOwn> {
        match self.own_subject(written).await {
            Ok(subject) => Ok(Some(subject)),
            Err(NotOwn::NoPublisher(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The repo that a person wrote, as one that this node signs.
    ///
    /// # Errors
    /// If its namespace stands for no publisher of this node.
    pub async fn own_subject(&self, written: &RepoId) -> Result<Subject, NotOwn> {
        let translated = self.namespaces.translate(written, Sources::All).await?;
        let subject = Subject::of_repo(&translated.repo);
        let subject = subject.ok_or_else(|| NotOwn::NoPublisher(written.clone()))?;
        match self.signer.signs(subject.publisher()).await? {
            true => Ok(subject),
            false => Err(SigningError::NotOwn(subject.publisher()).into()),
        }
    }
}

/// Why a repo cannot be changed by this node.
#[derive(Debug, thiserror::Error)]
pub enum NotOwn {
    /// The namespace stands for no publisher.
    #[error("{0} names no publisher: a name of the network begins with the handle of one")]
    NoPublisher(RepoId),
    /// What the namespace stands for could not be decided.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    /// This node does not sign for the publisher.
    #[error(transparent)]
    Signing(#[from] SigningError),
}
