//! What leaves a node is right, or does not leave: each way out, each kind of damage, each place
//! where bytes lie.
//!
//! A model is stored, one of its files is damaged behind the node's back, and a reader asks for it.
//! Without another holder no reader may succeed, and none may get a wrong byte. With a peer that has
//! the model the same request succeeds, and no command repaired anything in between.

mod damage;
mod places;
mod ways;

use std::path::PathBuf;

use hubless_testkit::{
    mount::Reflinks,
    process::{Lab, Node},
};

use crate::{
    damage::Damage,
    places::{MODEL, Place, Victim},
    ways::Way,
};

const HUBLESS: &str = env!("CARGO_BIN_EXE_hubless");

/// What the damaged node can ask for the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Others {
    None,
    Peer,
}

/// The model, and a node that serves it from where it lies.
struct Scene {
    lab: Lab,
    source: PathBuf,
    good: Node,
    /// A file system that can clone.
    reflinks: Reflinks,
}

impl Scene {
    fn new() -> Self {
        let lab = Lab::new(HUBLESS);
        let source = lab.path("source");
        hubless_testkit::model::write_tree(&source, &MODEL, 7);
        let good = lab.machine("good").seed(&source, &["--in-place"]);
        let reflinks = Reflinks::mount();
        Self {
            lab,
            source,
            good,
            reflinks,
        }
    }

    /// Every way out of a place, after each damage that the place can take.
    fn check(&self, place: Place) {
        let mut cells = 0;
        for &damage in place.damages() {
            for way in Way::ALL {
                self.check_cell(place, damage, way);
                cells += 1;
            }
        }
        println!("{place:?}: {cells} cells");
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

        // And where the peer is known when the damage is found: within the same request.
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
    Scene::new().check(Place::Owned);
}

#[test]
fn a_file_in_the_index_that_is_damaged_never_leaves_with_success() {
    Scene::new().check(Place::Inline);
}

#[test]
fn a_file_of_the_users_that_is_damaged_never_leaves_with_success() {
    Scene::new().check(Place::External);
}

#[test]
fn a_partial_file_that_is_damaged_never_leaves_with_success() {
    Scene::new().check(Place::Partial);
}
