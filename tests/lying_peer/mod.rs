//! Peers that lie, stall and leave: the fetch completes from the honest one.

mod liar;

use std::{path::PathBuf, time::Duration};

use hubless_testkit::{
    model,
    process::{LIMIT, Lab, Node, until},
    proxy::{Then, bad_line},
};
use liar::{Liar, Lie};

const HUBLESS: &str = env!("CARGO_BIN_EXE_hubless");

const SIZE: u64 = 80 * model::CHUNK + 1000;

/// Slow enough that the other peers get requests too: 4 s for all.
const HONEST: &str = "5MB";

/// The time that the honest peer needs alone, and that the others may waste.
const PATIENCE: Duration = Duration::from_secs(40);

struct Scene {
    lab: Lab,
    source: PathBuf,
    honest: Node,
    getter: Node,
}

/// An honest seeder, and a getter that does not know it yet.
fn scene() -> Scene {
    let lab = Lab::new(HUBLESS);
    let source = lab.path("model");
    model::write_tree(&source, &[("config.json", 700), ("weights.bin", SIZE)], 1);
    let honest = lab
        .machine("honest")
        .seed(&source, &["--in-place", "--limit-up", HONEST]);
    let getter = lab.machine("getter").serve(&[]);
    Scene {
        lab,
        source,
        honest,
        getter,
    }
}

impl Scene {
    /// Fetches from the honest seeder and others, and compares the files.
    fn fetch_with(&self, others: &[&str]) {
        let mut args = vec![self.honest.hash()];
        for address in others.iter().copied().chain([self.honest.address()]) {
            args.extend(["--peer", address]);
        }
        let fetched = self.getter.machine.get_within(PATIENCE, &args);
        model::assert_same_tree(&self.source, &fetched.path);
        self.getter.machine.run(["verify"]).ok();
    }

    /// Fetches from a liar alone, which must fail.
    fn fetch_only_from(&self, liar: &Liar) {
        let args = [
            "get",
            self.honest.hash(),
            "--peer",
            liar.address(),
            "--timeout",
            "3",
        ];
        let finished = self.getter.machine.run(args);
        assert!(
            !finished.is_code(0),
            "a liar alone was enough:\n{finished:#?}"
        );
    }

    /// Removes the model from the getter.
    fn forget(&self) {
        self.getter.machine.run(["rm", self.honest.hash()]).ok();
        self.getter.machine.run(["gc"]).ok();
    }

    fn is_banned(&self, liar: &Liar) -> Result<(), String> {
        let status = self.getter.status();
        let banned = status["banned"].as_array().expect("a list");
        let found = banned
            .iter()
            .any(|banned| banned.as_str() == Some(liar.peer_id()));
        if found {
            Ok(())
        } else {
            Err(status.to_string())
        }
    }

    fn wait_until_banned(&self, liar: &Liar) {
        until("the liar is banned", LIMIT, || self.is_banned(liar));
    }
}

#[test]
fn wrong_bytes() {
    let scene = scene();
    let liar = Liar::start(&scene.source, Lie::WrongBytes);
    scene.fetch_with(&[liar.address()]);
    assert!(liar.asked_for_chunks() > 0, "the liar was never asked");
    assert!(scene.getter.count("chunks_rejected") > 0);
    scene.wait_until_banned(&liar);
    // It is not asked a second time.
    let asked = liar.asked_for_chunks();
    scene.forget();
    scene.fetch_with(&[liar.address()]);
    assert_eq!(liar.asked_for_chunks(), asked);
}

#[test]
fn wrong_bytes_from_the_only_peer() {
    let scene = scene();
    let liar = Liar::start(&scene.source, Lie::WrongBytes);
    scene.fetch_only_from(&liar);
    assert!(scene.getter.count("chunks_rejected") > 0);
    scene.wait_until_banned(&liar);
    scene.fetch_with(&[liar.address()]);
}

#[test]
fn a_wrong_chunk_list() {
    let scene = scene();
    let liar = Liar::start(&scene.source, Lie::WrongChunkList);
    scene.fetch_only_from(&liar);
    scene.wait_until_banned(&liar);
    scene.fetch_with(&[liar.address()]);
}

#[test]
fn a_wrong_manifest() {
    let scene = scene();
    let liar = Liar::start(&scene.source, Lie::WrongManifest);
    scene.fetch_only_from(&liar);
    scene.wait_until_banned(&liar);
    scene.fetch_with(&[liar.address()]);
}

#[test]
fn a_peer_that_claims_all_and_answers_nothing() {
    let scene = scene();
    let liar = Liar::start(&scene.source, Lie::Stall);
    scene.fetch_with(&[liar.address()]);
    assert!(liar.asked_for_chunks() > 0, "the liar was never asked");
    // Slowness is not a lie.
    assert_eq!(scene.getter.count("chunks_rejected"), 0);
}

#[test]
fn a_connection_that_breaks_or_stalls_in_mid_chunk() {
    let scene = scene();
    let seeders = ["cut", "stalled"].map(|name| lab_seeder(&scene, name));
    // Not a whole number of chunks.
    let [cut, stalled] = &seeders;
    let cut = bad_line(cut.address(), 700_000, Then::Cut);
    let stalled = bad_line(stalled.address(), 700_000, Then::Stall);
    scene.fetch_with(&[&cut, &stalled]);
    let sent = seeders.each_ref().map(|seeder| seeder.count("bytes_sent"));
    assert!(
        sent.iter().all(|sent| *sent > 0),
        "not all were asked: {sent:?}"
    );
    assert_eq!(
        scene.getter.status()["banned"],
        serde_json::json!([]),
        "a bad line is no lie"
    );
}

fn lab_seeder(scene: &Scene, name: &str) -> Node {
    let machine = scene.lab.machine(name);
    machine.seed(&scene.source, &["--in-place", "--limit-up", HONEST])
}

#[test]
fn all_of_them_at_once() {
    let scene = scene();
    let lies = [
        Lie::WrongBytes,
        Lie::WrongChunkList,
        Lie::WrongManifest,
        Lie::Stall,
    ];
    let liars = lies.map(|lie| Liar::start(&scene.source, lie));
    let cut = lab_seeder(&scene, "cut");
    let cut = bad_line(cut.address(), 700_000, Then::Cut);
    let mut others: Vec<&str> = liars.iter().map(Liar::address).collect();
    others.push(&cut);
    // A peer that connects last may receive no request.
    until("the one that lies about bytes is banned", LIMIT, || {
        scene.fetch_with(&others);
        scene.is_banned(&liars[0]).inspect_err(|_| scene.forget())
    });
}
