//! A peer of iroh-blobs without an interface: one file, served and fetched over loopback.
//!
//!     bench-iroh serve FILE STORE            prints a ticket and the seconds of the import
//!     bench-iroh get TICKET OUTPUT STORE     fetches into the store, then exports
//!
//! Both are set as their library sets them, but for what would leave the machine: no relays, no
//! lookups. The file is imported and exported by reference, as hubless does it.

use std::{
    net::Ipv4Addr,
    path::{Path, PathBuf, absolute},
    time::Instant,
};

use anyhow::{Context, Result, bail};
use iroh::{Endpoint, EndpointAddr, RelayMode, endpoint::presets, protocol::Router};
use iroh_blobs::{
    BlobFormat, BlobsProtocol,
    api::blobs::{AddPathOptions, ExportMode, ExportOptions, ImportMode},
    store::fs::FsStore,
    ticket::BlobTicket,
};

#[tokio::main]
async fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["serve", file, store] => serve(absolute(file)?, Path::new(store)).await,
        ["get", ticket, output, store] => {
            get(ticket.parse()?, absolute(output)?, Path::new(store)).await
        }
        _ => bail!("usage: bench-iroh serve FILE STORE | get TICKET OUTPUT STORE"),
    }
}

async fn endpoint() -> Result<Endpoint> {
    let builder = Endpoint::builder(presets::Minimal).relay_mode(RelayMode::Disabled);
    let builder = builder.clear_ip_transports();
    let builder = builder.bind_addr((Ipv4Addr::LOCALHOST, 0))?;
    Ok(builder.bind().await?)
}

async fn serve(path: PathBuf, store: &Path) -> Result<()> {
    let store = FsStore::load(store).await?;
    let started = Instant::now();
    let options = AddPathOptions {
        path,
        format: BlobFormat::Raw,
        mode: ImportMode::TryReference,
    };
    let added = store.add_path_with_opts(options).await?;
    let took = started.elapsed().as_secs_f64();
    let endpoint = endpoint().await?;
    let socket = endpoint.bound_sockets().into_iter().next();
    let address = EndpointAddr::new(endpoint.id()).with_ip_addr(socket.context("no socket")?);
    println!("{} {took}", BlobTicket::new(address, added.hash, added.format));
    let router = Router::builder(endpoint)
        .accept(iroh_blobs::ALPN, BlobsProtocol::new(&store, None))
        .spawn();
    tokio::signal::ctrl_c().await?;
    router.shutdown().await?;
    Ok(())
}

async fn get(ticket: BlobTicket, target: PathBuf, store: &Path) -> Result<()> {
    let store = FsStore::load(store).await?;
    let endpoint = endpoint().await?;
    let connection = endpoint
        .connect(ticket.addr().clone(), iroh_blobs::ALPN)
        .await?;
    store
        .remote()
        .fetch(connection, ticket.hash_and_format())
        .await?;
    let export = ExportOptions {
        hash: ticket.hash(),
        mode: ExportMode::TryReference,
        target,
    };
    store.export_with_opts(export).await?;
    store.shutdown().await?;
    endpoint.close().await;
    Ok(())
}
