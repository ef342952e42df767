//! The same content has the same hash, wherever and however it was added.

use std::fs;

use hubless_testkit::{
    model,
    process::{Lab, text},
};

const HUBLESS: &str = env!("CARGO_BIN_EXE_hubless");

/// The content hash of all-MiniLM-L6-v2: it must be the same in every version.
const MINILM: &str = "bf2ca892ac5963fec5f28acb923cd05d9f560edbf7f5e184fde93c7c8968eb39";

const FILES: [(&str, u64); 5] = [
    ("config.json", 600),
    ("model.safetensors", 5 * model::CHUNK + 17),
    ("tokenizer/vocab.txt", 70_000),
    ("tokenizer.json", model::CHUNK),
    ("a b/ü?.bin", 1),
];

#[test]
fn two_machines_any_order_with_or_without_in_place() {
    let lab = Lab::new(HUBLESS);
    let [first, second, other] = ["first", "second", "other"].map(|name| lab.path(name));
    model::write_tree(&first, &FILES, 1);
    // The same bytes, written in the other order, so with other inodes, times and directory order.
    for (name, _) in FILES.iter().rev() {
        let target = second.join(name);
        fs::create_dir_all(target.parent().expect("a parent")).unwrap();
        fs::copy(first.join(name), target).unwrap();
    }
    model::write_tree(&other, &FILES, 2);

    let (alice, bob) = (lab.machine("alice"), lab.machine("bob"));
    let [a_first, a_other] = [&first, &other].map(|path| alice.add(path, &[]));
    let [b_other, b_second] = [&other, &second].map(|path| bob.add(path, &["--in-place"]));
    assert_eq!(a_first, b_second);
    assert_eq!(a_other, b_other);
    assert_ne!(a_first, a_other);
    assert_eq!(alice.add(&second, &["--in-place"]), a_first, "added twice");

    // Without `--json` it is the first line of stdout.
    let printed = alice.run(["add", text(&first)]).ok().stdout;
    assert_eq!(printed.lines().next(), Some(&*a_first));
}

#[test]
fn the_hash_of_the_real_model_is_the_one_of_all_versions() {
    let lab = Lab::new(HUBLESS);
    let added = lab
        .machine("home")
        .json(["add", text(&model::minilm()), "--in-place"]);
    let bytes: u64 = model::tree(&model::minilm())
        .values()
        .map(|(size, _)| size)
        .sum();
    assert_eq!(
        (&added["files"], &added["bytes"]),
        (&13.into(), &bytes.into())
    );
    assert_eq!(added["hash"], MINILM);
}
