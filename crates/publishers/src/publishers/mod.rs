//! Publishers of this node: making them, joining them, and changing who signs for them.
//!
//! A publisher has *root keys*, which may change its identity and are kept offline, and *signers*, one
//! for each node. This node has one signing key for all its publishers (see `keys`).
//!
//! | what | who has to be there |
//! |---|---|
//! | [`Publishers::begin`]: a new publisher | nothing; it makes a root key |
//! | [`Publishers::join`]: the signing key of this node, for others to add | nothing |
//! | [`Publishers::sign`]: another signer, other root keys | root keys, as many as the threshold says |
//! | publishing that | a node whose signing key is one of the new document |
//!
//! A new document takes effect with all heads of the publisher, which are signed again under its number in
//! the same transaction: heads of a signer that was removed lose against each of them.
//!
//! # Not here
//! Changes of repos (see `publish`), and how other nodes get documents and heads (see `announce`).

mod begin;
mod change;
mod error;
mod profile;
mod proposal;
#[cfg(test)]
mod tests;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use hubless_content::{PublicKey, PublisherId, VerifiedHead};
use hubless_store::{OwnPublisher, Store};
use hubless_transfer::{Blocking, Context};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::{
    begin::{Begin, Begun},
    change::{Sign, SignState, Signed},
    error::PublisherError,
    proposal::Changes,
};
use hubless_names::{
    keys::{KeyKind, Keys, make_key},
    watchers::Watchers,
};

/// Tries of one change of a publisher: each failed one means that one of its repos changed meanwhile.
const TRIES_MAX: usize = 100;

/// The publishers of one node.
#[derive(Clone)]
pub struct Publishers {
    cx: Arc<Context>,
    keys: Keys,
    watchers: Watchers,
}

/// The publishers of a node, as it shows them.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Shown {
    /// By handle.
    pub publishers: Vec<PublisherDetails>,
}

/// A publisher of a node.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct PublisherDetails {
    /// Its id.
    #[schemars(with = "String")]
    pub id: PublisherId,
    /// Its namespace on this node.
    pub handle: String,
    /// Whether it is an organization, else a person.
    pub org: bool,
    /// The person that an organization belongs to.
    #[schemars(with = "Option<String>")]
    pub owner: Option<PublisherId>,
    /// The keys that may sign for it.
    #[schemars(with = "Vec<String>")]
    pub signers: Vec<PublicKey>,
    /// Whether the key of this node is one of them.
    pub signs: bool,
    /// The keys that may change it.
    #[schemars(with = "Vec<String>")]
    pub keys: Vec<PublicKey>,
    /// How many of these a change needs.
    pub threshold: usize,
    /// The number of its document: it rises with each change.
    pub number: u64,
}

/// What another node needs to make this one a signer.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Joined {
    /// The signing key of this node.
    #[schemars(with = "String")]
    pub signer: PublicKey,
    /// The new root key, if one was to be made.
    #[schemars(with = "Option<String>")]
    pub root: Option<PublicKey>,
    /// The publisher that this node signs for from now on, if one was named.
    #[schemars(with = "Option<String>")]
    pub publisher: Option<PublisherId>,
}

/// What a node gives to become a signer, or takes if it became one.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Join {
    /// The publisher, if this node became a signer of it.
    pub publisher: Option<PublisherId>,
    /// A new file for a new root key.
    pub root: Option<PathBuf>,
}

impl Publishers {
    /// Those of the node with this home directory, which reports the heads that it signs to `watchers`.
    pub fn new(cx: Arc<Context>, home: &Path, watchers: Watchers) -> Self {
        Self {
            cx,
            keys: Keys::new(home),
            watchers,
        }
    }

    /// Makes a publisher: its keys, its first document, its profile, and first heads of the names that were
    /// given on this node under its handle.
    ///
    /// # Errors
    /// If the handle is taken here or breaks a rule, or a key or the store fails. Nothing is kept then.
    pub async fn begin(&self, begin: Begin) -> Result<Begun, PublisherError> {
        self.run(move |node| begin::begin(&node, begin)).await
    }

    /// The publishers that this node signs for.
    ///
    /// # Errors
    /// If a key file or the store fails.
    pub async fn show(&self) -> Result<Shown, PublisherError> {
        self.run(|node| node.show()).await
    }

    /// The signing key of this node, made if there is none. With a publisher whose newest document has this
    /// key, this node signs for it from then on.
    ///
    /// # Errors
    /// If nothing is known of the publisher, its document has another key, or a key or the store fails.
    pub async fn join(&self, join: Join) -> Result<Joined, PublisherError> {
        self.run(move |node| node.join(&join)).await
    }

    /// Changes the identity of a publisher, or signs a change that was proposed. A change that has all its
    /// signatures takes effect at once if this node is a signer of the new document.
    ///
    /// # Errors
    /// If the change makes no sense or is outdated, a key is none of the publisher's, or a file or the store
    /// fails.
    pub async fn sign(&self, sign: Sign) -> Result<Signed, PublisherError> {
        self.run(move |node| change::sign(&node, &sign)).await
    }

    /// Brings the profile of a publisher in step with its repos and this node's peer id. The new head, if it
    /// was not in step.
    ///
    /// # Errors
    /// If this node does not sign for the publisher, or the store fails.
    pub async fn refresh_profile(
        &self,
        publisher: PublisherId,
    ) -> Result<Option<VerifiedHead>, PublisherError> {
        self.run(move |node| profile::refresh(&node, publisher))
            .await
    }

    /// The root keys that lie in the home directory.
    pub fn root_keys(&self) -> Vec<PathBuf> {
        self.keys.roots()
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(Node) -> Result<T, PublisherError> + Send + 'static,
    ) -> Result<T, PublisherError> {
        let node = Node {
            store: self.cx.store.clone(),
            keys: self.keys.clone(),
            watchers: self.watchers.clone(),
            peer: self.cx.own_id.to_bytes(),
        };
        let done = Blocking::run_long(move || work(node)).await??;
        self.cx.note_change();
        Ok(done)
    }
}

/// What the work needs of a node.
struct Node {
    store: Store,
    keys: Keys,
    watchers: Watchers,
    /// The peer id of the node, as bytes.
    peer: Vec<u8>,
}

impl Node {
    /// Reports heads that are in the store now.
    fn report<'h>(&self, heads: impl IntoIterator<Item = &'h VerifiedHead>) {
        for head in heads {
            self.watchers.taken(&Arc::new(head.clone()));
        }
    }

    fn show(&self) -> Result<Shown, PublisherError> {
        let own = self.keys.own()?.map(|key| key.public());
        let details = |publisher: OwnPublisher| {
            let chain = self.store.chain(publisher.id)?;
            let chain = chain.ok_or(PublisherError::NoChain(publisher.id))?;
            let identity = chain.current();
            Ok(PublisherDetails {
                id: publisher.id,
                handle: publisher.handle,
                org: publisher.is_org,
                owner: publisher.owner,
                signers: identity.signers.clone(),
                signs: own.is_some_and(|own| chain.has_signer(&own)),
                keys: identity.keys.clone(),
                threshold: identity.threshold,
                number: identity.number,
            })
        };
        let own_publishers = self.store.own_publishers()?.into_iter();
        let publishers = own_publishers.map(details);
        let mut publishers: Vec<_> = publishers.collect::<Result<_, PublisherError>>()?;
        publishers.sort_by(|a, b| a.handle.cmp(&b.handle));
        Ok(Shown { publishers })
    }

    fn join(&self, join: &Join) -> Result<Joined, PublisherError> {
        let key = self.keys.own_or_new()?;
        let root = join
            .root
            .as_deref()
            .map(|path| make_key(path, KeyKind::Root));
        let joined = Joined {
            signer: key.public(),
            root: root.transpose()?.map(|root| root.public()),
            publisher: join.publisher,
        };
        if let Some(publisher) = join.publisher {
            profile::join(self, publisher, &key)?;
        }
        Ok(joined)
    }

    /// The own publisher with this handle or id; the only one, if none is named.
    fn find(&self, named: Option<&str>) -> Result<OwnPublisher, PublisherError> {
        let mut publishers = self.store.own_publishers()?;
        let Some(named) = named else {
            return match publishers.len() {
                0 => Err(PublisherError::NoPublisher),
                1 => Ok(publishers.remove(0)),
                _ => {
                    let handles = publishers.into_iter().map(|publisher| publisher.handle);
                    Err(PublisherError::Several(handles.collect()))
                }
            };
        };
        let id = named.parse::<PublisherId>().ok();
        let mut found = publishers.into_iter().filter(|publisher| {
            Some(publisher.id) == id || publisher.handle.eq_ignore_ascii_case(named)
        });
        found
            .next()
            .ok_or_else(|| PublisherError::Unknown(named.to_owned()))
    }
}
