//! Publishers, and nodes in this process.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{FutureExt as _, future::BoxFuture};
use hubless_content::{
    Chain, ContentHash, Discussions, DocumentHash, Head, HeadRecord, Identity, Profile,
    PublisherId, RefName, RepoKind, Revision, SecretKey, SignedIdentity, State, Status, Subject,
    SubjectKey, Tree, VerifiedHead,
};
use hubless_names::{
    ask::Source, clock, follow::Follower, serve::Answers, sync::Adopter, watchers::Watchers,
};
use hubless_network::{
    ExchangeService, Identity as NodeIdentity, MemoryDb, Multiaddr, Network, NetworkConfig, PeerId,
    Reply,
};
use hubless_store::{Follow, Mirror, Publication, Store, StoreOptions};
use hubless_transfer::{Context, Digester, Fetches, KnownPeers, Service, Withheld};
use hubless_wire::{Request, Response};
use tempfile::TempDir;

/// Limit of every wait; tests wait for conditions, never for a time.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A publisher with its keys.
#[derive(Clone)]
pub(crate) struct Author {
    pub(crate) chain: Chain,
    root: SecretKey,
    signer: SecretKey,
}

impl Author {
    pub(crate) fn new(seed: u8) -> Self {
        let [root, signer] = [[seed; 32], [seed + 100; 32]].map(|seed| SecretKey::new(&seed));
        let first = Identity::first(vec![root.public()], 1, vec![signer.public()], [seed; 16]);
        let first = SignedIdentity::unsigned(first).unwrap();
        Self {
            chain: Chain::new(vec![first]).unwrap(),
            root,
            signer,
        }
    }

    pub(crate) fn id(&self) -> PublisherId {
        self.chain.publisher()
    }

    /// The same publisher with another signer in the place of its own.
    pub(crate) fn with_signer(&self, seed: u8) -> Self {
        let (root, hash) = self.chain.root();
        let signer = SecretKey::new(&[seed; 32]);
        let mut document = SignedIdentity::unsigned(Identity {
            number: self.chain.current().number + 1,
            root: Some(hash),
            signers: vec![signer.public()],
            salt: None,
            ..root.clone()
        })
        .unwrap();
        document.sign(root, &self.root);
        Self {
            chain: self.chain.with(document).unwrap(),
            signer,
            ..self.clone()
        }
    }

    /// The same publisher with another root key.
    pub(crate) fn with_root(&self, seed: u8) -> Self {
        let (root, hash) = self.chain.root();
        let new = SecretKey::new(&[seed; 32]);
        let mut document = SignedIdentity::unsigned(Identity {
            number: self.chain.current().number + 1,
            root: Some(hash),
            keys: vec![new.public()],
            salt: None,
            ..root.clone()
        })
        .unwrap();
        document.sign(root, &self.root);
        document.sign(root, &new);
        Self {
            chain: self.chain.with(document).unwrap(),
            root: new,
            ..self.clone()
        }
    }

    pub(crate) fn subject(&self, name: &str) -> Subject {
        Subject::repo(self.id(), RepoKind::Model, name).unwrap()
    }

    pub(crate) fn key(&self, name: &str) -> SubjectKey {
        self.subject(name).key()
    }

    /// A state whose branch `main` leads to this revision.
    pub(crate) fn state(&self, name: &str, tip: &Revision) -> State {
        let mut state = State {
            subject: self.subject(name),
            created: clock::now(),
            refs: Vec::new(),
            discussions: Discussions::Everyone,
            status: Status::Open,
        };
        state.set(RefName::main(), tip.hash().unwrap());
        state
    }

    pub(crate) fn profile(&self, handle: &str) -> Profile {
        Profile {
            publisher: self.id(),
            handle: handle.into(),
            full_name: String::new(),
            domains: Vec::new(),
            peers: Vec::new(),
            repos: Vec::new(),
        }
    }

    /// A head that names this state, after `before`.
    pub(crate) fn head(
        &self,
        subject: Subject,
        state: DocumentHash,
        before: Option<&VerifiedHead>,
    ) -> VerifiedHead {
        let (number, time) = (self.chain.current().number, clock::now());
        self.sign(&match before {
            Some(before) => before.head().next(state, number, time),
            None => Head {
                subject,
                number,
                seq: 1,
                state,
                previous: None,
                summary: None,
                time,
            },
        })
    }

    pub(crate) fn sign(&self, head: &Head) -> VerifiedHead {
        HeadRecord::sign(head, &self.chain, &self.signer).unwrap()
    }

    /// The same head, confirmed one second later.
    pub(crate) fn confirm(&self, head: &VerifiedHead) -> VerifiedHead {
        self.sign(&Head {
            time: head.head().time + 1_000,
            number: self.chain.current().number,
            ..head.head().clone()
        })
    }

    /// Publishes a repo on a node: `history`, the newest revision last, after `before`.
    pub(crate) fn publish(
        &self,
        node: &Node,
        name: &str,
        history: &[Revision],
        before: Option<&VerifiedHead>,
    ) -> Arc<VerifiedHead> {
        let state = self.state(name, &history[history.len() - 1]);
        let head = self.head(state.subject.clone(), state.hash().unwrap(), before);
        node.publish(&head, &state, history, before)
    }

    /// Publishes the profile on a node.
    pub(crate) fn publish_profile(
        &self,
        node: &Node,
        profile: &Profile,
        before: Option<&VerifiedHead>,
    ) -> Arc<VerifiedHead> {
        let subject = Subject::profile(self.id());
        let head = Arc::new(self.head(subject, profile.hash().unwrap(), before));
        let after = before.map(|before| before.head().state);
        let store = &node.cx.store;
        store.put_profile(&head, profile, after).unwrap();
        node.adopter.watchers().taken(&head);
        head
    }
}

/// A revision of some content that no node has.
pub(crate) fn revision(number: u64, parents: &[&Revision]) -> Revision {
    let mut content = [0; 32];
    content[..8].copy_from_slice(&number.to_le_bytes());
    let parents = parents.iter().map(|parent| parent.commit_id().unwrap());
    Revision {
        tree: Tree::Content(ContentHash::new(content)),
        parents: parents.collect(),
        time: 1_000_000 + number,
        title: format!("revision {number}"),
        message: String::new(),
        author: String::new(),
    }
}

/// A line of so many revisions, the oldest first.
pub(crate) fn line(revisions: u64) -> Vec<Revision> {
    let mut line = vec![revision(0, &[])];
    for number in 1..revisions {
        let next = revision(number, &[&line[line.len() - 1]]);
        line.push(next);
    }
    line
}

/// A node in this process.
pub(crate) struct Node {
    pub(crate) cx: Arc<Context>,
    pub(crate) adopter: Arc<Adopter>,
    pub(crate) follower: Arc<Follower>,
    pub(crate) network: Network,
    _home: TempDir,
}

impl Node {
    pub(crate) async fn new() -> Self {
        Self::knowing(&[]).await
    }

    /// A node whose configuration names these peers.
    pub(crate) async fn knowing(peers: &[&Node]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let options = StoreOptions::default();
        let store = Store::open(home.path(), options).unwrap();
        let identity = NodeIdentity::generate();
        let cx = Context::new(store, identity.peer_id());
        let peers = peers
            .iter()
            .flat_map(|peer| peer.network.listen_addresses());
        let known = KnownPeers {
            peers: peers.collect(),
            ..KnownPeers::default()
        };
        let fetches = Fetches::new(cx.clone(), known);
        let digester = Digester::new(fetches.clone());
        let content = Service::new(&fetches, Withheld::new(false), digester.queue());
        let adopter = Arc::new(Adopter::new(cx.clone(), Watchers::default()));
        let answers = Answers::new(content, &adopter);
        let network = start(identity, answers).await;
        cx.set_network(network.clone());
        let follower = Follower::new(fetches.clone(), adopter.clone());
        Self {
            cx,
            adopter,
            follower,
            network,
            _home: home,
        }
    }

    pub(crate) fn source(&self) -> Source {
        source(&self.network)
    }

    pub(crate) fn publish(
        &self,
        head: &VerifiedHead,
        state: &State,
        revisions: &[Revision],
        before: Option<&VerifiedHead>,
    ) -> Arc<VerifiedHead> {
        let publication = Publication {
            head,
            state,
            revisions,
            after: before.map(|before| before.head().state),
        };
        self.cx.store.publish(&publication).unwrap();
        let head = Arc::new(head.clone());
        self.adopter.watchers().taken(&head);
        head
    }

    /// Follows a publisher from now on.
    pub(crate) fn follow(&self, publisher: PublisherId, mirror: Mirror) {
        let since = clock::now();
        let follow = Follow {
            publisher,
            mirror,
            since,
        };
        self.cx.store.put_follow(&follow).unwrap();
        self.follower.follows_changed();
    }

    /// Begins to follow what its store says.
    pub(crate) fn follows(&self) {
        self.cx.tasks.spawn(self.follower.clone().run());
    }

    /// The state that its head of a subject names.
    pub(crate) fn seen(&self, key: SubjectKey) -> Option<DocumentHash> {
        let head = self.cx.store.head(key).unwrap();
        head.map(|head| head.head().state)
    }

    /// Waits until it has taken this head.
    pub(crate) async fn takes(&self, head: &VerifiedHead) {
        let (key, record) = (head.head().subject.key(), head.record());
        until("the head is taken", || {
            let seen = self.cx.store.head(key).unwrap();
            seen.is_some_and(|seen| seen.as_bytes() == record)
        })
        .await;
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.cx.cancel.cancel();
    }
}

pub(crate) fn source(network: &Network) -> Source {
    Source {
        peer: network.peer_id(),
        addresses: network.listen_addresses(),
    }
}

async fn start(identity: NodeIdentity, service: impl ExchangeService) -> Network {
    let listen = vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()];
    start_at(listen, identity, service).await
}

async fn start_at(
    listen: Vec<Multiaddr>,
    identity: NodeIdentity,
    service: impl ExchangeService,
) -> Network {
    let config = NetworkConfig {
        listen,
        mdns: false,
        upnp: false,
        ..NetworkConfig::default()
    };
    let records = Arc::new(MemoryDb::default());
    let network = Network::start(config, identity, records, Arc::new(service));
    network.await.unwrap()
}

/// A peer that answers as a function says.
pub(crate) async fn peer(
    answer: impl Fn(Request) -> Vec<(Response, Bytes)> + Send + Sync + 'static,
) -> Network {
    start(NodeIdentity::generate(), Answering(Arc::new(answer))).await
}

/// A peer that only asks.
pub(crate) async fn client() -> Network {
    peer(|_| vec![(Response::NotHere, Bytes::new())]).await
}

/// A peer that only asks, and has no address at which others of a crowd could dial it.
pub(crate) async fn one_of_a_crowd() -> Network {
    let nothing = Answering(Arc::new(|_| vec![(Response::NotHere, Bytes::new())]));
    start_at(Vec::new(), NodeIdentity::generate(), nothing).await
}

type Answer = dyn Fn(Request) -> Vec<(Response, Bytes)> + Send + Sync;

struct Answering(Arc<Answer>);

impl ExchangeService for Answering {
    fn respond(&self, _: PeerId, request: Request, reply: Reply) -> BoxFuture<'static, ()> {
        let answers = (self.0)(request);
        async move {
            for (response, payload) in answers {
                if reply.send(response, payload).await.is_err() {
                    return;
                }
            }
        }
        .boxed()
    }
}

/// The responses of a node to one request of a raw client, up to `count`.
pub(crate) async fn ask(
    from: &Network,
    to: (PeerId, Vec<Multiaddr>),
    request: Request,
    count: usize,
) -> Vec<Response> {
    within(async {
        let mut exchange = from.open(to.0, to.1).await.unwrap();
        exchange.requests.send(1, request).await.unwrap();
        let mut responses = Vec::new();
        while responses.len() < count
            && let Some(Ok(frame)) = exchange.responses.recv().await
        {
            responses.push(frame.response);
        }
        responses
    })
    .await
}

pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    let outcome = tokio::time::timeout(PATIENCE, future).await;
    outcome.expect("this should not take so long")
}

/// Waits until something holds.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, wait).await;
    waited.unwrap_or_else(|_| panic!("not in {PATIENCE:?}: {what}"));
}
