//! The aliases of a file are computed without a request.

use std::path::Path;

use hubless_content::{Alias, ContentHash};
use hubless_node::{
    Node,
    api::{Add, Get},
    config::Config,
};
use hubless_store::{Digests, ImportOptions, Store, StoreOptions};

use crate::common::*;

const SIZE: usize = 3_000_000;

/// Writes a model of one file; returns the file's aliases.
fn write(directory: &Path, fill: u8) -> Alias {
    let bytes: Vec<u8> = (0..SIZE).map(|at| (at / 7) as u8 ^ fill).collect();
    std::fs::write(directory.join("weights.bin"), &bytes).unwrap();
    Digests::of(&bytes).sha256.into()
}

async fn add(node: &Node, directory: &Path) -> ContentHash {
    let add = Add {
        path: directory.to_owned(),
        in_place: false,
        follow_links: false,
    };
    call(node, add).await.hash
}

/// Waits until a node knows the alias of a file that it holds.
async fn until_known(asker: &Node, holder: &Node, alias: Alias) {
    until("the alias is known", async || {
        let claims = claims(asker, alias, &holder.addresses()).await;
        (!claims.is_empty()).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_import_and_after_a_fetch() {
    let homes = [home(), home()];
    let holder = node(&homes[0], config(&[])).await;
    let getter = node(&homes[1], config(&[])).await;
    let directory = home();
    let alias = write(directory.path(), 1);
    let hash = add(&holder, directory.path()).await;
    until_known(&getter, &holder, alias).await;

    let get = Get {
        hash,
        peers: holder.addresses(),
        output: None,
        include: Vec::new(),
        exclude: Vec::new(),
        dry_run: false,
        timeout_s: 30,
        verify: false,
        force: false,
    };
    call(&getter, get).await;
    until_known(&holder, &getter, alias).await;
    for node in [holder, getter] {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_left_at_the_last_stop_is_found_after_the_next_start() {
    let (holder_home, asker_home) = (home(), home());
    let directories = [home(), home(), home()];
    let aliases = [1, 2, 3].map(|fill| write(directories[usize::from(fill) - 1].path(), fill));
    let store = Store::open(holder_home.path(), StoreOptions::default()).unwrap();
    for (directory, in_place) in directories.iter().zip([false, true, false]) {
        let options = ImportOptions {
            in_place,
            ..ImportOptions::default()
        };
        store.import(directory.path(), &options, &()).unwrap();
    }
    store.close().unwrap();
    // A file in place changes meanwhile, which must not stop the work.
    let changed = directories[1].path().join("weights.bin");
    std::fs::write(&changed, vec![0; SIZE + 1]).unwrap();

    let holder = node(&holder_home, config(&[])).await;
    let asker = node(&asker_home, config(&[])).await;
    until_known(&asker, &holder, aliases[0]).await;
    until_known(&asker, &holder, aliases[2]).await;
    let changed = claims(&asker, aliases[1], &holder.addresses()).await;
    assert_eq!(changed.len(), 0);
    for node in [holder, asker] {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn not_if_the_configuration_says_so() {
    let (quiet_home, eager_home) = (home(), home());
    let off = Config {
        digests: false,
        ..config(&[])
    };
    let quiet = node(&quiet_home, off).await;
    let eager = node(&eager_home, config(&[])).await;
    let directory = home();
    let alias = write(directory.path(), 1);
    add(&quiet, directory.path()).await;
    add(&eager, directory.path()).await;
    until_known(&quiet, &eager, alias).await;
    let claims = claims(&eager, alias, &quiet.addresses()).await;
    assert_eq!(claims.len(), 0);
    for node in [quiet, eager] {
        node.stop().await;
    }
}
