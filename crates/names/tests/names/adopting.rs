//! Heads that are taken from another node, with all that they name.

use std::sync::Arc;

use bytes::Bytes;
use hubless_content::{DocumentHash, RefName, Revision, Status, Subject};
use hubless_names::{
    ask::{self, AskError},
    book::Refusal,
    sync::{Adopted, Bad, SyncError},
};
use hubless_wire::{HistoryPage, Request, Response};

use crate::common::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_head_is_taken_with_its_state_its_history_and_its_refs() {
    let (author, alice, bob) = (Author::new(1), Node::new().await, Node::new().await);
    // More than two responses have, and a merge of two branches.
    let mut history = line(2_500);
    let side = revision(9_000, &[&history[1_000]]);
    let merged = revision(9_001, &[&history[2_499], &side]);
    history.extend([side, merged]);
    let head = author.publish(&alice, "Mini", &history, None);
    let given = within(ask::head(&bob.cx, &alice.source(), author.key("mini"))).await;
    let given = given.unwrap();
    assert_eq!(given, *head);
    let adopted = within(bob.adopter.adopt(head.clone(), &[alice.source()])).await;
    assert_eq!(adopted.unwrap(), Adopted::Newer { fork_of: None });
    let store = &bob.cx.store;
    let repo = author.subject("Mini").repo_id().unwrap();
    assert_eq!(store.revisions(&repo).unwrap().len(), history.len());
    for revision in &history {
        let held = store.revision(&repo, revision.commit_id().unwrap());
        assert_eq!(held.unwrap().as_ref(), Some(revision));
    }
    let tip = history[history.len() - 1].commit_id().unwrap();
    assert_eq!(store.get_ref(&repo, &RefName::main()).unwrap(), Some(tip));
    assert_eq!(
        store.chain(author.id()).unwrap().as_ref(),
        Some(&author.chain)
    );
    // He gives what he has to others.
    let carol = Node::new().await;
    let adopted = within(carol.adopter.adopt(head, &[bob.source()])).await;
    assert_eq!(adopted.unwrap(), Adopted::Newer { fork_of: None });
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_history_only_what_is_not_here_is_fetched_and_a_gone_repo_has_no_refs() {
    let (author, alice, bob) = (Author::new(1), Node::new().await, Node::new().await);
    let history = line(10);
    let first = author.publish(&alice, "m", &history, None);
    within(bob.adopter.adopt(first.clone(), &[alice.source()]))
        .await
        .unwrap();
    let next = revision(10, &[&history[9]]);
    let second = author.publish(&alice, "m", std::slice::from_ref(&next), Some(&first));
    let before = bob.network.counters().received.total();
    within(bob.adopter.adopt(second.clone(), &[alice.source()]))
        .await
        .unwrap();
    let received = bob.network.counters().received.total() - before;
    assert!(received < 600, "one revision and a state: {received} bytes");
    let mut gone = author.state("m", &next);
    (gone.refs, gone.status) = (Vec::new(), Status::Gone);
    let head = author.head(gone.subject.clone(), gone.hash().unwrap(), Some(&second));
    let head = alice.publish(&head, &gone, &[], Some(&second));
    within(bob.adopter.adopt(head, &[alice.source()]))
        .await
        .unwrap();
    let repo = author.subject("m").repo_id().unwrap();
    assert!(bob.cx.store.refs(&repo).unwrap().is_empty());
    let state = bob.cx.store.state(author.key("m")).unwrap().unwrap();
    assert_eq!(state.status, Status::Gone);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_is_taken_and_a_confirmation_needs_no_document() {
    let (author, alice, bob) = (Author::new(1), Node::new().await, Node::new().await);
    let head = author.publish_profile(&alice, &author.profile("acme"), None);
    within(bob.adopter.adopt(head.clone(), &[alice.source()]))
        .await
        .unwrap();
    let profile = bob.cx.store.profile(author.id()).unwrap().unwrap();
    assert_eq!(profile.handle, "acme");
    let mut reports = bob.adopter.watchers().subscribe();
    let confirmed = Arc::new(author.confirm(&head));
    let adopted = within(bob.adopter.adopt(confirmed.clone(), &[])).await;
    assert_eq!(adopted.unwrap(), Adopted::Confirmed);
    assert_eq!(within(reports.recv()).await.unwrap(), confirmed);
    let again = within(bob.adopter.adopt(confirmed, &[])).await;
    assert_eq!(again.unwrap(), Adopted::Same);
    // All heads are signed again under a new document: no state is fetched for that.
    let renewed = Arc::new(author.with_signer(50).confirm(&head));
    let adopted = within(bob.adopter.adopt(renewed, &[])).await;
    assert_eq!(adopted.unwrap(), Adopted::Confirmed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_has_seen_a_state_takes_no_earlier_one() {
    let (author, alice, bob) = (Author::new(1), Node::new().await, Node::new().await);
    let history = line(2);
    let first = author.publish(&alice, "m", &history[..1], None);
    let second = author.publish(&alice, "m", &history[1..], Some(&first));
    within(bob.adopter.adopt(second.clone(), &[alice.source()]))
        .await
        .unwrap();
    let refused = within(bob.adopter.adopt(first, &[alice.source()])).await;
    match refused.unwrap_err() {
        SyncError::Refused {
            reason: Refusal::Rollback(seen),
            ..
        } => assert_eq!(*seen, *second),
        other => panic!("{other}"),
    }
    assert_eq!(bob.seen(author.key("m")), Some(second.head().state));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_signer_and_a_contradicting_chain_are_refused_and_a_rotation_undoes_a_thief() {
    let (author, alice, bob) = (Author::new(1), Node::new().await, Node::new().await);
    let history = line(3);
    // A thief signs with the highest number of all.
    let state = author.state("m", &history[0]);
    let mut stolen = author
        .head(state.subject.clone(), state.hash().unwrap(), None)
        .head()
        .clone();
    (stolen.seq, stolen.previous) = (1 << 63, Some(DocumentHash::new([1; 32])));
    let stolen = author.sign(&stolen);
    alice.publish(&stolen, &state, &history[..1], None);
    within(
        bob.adopter
            .adopt(Arc::new(stolen.clone()), &[alice.source()]),
    )
    .await
    .unwrap();
    // The publisher removes the signer, and goes on.
    let rotated = author.with_signer(50);
    let state = rotated.state("m", &history[1]);
    let head = rotated.head(state.subject.clone(), state.hash().unwrap(), None);
    alice.publish(&head, &state, &history[..2], Some(&stolen));
    within(bob.adopter.adopt(Arc::new(head.clone()), &[alice.source()]))
        .await
        .unwrap();
    assert_eq!(bob.seen(author.key("m")), Some(head.head().state));
    // The thief goes on too, with another repo: its signer is known to be removed.
    let state = author.state("other", &history[2]);
    let thief = author.head(state.subject.clone(), state.hash().unwrap(), None);
    let refused = within(bob.adopter.adopt(Arc::new(thief), &[alice.source()])).await;
    let is_removed = |error| match error {
        SyncError::Refused { reason, .. } => matches!(reason, Refusal::SignerRemoved(_)),
        _ => false,
    };
    assert!(is_removed(refused.unwrap_err()));
    // Old root keys make another history of keys.
    let (known, other) = (author.with_root(60), author.with_root(61));
    let state = known.state("x", &history[0]);
    let head = known.head(state.subject.clone(), state.hash().unwrap(), None);
    alice.publish(&head, &state, &history[..1], None);
    within(bob.adopter.adopt(Arc::new(head), &[alice.source()]))
        .await
        .unwrap();
    let state = other.state("y", &history[0]);
    let head = other.head(state.subject.clone(), state.hash().unwrap(), None);
    let refused = within(bob.adopter.adopt(Arc::new(head), &[alice.source()])).await;
    let contradicts = |error| match error {
        SyncError::Refused { reason, .. } => matches!(reason, Refusal::Contradicts(_)),
        _ => false,
    };
    assert!(contradicts(refused.unwrap_err()));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_states_of_one_number_all_nodes_take_the_same_one() {
    let author = Author::new(1);
    let history = line(3);
    let heads: Vec<_> = [1, 2]
        .map(|tip| {
            let state = author.state("m", &history[tip]);
            let head = author.head(state.subject.clone(), state.hash().unwrap(), None);
            (head, state)
        })
        .into();
    let mut signers = Vec::new();
    for (head, state) in &heads {
        let node = Node::new().await;
        node.publish(head, state, &history, None);
        signers.push(node);
    }
    let (lower, higher) = match heads[0].0.rank() < heads[1].0.rank() {
        true => (0, 1),
        false => (1, 0),
    };
    let take = async |node: &Node, which: usize| {
        let head = Arc::new(heads[which].0.clone());
        within(node.adopter.adopt(head, &[signers[which].source()])).await
    };
    let (bob, carol) = (Node::new().await, Node::new().await);
    take(&bob, lower).await.unwrap();
    let forked = take(&bob, higher).await.unwrap();
    let fork_of = Some(Box::new(heads[lower].0.clone()));
    assert_eq!(forked, Adopted::Newer { fork_of });
    take(&carol, higher).await.unwrap();
    assert!(take(&carol, lower).await.is_err());
    let key = author.key("m");
    assert_eq!(bob.seen(key), carol.seen(key));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_of_one_repo_is_worth_nothing_for_another() {
    let (author, alice, bob) = (Author::new(1), Node::new().await, Node::new().await);
    let history = line(1);
    // Signed by the publisher itself: a head of B that names the state of A.
    let of_a = author.state("a", &history[0]);
    let grafted = author.head(author.subject("b"), of_a.hash().unwrap(), None);
    let answering = {
        let document = Bytes::from(of_a.encode().unwrap());
        peer(move |_| {
            let total = document.len() as u32;
            vec![(Response::Document { total }, document.clone())]
        })
        .await
    };
    let refused = within(bob.adopter.adopt(Arc::new(grafted), &[source(&answering)])).await;
    match refused.unwrap_err() {
        SyncError::Bad {
            reason: Bad::OtherSubject(subject),
            ..
        } => assert_eq!(subject, author.subject("a")),
        other => panic!("{other}"),
    }
    assert_eq!(bob.seen(author.key("b")), None);
    // A node that gives the head of A for B lies, and is banned.
    let head = author.publish(&alice, "a", &history, None);
    let record = Bytes::copy_from_slice(head.record());
    let liar = peer(move |_| vec![(Response::Head(record.clone()), Bytes::new())]).await;
    let given = within(ask::head(&bob.cx, &source(&liar), author.key("b"))).await;
    assert!(matches!(given, Err(AskError::Wrong { .. })), "{given:?}");
    assert!(bob.network.is_banned(&liar.peer_id()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_whose_state_no_peer_gives_is_not_taken_and_the_next_lower_one_may_be() {
    let (author, alice, bob) = (Author::new(1), Node::new().await, Node::new().await);
    let history = line(1);
    let first = author.publish(&alice, "m", &history, None);
    let nowhere = author.head(
        first.head().subject.clone(),
        DocumentHash::new([9; 32]),
        Some(&first),
    );
    let refused = within(bob.adopter.adopt(Arc::new(nowhere), &[alice.source()])).await;
    let refused = refused.unwrap_err();
    assert!(
        matches!(&refused, SyncError::Missing { tried: 1, .. }),
        "{refused}"
    );
    assert!(refused.is_temporary());
    assert!(
        !bob.network.is_banned(&alice.network.peer_id()),
        "she did not lie"
    );
    within(bob.adopter.adopt(first.clone(), &[alice.source()]))
        .await
        .unwrap();
    assert_eq!(bob.seen(author.key("m")), Some(first.head().state));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_source_goes_on_where_the_first_one_ended() {
    let (author, bob) = (Author::new(1), Node::new().await);
    let line = line(3);
    let state = author.state("m", &line[2]);
    let head = author.head(state.subject.clone(), state.hash().unwrap(), None);
    let state = Bytes::from(state.encode().unwrap());
    let tip = line[2].commit_id().unwrap();
    // One has the state and the tip, the other the rest.
    let page = |revisions: &[&Revision]| {
        let mut page = HistoryPage::default();
        let encoded = revisions.iter().map(|revision| revision.encode().unwrap());
        encoded.for_each(|bytes| assert!(page.push(&bytes)));
        vec![(Response::History { last: true }, page.take())]
    };
    let (first, rest) = (page(&[&line[2]]), page(&[&line[1], &line[0]]));
    let not_here = || vec![(Response::NotHere, Bytes::new())];
    let one = peer(move |request| match request {
        Request::Document { .. } => {
            let total = state.len() as u32;
            vec![(Response::Document { total }, state.clone())]
        }
        Request::History { tip: asked, .. } if asked == tip => first.clone(),
        _ => not_here(),
    })
    .await;
    let other = peer(move |request| match request {
        Request::History { tip: asked, .. } if asked != tip => rest.clone(),
        _ => not_here(),
    })
    .await;
    let absent = client().await;
    let sources = [&absent, &one, &other].map(source);
    let adopted = within(bob.adopter.adopt(Arc::new(head), &sources)).await;
    assert_eq!(adopted.unwrap(), Adopted::Newer { fork_of: None });
}

#[tokio::test(flavor = "multi_thread")]
async fn adopting_twice_at_once_is_adopting_once() {
    let (author, alice, bob) = (Author::new(1), Node::new().await, Node::new().await);
    let head = author.publish(&alice, "m", &line(500), None);
    let alone = Node::new().await;
    within(alone.adopter.adopt(head.clone(), &[alice.source()]))
        .await
        .unwrap();
    let mut reports = bob.adopter.watchers().subscribe();
    let adopt = || async {
        let adopted = bob.adopter.adopt(head.clone(), &[alice.source()]).await;
        adopted.unwrap()
    };
    let adopted = within(futures::future::join_all((0..8).map(|_| adopt()))).await;
    let new = adopted
        .iter()
        .filter(|adopted| **adopted != Adopted::Same)
        .count();
    assert_eq!(new, 1);
    assert!(
        reports.try_recv().is_ok() && reports.try_recv().is_err(),
        "one report"
    );
    let received = |node: &Node| node.network.counters().received.total();
    assert_eq!(received(&bob), received(&alone), "it was fetched once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_of_another_publisher_is_refused() {
    let (author, other, bob) = (Author::new(1), Author::new(2), Node::new().await);
    let profile = other.profile("acme");
    let head = author.head(Subject::profile(author.id()), profile.hash().unwrap(), None);
    let document = Bytes::from(profile.encode().unwrap());
    let answering = peer(move |_| {
        let total = document.len() as u32;
        vec![(Response::Document { total }, document.clone())]
    })
    .await;
    let refused = within(bob.adopter.adopt(Arc::new(head), &[source(&answering)])).await;
    assert!(matches!(refused, Err(SyncError::Bad { .. })));
    assert!(bob.cx.store.profile(author.id()).unwrap().is_none());
}
