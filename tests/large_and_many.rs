//! Sizes beyond 32 bits, many small files, sizes at boundaries, and unusual names.

use std::{
    fs,
    time::{Duration, Instant},
};

use hubless_testkit::{
    model::{self, Noise},
    process::{Lab, text},
};

const HUBLESS: &str = env!("CARGO_BIN_EXE_hubless");

#[test]
fn a_file_of_5_gib() {
    let lab = Lab::new(HUBLESS);
    let source = lab.path("model");
    // Not a multiple of the chunk size, and more than 2^32 bytes.
    let size = (5 << 30) + 12_345;
    let expected = model::write_file(&source.join("weights.bin"), size, 5);
    let seeder = lab.machine("seeder").seed(&source, &["--in-place"]);
    let getter = lab.machine("getter");
    let limit = Duration::from_secs(240);
    let fetched = getter.get_within(limit, &[seeder.hash(), "--peer", seeder.address()]);
    assert_eq!(fetched.bytes_fetched, size);
    assert_eq!(model::tree(&fetched.path)["weights.bin"], (size, expected));

    // A range on both sides of 2^32.
    let range = format!("{}-{}", (1u64 << 32) - 3, (1u64 << 32) + 5);
    let mut cat = getter.command(["cat", seeder.hash(), "weights.bin", "--range", &range]);
    let bytes = cat.output().expect("hubless cat").stdout;
    let file = fs::File::open(source.join("weights.bin")).unwrap();
    let mut same = vec![0; bytes.len()];
    std::os::unix::fs::FileExt::read_exact_at(&file, &mut same, (1 << 32) - 3).unwrap();
    assert_eq!((bytes.len(), bytes), (9, same));
}

#[test]
fn ten_thousand_small_files_take_little_longer_than_their_bytes_in_one() {
    let lab = Lab::new(HUBLESS);
    let (many, one) = (lab.path("many"), lab.path("one"));
    let mut noise = Noise::new(10_000);
    let mut bytes = 0;
    for number in 0..10_000 {
        let size = 1024 + noise.below(7 * 1024 + 1);
        let name = format!("shard-{}/file-{number}.json", number % 100);
        model::write_file(&many.join(name), size, number);
        bytes += size;
    }
    model::write_file(&one.join("all.bin"), bytes, 10_000);

    let run = |name: &str, path| {
        let started = Instant::now();
        let seeder = lab.machine(&format!("{name}-seeder")).seed(path, &[]);
        let add = started.elapsed();
        let getter = lab.machine(&format!("{name}-getter"));
        let fetched = getter.get(&[seeder.hash(), "--peer", seeder.address()]);
        model::assert_same_tree(path, &fetched.path);
        (add, fetched.took)
    };
    let (one, many) = (run("one", &one), run("many", &many));
    println!("(add, get): one {one:?}, many {many:?}");
    let bound = |one: Duration| 3 * one + Duration::from_secs(5);
    assert!(many.0 <= bound(one.0), "add: {many:?}, as one file {one:?}");
    assert!(many.1 <= bound(one.1), "get: {many:?}, as one file {one:?}");
}

#[test]
fn every_size_and_name_that_needs_care() {
    let lab = Lab::new(HUBLESS);
    let source = lab.path("model");
    model::write_tree(&source, &model::EDGE_FILES, 14);
    let seeder = lab.machine("seeder").seed(&source, &[]);
    let getter = lab.machine("getter");
    let output = lab.path("output");
    let peer = seeder.address();
    let fetched = getter.get(&[seeder.hash(), "--peer", peer, "-o", text(&output)]);
    model::assert_same_tree(&source, &output);
    assert_eq!(
        fetched.bytes_fetched,
        model::EDGE_FILES.iter().map(|(_, size)| size).sum::<u64>()
    );

    // Each file by its name, completely and from the second byte on.
    for (name, size) in model::EDGE_FILES {
        let cat = |args: &[&str]| {
            let args = [&["cat", seeder.hash(), name], args].concat();
            let output = getter.command(args).output().expect("hubless cat");
            assert!(output.status.success(), "{name}: {output:?}");
            output.stdout
        };
        let expected = fs::read(source.join(name)).unwrap();
        assert_eq!(cat(&[]), expected, "{name}");
        if size > 1 {
            assert_eq!(cat(&["--range", "1-"]), expected[1..], "{name}");
        }
    }
}

#[test]
fn some_files_of_a_model() {
    let lab = Lab::new(HUBLESS);
    let source = lab.path("model");
    let files = [
        ("a.bin", 700_000),
        ("b.bin", 600_000),
        ("c/d.json", 50),
        ("c/e.json", 60),
    ];
    model::write_tree(&source, &files, 3);
    let seeder = lab.machine("seeder").seed(&source, &[]);
    let getter = lab.machine("getter");
    let (output, peer) = (lab.path("output"), seeder.address());
    let args = [seeder.hash(), "--peer", peer, "-o", text(&output)];

    let chosen = [
        "--include",
        "*.json",
        "--include",
        "a.*",
        "--exclude",
        "c/e*",
    ];
    let plan = getter.json([&["get", "--dry-run"][..], &args, &chosen].concat());
    assert_eq!(plan["bytes_total"], 700_050);
    assert!(!output.exists(), "a dry run writes nothing");
    assert_eq!(
        getter.get(&[&args[..], &chosen].concat()).bytes_fetched,
        700_050
    );
    assert_eq!(
        model::tree(&output).into_keys().collect::<Vec<_>>(),
        ["a.bin", "c/d.json"]
    );

    // Only the remaining files.
    assert_eq!(getter.get(&args).bytes_fetched, 600_060);
    model::assert_same_tree(&source, &output);
}
