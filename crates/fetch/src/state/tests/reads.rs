//! Readers of a shared fetch.

use std::time::Duration;

use hubless_content::{CHUNK_SIZE, ChunkSet, FileHash};

use super::fixture::{FILE, PATIENCE, World};
use crate::{
    request::{FetchRequest, ReadRequest},
    types::{FetchError, Input, Output, PeerCommand, Planned},
};

const CHUNK: u64 = CHUNK_SIZE as u64;

/// A shared fetch of which nothing is wanted yet: a file of 4 chunks and one of 1.
fn shared() -> World {
    let mut world = World::of(&[4, 1], |model| FetchRequest::Shared { model });
    let manifest = world.manifest.clone();
    world.handle(Input::ManifestKnown(manifest));
    world.take();
    world.handle(Input::Planned(nothing_missing()));
    world.take();
    world
}

fn nothing_missing() -> Planned {
    Planned {
        wanted_now: ChunkSet::empty(5),
        missing: ChunkSet::empty(5),
        lists: Vec::new(),
    }
}

fn read(bytes: std::ops::Range<u64>) -> ReadRequest {
    ReadRequest {
        file: FileHash::new([1; 32]),
        next: bytes.start..bytes.start + 1,
        bytes,
    }
}

/// Answers [`Output::PlanRead`]: these chunks are missing, with or without the list.
fn plan(world: &mut World, chunks: std::ops::Range<u32>, has_list: bool) {
    let planned = world.take().into_iter().find_map(|output| match output {
        Output::PlanRead { file, request } => Some((file, request)),
        _ => None,
    });
    let (file, request) = planned.expect("the store is compared");
    let mut missing = ChunkSet::empty(5);
    missing.insert_range(chunks);
    world.handle(Input::ReadPlanned {
        file,
        next: request.next,
        planned: Planned {
            wanted_now: if has_list {
                missing.clone()
            } else {
                ChunkSet::empty(5)
            },
            missing,
            lists: if has_list { Vec::new() } else { vec![file] },
        },
    });
}

#[test]
fn what_a_reader_waits_for_is_fetched_and_nothing_else() {
    let mut world = shared();
    world.name(1);
    assert_eq!(world.take(), [], "no reader wants anything");
    world.handle(Input::ReadWanted(read(CHUNK..3 * CHUNK)));
    plan(&mut world, 1..3, true);
    let source = world.complete_source(1);
    assert_eq!(world.requests(source), [1, 2]);
}

#[test]
fn what_is_read_next_comes_first() {
    let mut world = shared();
    world.handle(Input::ReadWanted(ReadRequest {
        file: FileHash::new([1; 32]),
        bytes: 0..4 * CHUNK,
        next: 2 * CHUNK..3 * CHUNK,
    }));
    plan(&mut world, 0..4, true);
    let source = world.complete_source(1);
    assert_eq!(world.requests(source)[0], 2);
}

#[test]
fn the_list_of_a_file_is_asked_for_once_for_two_readers() {
    let mut world = shared();
    for _ in 0..2 {
        world.handle(Input::ReadWanted(read(0..CHUNK)));
        plan(&mut world, 0..1, false);
    }
    world.connect(1);
    let source = hubless_scheduler::SourceId(0);
    let mut lists = 0;
    world.handle(Input::Connected(source));
    for output in world.take() {
        lists += usize::from(output == Output::Send(source, PeerCommand::RequestList(FILE)));
    }
    assert!(lists <= 1);
    world.handle(Input::ListStored(FILE));
    world.handle(Input::Chunks(hubless_scheduler::Input::SourceComplete(
        source,
    )));
    assert_eq!(world.requests(source), [0], "only what was read is wanted");
}

#[test]
fn a_read_of_another_models_file_is_ignored() {
    let mut world = shared();
    world.handle(Input::ReadWanted(ReadRequest {
        file: FileHash::new([99; 32]),
        bytes: 0..1,
        next: 0..1,
    }));
    assert_eq!(world.take(), []);
}

#[test]
fn patience_begins_with_a_read_not_with_the_time_without_readers() {
    let mut world = shared();
    world.sleep(10 * PATIENCE);
    assert!(!world.has_finished(), "no reader waits");
    world.handle(Input::ReadWanted(read(0..CHUNK)));
    plan(&mut world, 0..1, true);
    world.sleep(PATIENCE - Duration::from_secs(1));
    assert!(!world.has_finished());
    world.sleep(Duration::from_secs(1));
    assert!(matches!(world.finish(), Err(FetchError::NoNetwork)));
}

#[test]
fn the_fetch_ends_when_the_last_reader_left_and_nothing_is_missing() {
    let mut world = shared();
    world.handle(Input::ReadWanted(read(0..CHUNK)));
    plan(&mut world, 0..1, true);
    let source = world.complete_source(1);
    world.handle(Input::ReadersLeft);
    assert!(!world.has_finished(), "what was asked for still comes");
    world.receive(source, 0);
    world.finish().unwrap();
}

#[test]
fn a_chunk_that_was_lost_is_fetched_again_for_its_reader() {
    let mut world = shared();
    let chunk_read = read(0..CHUNK);
    world.handle(Input::ReadWanted(chunk_read.clone()));
    plan(&mut world, 0..1, true);
    let source = world.complete_source(1);
    world.receive(source, 0);
    world.take();
    world.handle(Input::ReadWanted(chunk_read));
    plan(&mut world, 0..1, true);
    assert_eq!(world.requests(source), [0]);
}
