//! Before the upstream is asked.

use hubless_store::StoreError;

use super::*;

// Queued

#[test]
fn what_the_store_has_is_pulled_from_nowhere() {
    let mut run = Run::public();
    assert!(matches!(run.grant(0), Grant::Wait));
    run.input(Input::Held(file(1)));
    run.expect_done(file(1));
}

#[test]
fn without_a_peer_to_ask_the_upstream_is_asked_at_once() {
    let run = Run::public().both();
    assert!(run.outputs.is_empty());
}

#[test]
fn a_pull_that_cannot_begin_fails() {
    let mut run = Run::public();
    run.input(Input::NotBegun(StoreError::Cancelled.into()));
    run.expect_failed(|error| matches!(error, PullError::Store(_)));
}

#[test]
fn a_hash_that_the_upstream_lists_is_fetched_beside_the_upstream() {
    let mut run = Run::new(Listing {
        file: Some(file(1)),
        ..Listing::default()
    });
    run.input(Input::Missing(PeerSearch::ListedHash));
    run.expect_both();
    assert!(run.takes_try(file(1)));
    assert!(matches!(run.grant(0), Grant::Chunks(now, _) if now == file(1)));
    run.input(Input::TrialEnded(TrialEnd::Proven));
    run.expect_done(file(1));
}

#[test]
fn a_listed_hash_is_not_asked_for_where_peers_must_not_know() {
    let mut run = Run::new(Listing {
        file: Some(file(1)),
        ..Listing::default()
    });
    run.input(Input::Missing(PeerSearch::None));
    run.expect_both();
    assert!(!run.takes_try(file(1)));
}

// Searching

#[test]
fn the_upstream_waits_for_the_answers_of_nearby_peers() {
    let mut run = Run::public().searching();
    run.wait(NEARBY_WITHIN - ms(1));
    assert!(!run.has_asked_upstream());
    run.input(Input::NearbyAnswered);
    run.expect_both();
}

#[test]
fn the_upstream_waits_no_longer_than_nearby_peers_may_take() {
    let mut run = Run::public().searching();
    run.wait(NEARBY_WITHIN);
    run.expect_both();
    // What is claimed later is tried beside it.
    run.input(Input::Claimed(claim(1)));
    assert!(run.takes_try(file(1)));
    assert!(matches!(run.pull.state, State::Both { .. }));
}

#[test]
fn a_search_that_ends_without_a_claim_is_the_upstreams_turn() {
    let mut run = Run::public().searching();
    run.input(Input::SearchEnded);
    run.expect_both();
}

#[test]
fn a_listed_hash_alone_gives_peers_no_head_start() {
    let mut run = Run::new(Listing {
        file: Some(file(1)),
        has_sha256: true,
        ..Listing::default()
    });
    run.input(Input::Missing(PeerSearch::Claims));
    assert!(run.takes_try(file(1)));
    run.input(Input::NearbyAnswered);
    run.expect_both();
}

// HeadStart

#[test]
fn a_claim_has_a_head_start_before_the_upstream() {
    let mut run = Run::public().searching();
    let claim = claim(1);
    run.input(Input::Claimed(claim.clone()));
    assert!(run.takes_try(file(1)));
    assert!(run.take(|output| matches!(output, Output::Introduce(it) if *it == claim)));
    run.input(Input::NearbyAnswered);
    run.wait(HEAD_START - ms(1));
    assert!(!run.has_asked_upstream());
    assert!(matches!(run.grant(0), Grant::Wait), "nothing is proven");
    run.wait(ms(1));
    run.expect_both();
}

#[test]
fn a_file_that_is_proven_in_the_head_start_costs_the_upstream_nothing() {
    let mut run = Run::public().searching();
    run.input(Input::Claimed(claim(1)));
    run.wait(ms(500));
    run.input(Input::TrialEnded(TrialEnd::Proven));
    assert!(!run.has_asked_upstream());
    assert!(run.discarded().is_empty() && run.banned().is_empty());
    run.expect_done(file(1));
}

#[test]
fn a_claim_that_fails_ends_the_head_start() {
    let mut run = Run::public().searching();
    run.input(Input::Claimed(claim(1)));
    run.input(Input::Claimed(claim(2)));
    run.input(Input::TrialEnded(TrialEnd::Failed));
    run.expect_both();
    assert_eq!(run.discarded(), [file(1)]);
    assert!(run.takes_try(file(2)), "the next claim is tried beside it");
}

#[test]
fn a_trusted_file_keeps_the_upstream_waiting_as_long_as_it_comes_fast() {
    let mut run = Run::of_members().searching();
    run.input(Input::Claimed(claim(1)));
    assert!(matches!(run.grant(0), Grant::Chunks(now, end) if now == file(1) && end == 9 * CHUNK));
    for window in 1..5 {
        run.input(Input::ChunksStored(window * CHUNKS_IN_LEAD_MIN));
        run.wait(HEAD_START);
        assert!(!run.has_asked_upstream(), "window {window}");
    }
    run.input(Input::ChunksStored(5 * CHUNKS_IN_LEAD_MIN - 1));
    run.wait(HEAD_START);
    run.expect_both();
}

#[test]
fn a_file_that_is_not_trusted_gets_no_longer_head_start_however_fast_it_is() {
    let mut run = Run::public().searching();
    run.input(Input::Claimed(claim(1)));
    run.input(Input::ChunksStored(1000));
    run.wait(HEAD_START);
    run.expect_both();
}
