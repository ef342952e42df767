//! What changes while a page is open: transfers, peers, counters.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use hubless_content::{ContentHash, RepoId};
use hubless_node::api::{
    Failure, ListPeers, PeerDetails, Peers, ShowStatus, Status, Subject, Transfer,
};
use hubless_sync::lock;
use maud::{Markup, html};

use super::{Pages, spellings::Spellings, text, urls};

/// How long the names of contents are believed: finding them reads every repo.
const NAMES_KEPT: Duration = Duration::from_secs(10);

/// Transfers that are shown.
const TRANSFERS_SHOWN: usize = 50;

/// Sources of a transfer that are shown.
const SOURCES_SHOWN: usize = 8;

/// Peers that are shown.
const PEERS_SHOWN: usize = 100;

/// What contents are called.
type NameMap = Arc<HashMap<ContentHash, RepoId>>;

/// Names that were read a moment ago.
#[derive(Default)]
pub(crate) struct Names(Mutex<Option<(Instant, NameMap)>>);

impl Names {
    async fn get(&self, pages: &Pages) -> NameMap {
        let known = lock(&self.0).clone();
        if let Some((at, names)) = known
            && at.elapsed() < NAMES_KEPT
        {
            return names;
        }
        let names = match read_names(pages).await {
            Ok(names) => Arc::new(names),
            Err(error) => {
                tracing::warn!(%error, "names cannot be read");
                NameMap::default()
            }
        };
        let kept = Some((Instant::now(), names.clone()));
        *lock(&self.0) = kept;
        names
    }
}

async fn read_names(pages: &Pages) -> Result<HashMap<ContentHash, RepoId>, Failure> {
    let spellings = Spellings::read(&pages.node).await?;
    let names = pages.node.repos().names().await?;
    let spelled = names.into_iter();
    Ok(spelled
        .map(|(content, repo)| (content, spellings.of(&repo)))
        .collect())
}

/// The node at one moment.
pub(crate) struct Live {
    pub(crate) status: Status,
    peers: Vec<PeerDetails>,
    names: NameMap,
}

impl Live {
    pub(crate) async fn read(pages: &Pages) -> Result<Self, Failure> {
        let status = pages.node.call(ShowStatus {}).answer().await?;
        let Peers { peers } = pages.node.call(ListPeers {}).answer().await?;
        Ok(Self {
            status,
            peers,
            names: pages.names.get(pages).await,
        })
    }

    /// Whether this content is being fetched now.
    pub(crate) fn is_fetching(&self, content: ContentHash) -> bool {
        let subject = content.into();
        let mut transfers = self.status.transfers.iter();
        transfers.any(|transfer| transfer.subject == subject)
    }

    /// Counters, one beside the other.
    pub(crate) fn facts(&self) -> Markup {
        let Status { dht, store, .. } = &self.status;
        let missing = store.bytes.saturating_sub(store.bytes_held);
        let held = match store.quota {
            Some(quota) => format!("{} of {}", text::size(store.bytes_held), text::size(quota)),
            None => text::size(store.bytes_held),
        };
        let announced = match dht.backlog {
            0 => text::number(dht.announced),
            due => format!(
                "{} ({} due)",
                text::number(dht.announced),
                text::number(due)
            ),
        };
        html! {
            (fact("Peers", &text::number(self.status.peers)))
            (fact("Reachability", &self.status.reachability.to_string()))
            (fact("Held on disk", &held))
            // A file takes its whole room from its first chunk on.
            @if missing > 0 { (fact("Reserved on disk", &text::size(missing))) }
            (fact("Received from peers", &text::size(self.status.bytes_received)))
            @if self.status.bytes_from_upstream > 0 {
                (fact("Received from the upstream", &text::size(self.status.bytes_from_upstream)))
            }
            (fact("Sent to peers", &text::size(self.status.bytes_sent)))
            (fact("Announced keys", &announced))
            @if self.status.chunks_rejected > 0 {
                (fact("Wrong chunks refused", &text::number(self.status.chunks_rejected)))
            }
        }
    }

    /// The fetches under way, of one content or of all.
    pub(crate) fn transfers(&self, of: Option<ContentHash>) -> Markup {
        let all = self.status.transfers.iter();
        let is_shown = |t: &&Transfer| of.is_none_or(|of| t.subject == of.into());
        let shown: Vec<&Transfer> = all.filter(is_shown).collect();
        if shown.is_empty() {
            let nothing = match of {
                Some(_) => "It is not being fetched now.",
                None => "Nothing is being fetched now.",
            };
            return html! { p.muted { (nothing) } };
        }
        html! {
            ul.transfers {
                @for transfer in shown.iter().take(TRANSFERS_SHOWN) {
                    li { (self.transfer(transfer)) }
                }
            }
            @if shown.len() > TRANSFERS_SHOWN {
                p.muted { "and " (shown.len() - TRANSFERS_SHOWN) " more" }
            }
        }
    }

    fn transfer(&self, transfer: &Transfer) -> Markup {
        let Transfer {
            bytes_verified: done,
            bytes_total: total,
            bytes_per_second: rate,
            ..
        } = *transfer;
        let (name, address) = self.subject(&transfer.subject);
        html! {
            div.line {
                a href=(address) { (name) }
                span.muted { (transfer.state) }
            }
            @if total > 0 {
                progress max="100" value=(text::percent(done, total)) aria-label=(name) {
                    (text::percent(done, total)) " %"
                }
            } @else {
                progress aria-label=(name) {}
            }
            div.line.small {
                span {
                    @if total > 0 {
                        b { (text::percent(done, total)) " %" } " of " (text::size(total))
                    }
                }
                span {
                    (text::rate(rate)) " from " (givers(transfer))
                    @if let Some(left) = left(done, total, rate) { ", " (left) " left" }
                }
            }
            @if !transfer.sources.is_empty() {
                ul.sources.small.muted {
                    @for source in transfer.sources.iter().take(SOURCES_SHOWN) {
                        li {
                            (text::peer(&source.peer_id)) " "
                            (text::rate(source.bytes_per_second)) ", "
                            (text::size(source.bytes_fetched)) " given"
                        }
                    }
                    @if transfer.sources.len() > SOURCES_SHOWN {
                        li { "and " (transfer.sources.len() - SOURCES_SHOWN) " more" }
                    }
                }
            }
        }
    }

    /// What it is called, and its page.
    fn subject(&self, subject: &Subject) -> (String, String) {
        match subject {
            Subject::Model { hash } => match self.names.get(hash) {
                Some(repo) => (repo.to_string(), urls::repo(repo)),
                None => (hash.to_string()[..16].to_owned(), urls::content(*hash)),
            },
            Subject::File { repo, path, .. } => (format!("{repo}/{path}"), urls::repo(repo)),
        }
    }

    /// The connected peers.
    pub(crate) fn peers(&self) -> Markup {
        if self.peers.is_empty() {
            return html! { p.muted { "No peer is connected." } };
        }
        html! {
            div.scroll role="group" aria-label="Peers" tabindex="0" {
                table {
                    thead {
                        tr {
                            th scope="col" { "Peer" }
                            th scope="col" { "Address" }
                            th scope="col" { "Program" }
                            th.right scope="col" { "Round trip" }
                            th.right scope="col" { "Lanes" }
                        }
                    }
                    tbody {
                        @for peer in self.peers.iter().take(PEERS_SHOWN) {
                            (peer_row(peer))
                        }
                    }
                }
            }
            @if self.peers.len() > PEERS_SHOWN {
                p.muted { "and " (self.peers.len() - PEERS_SHOWN) " more" }
            }
        }
    }
}

/// The sources of a transfer.
fn givers(transfer: &Transfer) -> String {
    match &transfer.subject {
        Subject::File {
            upstream: Some(upstream),
            ..
        } => upstream.clone(),
        _ => text::count(transfer.sources.len() as u64, "source"),
    }
}

fn fact(name: &str, value: &str) -> Markup {
    html! { div { dt { (name) } dd { (value) } } }
}

fn peer_row(peer: &PeerDetails) -> Markup {
    html! {
        tr {
            td { (text::peer(&peer.peer_id.to_string())) }
            td { @if let Some(address) = peer.addresses.first() { code { (address.to_string()) } } }
            td { (peer.agent.as_deref().unwrap_or_default()) }
            td.right { @if let Some(time) = peer.rtt_ms { (format!("{time:.1} ms")) } }
            td.right { (peer.lanes) }
        }
    }
}

/// The time that is left at this rate.
fn left(done: u64, total: u64, rate: u64) -> Option<String> {
    let seconds = total.saturating_sub(done).checked_div(rate)?;
    Some(text::duration(Duration::from_secs(seconds)))
}
