//! The crates import each other only as `docs/architecture.md` says.

use std::{collections::BTreeSet, fs, path::Path};

/// Crates by layer: each may import those of lower layers, not its own.
const LAYERS: [&[&str]; 12] = [
    &["memory"],
    &["content"],
    &["wire"],
    &["store", "scheduler", "network"],
    &["fetch"],
    &["transfer"],
    &["upstream"],
    &["repos"],
    &["node"],
    &["gateway"],
    &["hubless"],
    &["testkit"],
];

/// Of a name of others, the one crate that may use it.
const ONE_CRATE: [(&str, &str); 3] = [
    ("libp2p", "network"),
    ("redb", "store"),
    ("axum", "gateway"),
];

struct Crate {
    name: String,
    dependencies: BTreeSet<String>,
    dev_dependencies: BTreeSet<String>,
}

/// `hubless-store` is called `store` here, and the binary `hubless`.
fn short(name: &str) -> String {
    name.strip_prefix("hubless-").unwrap_or(name).to_owned()
}

fn crates() -> Vec<Crate> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let entries = fs::read_dir(folder).expect("the folder of the crates");
    let manifests = entries.map(|entry| entry.expect("an entry").path().join("Cargo.toml"));
    let read = |path| {
        let text = fs::read_to_string(path).expect("a Cargo.toml");
        let manifest: toml::Table = text.parse().expect("a Cargo.toml");
        // Tables such as `[target.'cfg(unix)'.dependencies]` count as well.
        let targets = manifest.get("target").and_then(toml::Value::as_table);
        let tables = targets.into_iter().flat_map(toml::Table::values);
        let tables: Vec<_> = tables
            .filter_map(toml::Value::as_table)
            .chain([&manifest])
            .collect();
        let names = |kinds: &[&str]| {
            let of = |table: &&toml::Table| {
                let found = kinds.iter().filter_map(|kind| table.get(*kind)?.as_table());
                found
                    .flat_map(toml::Table::keys)
                    .map(|name| short(name))
                    .collect::<Vec<_>>()
            };
            tables.iter().flat_map(of).collect()
        };
        Crate {
            name: short(manifest["package"]["name"].as_str().expect("a name")),
            dependencies: names(&["dependencies", "build-dependencies"]),
            dev_dependencies: names(&["dev-dependencies"]),
        }
    };
    manifests.map(read).collect()
}

fn layer(name: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&name))
}

#[test]
fn crates_import_only_lower_layers() {
    let crates = crates();
    assert!(crates.len() >= 8, "the crates were not found");
    for from in &crates {
        let own = layer(&from.name).unwrap_or_else(|| {
            panic!(
                "crate {:?} is in no layer: add it to docs/architecture.md and here",
                from.name
            )
        });
        for to in &from.dependencies {
            let Some(other) = layer(to) else { continue };
            assert_ne!(
                to, "testkit",
                "{}: testkit may only be a dev-dependency",
                from.name
            );
            assert!(
                own > other,
                "{} must not import {to}: crates import lower layers only, and those of one layer \
                 meet above (docs/architecture.md)",
                from.name
            );
        }
    }
}

#[test]
fn testkit_starts_no_node_but_as_a_process() {
    // The simulated swarm runs the real `fetch` and `scheduler`, which are pure; whole nodes are
    // observed from outside only.
    let crates = crates();
    let testkit = crates
        .iter()
        .find(|found| found.name == "testkit")
        .expect("testkit");
    for name in ["network", "node", "gateway", "hubless"] {
        assert!(
            !testkit.dependencies.contains(name),
            "testkit must not import {name}"
        );
    }
}

#[test]
fn a_technology_is_named_in_one_crate() {
    for found in crates() {
        for name in found.dependencies.iter().chain(&found.dev_dependencies) {
            for (technology, home) in ONE_CRATE {
                let family = name == technology || name.starts_with(&format!("{technology}-"));
                assert!(
                    !family || found.name == home,
                    "{} must not name {name}: only `{home}` does (docs/architecture.md)",
                    found.name
                );
            }
        }
    }
}

#[test]
fn the_pure_crates_know_no_sockets_files_or_clocks() {
    let impure = [
        "tokio", "libp2p", "redb", "rustix", "tempfile", "futures", "cap-std",
    ];
    for found in crates() {
        if !["memory", "content", "wire", "scheduler", "fetch"].contains(&&*found.name) {
            continue;
        }
        for name in &found.dependencies {
            assert!(
                !impure.contains(&&**name),
                "{} must stay pure: no {name}",
                found.name
            );
        }
    }
}
