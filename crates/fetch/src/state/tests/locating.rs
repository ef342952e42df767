//! Before the manifest is known: candidates, manifests, walks.

use std::time::Duration;

use hubless_content::{FileHash, ManifestEntry, ManifestError};

use super::fixture::{OWN, World};
use crate::{
    layout::FileNumber,
    request::FetchRequest,
    types::{BadManifest, Candidate, End, FetchError, Input, Output, PeerCommand, Stage, WalkKey},
};

#[test]
fn a_named_peer_is_dialled_once_and_with_all_its_addresses() {
    let mut world = World::new(&[1]);
    let named = |addresses: &[u32]| {
        Input::PeerNamed(Candidate {
            peer: 7,
            addresses: addresses.to_vec(),
            file: None,
        })
    };
    world.handle(named(&[1, 2]));
    let Some(Output::Connect(source, dial)) = world.take().pop() else {
        panic!("it is dialled");
    };
    assert_eq!((dial.peer, dial.addresses), (7, vec![1, 2]));
    world.handle(named(&[3]));
    assert_eq!(world.take(), [], "it is dialled already");
    world.end(source, End::Unreachable);
    world.sleep(Duration::from_secs(1));
    let Some(Output::Connect(_, dial)) = world.take().pop() else {
        panic!("it is tried again");
    };
    assert_eq!(dial.addresses, [1, 2, 3]);
}

#[test]
fn this_node_is_no_source_of_itself() {
    let mut world = World::new(&[1]);
    world.name(OWN);
    assert_eq!(world.take(), []);
}

#[test]
fn the_manifest_is_asked_of_three_sources_and_of_the_next_one_when_one_has_nothing() {
    let mut world = World::new(&[1]);
    let sources: Vec<_> = (1..=5).map(|peer| world.connect(peer)).collect();
    world.take();
    world.end(sources[0], End::Nothing);
    assert_eq!(world.commands(sources[3]), [PeerCommand::AskManifest]);
    world.end(sources[1], End::Gone);
    assert_eq!(world.commands(sources[4]), [PeerCommand::AskManifest]);
}

#[test]
fn a_proven_manifest_is_stored_and_planned_and_then_every_source_begins() {
    let mut world = World::new(&[1, 3]);
    let (first, second) = (world.connect(1), world.connect(2));
    world.take();
    let manifest = world.manifest.clone();
    world.handle(Input::Manifest(Ok(manifest.clone())));
    let outputs = world.take();
    let [Output::StoreManifest(stored), Output::Plan(layout)] = &outputs[..] else {
        panic!("{outputs:?}");
    };
    assert_eq!(*stored, manifest);
    let layout = layout.clone();
    world.handle(Input::Manifest(Ok(manifest.clone())));
    assert_eq!(world.take(), [], "another source was faster");
    let third = world.connect(3);
    assert_eq!(
        world.commands(third),
        [],
        "not before it is known what is missing"
    );
    world.handle(Input::Planned(crate::Planned {
        wanted_now: hubless_content::ChunkSet::empty(4),
        missing: hubless_content::ChunkSet::full(4),
        lists: vec![FileNumber(1)],
    }));
    let outputs = world.take();
    for source in [first, second, third] {
        let begin = Output::Send(source, PeerCommand::Begin(layout.clone()));
        assert!(outputs.contains(&begin), "{source} begins");
    }
}

#[test]
fn a_manifest_that_breaks_a_rule_ends_the_fetch() {
    let mut world = World::new(&[1]);
    world.connect(1);
    world.handle(Input::Manifest(Err(ManifestError::Empty)));
    let bad = BadManifest::Manifest(ManifestError::Empty);
    assert_eq!(world.finish(), Err(FetchError::BadManifest(bad)));
    world.name(2);
    assert_eq!(world.take(), [], "it has ended");
}

#[test]
fn a_peer_that_misbehaves_before_the_manifest_is_banned_and_never_tried_again() {
    let mut world = World::new(&[1]);
    let liar = world.connect(1);
    world.take();
    world.end(liar, End::Misbehaved);
    assert_eq!(world.take(), [Output::Ban(1)]);
    world.name(1);
    world.sleep(Duration::from_secs(29));
    let dials = world
        .take()
        .into_iter()
        .filter(|output| matches!(output, Output::Connect(..)));
    assert_eq!(dials.count(), 0);
}

#[test]
fn a_file_needs_no_manifest_from_a_peer() {
    let mut world = World::of(&[1], |_| {
        FetchRequest::File(ManifestEntry {
            path: "alone".parse().unwrap(),
            size: 5,
            hash: FileHash::new([9; 32]),
        })
    });
    world.plan_all();
    let source = world.connect(1);
    let commands = world.commands(source);
    assert!(
        matches!(commands[..], [PeerCommand::Begin(_)]),
        "{commands:?}"
    );
}

#[test]
fn only_a_plan_asks_no_peer_for_chunks_and_stores_nothing() {
    let mut world = World::of(&[1, 2], |model| FetchRequest::Plan {
        model,
        chosen: Box::new(|entry| entry.path.as_str() == "file1"),
    });
    world.connect(1);
    world.take();
    let manifest = world.manifest.clone();
    world.handle(Input::Manifest(Ok(manifest)));
    let layout = world.planned_layout();
    assert_eq!(layout.wanted().collect::<Vec<_>>(), [FileNumber(1)]);
    world.handle(Input::Planned(crate::Planned {
        wanted_now: hubless_content::ChunkSet::empty(3),
        missing: hubless_content::ChunkSet::full(3),
        lists: vec![FileNumber(1)],
    }));
    let outputs = world.take();
    assert!(
        !outputs
            .iter()
            .any(|output| matches!(output, Output::StoreManifest(_)))
    );
    assert!(
        matches!(outputs.last(), Some(Output::Finish(Ok(_)))),
        "{outputs:?}"
    );
}

#[test]
fn the_dht_is_walked_when_there_is_a_node_to_ask_and_the_third_walk_searches_files_too() {
    let mut world = World::fetching(&[1, 2]);
    world.sleep(Duration::from_secs(2));
    assert_eq!(
        world.end_walks(),
        [],
        "it waits until there is a node to ask"
    );
    world.join_dht();
    assert_eq!(world.end_walks(), [WalkKey::Target]);
    world.sleep(Duration::from_millis(900));
    assert_eq!(world.end_walks(), []);
    world.sleep(Duration::from_millis(100));
    assert_eq!(world.end_walks(), [WalkKey::Target]);
    world.sleep(Duration::from_secs(2));
    let largest_first = [2, 1].map(|file| WalkKey::File(FileHash::new([file; 32])));
    assert_eq!(
        world.end_walks(),
        [WalkKey::Target, largest_first[0], largest_first[1]]
    );
}

#[test]
fn a_peer_that_asks_this_node_is_a_candidate_only_when_the_manifest_is_here() {
    let mut world = World::new(&[1]);
    world.handle(Input::PeerAsked(5));
    assert_eq!(
        world.take(),
        [],
        "it would learn that this node wants the model"
    );
    world.know_manifest();
    world.handle(Input::PeerAsked(5));
    world.dialled(5);
}

#[test]
fn no_peer_is_dialled_when_nothing_is_missing() {
    let mut world = World::of(&[1], |model| FetchRequest::Shared { model });
    let manifest = world.manifest.clone();
    world.handle(Input::ManifestKnown(manifest));
    world.handle(Input::Planned(crate::Planned {
        wanted_now: hubless_content::ChunkSet::empty(1),
        missing: hubless_content::ChunkSet::empty(1),
        lists: Vec::new(),
    }));
    world.take();
    world.join_dht();
    world.name(1);
    world.sleep(Duration::from_secs(60));
    assert_eq!(world.take(), []);
}

#[test]
fn no_more_than_48_sources_are_dialled_and_waiting_candidates_wake_nothing() {
    let mut world = World::new(&[1]);
    for peer in 1..=60 {
        world.name(peer);
    }
    let dials = world.take().len();
    assert_eq!(dials, 48);
    assert!(
        world.fetch.next_wake() > world.now,
        "nothing is due before a source ends"
    );
}

#[test]
fn the_stage_follows_what_is_known() {
    let mut world = World::new(&[1]);
    let stage = |world: &World| world.fetch.progress(world.now).stage;
    assert_eq!(stage(&world), Stage::FindingProviders);
    world.connect(1);
    assert_eq!(stage(&world), Stage::FetchingManifest);
    world.know_manifest();
    assert_eq!(stage(&world), Stage::Fetching);
}
