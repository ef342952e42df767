//! Lists, chunks, stalls, liars and extra connections.

use std::{collections::VecDeque, time::Duration};

use hubless_content::{CHUNK_SIZE, ChunkSet, ModelChunk};
use hubless_scheduler::Input as SchedulerInput;

use super::fixture::{FILE, World};
use crate::{
    layout::FileNumber,
    request::FetchRequest,
    types::{End, Input, Output, PeerCommand, Stage},
};

#[test]
fn chunks_of_a_file_are_requested_when_its_list_is_proven() {
    let mut world = World::fetching(&[3]);
    let source = world.complete_source(1);
    world.take();
    world.handle(Input::ListStored(FILE));
    let mut requested = world.requests(source);
    requested.sort_unstable();
    assert_eq!(requested, [0, 1, 2]);
}

#[test]
fn a_list_that_one_source_refuses_is_asked_of_another() {
    let mut world = World::fetching(&[3]);
    let first = world.connect(1);
    assert!(
        world
            .commands(first)
            .contains(&PeerCommand::RequestList(FILE))
    );
    let second = world.connect(2);
    assert!(
        !world
            .commands(second)
            .contains(&PeerCommand::RequestList(FILE))
    );
    world.handle(Input::ListRefused(first, FILE));
    assert_eq!(world.commands(second), [PeerCommand::RequestList(FILE)]);
}

#[test]
fn a_source_that_is_silent_about_a_list_loses_it_after_ten_seconds() {
    let mut world = World::fetching(&[3]);
    let first = world.connect(1);
    assert!(
        world
            .commands(first)
            .contains(&PeerCommand::RequestList(FILE))
    );
    let second = world.connect(2);
    world.take();
    world.sleep(Duration::from_secs(10));
    assert_eq!(world.commands(second), []);
    world.sleep(Duration::from_secs(2));
    let outputs = world.take();
    let cancel = Output::Send(first, PeerCommand::CancelList(FILE));
    let ask = Output::Send(second, PeerCommand::RequestList(FILE));
    assert!(
        outputs.contains(&cancel) && outputs.contains(&ask),
        "{outputs:?}"
    );
}

#[test]
fn the_list_of_a_source_that_left_is_asked_of_another() {
    let mut world = World::fetching(&[3]);
    let first = world.connect(1);
    assert!(
        world
            .commands(first)
            .contains(&PeerCommand::RequestList(FILE))
    );
    let second = world.connect(2);
    world.take();
    world.end(first, End::Gone);
    assert_eq!(world.commands(second), [PeerCommand::RequestList(FILE)]);
}

#[test]
fn the_fetch_ends_when_the_last_chunk_is_stored() {
    let mut world = World::fetching(&[1, 1]);
    let source = world.complete_source(1);
    assert_eq!(
        world.fetch.progress(world.now).bytes_missing,
        2 * CHUNK_SIZE as u64
    );
    world.receive(source, 1);
    assert!(!world.has_finished());
    assert_eq!(
        world.fetch.progress(world.now).bytes_missing,
        CHUNK_SIZE as u64
    );
    world.receive(source, 0);
    let finished = world.finish().unwrap();
    assert_eq!(finished.bytes_present, 0);
    assert_eq!(finished.progress.bytes_missing, 0);
    assert_eq!(
        finished.progress.sources[0].bytes_fetched,
        2 * CHUNK_SIZE as u64
    );
}

#[test]
fn a_list_without_chunks_keeps_the_fetch_open() {
    let mut world = World::fetching(&[1, 2]);
    let source = world.complete_source(1);
    world.receive(source, 0);
    assert!(
        !world.has_finished(),
        "the list of the other file is missing"
    );
    world.handle(Input::ListStored(FileNumber(1)));
    world.receive(source, 1);
    world.receive(source, 2);
    world.finish().unwrap();
}

#[test]
fn chunks_of_a_source_that_left_are_asked_of_another() {
    let mut world = World::fetching(&[1, 1, 1]);
    let first = world.complete_source(1);
    assert_eq!(world.requests(first).len(), 3);
    let second = world.complete_source(2);
    world.take();
    world.end(first, End::Gone);
    let mut requested = world.requests(second);
    requested.sort_unstable();
    requested.dedup();
    assert_eq!(requested, [0, 1, 2]);
}

#[test]
fn a_request_that_a_connection_cannot_take_is_made_elsewhere() {
    let mut world = World::fetching(&[1]);
    let first = world.complete_source(1);
    assert_eq!(world.requests(first), [0]);
    let second = world.complete_source(2);
    world.take();
    world.handle(Input::Undelivered(
        first,
        PeerCommand::Request(ModelChunk(0)),
    ));
    assert_eq!(world.requests(second), [0]);
}

#[test]
fn a_peer_that_sends_wrong_chunks_again_and_again_is_banned_on_all_its_connections() {
    let mut world = World::fetching(&[1; 40]);
    let liar = world.complete_source(1);
    world.complete_source(2);
    let mut wrong = 0;
    let outputs = loop {
        world.take();
        world.receive_wrong(liar, wrong);
        wrong += 1;
        let outputs = world.take();
        if outputs.contains(&Output::Ban(1)) {
            break outputs;
        }
        assert!(wrong < 40, "it is banned at last");
    };
    assert!(wrong > 1, "the first wrong chunk may be a damaged disk");
    assert!(outputs.contains(&Output::Close(liar)));
    world.end(liar, End::Gone);
    world.name(1);
    world.sleep(Duration::from_secs(2));
    let is_dial = |output: &_| matches!(output, Output::Connect(_, dial) if dial.peer == 1);
    assert!(!world.take().iter().any(is_dial), "it stays out");
    assert_eq!(world.fetch.outlook(world.now).holders, 1);
}

#[test]
fn a_source_that_breaks_the_protocol_is_banned_and_its_requests_go_to_others() {
    let mut world = World::fetching(&[1, 1]);
    let liar = world.complete_source(1);
    world.take();
    let honest = world.complete_source(2);
    world.take();
    world.end(liar, End::Misbehaved);
    let outputs = world.take();
    assert!(outputs.contains(&Output::Ban(1)), "{outputs:?}");
    let is_request =
        |output: &&_| matches!(output, Output::Send(to, PeerCommand::Request(_)) if *to == honest);
    assert!(outputs.iter().filter(is_request).count() > 0, "{outputs:?}");
}

#[test]
fn a_useful_peer_that_left_is_dialled_again_soon() {
    let mut world = World::fetching(&[1, 1]);
    let source = world.complete_source(1);
    world.receive(source, 0);
    world.take();
    world.end(source, End::Gone);
    world.sleep(Duration::from_millis(499));
    assert_eq!(world.take(), []);
    world.sleep(Duration::from_millis(1));
    world.dialled(1);
}

#[test]
fn a_fetch_whose_only_source_left_searches_others_within_a_second() {
    let mut world = World::fetching(&[1, 1]);
    let source = world.complete_source(1);
    world.join_dht();
    // Walks that find nothing come after longer and longer waits: 16 s in the end.
    for wait in [0, 1, 2, 4, 8] {
        world.sleep(Duration::from_secs(wait));
        world.end_walks();
    }
    world.receive(source, 0);
    world.take();
    world.end(source, End::Gone);
    world.sleep(Duration::from_secs(1));
    let is_walk = |output: &_| matches!(output, Output::Walk(_));
    assert!(world.take().iter().any(is_walk));
}

#[test]
fn a_stall_hurries_the_search_is_reported_and_counted_once() {
    let mut world = World::fetching(&[1, 1]);
    world.join_dht();
    let source = world.complete_source(1);
    world.end_walks();
    world.take();
    world.receive(source, 0);
    let came_at = world.now;
    world.sleep_until(came_at + Duration::from_secs(2));
    assert_eq!(world.fetch.progress(world.now).stall, None);
    world.sleep_until(came_at + Duration::from_secs(4));
    let progress = world.fetch.progress(world.now);
    assert_eq!(progress.stage, Stage::FindingProviders);
    let stall = progress.stall.expect("it is reported");
    assert_eq!((stall.waiting_for, stall.others), (Some(1), 0));
    world.take();
    world.sleep_until(came_at + Duration::from_secs(25));
    let stalls = world
        .take()
        .into_iter()
        .filter(|output| *output == Output::Stalled);
    assert_eq!(stalls.count(), 1);
}

#[test]
fn a_source_with_nothing_is_no_holder_and_one_with_a_chunk_is() {
    let mut world = World::fetching(&[1, 1]);
    let source = world.connect(1);
    let empty = ChunkSet::empty(2);
    world.handle(Input::Chunks(SchedulerInput::SourceHas(source, empty)));
    assert_eq!(world.fetch.outlook(world.now).holders, 0);
    let gained = SchedulerInput::SourceGained(source, vec![ModelChunk(0)..ModelChunk(1)]);
    world.handle(Input::Chunks(gained));
    assert_eq!(world.fetch.outlook(world.now).holders, 1);
    assert_eq!(world.requests(source), [0]);
}

#[test]
fn a_chunk_from_elsewhere_is_cancelled_at_its_source_and_counts_as_held() {
    let mut world = World::fetching(&[1, 1]);
    let source = world.complete_source(1);
    assert_eq!(world.requests(source).len(), 2);
    world.handle(Input::External {
        chunk: ModelChunk(1),
        bytes: CHUNK_SIZE as u32,
    });
    assert_eq!(world.commands(source), [PeerCommand::Cancel(ModelChunk(1))]);
    assert_eq!(
        world.fetch.progress(world.now).bytes_missing,
        CHUNK_SIZE as u64
    );
    assert_eq!(world.fetch.chunks_stored(), 1);
    world.receive(source, 0);
    world.finish().unwrap();
}

#[test]
fn a_second_connection_of_a_peer_that_ends_leaves_the_first_one_alone() {
    let mut world = World::fetching(&[1000]);
    world.handle(Input::ListStored(FILE));
    let first = world.complete_source(1);
    // Each answer takes 200 ms and comes 5 ms after the one before: one connection does not fill the
    // path.
    let (answer_time, between) = (Duration::from_millis(200), Duration::from_millis(5));
    let mut answers: VecDeque<(Duration, u32)> = VecDeque::new();
    let mut second = None;
    while second.is_none() {
        for output in world.take() {
            match output {
                Output::Send(to, PeerCommand::Request(chunk)) if to == first => {
                    let after_last = answers.back().map_or(world.now, |(at, _)| *at + between);
                    answers.push_back(((world.now + answer_time).max(after_last), chunk.0));
                }
                Output::Connect(source, dial) => {
                    assert_eq!(dial.peer, 1, "the same peer");
                    second = Some(source);
                }
                _ => {}
            }
        }
        let (at, chunk) = answers
            .pop_front()
            .expect("requests go on until a lane is added");
        world.sleep_until(at);
        world.receive(first, chunk);
    }
    let second = second.unwrap();
    world.handle(Input::Connected(second));
    world.end(second, End::Gone);
    world.take();
    world.sleep(Duration::from_millis(100));
    let is_dial = |output: &_| matches!(output, Output::Connect(..));
    assert!(!world.take().iter().any(is_dial), "the peer is connected");
    assert_eq!(world.fetch.outlook(world.now).holders, 1);
}

#[test]
fn a_finished_shared_fetch_is_idle() {
    let mut world = World::of(&[1], |model| FetchRequest::Shared { model });
    world.know_manifest();
    let source = world.complete_source(1);
    assert!(!world.fetch.progress(world.now).is_idle);
    world.receive(source, 0);
    assert!(world.fetch.progress(world.now).is_idle);
    assert!(!world.has_finished(), "a reader may ask for more");
}
