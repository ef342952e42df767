//! The profile of a publisher of this node: kept in step with its repos and with the node.

use hubless_content::{
    DocumentHash, Head, HeadRecord, PROFILE_PEERS_MAX, Profile, PublisherId, RepoId, RepoKind,
    SecretKey, Subject, VerifiedHead,
};
use hubless_store::{Namespace, NamespaceSource, OwnPublisher, StoreErrorKind};

use super::{Node, TRIES_MAX, error::PublisherError};
use hubless_names::{
    clock,
    keys::{Signing, SigningError},
};

/// Repos of one kind that are read at once.
const PAGE: usize = 1_000;

/// The first head of a subject.
pub(super) fn first_head(subject: Subject, state: DocumentHash, time: u64) -> Head {
    Head {
        subject,
        number: 0,
        seq: 1,
        state,
        previous: None,
        summary: None,
        time,
    }
}

/// Peers with this one among them: the first has been there longest and gives way.
pub(super) fn with_peer(mut peers: Vec<Vec<u8>>, peer: &[u8]) -> Vec<Vec<u8>> {
    if !peers.iter().any(|known| known == peer) {
        let too_many = (peers.len() + 1).saturating_sub(PROFILE_PEERS_MAX);
        peers.drain(..too_many);
        peers.push(peer.to_vec());
    }
    peers
}

/// Signs a profile that names the repos and this node, unless the newest one does.
pub(super) fn refresh(
    node: &Node,
    publisher: PublisherId,
) -> Result<Option<VerifiedHead>, PublisherError> {
    let signing = node.keys.signing(&node.store, publisher)?;
    for _ in 0..TRIES_MAX {
        let Some((known, profile)) = kept(node, publisher)? else {
            return Err(PublisherError::NoChain(publisher));
        };
        let mut next = profile.clone();
        next.repos = repos_of(node, publisher)?;
        next.peers = with_peer(next.peers, &node.peer);
        if next == profile {
            return Ok(None);
        }
        let head = sign_next(&signing, &known, &next)?;
        match node.store.put_profile(&head, &next, Some(known.state)) {
            Ok(()) => {
                node.report([&head]);
                return Ok(Some(head));
            }
            Err(error) if error.kind() == StoreErrorKind::Conflict => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(PublisherError::KeepsChanging)
}

fn sign_next(
    signing: &Signing,
    known: &Head,
    profile: &Profile,
) -> Result<VerifiedHead, PublisherError> {
    let (number, now) = (signing.chain.current().number, clock::now());
    let head = known.next(profile.hash()?, number, now.max(known.time));
    Ok(HeadRecord::sign(&head, &signing.chain, &signing.key)?)
}

/// The newest head of the profile and the profile.
fn kept(node: &Node, publisher: PublisherId) -> Result<Option<(Head, Profile)>, PublisherError> {
    let key = Subject::profile(publisher).key();
    let head = node.store.head(key)?.map(|record| record.head().clone());
    Ok(head.zip(node.store.profile(publisher)?))
}

/// The repos of a publisher that are here and not deleted, without its id.
fn repos_of(node: &Node, publisher: PublisherId) -> Result<Vec<RepoId>, PublisherError> {
    let prefix = format!("{publisher}/");
    let mut repos = Vec::new();
    for kind in RepoKind::ALL {
        let mut after = None;
        loop {
            let page = node.store.repos(kind, &prefix, after.as_ref(), PAGE)?;
            for repo in &page {
                repos.push(RepoId::new(kind, repo.id.name())?);
            }
            if page.len() < PAGE {
                break;
            }
            after = page.last().map(|repo| repo.id.clone());
        }
    }
    repos.sort_unstable();
    Ok(repos)
}

/// Has this node sign for a publisher whose newest document has its key.
pub(super) fn join(
    node: &Node,
    publisher: PublisherId,
    key: &SecretKey,
) -> Result<(), PublisherError> {
    let chain = node.store.chain(publisher)?;
    let chain = chain.ok_or(PublisherError::NoChain(publisher))?;
    if !chain.has_signer(&key.public()) {
        return Err(SigningError::NoSigner(publisher).into());
    }
    if node.store.own_publisher(publisher)?.is_none() {
        let profile = node.store.profile(publisher)?;
        let profile = profile.ok_or(PublisherError::NoChain(publisher))?;
        let since = clock::now();
        node.store.put_own_publisher(&OwnPublisher {
            id: publisher,
            handle: profile.handle.clone(),
            is_org: false,
            owner: None,
            private_by_default: false,
            created: since,
        })?;
        // A namespace that stands for another publisher here stays as it is.
        let known = node.store.namespace(&profile.handle)?;
        if known.is_none_or(|known| known.publisher == publisher) {
            node.store.put_namespace(&Namespace {
                spelled: profile.handle,
                publisher,
                source: NamespaceSource::Own,
                since,
            })?;
        }
    }
    refresh(node, publisher).map(drop)
}
