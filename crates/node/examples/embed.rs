//! Nodes inside another program: one shares a directory, the other fetches it by its content hash.
//!
//! ```text
//! cargo run --release --package hubless-node --example embed -- DIRECTORY
//! ```

use std::{error::Error, path::PathBuf};

use hubless_node::{
    Node,
    api::{Added, Event, Fetched, GetRequest, Reply, Request},
    config::Config,
};
use serde::de::DeserializeOwned;

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
    let add = Request::Add {
        path: directory,
        in_place: true,
        follow_links: false,
    };
    let added: Added = call(&seeder, add).await?;
    println!(
        "{} has {} files, {} bytes",
        added.hash, added.files, added.bytes
    );

    let getter = Node::start(&homes.path().join("getter"), &config).await?;
    let get = GetRequest {
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
    let fetched: Fetched = call(&getter, Request::Get(get)).await?;
    println!("fetched {} bytes, verified", fetched.bytes_fetched);

    // In order, so that both home directories can be used again at once.
    getter.stop().await;
    seeder.stop().await;
    Ok(())
}

/// Sends a request, prints its progress, and returns its result.
async fn call<T: DeserializeOwned>(node: &Node, request: Request) -> Result<T, Box<dyn Error>> {
    let mut replies = node.call(request).await?;
    while let Some(reply) = replies.next().await {
        match reply {
            Reply::Event(Event::Progress {
                bytes_verified,
                bytes_total,
                ..
            }) => {
                println!("{bytes_verified} of {bytes_total} bytes");
            }
            Reply::Event(_) | Reply::Data(_) => {}
            Reply::Done(value) => return Ok(serde_json::from_value(value)?),
            Reply::Failed(failure) => return Err(failure.into()),
        }
    }
    Err("the node ended before its answer".into())
}
