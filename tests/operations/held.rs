//! What operators read of a model that is here in part.

use hubless_testkit::{
    model::{self, CHUNK},
    process::Lab,
};

use super::{HUBLESS, http::Gateway, machine};

#[test]
fn what_is_held_of_a_model_is_told_from_the_room_that_it_takes() {
    let lab = Lab::new(HUBLESS);
    let source = lab.path("model");
    let size = 20 * CHUNK;
    model::write_file(&source.join("weights.bin"), size, 3);
    let seeder = lab.machine("seeder").seed(&source, &[]);
    let node = machine(&lab, "part").serve(&["--peer", seeder.address()]);
    let (hash, part) = (seeder.hash(), format!("0-{}", 4 * CHUNK - 1));
    let cat = ["cat", hash, "weights.bin", "--range", &part];
    let output = node.machine.command(cat).output().expect("it runs");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(node.count("store/bytes"), size);
    let held = node.count("store/bytes_held");
    assert!((4 * CHUNK..size).contains(&held), "{held} of {size}");
    assert_eq!(held % CHUNK, 0);

    let status = node.machine.run(["status"]).ok().stdout;
    let line = status.lines().find(|line| line.starts_with("store "));
    let line = line.unwrap_or_else(|| panic!("{status}"));
    assert!(line.contains("reserved for what is missing"), "{line}");
    let page = Gateway::of(&node).get("/").body;
    for fact in ["Held on disk", "Reserved on disk"] {
        assert!(page.contains(fact), "{fact:?} is missing: {page}");
    }
}
