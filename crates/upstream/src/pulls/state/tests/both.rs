//! While the upstream sends.

use super::*;

// Both

#[test]
fn readers_follow_the_upstream_but_get_no_last_chunk_before_the_proof() {
    let mut run = Run::public().both();
    run.input(Input::Written(3 * CHUNK));
    assert!(matches!(run.grant(0), Grant::Upstream(end) if end == 3 * CHUNK));
    assert!(matches!(run.grant(3 * CHUNK), Grant::Wait));
    assert!(matches!(run.pull.grant(&(0..10)), Grant::Upstream(10)));
    run.input(Input::Written(SIZE));
    assert!(matches!(run.grant(0), Grant::Upstream(end) if end == 9 * CHUNK));
    assert!(matches!(run.grant(9 * CHUNK), Grant::Wait));
    run.input(Input::UpstreamEnded(Ok(file(1))));
    // A slow reader goes on while the pull is settled.
    assert!(matches!(run.grant(0), Grant::Upstream(end) if end == 9 * CHUNK));
    run.expect_done(file(1));
}

#[test]
fn a_file_of_one_chunk_is_given_when_it_is_proven_only() {
    let mut pull = Pull::new(100, Listing::default());
    pull.handle(Duration::ZERO, Input::Missing(PeerSearch::None));
    pull.handle(Duration::ZERO, Input::Written(100));
    assert!(matches!(pull.grant(&(0..100)), Grant::Wait));
}

#[test]
fn the_upstreams_file_bans_the_peers_that_claimed_another() {
    let (liar, honest) = (claim(2), claim(1));
    let mut run = Run::public().both_with(liar.clone());
    run.input(Input::Claimed(honest));
    run.input(Input::UpstreamEnded(Ok(file(1))));
    assert_eq!(run.banned(), [liar.peer]);
    assert_eq!(run.discarded(), [file(2)]);
    run.expect_done(file(1));
}

#[test]
fn under_a_git_id_alone_no_peer_is_banned_for_another_file() {
    let mut run = Run::new(Listing::default()).both_with(claim(2));
    run.input(Input::UpstreamEnded(Ok(file(1))));
    assert!(run.banned().is_empty());
    assert_eq!(run.discarded(), [file(2)]);
    run.expect_done(file(1));
}

#[test]
fn a_file_that_came_from_both_is_not_discarded() {
    let mut run = Run::public().both_with(claim(1));
    run.input(Input::UpstreamEnded(Ok(file(1))));
    assert!(run.discarded().is_empty() && run.banned().is_empty());
    run.expect_done(file(1));
}

#[test]
fn a_refusal_of_the_upstream_is_final_whatever_peers_have() {
    let mut run = Run::public().both_with(claim(1));
    run.input(Input::UpstreamEnded(Err(refused())));
    assert_eq!(run.discarded(), [file(1)]);
    run.expect_failed(PullError::is_refusal);
}

#[test]
fn without_peers_a_failure_of_the_upstream_is_the_end() {
    let mut run = Run::public().both();
    run.input(Input::Written(2 * CHUNK));
    run.input(Input::UpstreamEnded(Err(failed())));
    assert!(run.pull.keeps_part());
    run.expect_failed(is_failed);
}

#[test]
fn claims_are_tried_in_turn_and_the_false_ones_banned() {
    let (first, more, last) = (claim(1), [claim(2), claim(2)], claim(3));
    let mut run = Run::public().both_with(first.clone());
    assert!(run.takes_try(file(1)));
    run.input(Input::Claimed(last.clone()));
    more.iter()
        .for_each(|claim| run.input(Input::Claimed(claim.clone())));
    run.input(Input::TrialEnded(TrialEnd::OtherFile));
    assert_eq!(run.banned(), [first.peer]);
    assert_eq!(run.discarded(), [file(1)]);
    assert!(run.takes_try(file(2)), "that which most peers claim");
    run.input(Input::TrialEnded(TrialEnd::OtherFile));
    assert_eq!(run.banned(), [first.peer, more[0].peer, more[1].peer]);
    assert!(run.takes_try(file(3)));
    // Another claim of what is being fetched is one more peer to fetch it from.
    let late = claim(3);
    run.input(Input::Claimed(late.clone()));
    assert!(run.take(|output| matches!(output, Output::Introduce(it) if *it == late)));
    // One of what was tried is not tried again.
    run.input(Input::Claimed(claim(1)));
    run.input(Input::TrialEnded(TrialEnd::Failed));
    assert!(!run.takes_try(file(1)));
    assert_eq!(run.banned().len(), 3, "a fetch that fails is no lie");
}

#[test]
fn a_file_that_the_upstream_lists_is_tried_before_what_more_peers_claim() {
    let mut run = Run::new(Listing {
        file: Some(file(9)),
        ..Listing::default()
    });
    run.input(Input::Missing(PeerSearch::Claims));
    assert!(run.takes_try(file(9)));
    run.wait(NEARBY_WITHIN);
    run.input(Input::Claimed(claim(1)));
    run.input(Input::TrialEnded(TrialEnd::Failed));
    assert!(run.takes_try(file(1)));
}

#[test]
fn liars_waste_no_more_than_eight_tries() {
    let mut run = Run::public().searching();
    for fill in 1..=20 {
        run.input(Input::Claimed(claim(fill)));
    }
    for _ in 0..8 {
        assert!(run.take(|output| matches!(output, Output::Try { .. })));
        run.input(Input::TrialEnded(TrialEnd::OtherFile));
    }
    assert!(!run.take(|output| matches!(output, Output::Try { .. })));
    run.input(Input::UpstreamEnded(Err(failed())));
    run.expect_failed(is_failed);
}
