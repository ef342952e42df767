//! The crates, and the modules inside them, import each other only as `docs/architecture.md` says.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Crates by layer: each may import those of lower layers, not its own.
const LAYERS: [&[&str]; 16] = [
    &["sync"],
    &["memory"],
    &["content"],
    &["wire", "disk", "address"],
    &["index", "transport", "dht"],
    &["store", "scheduler", "network"],
    &["fetch"],
    &["transfer"],
    &["names"],
    &["publishers"],
    &["upstream"],
    &["repos"],
    &["node"],
    &["gateway"],
    &["hubless"],
    &["testkit"],
];

/// Of a technology, the crates that may name it.
const HOMES: [(&str, &[&str]); 5] = [
    ("libp2p", &["transport", "network"]),
    // The addresses and peer ids of libp2p, without its sockets.
    ("multiaddr", &["address"]),
    ("redb", &["index"]),
    ("axum", &["gateway"]),
    ("hickory", &["network"]),
];

/// Of a crate, those that may import it: what lies below the store is exported by it, and what lies
/// below the network by that.
const BEHIND: [(&str, &[&str]); 5] = [
    ("disk", &["index", "store"]),
    ("index", &["store"]),
    ("address", &["transport", "dht", "network"]),
    ("transport", &["network"]),
    ("dht", &["network"]),
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
    for name in ["transport", "network", "node", "gateway", "hubless"] {
        assert!(
            !testkit.dependencies.contains(name),
            "testkit must not import {name}"
        );
    }
}

#[test]
fn a_technology_is_named_in_few_crates() {
    for found in crates() {
        for name in found.dependencies.iter().chain(&found.dev_dependencies) {
            for (technology, homes) in HOMES {
                let family = name == technology || name.starts_with(&format!("{technology}-"));
                assert!(
                    !family || homes.contains(&&*found.name),
                    "{} must not name {name}: only {homes:?} may (docs/architecture.md)",
                    found.name
                );
            }
        }
    }
}

/// Crates without input and output: bytes, times and random numbers are arguments.
const PURE: [&str; 8] = [
    "sync",
    "memory",
    "content",
    "wire",
    "address",
    "dht",
    "scheduler",
    "fetch",
];

#[test]
fn what_lies_below_the_store_and_the_network_is_imported_through_them() {
    for found in crates() {
        for name in found.dependencies.iter().chain(&found.dev_dependencies) {
            for (behind, importers) in BEHIND {
                assert!(
                    name != behind || importers.contains(&&*found.name),
                    "{} must not import {behind}: only {importers:?} may, and the highest of them exports \
                     what crates above need",
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
        if !PURE.contains(&&*found.name) {
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

/// Modules by layer, lowest first, of the crates that hold them: a top-level module of a crate may
/// `use` modules of lower layers and itself, not those beside or above it. What the root of a crate
/// defines belongs to the last layer.
const MODULES: [(&str, &[&[&str]]); 21] = [
    ("sync", &[&["lock"], &["counter", "rate"]]),
    ("memory", &[&["aligned", "lru"], &["buffers"]]),
    (
        "content",
        &[
            &[
                "chunk",
                "chunk_set",
                "encoding",
                "hash",
                "path",
                "ref_name",
                "repo",
            ],
            &["alias", "list", "manifest", "signing", "tensors"],
            &["identity", "revision"],
            &["profile", "schema", "subject"],
            &["head", "state"],
            &["merge"],
        ],
    ),
    (
        "scheduler",
        &[
            &["bits", "config", "pace", "rng", "types", "uploads"],
            &["cancelled", "faults", "rarity", "requests", "source"],
            &["pool"],
            &["choose"],
            &["scheduler"],
        ],
    ),
    (
        "fetch",
        &[
            &["target"],
            &["layout", "request"],
            &["types"],
            &["availability", "state"],
        ],
    ),
    (
        "disk",
        &[
            &["error", "home", "signature"],
            &["holder", "seam"],
            &["file", "parallel"],
            &["dir"],
            &["disk"],
        ],
    ),
    (
        "index",
        &[
            &["error", "presence", "record", "tx"],
            &["backend"],
            &["overlay"],
            &["database", "sealed"],
            &["tables"],
            &["file_rows"],
            &["digests", "migrate", "salvage"],
            &[
                "chains",
                "files",
                "follows",
                "manifests",
                "namespaces",
                "pins",
                "publishers",
                "records",
                "repos",
            ],
            &["heads", "histories", "refs"],
            &["keeping"],
            &["revisions"],
            &["publication"],
            &["index"],
            &["batch", "open"],
            &["testing"],
        ],
    ),
    (
        "store",
        &[
            &["error", "locks"],
            &["observer"],
            &["pending"],
            &["files"],
            &["commit"],
            &["work"],
            &["facade", "open"],
        ],
    ),
    ("address", &[&["reach"], &["ticket"]]),
    (
        "transport",
        &[
            &["small_file", "carrier", "network_key", "local_socket"],
            &["identity", "places", "tls", "guard", "head_start"],
            &["bans", "security", "entrance", "streams"],
            &["lane"],
            &["door"],
            &["stack"],
        ],
    ),
    ("dht", &[&["records"], &["announcer"]]),
    (
        "network",
        &[
            &["node_id", "shaping", "txt"],
            &["exchange"],
            &["config", "error", "info"],
            &["worker"],
            &["network"],
        ],
    ),
    (
        "wire",
        &[
            &["limits", "proto"],
            &["error"],
            &["history", "message"],
            &["frame"],
        ],
    ),
    (
        "transfer",
        &[
            &[
                "blocking",
                "busy",
                "claimed",
                "digest_asks",
                "locks",
                "news",
                "progress",
                "sample",
                "swarms",
                "text",
                "withheld",
            ],
            &["damage", "error", "transfers"],
            &["counters", "shared_fetches"],
            &["context"],
            &["fetches", "pacing"],
            &["digests", "fetch"],
            &["serve"],
        ],
    ),
    (
        "names",
        &[
            &["keys", "clock"],
            &["book", "watchers", "directory", "dns"],
            &["ask"],
            &["sync"],
            &["serve", "announce", "namespaces"],
            &["resolve"],
            &["follow"],
        ],
    ),
    ("publishers", &[&["publish", "publishers"], &["names"]]),
    (
        "upstream",
        &[
            &["caller", "held", "hosts", "no_peers"],
            &["complete", "error"],
            &["room"],
            &["client", "pulls"],
            &["metadata", "repo_error"],
            &["ttl_cache"],
            &["upstream"],
            &["body", "lookup"],
            &["pull"],
        ],
    ),
    (
        "repos",
        &[
            &["attributes", "file", "repos", "stream"],
            &["holdings", "resolve", "tensors"],
            &[
                "ids",
                "names",
                "open",
                "publishers",
                "search",
                "small",
                "tree",
            ],
        ],
    ),
    (
        "node",
        &[
            &[
                "config",
                "descriptors",
                "event",
                "home",
                "records",
                "remedy",
            ],
            &["accept", "config_file", "failure"],
            &["addresses", "replies"],
            &["core"],
            &[
                "announcing",
                "externals",
                "repairing",
                "requests",
                "scrubbing",
            ],
            &["api", "control"],
            &["host"],
            &["node", "session"],
            &["health", "metrics"],
        ],
    ),
    (
        "gateway",
        &[
            &["token", "route", "card"],
            &["config"],
            &["http"],
            &["app"],
            &["hub"],
            &["pages", "ops"],
            &["router"],
            &["server"],
        ],
    ),
    (
        "cli",
        &[
            &["args", "hints", "text"],
            &["failure"],
            &["output", "parse", "settings"],
            &[
                "interrupt",
                "logging",
                "progress",
                "report",
                "service",
                "what",
            ],
            &["work"],
            &["commands"],
            &["cli"],
        ],
    ),
];

/// The paths that begin with `crate` in the `use` items of a file, without those of its tests.
fn crate_paths(items: &[syn::Item], paths: &mut Vec<Vec<String>>) {
    for item in items {
        match item {
            syn::Item::Use(item) => leaves(&item.tree, &mut Vec::new(), paths),
            syn::Item::Mod(module) if !is_test(&module.attrs) => {
                let items = module.content.as_ref().map(|(_, items)| &items[..]);
                crate_paths(items.unwrap_or_default(), paths);
            }
            _ => {}
        }
    }
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    let is_test = |attribute: &syn::Attribute| match &attribute.meta {
        syn::Meta::List(list) => {
            list.path.is_ident("cfg") && list.tokens.to_string().contains("test")
        }
        _ => false,
    };
    attributes.iter().any(is_test)
}

fn leaves(tree: &syn::UseTree, path: &mut Vec<String>, paths: &mut Vec<Vec<String>>) {
    match tree {
        syn::UseTree::Path(part) => {
            path.push(part.ident.to_string());
            leaves(&part.tree, path, paths);
            path.pop();
        }
        syn::UseTree::Group(group) => {
            group
                .items
                .iter()
                .for_each(|tree| leaves(tree, path, paths));
        }
        syn::UseTree::Name(syn::UseName { ident })
        | syn::UseTree::Rename(syn::UseRename { ident, .. }) => {
            paths.push([&path[..], &[ident.to_string()]].concat());
        }
        syn::UseTree::Glob(_) => paths.push(path.clone()),
    }
    paths.retain(|path| path.first().is_some_and(|first| first == "crate"));
}

/// All source files below `folder`.
fn sources(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

#[test]
fn modules_import_only_modules_of_lower_layers() {
    for (name, layers) in MODULES {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("..")
            .join(name)
            .join("src");
        let layer_of = |module: &str| layers.iter().position(|layer| layer.contains(&module));
        let mut files = Vec::new();
        sources(&folder, &mut files);
        for file in files {
            let path = file.strip_prefix(&folder).expect("a file of the crate");
            let first = path.iter().next().expect("a path").to_string_lossy();
            let module = first.trim_end_matches(".rs");
            // Tests may import what lies above the module that they test.
            if matches!(module, "lib" | "main") || path.ends_with("tests.rs") {
                continue;
            }
            let own = layer_of(module).unwrap_or_else(|| {
                panic!(
                    "{name}: module `{module}` is in no layer: add it to MODULES in tests/layers.rs"
                )
            });
            let text = fs::read_to_string(&file).expect("a source file");
            let parsed = syn::parse_file(&text).expect("a source file that parses");
            let mut paths = Vec::new();
            crate_paths(&parsed.items, &mut paths);
            for imported in paths {
                let to = imported.get(1).map_or("", String::as_str);
                let other = layer_of(to).unwrap_or(layers.len() - 1);
                assert!(
                    to == module || other < own || (layer_of(to).is_none() && own == other),
                    "{name}/src/{}: `{module}` must not import `{}`; it may import {:?}",
                    path.display(),
                    imported.join("::"),
                    layers[..own].concat()
                );
            }
        }
    }
}

/// Crates whose texts reach callers that have no command line: HTTP clients, programs, logs.
const BELOW_THE_COMMANDS: [&str; 17] = [
    "sync",
    "disk",
    "index",
    "memory",
    "content",
    "wire",
    "address",
    "transport",
    "dht",
    "scheduler",
    "fetch",
    "store",
    "network",
    "transfer",
    "upstream",
    "repos",
    "node",
];

/// Names a process by the command that it runs.
const NAMES_A_PROCESS: &str = "node/src/control/mod.rs";

#[test]
fn texts_below_the_command_line_name_no_command() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = Vec::new();
    for name in BELOW_THE_COMMANDS {
        sources(&folder.join(name).join("src"), &mut files);
    }
    assert!(files.len() > 100, "the sources were not found");
    for path in files {
        if path.ends_with(NAMES_A_PROCESS) {
            continue;
        }
        let text = fs::read_to_string(&path).expect("a source");
        for (line, number) in text.lines().zip(1..) {
            let is_comment = line.trim_start().starts_with("//");
            assert!(
                is_comment || !line.contains("`hubless "),
                "{}:{number}: a text below the command line names a command: give a `Remedy`, and \
                 write its text in cli/src/hints.rs",
                path.display()
            );
        }
    }
}

/// Fields of a struct: with more, it has more than one matter.
const FIELDS_MAX: usize = 14;

/// Plain data, without behaviour: what a file, a message, a page or a set of counters has in it.
const PLAIN_DATA: [&str; 1] = ["RepoInfo"];

#[test]
fn a_struct_has_one_matter() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = Vec::new();
    sources(&folder, &mut files);
    let mut structs = 0;
    for path in files {
        let text = fs::read_to_string(&path).expect("a source");
        let parsed = syn::parse_file(&text).expect("a source that compiles");
        for item in &parsed.items {
            let syn::Item::Struct(item) = item else {
                continue;
            };
            structs += 1;
            let name = item.ident.to_string();
            assert!(
                item.fields.len() <= FIELDS_MAX || PLAIN_DATA.contains(&&*name),
                "{name} in {} has {} fields: cut it into objects that own their state, or name it \
                 here if it is plain data",
                path.display(),
                item.fields.len()
            );
        }
    }
    assert!(structs > 100, "the sources were not found");
}

/// Lines of a crate, tests inside it included: with more, it has more than one matter.
const CRATE_LINES_MAX: usize = 9_000;

#[test]
fn no_crate_outgrows_a_reader() {
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("..")).expect("crates") {
        let folder = entry.expect("an entry").path().join("src");
        let mut files = Vec::new();
        sources(&folder, &mut files);
        let lines: usize = files
            .iter()
            .map(|file| fs::read_to_string(file).expect("a source").lines().count())
            .sum();
        assert!(
            (1..=CRATE_LINES_MAX).contains(&lines),
            "{} has {lines} lines: split it (docs/architecture.md)",
            folder.display()
        );
    }
}
