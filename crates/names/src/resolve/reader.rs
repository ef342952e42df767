//! One read of a name: asks the DHT and holders in parallel, and reports to the [`Reading`].
//!
//! Asked are peers that were named for the name: by the caller, the configuration, the local network,
//! the publisher's profile, or the DHT as holders of the repo or of the profile; in a private network all
//! members. No other peer learns what this node reads.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use hubless_content::{HeadRecord, Subject, SubjectKey, VerifiedHead};
use hubless_network::{AnnounceKey, Network, PeerId};
use hubless_transfer::{Context, KnownPeers};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::sleep_until,
};

use super::reading::{Outcome, Reading};
use crate::{
    ask::{self, Source},
    clock,
};

/// Holders that one read asks: more would only repeat what these answer.
const HOLDERS_ASKED_MAX: usize = 16;

/// How long a read goes on after the reader has its answer: what is newer counts for the next one.
const BEHIND_WITHIN: Duration = Duration::from_secs(10);

/// Reports that wait for the reading.
const REPORTS_MAX: usize = 64;

/// What one read asks, and whom.
pub(super) struct Reader {
    pub(super) cx: Arc<Context>,
    pub(super) network: Network,
    pub(super) subject: Subject,
    pub(super) seen: Option<Arc<VerifiedHead>>,
    /// Peers at which the publisher says it can be reached.
    pub(super) signers: Vec<PeerId>,
    /// Peers that the caller named.
    pub(super) named: Vec<Source>,
    pub(super) known_peers: KnownPeers,
}

/// What a read found, and where to ask for what belongs to it.
pub(super) struct Found {
    pub(super) outcome: Outcome<PeerId>,
    /// Peers that gave the head first, then the others that were asked.
    pub(super) sources: Vec<Source>,
}

enum Report {
    /// A node of the DHT gave this head.
    Value(PeerId, Arc<VerifiedHead>),
    /// A holder answered, or did not.
    Holder(PeerId, Option<Arc<VerifiedHead>>),
    /// The DHT names a holder.
    Found(Source),
    /// A walk through the DHT ended.
    WalkEnded,
}

impl Reader {
    /// Reads; `answer` gets the outcome as soon as it is enough. Returns what was found in all.
    pub(super) async fn run(self, answer: oneshot::Sender<Found>) -> Found {
        let (reports, mut reported) = mpsc::channel(REPORTS_MAX);
        let reading = Reading::new(
            Instant::now(),
            self.seen.clone(),
            self.signers.iter().copied(),
        );
        let nearby = self.nearby().await;
        let mut asking = Asking {
            reader: &self,
            reading,
            asked: HashMap::new(),
            tasks: JoinSet::new(),
            reports,
        };
        asking.begin(nearby);
        let mut answer = Some(answer);
        let mut end = asking.reading.deadline();
        loop {
            if asking.reading.is_done(Instant::now())
                && let Some(answer) = answer.take()
            {
                end = Instant::now() + BEHIND_WITHIN;
                // The reader may be gone; what is found serves the next one.
                let _ = answer.send(asking.found());
            }
            if answer.is_none() && asking.tasks.is_empty() {
                break;
            }
            tokio::select! {
                report = reported.recv() => match report {
                    Some(report) => asking.take(report),
                    None => break,
                },
                Some(_) = asking.tasks.join_next() => {}
                () = sleep_until(end.into()) => if answer.is_none() { break },
                () = self.cx.cancel.cancelled() => break,
            }
        }
        asking.found()
    }

    /// The peers to ask beside those that the DHT names.
    async fn nearby(&self) -> Vec<Source> {
        let configured = self.known_peers.peers.iter().filter_map(Source::at);
        let signers = self.signers.iter().copied().map(Source::from);
        let connected = self.network.peers().await.into_iter();
        let members = connected.filter(|peer| peer.is_local || self.known_peers.is_private);
        let members = members.map(|peer| Source {
            peer: peer.peer_id,
            addresses: peer.listen_addresses,
        });
        let named = self.named.iter().cloned();
        named
            .chain(signers)
            .chain(configured)
            .chain(members)
            .collect()
    }
}

/// The state of a read.
struct Asking<'a> {
    reader: &'a Reader,
    reading: Reading<PeerId>,
    asked: HashMap<PeerId, Source>,
    tasks: JoinSet<()>,
    reports: mpsc::Sender<Report>,
}

impl Asking<'_> {
    fn begin(&mut self, nearby: Vec<Source>) {
        let subject = &self.reader.subject;
        let profile = Subject::profile(subject.publisher()).key();
        self.walk(walk_values(
            self.reader.cx.clone(),
            self.reader.network.clone(),
            subject.key(),
            self.reports.clone(),
        ));
        for key in HashSet::from([subject.key(), profile]) {
            let network = self.reader.network.clone();
            self.walk(walk_holders(network, key, self.reports.clone()));
        }
        for source in nearby {
            self.ask(source);
        }
    }

    fn walk(&mut self, walk: impl Future<Output = ()> + Send + 'static) {
        self.reading.walk_began();
        let reports = self.reports.clone();
        self.tasks.spawn(async move {
            walk.await;
            report(&reports, Report::WalkEnded).await;
        });
    }

    fn ask(&mut self, source: Source) {
        let is_own = source.peer == self.reader.cx.own_id;
        if is_own || self.asked.len() >= HOLDERS_ASKED_MAX || self.asked.contains_key(&source.peer)
        {
            return;
        }
        self.asked.insert(source.peer, source.clone());
        self.reading.asked();
        let (cx, reports) = (self.reader.cx.clone(), self.reports.clone());
        let key = self.reader.subject.key();
        self.tasks.spawn(async move {
            let head = match ask::head(&cx, &source, key).await {
                Ok(head) => Some(Arc::new(head)),
                Err(error) => {
                    tracing::debug!(%error, "no head of a holder");
                    None
                }
            };
            report(&reports, Report::Holder(source.peer, head)).await;
        });
    }

    fn found(&self) -> Found {
        let outcome = self.reading.outcome();
        let first = outcome
            .holders
            .iter()
            .filter_map(|peer| self.asked.get(peer));
        let others = self
            .asked
            .values()
            .filter(|source| !outcome.holders.contains(&source.peer));
        let sources = first.chain(others).cloned().collect();
        Found { outcome, sources }
    }

    fn take(&mut self, report: Report) {
        match report {
            Report::Value(from, head) => self.reading.value(from, head),
            Report::Holder(from, head) => self.reading.holder(from, head),
            Report::Found(source) => self.ask(source),
            Report::WalkEnded => self.reading.walk_ended(),
        }
    }
}

async fn walk_values(
    cx: Arc<Context>,
    network: Network,
    key: SubjectKey,
    reports: mpsc::Sender<Report>,
) {
    let mut found = network.find_values(key).await;
    while let Some(value) = found.recv().await {
        let record = value.record;
        let proven = cx.blocking.run(move || prove(&record, key)).await;
        if let Ok(Some(head)) = proven {
            let from = value.from.unwrap_or(cx.own_id);
            report(&reports, Report::Value(from, Arc::new(head))).await;
        }
    }
}

/// A record of a node of the DHT, which need not have looked at it itself.
fn prove(record: &Bytes, key: SubjectKey) -> Option<VerifiedHead> {
    let record = HeadRecord::decode(record).ok()?;
    let is_meant = record.head().subject.key() == key;
    is_meant.then(|| record.verify(clock::now()).ok())?
}

async fn walk_holders(network: Network, key: SubjectKey, reports: mpsc::Sender<Report>) {
    let mut found = network.find_providers(AnnounceKey::from(key)).await;
    while let Some(provider) = found.recv().await {
        let source = Source {
            peer: provider.peer_id,
            addresses: provider.addresses,
        };
        report(&reports, Report::Found(source)).await;
    }
}

/// Fails if the read is over.
async fn report(reports: &mpsc::Sender<Report>, report: Report) {
    let _ = reports.send(report).await;
}
