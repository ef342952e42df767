//! What a node answers to peers about names.

use bytes::Bytes;
use hubless_content::{CommitId, DocumentHash, HEAD_RECORD_BYTES_MAX, PublisherId, VerifiedHead};
use hubless_names::ask::{AskError, Holder, News, Watching};
use hubless_store::Mirror;
use hubless_wire::{Request, Response};

use crate::common::*;

/// The requests about a subject, which has no secrets in them.
fn requests(author: &Author, name: &str, head: &VerifiedHead, tip: CommitId) -> Vec<Request> {
    let (subject, hash) = (author.key(name), head.head().state);
    vec![
        Request::Head(subject),
        Request::Document {
            subject,
            hash,
            offset: 0,
        },
        Request::History {
            subject,
            tip,
            known: Vec::new(),
        },
        Request::Watch {
            publisher: author.id(),
            subject: Some(subject),
        },
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_unknown_is_not_here() {
    let (author, alice, client) = (Author::new(1), Node::new().await, client().await);
    let address = (alice.network.peer_id(), alice.network.listen_addresses());
    let history = line(1);
    let tip = history[0].commit_id().unwrap();
    let head = author.publish(&alice, "m", &history, None);
    let unknown = requests(&author, "other", &head, tip);
    for request in unknown {
        let responses = ask(&client, address.clone(), request, 1).await;
        assert_eq!(responses, [Response::NotHere]);
    }
    for request in requests(&author, "m", &head, tip) {
        let responses = ask(&client, address.clone(), request.clone(), 1).await;
        assert_ne!(responses, [Response::NotHere], "{request:?}");
    }
    // Documents and revisions of one repo are not given for another.
    author.publish(&alice, "second", &[revision(5, &[])], None);
    for request in &requests(&author, "second", &head, tip)[1..3] {
        let responses = ask(&client, address.clone(), request.clone(), 1).await;
        assert_eq!(responses, [Response::NotHere]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_gives_what_is_here_and_then_what_is_taken_at_most_once_a_second() {
    let (author, alice, bob) = (Author::new(1), Node::new().await, Node::new().await);
    let history = line(20);
    let mut last = author.publish(&alice, "m", &history[..1], None);
    let mut watching = within(Watching::open(&bob.cx, &alice.source()))
        .await
        .unwrap();
    watching.watch(author.id()).await.unwrap();
    let next = async |watching: &mut Watching| match within(watching.next()).await.unwrap() {
        News::Head(publisher, record) => watching.prove(publisher, record).await.unwrap(),
        News::Ended(_, error) => panic!("{error}"),
    };
    assert_eq!(next(&mut watching).await, *last);
    let started = std::time::Instant::now();
    for tip in 1..20 {
        last = author.publish(&alice, "m", &history[tip..=tip], Some(&last));
    }
    let (mut reports, mut newest) = (0, next(&mut watching).await);
    while newest != *last {
        (reports, newest) = (reports + 1, next(&mut watching).await);
    }
    let took = started.elapsed();
    assert!(
        reports <= took.as_secs() + 1,
        "{reports} reports in {took:?}"
    );
    // Of another repo, and of the profile, at once.
    let profile = author.publish_profile(&alice, &author.profile("acme"), None);
    assert_eq!(next(&mut watching).await, *profile);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_that_is_not_known_cannot_be_watched_and_one_peer_has_few_watches() {
    let (author, alice, client) = (Author::new(1), Node::new().await, client().await);
    author.publish(&alice, "m", &line(1), None);
    let mut exchange = client
        .open(alice.network.peer_id(), alice.network.listen_addresses())
        .await
        .unwrap();
    let unknown = Request::Watch {
        publisher: PublisherId::new([3; 32]),
        subject: None,
    };
    exchange.requests.send(1, unknown).await.unwrap();
    let response = within(exchange.responses.recv()).await.unwrap().unwrap();
    assert_eq!(response.response, Response::NotHere);
    let watch = Request::Watch {
        publisher: author.id(),
        subject: None,
    };
    for id in 2..5 {
        exchange.requests.send(id, watch.clone()).await.unwrap();
    }
    let mut heads = 0;
    loop {
        match within(exchange.responses.recv())
            .await
            .unwrap()
            .unwrap()
            .response
        {
            Response::Head(_) => heads += 1,
            Response::Busy(_) => break,
            other => panic!("{other:?}"),
        }
    }
    assert!(heads <= 2);
    // One that ends makes room.
    exchange.requests.send(2, Request::Cancel).await.unwrap();
    exchange.requests.send(3, Request::Cancel).await.unwrap();
    within(async {
        for id in 10.. {
            exchange.requests.send(id, watch.clone()).await.unwrap();
            let of_it = async {
                loop {
                    let frame = exchange.responses.recv().await.unwrap().unwrap();
                    if frame.id == id {
                        return frame.response;
                    }
                }
            };
            if matches!(of_it.await, Response::Head(_)) {
                return;
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_a_peer_puts_is_taken_if_it_is_wanted_and_passed_on() {
    let author = Author::new(1);
    let (alice, bob, carol) = (Node::new().await, Node::new().await, Node::new().await);
    let history = line(2);
    let head = author.publish(&alice, "m", &history[..1], None);
    let mut holder = within(Holder::open(&alice.cx, &bob.source()))
        .await
        .unwrap();
    let put = within(holder.put_head(&head)).await;
    assert!(
        matches!(put, Err(AskError::NotHere { .. })),
        "bob wants nothing of it"
    );
    assert_eq!(bob.seen(author.key("m")), None);
    bob.follow(author.id(), Mirror::Nothing);
    let put = within(holder.put_head(&head)).await.unwrap();
    assert_eq!(put, *head);
    assert_eq!(bob.seen(author.key("m")), Some(head.head().state));
    // A peer that puts an older head gets the newer one, and watching peers get what is put.
    let mut watching = within(Watching::open(&carol.cx, &bob.source()))
        .await
        .unwrap();
    watching.watch(author.id()).await.unwrap();
    let next = async |watching: &mut Watching| match within(watching.next()).await.unwrap() {
        News::Head(publisher, record) => watching.prove(publisher, record).await.unwrap(),
        News::Ended(_, error) => panic!("{error}"),
    };
    assert_eq!(next(&mut watching).await, *head);
    let newer = author.publish(&alice, "m", &history[1..], Some(&head));
    let put = within(holder.put_head(&newer)).await.unwrap();
    assert_eq!(put, *newer);
    assert_eq!(next(&mut watching).await, *newer);
    assert_eq!(within(holder.put_head(&head)).await.unwrap(), *newer);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_puts_forged_heads_is_banned_and_one_that_puts_too_many_waits() {
    let (author, bob) = (Author::new(1), Node::new().await);
    bob.follow(author.id(), Mirror::Nothing);
    let address = (bob.network.peer_id(), bob.network.listen_addresses());
    let history = line(1);
    let state = author.state("m", &history[0]);
    let head = author.head(state.subject.clone(), state.hash().unwrap(), None);
    let mut forged = head.record().to_vec();
    let signature = forged
        .windows(2)
        .position(|pair| pair == [0x1a, 64])
        .unwrap();
    forged[signature + 10] ^= 1;
    for record in [forged, vec![7; 100], vec![0x0a; HEAD_RECORD_BYTES_MAX]] {
        let mallory = client().await;
        let put = Request::PutHead(record.into());
        ask(&mallory, address.clone(), put, 1).await;
        until("the forger is banned", || {
            bob.network.is_banned(&mallory.peer_id())
        })
        .await;
    }
    assert_eq!(bob.seen(author.key("m")), None);
    // Of others' names nothing is verified, but a flood of them is cut all the same.
    let other = Author::new(2);
    let state = other.state("m", &history[0]);
    let head = other.head(state.subject.clone(), state.hash().unwrap(), None);
    let client = client().await;
    let mut exchange = client.open(address.0, address.1).await.unwrap();
    let (mut refused, mut busy) = (0, 0);
    for id in 1..=60 {
        let put = Request::PutHead(Bytes::copy_from_slice(head.record()));
        exchange.requests.send(id, put).await.unwrap();
        match within(exchange.responses.recv())
            .await
            .unwrap()
            .unwrap()
            .response
        {
            Response::NotHere => refused += 1,
            Response::Busy(_) => busy += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((refused, busy), (40, 20));
}

/// A signature over one kind of document is worth nothing over another, and a head of one publisher
/// nothing for another.
#[tokio::test(flavor = "multi_thread")]
async fn a_signature_of_another_protocol_makes_no_head() {
    let (author, bob) = (Author::new(1), Node::new().await);
    bob.follow(author.id(), Mirror::Nothing);
    let mallory = client().await;
    let history = line(1);
    let state = author.state("m", &history[0]);
    let head = author.head(state.subject.clone(), state.hash().unwrap(), None);
    let document = head.head().encode().unwrap();
    let signer = hubless_content::SecretKey::new(&[101; 32]);
    let crossed = signer.sign(hubless_content::Context::Identity, &document);
    let right = signer.sign(hubless_content::Context::Head, &document);
    let mut record = head.record().to_vec();
    let at = record
        .windows(64)
        .position(|bytes| bytes == right.as_bytes())
        .unwrap();
    record[at..at + 64].copy_from_slice(crossed.as_bytes());
    let address = (bob.network.peer_id(), bob.network.listen_addresses());
    let put = Request::PutHead(record.into());
    ask(&mallory, address, put, 1).await;
    until("it is banned", || bob.network.is_banned(&mallory.peer_id())).await;
    assert_eq!(bob.seen(author.key("m")), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_comes_in_pages_and_only_the_one_that_the_head_names() {
    let (author, alice, bob) = (Author::new(1), Node::new().await, Node::new().await);
    let mut profile = author.profile("acme");
    let names = (0..8_000).map(|number| format!("repo-{number:060}").parse().unwrap());
    profile.repos = names.collect();
    let head = author.publish_profile(&alice, &profile, None);
    let bytes = profile.encode().unwrap();
    assert!(bytes.len() > 2 * hubless_content::CHUNK_SIZE);
    let mut holder = within(Holder::open(&bob.cx, &alice.source()))
        .await
        .unwrap();
    let key = head.head().subject.key();
    let max = hubless_content::PROFILE_BYTES_MAX;
    let document = within(holder.document(key, head.head().state, max)).await;
    assert_eq!(document.unwrap(), bytes);
    let other = within(holder.document(key, DocumentHash::new([1; 32]), max)).await;
    assert!(matches!(other, Err(AskError::NotHere { .. })));
}

/// Watches of many peers for many publishers: each of them alone is within its bounds.
#[tokio::test(flavor = "multi_thread")]
async fn five_thousand_watches_are_bounded_and_the_node_answers_on() {
    const CLIENTS: usize = 79;
    const OF_EACH: usize = 64;
    let alice = Node::new().await;
    let mut publishers = Vec::new();
    for seed in 1..=80 {
        let author = Author::new(seed);
        author.publish_profile(&alice, &author.profile("acme"), None);
        publishers.push(author);
    }
    let (mut watched, mut refused, mut open) = (0, 0, Vec::new());
    for number in 0..CLIENTS {
        eprintln!(
            "{number} {watched} {refused} {:?}",
            std::time::SystemTime::now()
        );
        let client = one_of_a_crowd().await;
        let address = alice.network.listen_addresses();
        let exchange = within(client.open(alice.network.peer_id(), address)).await;
        let mut exchange = exchange.unwrap();
        for place in 0..OF_EACH {
            let watch = Request::Watch {
                publisher: publishers[(number + place) % publishers.len()].id(),
                subject: None,
            };
            exchange
                .requests
                .send(place as u64 + 1, watch)
                .await
                .unwrap();
        }
        for _ in 0..OF_EACH {
            match within(exchange.responses.recv())
                .await
                .unwrap()
                .unwrap()
                .response
            {
                Response::Head(_) => watched += 1,
                Response::Busy(_) => refused += 1,
                other => panic!("{other:?}"),
            }
        }
        open.push((client, exchange));
    }
    assert_eq!((watched, refused), (4_096, CLIENTS * OF_EACH - 4_096));
    // All of them are reported to, and others are answered meanwhile.
    let author = &publishers[0];
    let newer = author.publish(&alice, "m", &line(1), None);
    let bob = Node::new().await;
    let key = author.key("m");
    let given = within(hubless_names::ask::head(&bob.cx, &alice.source(), key)).await;
    assert_eq!(given.unwrap(), *newer);
    let (_, exchange) = &mut open[0];
    let report = within(exchange.responses.recv()).await.unwrap().unwrap();
    assert_eq!(
        report.response,
        Response::Head(Bytes::copy_from_slice(newer.record()))
    );
}
