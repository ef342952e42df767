//! Heads in a network of real nodes, and peers that put what is no head.

use std::{collections::HashSet, time::SystemTime};

use bytes::Bytes;
use futures::{AsyncReadExt as _, AsyncWriteExt as _};
use hubless_content::{
    Chain, DocumentHash, Head, HeadRecord, Identity, RepoKind, SecretKey, SignedIdentity, Subject,
    SubjectKey, VerifiedHead,
};
use hubless_network::{Network, NetworkConfig, PutOutcome};
use hubless_wire::KAD_PROTOCOL;

use crate::{common::*, mallory::Mallory};

const NODES: usize = 20;

/// A signer of one publisher.
struct Signer {
    key: SecretKey,
    chain: Chain,
}

impl Signer {
    fn new(seed: u8) -> Self {
        let key = SecretKey::new(&[seed; 32]);
        let root = SecretKey::new(&[100; 32]).public();
        let identity = Identity::first(vec![root], 1, vec![key.public()], [seed; 16]);
        let first = SignedIdentity::unsigned(identity).unwrap();
        Self {
            key,
            chain: Chain::new(vec![first]).unwrap(),
        }
    }

    fn head(&self, name: &str, seq: u64) -> VerifiedHead {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let head = Head {
            subject: Subject::repo(self.chain.publisher(), RepoKind::Model, name).unwrap(),
            number: 0,
            seq,
            state: DocumentHash::new([seq as u8; 32]),
            previous: (seq > 1).then(|| DocumentHash::new([200; 32])),
            summary: None,
            time: since.unwrap().as_millis() as u64,
        };
        HeadRecord::sign(&head, &self.chain, &self.key).unwrap()
    }
}

fn key_of(head: &VerifiedHead) -> SubjectKey {
    head.head().subject.key()
}

/// All records that a walk finds.
async fn find(node: &Network, key: SubjectKey) -> HashSet<Bytes> {
    let mut walk = node.find_values(key).await;
    let mut found = HashSet::new();
    while let Some(value) = within(walk.recv()).await {
        found.insert(value.record);
    }
    found
}

fn only(head: &VerifiedHead) -> HashSet<Bytes> {
    HashSet::from([Bytes::copy_from_slice(head.record())])
}

async fn start_beside(node: &Network) -> Network {
    let bootstrap = node.listen_addresses();
    let config = NetworkConfig {
        bootstrap,
        ..config()
    };
    let network = start(config).await;
    until(async || network.status().await.dht.routing_peers > 0).await;
    network
}

/// Nodes that all know the first one.
async fn star() -> Vec<Network> {
    let mut nodes = vec![start(config()).await];
    while nodes.len() < NODES {
        nodes.push(start_beside(&nodes[0]).await);
    }
    nodes
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_one_node_puts_is_found_by_all_and_the_newest_stays() {
    let (nodes, signer) = (star().await, Signer::new(1));
    let heads = [1, 2].map(|seq| signer.head("m", seq));
    for (node, head) in [(3, &heads[0]), (11, &heads[1])] {
        until(async || nodes[node].put_value(head).await.had == NODES - 1).await;
    }
    for reader in &nodes {
        until(async || find(reader, key_of(&heads[1])).await == only(&heads[1])).await;
    }
    // A node that has slept puts what it had, and learns what is newer.
    let outcome = within(nodes[17].put_value(&heads[0])).await;
    assert_eq!(outcome.newer.as_ref(), Some(&heads[1]));
    assert_eq!(find(&nodes[5], key_of(&heads[0])).await, only(&heads[1]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_walk_gives_the_best_head_to_nodes_that_had_less() {
    let signer = Signer::new(1);
    let [old, new] = [1, 2].map(|seq| signer.head("m", seq));
    let hub = start(config()).await;
    let (behind, holder) = (start_beside(&hub).await, start_beside(&hub).await);
    until(async || hub.put_value(&old).await.had == 2).await;
    assert_eq!(find(&behind, key_of(&old)).await, only(&old));
    holder.hold(&new).await;
    let reader = start_beside(&hub).await;
    until(async || within(reader.put_value(&old)).await.newer.as_ref() == Some(&new)).await;
    until(async || find(&behind, key_of(&old)).await == only(&new)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_head_is_served_until_it_is_released() {
    let (holder, head) = (start(config()).await, Signer::new(1).head("m", 1));
    let reader = start_beside(&holder).await;
    holder.hold(&head).await;
    until(async || find(&holder, key_of(&head)).await == only(&head)).await;
    until(async || find(&reader, key_of(&head)).await == only(&head)).await;
    holder.release(key_of(&head)).await;
    until(async || find(&reader, key_of(&head)).await.is_empty()).await;
}

#[tokio::test]
async fn without_other_nodes_a_walk_ends_at_once() {
    let (alone, head) = (start(config()).await, Signer::new(1).head("m", 1));
    assert_eq!(find(&alone, key_of(&head)).await, HashSet::new());
    assert_eq!(within(alone.put_value(&head)).await, PutOutcome::default());
}

/// A field of protobuf: its number and its bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2][..], &varint(bytes.len()), bytes].concat()
}

fn varint(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number > 0x7f {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

impl Mallory {
    /// Puts a value as kad's protocol has it, and waits for the response, which is the same for all values.
    async fn put(&mut self, victim: &Network, key: SubjectKey, value: &[u8]) {
        let key = [&[0x1e, 0x20][..], key.as_bytes()].concat();
        let record = [field(1, &key), field(2, value)].concat();
        let message = [field(2, &key), field(3, &record)].concat();
        let mut stream = self.stream_to(victim, KAD_PROTOCOL).await;
        let bytes = [varint(message.len()), message].concat();
        stream.write_all(&bytes).await.unwrap();
        stream.flush().await.unwrap();
        let mut response = [0; 64];
        within(stream.read_exact(&mut response)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_head_of_its_key_is_neither_kept_nor_served() {
    let victim = start(config()).await;
    let reader = start_beside(&victim).await;
    let mut mallory = Mallory::start().await;
    let signer = Signer::new(1);
    let head = signer.head("m", 5);
    let (key, other) = (key_of(&head), key_of(&signer.head("other", 1)));
    mallory.put(&victim, key, head.record()).await;
    until(async || find(&reader, key).await == only(&head)).await;
    let mut forged = signer.head("m", 6).record().to_vec();
    // Within the signed bytes.
    forged[100] ^= 1;
    let rolled_back = signer.head("m", 4);
    let large = vec![0; 8_000];
    for value in [&forged[..], rolled_back.record(), &large, b"", b"head"] {
        mallory.put(&victim, key, value).await;
    }
    mallory.put(&victim, other, head.record()).await;
    // What comes after them shows that they were judged.
    let newest = signer.head("m", 7);
    mallory.put(&victim, key, newest.record()).await;
    until(async || find(&reader, key).await == only(&newest)).await;
    assert_eq!(find(&reader, other).await, HashSet::new());
    assert_eq!(victim.status().await.dht.heads, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_heads_leaves_room_for_others() {
    let victim = start(config()).await;
    let alice = start_beside(&victim).await;
    let (mut mallory, thief) = (Mallory::start().await, Signer::new(66));
    for number in 0..600 {
        let head = thief.head(&format!("m{number}"), 1);
        mallory.put(&victim, key_of(&head), head.record()).await;
    }
    let kept = victim.status().await.dht.heads;
    assert!((240..600).contains(&kept), "{kept} of 600 kept");
    let head = Signer::new(1).head("m", 1);
    let outcome = within(alice.put_value(&head)).await;
    assert_eq!((outcome.had, outcome.took), (0, 1));
    until(async || find(&alice, key_of(&head)).await == only(&head)).await;
}
