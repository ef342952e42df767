//! Heads that a node keeps in the DHT.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::{FutureExt as _, future::BoxFuture};
use hubless_content::{Head, SubjectKey, VerifiedHead};
use hubless_names::{
    announce::{self, Confirm},
    clock,
};
use hubless_network::AnnounceKey;
use hubless_store::OwnPublisher;

use crate::common::*;

const DAY_MS: u64 = 24 * 3_600_000;

/// Signs as the owner of the keys does, and notes what outranks the heads of its node.
struct Owner {
    author: Author,
    node: Arc<Node>,
    outranked: Mutex<Vec<VerifiedHead>>,
}

impl Confirm for Owner {
    fn confirm(&self, key: SubjectKey) -> BoxFuture<'static, Option<Arc<VerifiedHead>>> {
        let record = self.node.cx.store.head(key).unwrap().unwrap();
        let head = self.author.sign(&Head {
            time: clock::now(),
            ..record.head().clone()
        });
        assert!(self.node.cx.store.put_head(&head).unwrap());
        let head = Arc::new(head);
        self.node.adopter.watchers().taken(&head);
        async { Some(head) }.boxed()
    }

    fn outranked(&self, newer: VerifiedHead) -> BoxFuture<'static, ()> {
        self.outranked.lock().unwrap().push(newer);
        async {}.boxed()
    }
}

/// A node that signs for an author and knows the other node's DHT.
async fn owner(author: &Author, beside: &Node) -> Arc<Owner> {
    let node = Node::new().await;
    let own = OwnPublisher {
        id: author.id(),
        handle: "alice".into(),
        is_org: false,
        owner: None,
        private_by_default: false,
        created: 1,
    };
    node.cx.store.put_own_publisher(&own).unwrap();
    join(&node, beside).await;
    Arc::new(Owner {
        author: author.clone(),
        node: Arc::new(node),
        outranked: Mutex::default(),
    })
}

async fn join(node: &Node, beside: &Node) {
    let network = &node.network;
    let (peer, addresses) = (beside.network.peer_id(), beside.network.listen_addresses());
    within(network.connect(peer, addresses)).await.unwrap();
    within(async {
        while network.status().await.dht.routing_peers == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

fn announces(owner: &Arc<Owner>) {
    let Node {
        cx,
        network,
        adopter,
        ..
    } = &*owner.node;
    let watchers = adopter.watchers().clone();
    cx.tasks.spawn(announce::run(
        cx.clone(),
        network.clone(),
        watchers,
        owner.clone(),
    ));
}

async fn found(node: &Node, key: SubjectKey) -> Vec<Bytes> {
    let mut walk = node.network.find_values(key).await;
    let mut records = Vec::new();
    while let Some(value) = within(walk.recv()).await {
        records.push(value.record);
    }
    records
}

/// Waits until a walk from `node` finds this head and no other.
async fn finds(node: &Node, head: &VerifiedHead) {
    within(async {
        loop {
            let records = found(node, head.head().subject.key()).await;
            if !records.is_empty() && records.iter().all(|record| record == head.record()) {
                return;
            }
        }
    })
    .await;
}

/// Waits until a node keeps so many heads for others.
async fn keeps(node: &Node, heads: usize) {
    within(async {
        while node.network.status().await.dht.heads < heads {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_state_is_put_and_its_key_leads_to_the_node() {
    let (author, hub, reader) = (Author::new(1), Node::new().await, Node::new().await);
    let alice = owner(&author, &hub).await;
    join(&reader, &hub).await;
    announces(&alice);
    let line = line(2);
    let first = author.publish(&alice.node, "m", &line[..1], None);
    finds(&reader, &first).await;
    let second = author.publish(&alice.node, "m", &line, Some(&first));
    finds(&reader, &second).await;
    keeps(&hub, 1).await;
    finds(&reader, &second).await;
    let key = AnnounceKey::from(author.key("m"));
    let mut providers = reader.network.find_providers(key).await;
    let provider = within(providers.recv()).await.unwrap();
    assert_eq!(provider.peer_id, alice.node.network.peer_id());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_own_head_of_yesterday_is_confirmed_and_one_of_others_is_put_as_it_is() {
    let (author, other) = (Author::new(1), Author::new(2));
    let hub = Node::new().await;
    let alice = owner(&author, &hub).await;
    let mut stored = Vec::new();
    for author in [&author, &other] {
        let state = author.state("m", &line(1)[0]);
        let head = author.head(state.subject.clone(), state.hash().unwrap(), None);
        let head = author.sign(&Head {
            time: clock::now() - DAY_MS,
            ..head.head().clone()
        });
        stored.push(alice.node.publish(&head, &state, &line(1), None));
    }
    announces(&alice);
    // As the announcer of the node does at its start.
    let keys = announce::keys(&alice.node.cx.store).unwrap();
    let keys = keys
        .into_iter()
        .map(|key| (key, hubless_network::Priority::Root));
    let keys: Vec<_> = keys.collect();
    finds(&alice.node, &stored[1]).await;
    alice.node.network.set_announced(keys).await;
    finds(&hub, &stored[1]).await;
    let key = author.key("m");
    keeps(&hub, 2).await;
    let confirmed = alice.node.cx.store.head(key).unwrap().unwrap();
    assert!(confirmed.head().time > stored[0].head().time);
    assert_eq!(confirmed.head().state, stored[0].head().state);
    let records = found(&hub, key).await;
    assert!(records.iter().all(|record| record == confirmed.as_bytes()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_in_the_dht_that_outranks_the_own_one_is_reported_and_stays() {
    let (author, hub) = (Author::new(1), Node::new().await);
    let alice = owner(&author, &hub).await;
    let line = line(2);
    let first = author.publish(&alice.node, "m", &line[..1], None);
    // Another device of the author has gone on.
    let state = author.state("m", &line[1]);
    let second = author.head(state.subject.clone(), state.hash().unwrap(), Some(&first));
    let device = Node::new().await;
    join(&device, &hub).await;
    within(async { while device.network.put_value(&second).await.had == 0 {} }).await;
    announces(&alice);
    let key = AnnounceKey::from(author.key("m"));
    let keys = vec![(key, hubless_network::Priority::Root)];
    finds(&alice.node, &second).await;
    alice.node.network.set_announced(keys).await;
    until("the newer head is reported", || {
        alice.outranked.lock().unwrap().contains(&second)
    })
    .await;
    finds(&hub, &second).await;
}
