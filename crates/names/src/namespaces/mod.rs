//! Local views of names: the publisher that a namespace such as `acme` or `acme.com` stands for.
//!
//! A repo of a publisher is `ID/name` on every node. What people write before the slash instead is a view
//! of one node, decided by the first of these that knows it:
//!
//! ```text
//! own        the handle of a publisher whose keys are here
//! petname    bound by hand
//! directory  listed in a repo that the configuration names, in its order
//! dns        a domain whose TXT record names the publisher, and which the publisher's profile lists
//! (none)     a name that was given on this node, or one of the upstream
//! ```
//!
//! The answer of a directory or of the DNS that is first used binds the namespace. A later answer that
//! differs is refused with both ids until the namespace is bound by hand, so a directory or a domain
//! that falls into other hands moves no name that this node has used. A source that gives no answer any
//! more changes nothing.
//!
//! A text with the form of an id is always the publisher with that id.
//!
//! # Not here
//! The newest head of a repo (see `resolve`). Callers translate at their edge, once for each name that a
//! person or a client wrote, and everything below has `ID/name`.

mod error;
mod profiles;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use hubless_content::{PublisherId, RepoId, RepoKind, Subject};
use hubless_store::{RepoOrigin, Store, StoreError};
use hubless_transfer::Context;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tracing::{debug, info};

pub use hubless_store::{Namespace, NamespaceSource};

pub use self::{
    error::{Change, NamespaceError},
    profiles::{Profiles, StoredProfiles},
};
use crate::{
    clock,
    directory::{self, Directories},
    dns::{self, Dns},
};

/// Repos of a namespace that are read in one call.
const BATCH: usize = 1_000;

/// The sources that may answer for a namespace.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sources {
    /// All, in their order.
    #[default]
    All,
    /// The DNS alone: `@acme.com/model`.
    Dns,
}

/// A publisher, and which source says that a namespace stands for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// The publisher.
    pub publisher: PublisherId,
    /// The source; `None` if the namespace is the id itself.
    pub source: Option<NamespaceSource>,
}

/// What says which repo a name is, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NameSource {
    /// The handle of a publisher whose keys are on this node.
    Own,
    /// A namespace that was bound by hand.
    Petname,
    /// A directory.
    Directory,
    /// The DNS.
    Dns,
    /// The id of the publisher, which means the same everywhere.
    Id,
    /// The name was given on this node.
    Local,
    /// A hub outside.
    Upstream,
}

impl From<&Bound> for NameSource {
    fn from(bound: &Bound) -> Self {
        match bound.source {
            None => Self::Id,
            Some(NamespaceSource::Own) => Self::Own,
            Some(NamespaceSource::Petname) => Self::Petname,
            Some(NamespaceSource::Directory(_)) => Self::Directory,
            Some(NamespaceSource::Dns) => Self::Dns,
        }
    }
}

/// A repo as a person or a client wrote it, and the one that it stands for.
#[derive(Debug, Clone)]
pub struct Translated {
    /// As it was written.
    pub written: RepoId,
    /// With the id of the publisher as its namespace, if it belongs to one; else as written.
    pub repo: RepoId,
    /// The publisher and the source that names it; `None` for a name of this node or of the upstream.
    pub bound: Option<Bound>,
}

impl Translated {
    fn as_written(repo: RepoId) -> Self {
        Self {
            written: repo.clone(),
            repo,
            bound: None,
        }
    }
}

/// The local views of names of a node.
pub struct Namespaces {
    cx: Arc<Context>,
    directories: Directories,
    /// None in private networks: a question to the DNS leaves the network.
    dns: Option<Dns>,
    profiles: Arc<dyn Profiles>,
    /// Whether an upstream answers for what no publisher does.
    has_upstream: bool,
    /// Held while a namespace is bound, so that of two answers the first one counts.
    binding: Mutex<()>,
}

impl Namespaces {
    /// The views of the node of `cx`.
    pub fn new(
        cx: Arc<Context>,
        directories: Directories,
        dns: Option<Dns>,
        profiles: Arc<dyn Profiles>,
        has_upstream: bool,
    ) -> Self {
        Self {
            cx,
            directories,
            dns,
            profiles,
            has_upstream,
            binding: Mutex::default(),
        }
    }

    /// The repo that `written` stands for. A namespace that is used for the first time is bound.
    ///
    /// # Errors
    /// If its namespace is bound to another publisher than its source names now, or a source that may
    /// know it gives no answer.
    pub async fn translate(
        &self,
        written: &RepoId,
        sources: Sources,
    ) -> Result<Translated, NamespaceError> {
        let Some(namespace) = written.namespace() else {
            return Ok(Translated::as_written(written.clone()));
        };
        let Some(bound) = self.bound(namespace, Some(written), sources).await? else {
            return Ok(Translated::as_written(written.clone()));
        };
        let subject = Subject::repo(bound.publisher, written.kind(), written.name());
        let repo = subject.ok().and_then(|subject| subject.repo_id());
        Ok(Translated {
            written: written.clone(),
            // A name that is right behind one namespace is right behind every other.
            repo: repo.unwrap_or_else(|| written.clone()),
            bound: Some(bound),
        })
    }

    /// The publisher that a namespace stands for; `None` if its names are of this node or of the
    /// upstream. A namespace that is used for the first time is bound.
    ///
    /// # Errors
    /// As [`Namespaces::translate`].
    pub async fn publisher(
        &self,
        namespace: &str,
        sources: Sources,
    ) -> Result<Option<Bound>, NamespaceError> {
        self.bound(namespace, None, sources).await
    }

    /// As [`Namespaces::publisher`], by what is bound already: no source is asked, and nothing is bound.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn bound_here(&self, namespace: &str) -> Result<Option<Bound>, NamespaceError> {
        let folded = namespace.to_ascii_lowercase();
        if directory::has_form_of_id(&folded) {
            return Ok(Bound::of_id(&folded));
        }
        let row = self.store(move |store| store.namespace(&folded)).await?;
        Ok(row.map(Into::into))
    }

    /// Checks that a name may be given on this node: its namespace stands for no publisher of others.
    ///
    /// # Errors
    /// [`NamespaceError::OfPublisher`], or if the store fails.
    pub async fn check_own(&self, repo: &RepoId) -> Result<(), NamespaceError> {
        let Some(namespace) = repo.namespace() else {
            return Ok(());
        };
        match self.bound_here(namespace).await? {
            None => Ok(()),
            Some(bound) if bound.source == Some(NamespaceSource::Own) => Ok(()),
            Some(bound) => Err(NamespaceError::OfPublisher {
                namespace: namespace.to_owned(),
                publisher: bound.publisher,
            }),
        }
    }

    /// Binds a namespace by hand, in place of what it was bound to.
    ///
    /// # Errors
    /// If it cannot be bound, or is in use for names of this node.
    pub async fn trust(
        &self,
        spelled: &str,
        publisher: PublisherId,
    ) -> Result<Namespace, NamespaceError> {
        let folded = fold(spelled)?;
        let _binding = self.binding.lock().await;
        let binding = Namespace {
            spelled: spelled.to_owned(),
            publisher,
            source: NamespaceSource::Petname,
            since: clock::now(),
        };
        self.store(move |store| {
            if let Some(Namespace {
                source: NamespaceSource::Own,
                spelled: namespace,
                publisher,
                ..
            }) = store.namespace(&folded)?
            {
                return Ok(Err(NamespaceError::Own {
                    namespace,
                    publisher,
                }));
            }
            if has_names_of_node(store, &folded)? {
                let namespace = binding.spelled;
                return Ok(Err(NamespaceError::Local { namespace }));
            }
            store.put_namespace(&binding)?;
            Ok(Ok(binding))
        })
        .await?
    }

    /// All namespaces that are bound, whatever bound them.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn all(&self) -> Result<Vec<Namespace>, NamespaceError> {
        self.store(Store::namespaces).await
    }

    /// Forgets what a namespace is bound to: its sources decide again when it is used.
    ///
    /// # Errors
    /// If it is not bound, or is the handle of a publisher of this node.
    pub async fn untrust(&self, spelled: &str) -> Result<(), NamespaceError> {
        let folded = fold(spelled)?;
        let namespace = spelled.to_owned();
        let _binding = self.binding.lock().await;
        self.store(move |store| {
            Ok(match store.namespace(&folded)? {
                None => Err(NamespaceError::Unbound { namespace }),
                Some(bound) if bound.source == NamespaceSource::Own => Err(NamespaceError::Own {
                    namespace,
                    publisher: bound.publisher,
                }),
                Some(_) => {
                    store.remove_namespace(&folded)?;
                    Ok(())
                }
            })
        })
        .await?
    }

    async fn bound(
        &self,
        namespace: &str,
        written: Option<&RepoId>,
        sources: Sources,
    ) -> Result<Option<Bound>, NamespaceError> {
        let folded = namespace.to_ascii_lowercase();
        if directory::has_form_of_id(&folded) {
            return Ok(Bound::of_id(&folded));
        }
        let known = self.known(&folded, written, sources).await?;
        let known = match known {
            Known::Here => return Ok(None),
            Known::Bound(row) if is_final(&row, sources) => return Ok(Some(row.into())),
            Known::Bound(row) => Some(row),
            Known::Nothing => None,
        };
        let named = self.ask(&folded, sources).await;
        match (known, named) {
            (Some(bound), Ok(Some(named))) if bound.publisher != named.publisher => {
                Err(changed(bound, named))
            }
            // A person who wants to know what the DNS says gets no other answer.
            (Some(bound), Err(error))
                if sources == Sources::Dns && bound.source != NamespaceSource::Dns =>
            {
                Err(error)
            }
            (Some(bound), named) => {
                if let Err(error) = named {
                    debug!(namespace, %error, "a namespace stays as it is bound");
                }
                Ok(Some(bound.into()))
            }
            (None, named) => self.bind(namespace, &folded, named?).await,
        }
    }

    /// What this node's own data say of a namespace.
    async fn known(
        &self,
        folded: &str,
        written: Option<&RepoId>,
        sources: Sources,
    ) -> Result<Known, NamespaceError> {
        let (folded, written) = (folded.to_owned(), written.cloned());
        let known = move |store: &Store| {
            if let Some(row) = store.namespace(&folded)? {
                return Ok(Known::Bound(row));
            }
            let repo = match &written {
                Some(repo) if sources == Sources::All => store.repo(repo)?,
                _ => None,
            };
            let is_here = repo.is_some_and(|repo| repo.origin == RepoOrigin::Local);
            Ok(if is_here { Known::Here } else { Known::Nothing })
        };
        self.store(known).await
    }

    /// What directories and the DNS say of a namespace now.
    async fn ask(&self, folded: &str, sources: Sources) -> Result<Option<Named>, NamespaceError> {
        if sources == Sources::All
            && let Some((directory, publisher)) = self.directories.publisher(folded).await?
        {
            return Ok(Some(Named {
                publisher,
                source: NamespaceSource::Directory(directory.id().to_owned()),
            }));
        }
        // A process that has not joined the network asks no other machine.
        let dns = self.dns.as_ref().filter(|_| self.cx.network().is_ok());
        let answered = match (dns, dns::domain_of(folded)) {
            (Some(dns), Some(domain)) => dns.publisher(domain).await,
            (None, Some(_)) if sources == Sources::Dns => {
                let namespace = folded.to_owned();
                return Err(NamespaceError::NoDns { namespace });
            }
            (None, _) | (_, None) => Ok(None),
        };
        let publisher = match answered {
            // Without the DNS, names of the upstream still have to be found.
            Err(error) if sources == Sources::All && self.has_upstream && error.is_temporary() => {
                debug!(%error, "the upstream answers for a namespace that may be a domain");
                None
            }
            answered => answered?,
        };
        if publisher.is_none() && sources == Sources::Dns {
            let namespace = folded.to_owned();
            return Err(NamespaceError::NotInDns { namespace });
        }
        Ok(publisher.map(|publisher| Named {
            publisher,
            source: NamespaceSource::Dns,
        }))
    }

    /// Binds a namespace to the publisher that a source names at its first use.
    async fn bind(
        &self,
        spelled: &str,
        folded: &str,
        named: Option<Named>,
    ) -> Result<Option<Bound>, NamespaceError> {
        let Some(named) = named else { return Ok(None) };
        if named.source == NamespaceSource::Dns {
            self.check_claim(folded, named.publisher).await?;
        }
        let _binding = self.binding.lock().await;
        let binding = Namespace {
            spelled: spelled.to_owned(),
            publisher: named.publisher,
            source: named.source.clone(),
            since: clock::now(),
        };
        let folded = folded.to_owned();
        let bound = self
            .store(move |store| {
                // Another caller was first.
                if let Some(bound) = store.namespace(&folded)? {
                    return Ok(Some(bound));
                }
                if has_names_of_node(store, &folded)? {
                    return Ok(None);
                }
                store.put_namespace(&binding)?;
                info!(namespace = binding.spelled, publisher = %binding.publisher, "a namespace is bound");
                Ok(Some(binding))
            })
            .await?;
        match bound {
            Some(bound) if bound.publisher != named.publisher => Err(changed(bound, named)),
            bound => Ok(bound.map(Into::into)),
        }
    }

    /// Checks that a publisher claims the domain that claims it.
    async fn check_claim(
        &self,
        domain: &str,
        publisher: PublisherId,
    ) -> Result<(), NamespaceError> {
        let domain = domain.to_owned();
        match self.profiles.profile(publisher).await {
            None => Err(NamespaceError::NoProfile { domain, publisher }),
            Some(profile) if profile.domains.contains(&domain) => Ok(()),
            Some(_) => Err(NamespaceError::NotClaimed { domain, publisher }),
        }
    }

    async fn store<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, NamespaceError> {
        let store = self.cx.store.clone();
        Ok(self.cx.blocking.run(move || call(&store)).await??)
    }
}

/// What this node's own data say of a namespace.
enum Known {
    /// It is bound.
    Bound(Namespace),
    /// The name was given on this node.
    Here,
    /// Nothing.
    Nothing,
}

/// What a source says of a namespace.
struct Named {
    publisher: PublisherId,
    source: NamespaceSource,
}

impl Bound {
    /// What a text with the form of an id stands for.
    fn of_id(folded: &str) -> Option<Self> {
        let publisher = folded.parse().ok()?;
        Some(Self {
            publisher,
            source: None,
        })
    }
}

impl From<Namespace> for Bound {
    fn from(namespace: Namespace) -> Self {
        Self {
            publisher: namespace.publisher,
            source: Some(namespace.source),
        }
    }
}

/// Whether no other source is asked: what a person bound needs no confirmation, unless that person
/// wants to know what the DNS says.
fn is_final(bound: &Namespace, sources: Sources) -> bool {
    let by_hand = matches!(
        bound.source,
        NamespaceSource::Own | NamespaceSource::Petname
    );
    by_hand && sources == Sources::All
}

fn changed(bound: Namespace, named: Named) -> NamespaceError {
    NamespaceError::Changed(Box::new(Change {
        namespace: bound.spelled,
        bound: bound.publisher,
        bound_by: bound.source,
        named: named.publisher,
        named_by: named.source,
    }))
}

fn fold(spelled: &str) -> Result<String, NamespaceError> {
    directory::fold(spelled).map_err(|reason| NamespaceError::NotNamespace {
        namespace: spelled.to_owned(),
        reason,
    })
}

/// Whether names were given on this node that begin with a namespace and belong to no publisher.
fn has_names_of_node(store: &Store, folded: &str) -> Result<bool, StoreError> {
    let prefix = format!("{folded}/");
    for kind in RepoKind::ALL {
        let mut after = None;
        loop {
            let batch = store.repos(kind, &prefix, after.as_ref(), BATCH)?;
            if batch.iter().any(|repo| repo.origin == RepoOrigin::Local) {
                return Ok(true);
            }
            if batch.len() < BATCH {
                break;
            }
            after = batch.into_iter().last().map(|repo| repo.id);
        }
    }
    Ok(false)
}
