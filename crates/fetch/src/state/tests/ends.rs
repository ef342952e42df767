//! How a fetch gives up.

use std::time::Duration;

use super::fixture::{PATIENCE, World, all_files, manifest};
use crate::{
    request::FetchRequest,
    state::Fetch,
    types::{End, FetchArgs, FetchError, Input, WalkEnded},
};
use hubless_content::CHUNK_SIZE;

/// Walks the DHT without a result until the fetch ends or so much time went by.
fn walk_in_vain(world: &mut World, time: Duration) {
    let until = world.now + time;
    while world.now < until && !world.has_finished() {
        world.sleep(Duration::from_millis(100));
        if !world.has_finished() {
            world.end_walks();
        }
    }
}

#[test]
fn after_three_fruitless_walks_and_no_candidate_left_it_gives_up_early() {
    let mut world = World::new(&[1]);
    world.join_dht();
    walk_in_vain(&mut world, PATIENCE);
    assert!(world.now < Duration::from_secs(8), "{:?}", world.now);
    assert_eq!(
        world.finish(),
        Err(FetchError::NoProvider { candidates: 0 })
    );
}

#[test]
fn a_candidate_that_may_answer_later_is_waited_for() {
    let mut world = World::new(&[1]);
    world.join_dht();
    world.name(1);
    let source = world.dialled(1);
    world.handle(Input::WalkEnded(WalkEnded {
        providers: 0,
        among_others: true,
    }));
    world.end(source, End::Unreachable);
    walk_in_vain(&mut world, Duration::from_secs(10));
    assert!(!world.has_finished());
}

#[test]
fn with_no_node_to_ask_it_says_so_at_the_end_of_its_patience() {
    let manifest = manifest(&[1]);
    let fetch = Fetch::new(FetchArgs {
        own: 0,
        request: all_files(manifest.content_hash()),
        patience: PATIENCE,
        expects_peers: false,
        seed: 1,
    });
    let mut world = World::new(&[1]);
    world.fetch = fetch;
    world.sleep(PATIENCE);
    assert_eq!(world.finish(), Err(FetchError::Alone));
}

#[test]
fn when_none_of_the_named_peers_can_be_reached_the_network_is_at_fault() {
    let mut world = World::new(&[1]);
    world.name(1);
    let source = world.dialled(1);
    world.end(source, End::Unreachable);
    world.sleep(PATIENCE);
    assert_eq!(world.finish(), Err(FetchError::NoNetwork));
}

#[test]
fn when_a_named_peer_was_reached_and_has_nothing_it_has_no_provider() {
    let mut world = World::new(&[1]);
    let source = world.connect(1);
    world.end(source, End::Nothing);
    world.sleep(PATIENCE);
    assert_eq!(
        world.finish(),
        Err(FetchError::NoProvider { candidates: 1 })
    );
}

#[test]
fn what_came_before_nothing_more_came_is_reported() {
    let mut world = World::fetching(&[1, 1, 1]);
    let source = world.complete_source(1);
    world.receive(source, 0);
    world.end(source, End::Gone);
    world.sleep(PATIENCE - Duration::from_millis(1));
    assert!(!world.has_finished());
    world.sleep(Duration::from_secs(1));
    let chunk = CHUNK_SIZE as u64;
    let (held, total) = (chunk, 3 * chunk);
    assert_eq!(world.finish(), Err(FetchError::Partial { held, total }));
}

#[test]
fn every_chunk_renews_the_patience() {
    let mut world = World::fetching(&[1; 5]);
    let source = world.complete_source(1);
    for chunk in 0..4 {
        world.sleep(PATIENCE - Duration::from_secs(2));
        assert!(!world.has_finished(), "chunk {chunk}");
        world.receive(source, chunk);
    }
    world.receive(source, 4);
    world.finish().unwrap();
}

#[test]
fn a_reader_does_not_wait_for_neighbours_that_are_found_later() {
    let alone = WalkEnded::default();
    let fruitless = |request: fn(_) -> FetchRequest| {
        let mut world = World::of(&[1], request);
        world.handle(Input::Joined(false));
        for _ in 0..3 {
            let walks = world.take();
            for _ in walks
                .iter()
                .filter(|output| matches!(output, crate::Output::Walk(_)))
            {
                world.handle(Input::WalkEnded(alone));
            }
            if !world.has_finished() {
                world.sleep(Duration::from_secs(2));
            }
        }
        let walks = world.fetch.outlook(world.now).walks;
        (walks, world.has_finished())
    };
    let (_, reader_ended) = fruitless(|model| FetchRequest::Shared { model });
    let (_, get_ended) = fruitless(all_files);
    assert!(reader_ended);
    assert!(!get_ended);
}

#[test]
fn what_comes_after_the_end_is_ignored() {
    let mut world = World::fetching(&[1]);
    let source = world.complete_source(1);
    world.receive(source, 0);
    world.finish().unwrap();
    world.end(source, End::Misbehaved);
    world.name(2);
    assert_eq!(world.take(), []);
}
