//! Without the upstream, with what is proven, and without readers.

use super::{super::grant::AHEAD_MAX, *};

// PeersOnly

#[test]
fn when_the_upstream_fails_a_claimed_file_is_waited_for_as_long_as_it_comes() {
    let mut run = Run::public().both_with(claim(1));
    run.input(Input::Written(3 * CHUNK));
    run.input(Input::UpstreamEnded(Err(failed())));
    run.expect_peers_only();
    assert!(run.pull.keeps_part());
    assert!(matches!(run.grant(0), Grant::Upstream(end) if end == 3 * CHUNK));
    assert!(matches!(run.grant(3 * CHUNK), Grant::Wait));
    run.wait(Duration::from_secs(3600));
    run.expect_peers_only();
    run.input(Input::TrialEnded(TrialEnd::Proven));
    assert!(matches!(run.pull.state, State::Sealed { .. }));
}

#[test]
fn when_the_upstream_fails_the_first_claim_may_take_three_seconds() {
    let mut run = Run::public().searching();
    run.wait(NEARBY_WITHIN);
    run.input(Input::UpstreamEnded(Err(failed())));
    run.expect_peers_only();
    run.wait(CLAIM_WITHIN - ms(1));
    run.input(Input::Claimed(claim(1)));
    assert!(run.takes_try(file(1)));
    run.wait(Duration::from_secs(60));
    run.expect_peers_only();
    // And so may the next one.
    run.input(Input::TrialEnded(TrialEnd::Failed));
    run.wait(CLAIM_WITHIN - ms(1));
    run.expect_peers_only();
    run.wait(ms(1));
    run.expect_failed(is_failed);
}

#[test]
fn when_the_upstream_fails_the_end_of_the_last_claim_is_the_end() {
    let mut run = Run::public().both_with(claim(1));
    run.input(Input::SearchEnded);
    run.input(Input::UpstreamEnded(Err(failed())));
    run.expect_peers_only();
    run.input(Input::TrialEnded(TrialEnd::OtherFile));
    run.expect_failed(is_failed);
}

#[test]
fn when_the_upstream_fails_the_end_of_the_search_is_the_end() {
    let mut run = Run::public().searching();
    run.input(Input::NearbyAnswered);
    run.input(Input::UpstreamEnded(Err(failed())));
    run.expect_peers_only();
    run.input(Input::SearchEnded);
    run.expect_failed(is_failed);
}

#[test]
fn a_listed_hash_that_no_peer_claims_is_not_waited_for() {
    let mut run = Run::new(Listing {
        file: Some(file(1)),
        has_sha256: true,
        ..Listing::default()
    });
    run.input(Input::Missing(PeerSearch::Claims));
    run.input(Input::NearbyAnswered);
    run.input(Input::UpstreamEnded(Err(failed())));
    run.expect_peers_only();
    run.wait(CLAIM_WITHIN);
    assert_eq!(run.discarded(), [file(1)]);
    run.expect_failed(is_failed);
}

// Sealed

/// Readers got three chunks of the upstream, and peers gave the file.
fn sealed() -> Run {
    let mut run = Run::public().both_with(claim(1));
    run.input(Input::Written(3 * CHUNK));
    run.input(Input::TrialEnded(TrialEnd::Proven));
    assert!(run.take(|output| matches!(output, Output::LeaveUpstream)));
    assert!(run.take(
        |output| matches!(output, Output::Compare { file: it, bytes } if *it == file(1) && *bytes == 3 * CHUNK)
    ));
    run
}

#[test]
fn a_proven_file_of_peers_seals_what_the_upstream_sent() {
    let mut run = sealed();
    run.input(Input::Written(5 * CHUNK));
    assert!(matches!(run.grant(0), Grant::Wait), "nothing more of it");
    assert!(!run.pull.keeps_part());
    run.input(Input::Compared(Ok(())));
    assert!(!run.pull.keeps_part());
    assert!(run.discarded().is_empty());
    run.expect_done(file(1));
}

#[test]
fn a_wrong_byte_of_the_upstream_is_not_completed_with_a_right_end() {
    let mut run = sealed();
    run.input(Input::Compared(Err(wrong_bytes())));
    assert!(run.discarded().is_empty(), "what peers gave is right");
    assert!(!run.pull.keeps_part(), "what the upstream sent is wrong");
    run.expect_failed(|error| matches!(error, PullError::WrongBytes { .. }));
}

#[test]
fn nothing_is_compared_if_no_reader_could_get_anything() {
    let mut run = Run::public().both_with(claim(1));
    run.input(Input::TrialEnded(TrialEnd::Proven));
    assert!(!run.take(|output| matches!(output, Output::Compare { .. })));
    run.expect_done(file(1));
}

#[test]
fn chunks_of_a_trusted_file_are_given_while_the_upstreams_are_compared() {
    let mut run = Run::of_members().both_with(claim(1));
    run.input(Input::Written(3 * CHUNK));
    run.input(Input::TrialEnded(TrialEnd::Proven));
    assert!(matches!(run.grant(0), Grant::Chunks(now, end) if now == file(1) && end == 9 * CHUNK));
    run.input(Input::Compared(Ok(())));
    run.expect_done(file(1));
}

#[test]
fn a_claim_that_comes_while_it_is_compared_is_judged_too() {
    let mut run = sealed();
    let liar = claim(2);
    run.input(Input::Claimed(liar.clone()));
    assert!(!run.takes_try(file(2)), "the file is here");
    run.input(Input::Compared(Ok(())));
    assert_eq!(run.banned(), [liar.peer]);
    run.expect_done(file(1));
}

// Ending

#[test]
fn what_comes_after_the_end_changes_nothing() {
    let mut run = Run::public().both_with(claim(1));
    run.input(Input::UpstreamEnded(Ok(file(1))));
    run.input(Input::Claimed(claim(2)));
    run.input(Input::TrialEnded(TrialEnd::OtherFile));
    run.input(Input::SearchEnded);
    run.input(Input::Stopped);
    run.input(Input::UpstreamEnded(Err(failed())));
    run.wait(Duration::from_secs(60));
    assert!(run.banned().is_empty() && run.discarded().is_empty());
    assert!(run.pull.is_joinable() && run.pull.is_near(SIZE));
    run.expect_done(file(1));
}

#[test]
fn a_node_that_stops_ends_the_pull_and_keeps_the_part() {
    let mut run = Run::public().both_with(claim(1));
    run.input(Input::Written(3 * CHUNK));
    run.input(Input::Stopped);
    assert!(run.pull.keeps_part());
    assert_eq!(run.discarded(), [file(1)]);
    assert!(run.banned().is_empty(), "nothing is known of its claim");
    run.expect_failed(is_interrupted);
}

// Readers

#[test]
fn a_pull_lingers_for_readers_that_come_back_and_ends_without_them() {
    for begin in [
        Run::public as fn() -> Run,
        || Run::public().both(),
        || Run::public().both_with(claim(1)),
    ] {
        let mut run = begin();
        run.input(Input::ReaderJoined);
        run.input(Input::ReaderLeft);
        run.wait(Duration::from_secs(3600));
        assert!(run.pull.is_joinable(), "one still reads");
        run.input(Input::ReaderLeft);
        run.wait(LINGER - ms(1));
        run.input(Input::ReaderJoined);
        run.wait(LINGER);
        assert!(run.pull.is_joinable(), "it came back");
        run.input(Input::ReaderLeft);
        run.wait(LINGER - ms(1));
        assert!(run.pull.is_joinable());
        run.wait(ms(1));
        run.expect_failed(is_interrupted);
    }
}

#[test]
fn a_pull_that_no_reader_joined_ends() {
    let mut run = Run::public();
    run.input(Input::ReaderLeft);
    run.wait(LINGER);
    run.expect_failed(is_interrupted);
}

#[test]
fn what_is_waited_for_until_the_proof_goes_on_without_readers() {
    let mut run = Run::public().both_with(claim(1));
    run.input(Input::UpstreamEnded(Err(failed())));
    run.input(Input::ReaderLeft);
    run.wait(Duration::from_secs(3600));
    run.expect_peers_only();

    let mut run = sealed();
    run.input(Input::ReaderLeft);
    run.wait(Duration::from_secs(3600));
    run.input(Input::Compared(Ok(())));
    run.expect_done(file(1));
}

#[test]
fn a_reader_of_a_part_joins_only_what_comes_near() {
    let far = 100 * 1024 * 1024;
    let mut pull = Pull::new(2 * far, Listing::default());
    pull.handle(Duration::ZERO, Input::Missing(PeerSearch::None));
    assert!(pull.is_near(AHEAD_MAX) && !pull.is_near(AHEAD_MAX + 1));
    pull.handle(Duration::ZERO, Input::Written(far));
    assert!(pull.is_near(far + AHEAD_MAX) && !pull.is_near(far + AHEAD_MAX + 1));

    let mut run = Run::public().both_with(claim(1));
    run.input(Input::UpstreamEnded(Err(failed())));
    assert!(run.pull.is_near(u64::MAX), "there is no other source");
}
