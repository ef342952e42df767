//! No wrong byte leaves a node: tested for each output path, each kind of damage, and each storage
//! location.
//!
//! A model is stored, one of its files is damaged without the node noticing, and a reader requests it.
//! Without another holder no reader may succeed, and none may get a wrong byte. With a peer that has
//! the model the same request succeeds, without a repair by another command in between.

mod damage;
mod places;
mod ways;

use std::{
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use hubless_testkit::{
    mount::Reflinks,
    process::{Lab, Node},
};

use self::{
    damage::Damage,
    places::{MODEL, Place, Victim},
    ways::Way,
};

const HUBLESS: &str = env!("CARGO_BIN_EXE_hubless");

/// The peers that the damaged node can fetch the bytes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Others {
    None,
    Peer,
}

/// Cells that run at once: a cell spends most of its time waiting for peers that do not exist.
const CELLS_AT_ONCE: usize = 6;

/// The model and other state that all cells share.
struct Scene {
    lab: Lab,
    source: PathBuf,
    /// A node that serves the model in place.
    good: Good,
    /// A file system with reflinks.
    reflinks: Reflinks,
}

/// How the damaged node knows the good node.
struct Good {
    hash: String,
    address: String,
}

impl Scene {
    fn new() -> (Self, Node) {
        let lab = Lab::new(HUBLESS);
        let source = lab.path("source");
        hubless_testkit::model::write_tree(&source, &MODEL, 7);
        let node = lab.machine("good").seed(&source, &["--in-place"]);
        let good = Good {
            hash: node.hash().to_owned(),
            address: node.address().to_owned(),
        };
        let reflinks = Reflinks::mount();
        let scene = Self {
            lab,
            source,
            good,
            reflinks,
        };
        (scene, node)
    }

    /// Every output path of a location, after each damage that the location can have.
    fn check(&self, place: Place) {
        let ways = |damage: &Damage| Way::ALL.map(|way| (*damage, way));
        let cells: Vec<(Damage, Way)> = place.damages().iter().flat_map(ways).collect();
        let next = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..CELLS_AT_ONCE {
                scope.spawn(|| {
                    while let Some((damage, way)) = cells.get(next.fetch_add(1, Ordering::Relaxed))
                    {
                        self.check_cell(place, *damage, *way);
                    }
                });
            }
        });
        println!("{place:?}: {} cells", cells.len());
    }

    fn check_cell(&self, place: Place, damage: Damage, way: Way) {
        let cell = format!("{place:?}, {damage:?}, {way:?}");
        let victim = Victim::new(self, place, way.needs_reflinks());
        victim.harm(damage);
        let alone = way.take(self, &victim, Others::None);
        alone.holds_no_wrong_byte(&cell);
        assert!(
            !alone.success,
            "{cell}: a success without the bytes: {}",
            alone.report
        );
        let repaired = way.take(self, &victim, Others::Peer);
        repaired.is_right(&cell);

        // And if the peer is known when the damage is found: within the same request.
        if damage == Damage::Bit {
            let victim = Victim::new(self, place, way.needs_reflinks());
            victim.harm(damage);
            let repaired = way.take(self, &victim, Others::Peer);
            repaired.is_right(&format!("{cell}, at once"));
        }
    }
}

#[test]
fn a_stored_file_that_is_damaged_never_leaves_with_success() {
    let (scene, _good) = Scene::new();
    scene.check(Place::Owned);
}

#[test]
fn a_file_in_the_index_that_is_damaged_never_leaves_with_success() {
    let (scene, _good) = Scene::new();
    scene.check(Place::Inline);
}

#[test]
fn a_file_of_the_users_that_is_damaged_never_leaves_with_success() {
    let (scene, _good) = Scene::new();
    scene.check(Place::External);
}

#[test]
fn a_partial_file_that_is_damaged_never_leaves_with_success() {
    let (scene, _good) = Scene::new();
    scene.check(Place::Partial);
}
