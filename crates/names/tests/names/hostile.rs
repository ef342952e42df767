//! Peers that lie about names, or never come to an end.

use std::sync::Arc;

use bytes::Bytes;
use hubless_content::{CHUNK_SIZE, DocumentHash, Revision, STATE_BYTES_MAX, VerifiedHead};
use hubless_names::{
    ask::{AskError, Holder, Wrong},
    sync::SyncError,
};
use hubless_network::Network;
use hubless_wire::{HistoryPage, Request, Response};

use crate::common::*;

fn document(total: usize, page: Vec<u8>) -> Vec<(Response, Bytes)> {
    let total = total as u32;
    vec![(Response::Document { total }, page.into())]
}

fn history(revisions: &[&Revision], last: bool) -> (Response, Bytes) {
    let mut page = HistoryPage::default();
    for revision in revisions {
        assert!(page.push(&revision.encode().unwrap()));
    }
    (Response::History { last }, page.take())
}

/// What a node finds wrong with a document that a peer gives.
async fn wrong_document(peer: &Network) -> Wrong {
    let bob = Node::new().await;
    let mut holder = within(Holder::open(&bob.cx, &source(peer))).await.unwrap();
    let key = Author::new(1).key("m");
    let document = within(holder.document(key, DocumentHash::of(b"right"), STATE_BYTES_MAX)).await;
    assert!(bob.network.is_banned(&peer.peer_id()));
    match document.unwrap_err() {
        AskError::Wrong { what, .. } => what,
        other => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_gives_a_wrong_document_is_banned() {
    let wrong = peer(|_| document(5, b"wrong".to_vec())).await;
    assert_eq!(wrong_document(&wrong).await, Wrong::Document);
    let longer = peer(|_| document(3, b"right".to_vec())).await;
    assert_eq!(wrong_document(&longer).await, Wrong::Pages(STATE_BYTES_MAX));
    let empty = peer(|_| document(5, Vec::new())).await;
    assert_eq!(wrong_document(&empty).await, Wrong::Pages(STATE_BYTES_MAX));
    let other = peer(|_| vec![(Response::ChunkList, Bytes::new())]).await;
    assert_eq!(wrong_document(&other).await, Wrong::Response);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_without_end_ends_at_its_limit() {
    // Of one byte more than a state may have; each page is whole.
    let endless = peer(|_| document(STATE_BYTES_MAX, vec![0; CHUNK_SIZE])).await;
    assert_eq!(wrong_document(&endless).await, Wrong::Document);
    let larger = peer(|_| document(STATE_BYTES_MAX + 1, vec![0; CHUNK_SIZE])).await;
    // The wire refuses that size.
    assert!(matches!(
        wrong_by_wire(&larger).await,
        AskError::Wrong { .. }
    ));
}

async fn wrong_by_wire(peer: &Network) -> AskError {
    let bob = Node::new().await;
    let mut holder = within(Holder::open(&bob.cx, &source(peer))).await.unwrap();
    let key = Author::new(1).key("m");
    let document = within(holder.document(key, DocumentHash::of(b"right"), STATE_BYTES_MAX)).await;
    document.unwrap_err()
}

/// Gives the state of a head, and these pages as its history.
async fn giving(
    author: &Author,
    tip: &Revision,
    pages: Vec<(Response, Bytes)>,
) -> (Network, Arc<VerifiedHead>) {
    let state = author.state("m", tip);
    let head = author.head(state.subject.clone(), state.hash().unwrap(), None);
    let state = state.encode().unwrap();
    let giving = peer(move |request| match request {
        Request::Document { .. } => document(state.len(), state.clone()),
        _ => pages.clone(),
    });
    (giving.await, Arc::new(head))
}

async fn refused(author: &Author, tip: &Revision, pages: Vec<(Response, Bytes)>) -> AskError {
    let (mallory, head) = giving(author, tip, pages).await;
    let bob = Node::new().await;
    let adopted = within(bob.adopter.adopt(head, &[source(&mallory)])).await;
    assert_eq!(bob.seen(author.key("m")), None);
    match adopted.unwrap_err() {
        SyncError::Missing {
            last: Some(last), ..
        } => last,
        other => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn revisions_that_are_not_of_the_history_are_refused() {
    let author = Author::new(1);
    let line = line(3);
    let unrelated = revision(77, &[]);
    let [root, middle, tip] = [&line[0], &line[1], &line[2]];
    for pages in [
        // Another one in the place of the tip.
        vec![history(&[&unrelated], true)],
        // One that none before it names.
        vec![history(&[tip, middle, &unrelated], true)],
        // A parent before its child.
        vec![history(&[tip, root, middle], true)],
        // The same one again and again.
        vec![history(&[tip, tip], true)],
        // A page that is none.
        vec![(
            Response::History { last: true },
            Bytes::from_static(&[200, 1]),
        )],
        vec![(
            Response::History { last: true },
            Bytes::from_static(&[2, 7, 7]),
        )],
        // Pages without end.
        vec![(Response::History { last: false }, Bytes::new())],
    ] {
        let error = refused(&author, tip, pages).await;
        assert!(matches!(error, AskError::Wrong { .. }), "{error}");
    }
    // A peer that has no more than a part is no liar, and nothing is taken.
    let part = refused(&author, tip, vec![history(&[tip, middle], true)]).await;
    assert!(
        matches!(
            part,
            AskError::Wrong {
                what: Wrong::Revision(_),
                ..
            }
        ),
        "{part}"
    );
    let none = refused(&author, tip, vec![history(&[], true)]).await;
    assert!(matches!(none, AskError::NotHere { .. }), "{none}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_history_of_a_strange_peer_is_as_good_as_any() {
    let author = Author::new(1);
    let line = line(3);
    let pages = vec![
        history(&[&line[2], &line[1]], false),
        history(&[&line[0]], true),
    ];
    let (stranger, head) = giving(&author, &line[2], pages).await;
    let bob = Node::new().await;
    within(bob.adopter.adopt(head, &[source(&stranger)]))
        .await
        .unwrap();
    let repo = author.subject("m").repo_id().unwrap();
    assert_eq!(bob.cx.store.revisions(&repo).unwrap().len(), 3);
}
