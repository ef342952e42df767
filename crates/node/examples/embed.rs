//! Nodes inside another program: one shares a directory, the other fetches it by its content hash.
//!
//! ```text
//! cargo run --release --package hubless-node --example embed -- DIRECTORY
//! ```

use std::{error::Error, path::PathBuf};

use hubless_node::{
    Node, Update,
    api::{Add, Call, Event, Failure, Get, Got},
    config::Config,
};

/// Seconds after which a fetch without progress ends.
const TIMEOUT_S: u64 = 30;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let directory = std::env::args_os()
        .nth(1)
        .ok_or("name a directory to share")?;
    let directory = PathBuf::from(directory).canonicalize()?;
    let homes = tempfile::tempdir()?;
    // Loopback and free ports: nothing of this example leaves the machine.
    let config = Config {
        listen: vec!["/ip4/127.0.0.1/tcp/0".parse().expect("an address")],
        mdns: false,
        upnp: false,
        ..Config::default()
    };

    let seeder = Node::start(&homes.path().join("seeder"), &config).await?;
    let add = Add {
        path: directory,
        in_place: true,
        follow_links: false,
    };
    let added = call(&seeder, add).await?;
    println!(
        "{} has {} files, {} bytes",
        added.hash, added.files, added.bytes
    );

    let getter = Node::start(&homes.path().join("getter"), &config).await?;
    let get = Get {
        hash: added.hash,
        peers: seeder.addresses(),
        output: Some(homes.path().join("fetched")),
        include: Vec::new(),
        exclude: Vec::new(),
        dry_run: false,
        timeout_s: TIMEOUT_S,
        verify: false,
        force: false,
    };
    if let Got::Fetched(fetched) = call(&getter, get).await? {
        println!("fetched {} bytes, verified", fetched.bytes_fetched);
    }

    // In order, so that both home directories can be used again at once.
    getter.stop().await;
    seeder.stop().await;
    Ok(())
}

/// Makes a call, prints its progress, and returns its answer.
async fn call<C: Call>(node: &Node, call: C) -> Result<C::Answer, Failure> {
    let mut replies = node.call(call);
    while let Some(update) = replies.next().await {
        if let Update::Event(Event::Progress {
            bytes_verified,
            bytes_total,
            ..
        }) = update
        {
            println!("{bytes_verified} of {bytes_total} bytes");
        }
    }
    replies.answer().await
}
