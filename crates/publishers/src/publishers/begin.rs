//! A new publisher, and the names of this node that become its repos.

use std::{fs, path::PathBuf};

use hubless_content::{
    Chain, Discussions, HeadRecord, Identity, Profile, PublicKey, PublisherId, RepoId, RepoKind,
    SignedIdentity, State, Status, Subject,
};
use hubless_store::{
    IndexError, NewPublisher, OwnPublisher, Repo, RepoOrigin, StoreError, StoreErrorKind, TakenOver,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Node, TRIES_MAX,
    error::PublisherError,
    profile::{first_head, with_peer},
};
use hubless_names::{clock, keys::Signing};

/// Repos of one kind that are read at once.
const PAGE: usize = 1_000;

/// A publisher to make.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Begin {
    /// The namespace that it proposes for itself.
    pub handle: String,
    /// Whether it is an organization, else a person.
    pub org: bool,
    /// Handle or id of the person that an organization belongs to: another publisher of this node.
    pub owner: Option<String>,
    /// Whether its repos are private unless their maker says otherwise.
    pub private_by_default: bool,
    /// Domains whose DNS may name it.
    pub domains: Vec<String>,
}

/// A publisher that was made.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Begun {
    /// Its id.
    #[schemars(with = "String")]
    pub id: PublisherId,
    /// Its handle.
    pub handle: String,
    /// The key of this node, which signs for it.
    #[schemars(with = "String")]
    pub signer: PublicKey,
    /// The file with its root key, to be moved away.
    pub root_key: PathBuf,
    /// Names of this node that are its repos from now on.
    #[schemars(with = "Vec<String>")]
    pub names: Vec<RepoId>,
}

pub(super) fn begin(node: &Node, begin: Begin) -> Result<Begun, PublisherError> {
    let owner = begin.owner.as_deref().map(|owner| person(node, owner));
    let owner = owner.transpose()?;
    // Before keys are made for it.
    refuse_taken(node, &begin.handle)?;
    profile_of(PublisherId::new([0; 32]), &begin, &[], node).encode()?;
    let key = node.keys.own_or_new()?;
    let (root, root_key) = node.keys.new_root(&begin.handle)?;
    let salt = rand::random();
    let first = Identity::first(vec![root.public()], 1, vec![key.public()], salt);
    let chain = Chain::new(vec![SignedIdentity::unsigned(first)?])?;
    let signing = Signing { chain, key };
    let own = OwnPublisher {
        id: signing.chain.publisher(),
        handle: begin.handle.clone(),
        is_org: begin.org,
        owner,
        private_by_default: begin.private_by_default,
        created: clock::now(),
    };
    match keep(node, &own, &begin, &signing) {
        Ok(names) => Ok(Begun {
            id: own.id,
            handle: own.handle,
            signer: signing.key.public(),
            root_key,
            names,
        }),
        Err(error) => {
            // A root key of a publisher that does not exist would only confuse its finder.
            if let Err(error) = fs::remove_file(&root_key) {
                tracing::warn!(path = %root_key.display(), %error, "a root key without a publisher stays");
            }
            Err(error)
        }
    }
}

/// The person that an organization belongs to.
fn person(node: &Node, named: &str) -> Result<PublisherId, PublisherError> {
    let owner = node.find(Some(named))?;
    match owner.is_org {
        true => Err(PublisherError::OwnerIsOrg(owner.handle)),
        false => Ok(owner.id),
    }
}

fn refuse_taken(node: &Node, handle: &str) -> Result<(), PublisherError> {
    match node.store.namespace(handle)? {
        None => Ok(()),
        Some(taken) => Err(PublisherError::HandleTaken {
            handle: taken.spelled,
            publisher: taken.publisher,
        }),
    }
}

/// Keeps the publisher with the names that it takes over, as they are at the time of writing.
fn keep(
    node: &Node,
    own: &OwnPublisher,
    begin: &Begin,
    signing: &Signing,
) -> Result<Vec<RepoId>, PublisherError> {
    for _ in 0..TRIES_MAX {
        let names = local_names(node, &own.handle)?;
        let taken_over = names.iter().map(|repo| take_over(node, repo, signing));
        let taken_over: Vec<TakenOver> = taken_over.collect::<Result<_, _>>()?;
        let profile = profile_of(own.id, begin, &taken_over, node);
        let subject = Subject::profile(own.id);
        let head = first_head(subject, profile.hash()?, own.created);
        let head = HeadRecord::sign(&head, &signing.chain, &signing.key)?;
        let written = node.store.begin_publisher(&NewPublisher {
            publisher: own,
            head: &head,
            profile: &profile,
            taken_over: &taken_over,
        });
        match written {
            Ok(()) => {
                node.report(
                    [&head]
                        .into_iter()
                        .chain(taken_over.iter().map(|name| &name.head)),
                );
                return Ok(names.into_iter().map(|repo| repo.id).collect());
            }
            Err(error) if error.kind() == StoreErrorKind::Conflict => {}
            Err(StoreError::Index(IndexError::NamespaceTaken {
                namespace,
                publisher,
            })) => {
                return Err(PublisherError::HandleTaken {
                    handle: namespace,
                    publisher,
                });
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(PublisherError::KeepsChanging)
}

/// The first profile.
fn profile_of(
    publisher: PublisherId,
    begin: &Begin,
    taken_over: &[TakenOver],
    node: &Node,
) -> Profile {
    let subjects = taken_over.iter().map(|name| &name.state.subject);
    let repos = subjects.filter_map(|subject| {
        let (kind, name) = subject.kind_and_name()?;
        RepoId::new(kind, name).ok()
    });
    let mut repos: Vec<RepoId> = repos.collect();
    repos.sort_unstable();
    Profile {
        publisher,
        handle: begin.handle.clone(),
        full_name: String::new(),
        domains: begin.domains.clone(),
        peers: with_peer(Vec::new(), &node.peer),
        repos,
    }
}

/// The names that were given on this node under a handle.
fn local_names(node: &Node, handle: &str) -> Result<Vec<Repo>, PublisherError> {
    let mut names = Vec::new();
    for kind in RepoKind::ALL {
        let mut after = None;
        loop {
            let prefix = format!("{handle}/");
            let page = node.store.repos(kind, &prefix, after.as_ref(), PAGE)?;
            after = page.last().map(|repo| repo.id.clone());
            let is_last = page.len() < PAGE;
            names.extend(
                page.into_iter()
                    .filter(|repo| repo.origin == RepoOrigin::Local),
            );
            if is_last {
                break;
            }
        }
    }
    Ok(names)
}

/// The first head and state of a repo that a name becomes.
fn take_over(node: &Node, repo: &Repo, signing: &Signing) -> Result<TakenOver, PublisherError> {
    let publisher = signing.chain.publisher();
    let mut state = State {
        subject: Subject::repo(publisher, repo.id.kind(), repo.id.name())?,
        created: repo.created,
        refs: Vec::new(),
        discussions: Discussions::default(),
        status: Status::Open,
    };
    for (name, commit) in node.store.refs(&repo.id)? {
        let repo = repo.id.clone();
        if name.as_branch().is_none() && name.as_tag().is_none() {
            return Err(PublisherError::Ref { repo, name });
        }
        let revision = node.store.revision(&repo, commit)?;
        let revision = revision.ok_or(PublisherError::NoRevision { repo })?;
        state.set(name, revision.hash()?);
    }
    let head = first_head(state.subject.clone(), state.hash()?, clock::now());
    let head = HeadRecord::sign(&head, &signing.chain, &signing.key)?;
    Ok(TakenOver {
        from: repo.id.clone(),
        head,
        state,
    })
}
