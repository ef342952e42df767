//! Watches of peers: their places, and what each gets.

use std::time::Instant;

use bytes::Bytes;
use hubless_content::{PublisherId, SubjectKey};
use hubless_network::{PeerId, Reply, RequesterGone};
use hubless_sync::{Counted, Counter};
use hubless_wire::Response;
use tokio::sync::broadcast::error::RecvError;

use super::{Names, outbox::Outbox, send_head};

/// Watches of all peers. Each is a task that waits, with some KiB.
const WATCHES_MAX: usize = 4_096;

/// Watches of one publisher or repo. Those that find no place watch other holders, so news spreads as a
/// tree instead of from one node.
const WATCHES_OF_ONE_MAX: usize = 64;

/// Watches of one peer: more publishers than most nodes follow.
const WATCHES_OF_PEER_MAX: usize = 64;

/// Watches of one peer for one publisher or repo: one that is being ended, after a lost connection, and its
/// successor. No peer takes the places of others.
const WATCHES_OF_PEER_FOR_ONE_MAX: usize = 2;

/// What a watch is for: all of a publisher, or one of its repos.
pub(super) type Of = (PublisherId, Option<SubjectKey>);

/// What has a bound of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Bound {
    All,
    One(Of),
    Peer(PeerId),
    PeerForOne(PeerId, Of),
}

/// The places for watches.
#[derive(Debug, Default)]
pub(super) struct Watches(Counter<Bound>);

/// The place of one watch, until it is dropped.
pub(super) type Place = [Counted<Bound>; 4];

impl Watches {
    /// A place for a watch of a peer, if there is one.
    pub(super) fn enter(
        &self,
        peer: PeerId,
        publisher: PublisherId,
        subject: Option<SubjectKey>,
    ) -> Option<Place> {
        let of = (publisher, subject);
        let below = |bound, max| self.0.add_below(bound, max);
        Some([
            below(Bound::PeerForOne(peer, of), WATCHES_OF_PEER_FOR_ONE_MAX)?,
            below(Bound::Peer(peer), WATCHES_OF_PEER_MAX)?,
            below(Bound::One(of), WATCHES_OF_ONE_MAX)?,
            below(Bound::All, WATCHES_MAX)?,
        ])
    }
}

impl Names {
    /// Sends the heads of a publisher, or of one of its repos, and then those that are taken. Ends only
    /// with the requester.
    pub(super) async fn watch(
        &self,
        publisher: PublisherId,
        subject: Option<SubjectKey>,
        reply: &Reply,
    ) -> Result<(), RequesterGone> {
        // Subscribe before reading the store, so that no head is missed.
        let mut reports = self.watchers.subscribe();
        let is_known = self.send_all(publisher, subject, reply).await?
            || subject.is_none() && self.is_wanted(publisher).await;
        if !is_known {
            return reply.send(Response::NotHere, Bytes::new()).await;
        }
        let mut outbox = Outbox::default();
        loop {
            while let Some(head) = outbox.next(Instant::now()) {
                let record = Bytes::copy_from_slice(head.record());
                reply.send(Response::Head(record), Bytes::new()).await?;
            }
            tokio::select! {
                report = reports.recv() => match report {
                    Ok(head) => {
                        let of = &head.head().subject;
                        if of.publisher() == publisher && subject.is_none_or(|key| key == of.key()) {
                            outbox.add(head, Instant::now());
                        }
                    }
                    Err(RecvError::Lagged(_)) => {
                        self.send_all(publisher, subject, reply).await?;
                    }
                    // The node stops.
                    Err(RecvError::Closed) => return reply.send(Response::NotHere, Bytes::new()).await,
                },
                () = due(&outbox) => {}
            }
        }
    }

    /// Sends all heads that are here; false if there are none.
    async fn send_all(
        &self,
        publisher: PublisherId,
        subject: Option<SubjectKey>,
        reply: &Reply,
    ) -> Result<bool, RequesterGone> {
        // Only keys: a publisher may have thousands of heads, and the peer may read slowly.
        let keys = match subject {
            Some(subject) => vec![subject],
            None => self.keys(publisher).await,
        };
        let mut is_any = false;
        for key in keys {
            let head = self.head(key).await;
            if head
                .as_ref()
                .is_some_and(|head| head.head().subject.publisher() == publisher)
            {
                send_head(head, reply).await?;
                is_any = true;
            }
        }
        Ok(is_any)
    }

    async fn keys(&self, publisher: PublisherId) -> Vec<SubjectKey> {
        let keys = self.read(move |store| {
            let heads = store.heads_of(publisher)?.into_iter();
            Ok(Some(heads.map(|head| head.head().subject.key()).collect()))
        });
        keys.await.unwrap_or_default()
    }
}

/// Waits until a head may be sent.
async fn due(outbox: &Outbox) {
    match outbox.due() {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hubless_content::Subject;

    fn publisher(number: u16) -> PublisherId {
        let mut bytes = [0; 32];
        bytes[..2].copy_from_slice(&number.to_le_bytes());
        PublisherId::new(bytes)
    }

    #[test]
    fn a_publisher_a_peer_and_all_have_only_so_many_watches() {
        let watches = Watches::default();
        let enter = |peer, of| watches.enter(peer, publisher(of), None);
        let greedy = PeerId::random();
        let twice: Vec<_> = (0..3).filter_map(|_| enter(greedy, 0)).collect();
        assert_eq!(twice.len(), WATCHES_OF_PEER_FOR_ONE_MAX);
        let others = (0..100)
            .filter_map(|_| enter(PeerId::random(), 0))
            .collect::<Vec<_>>();
        assert_eq!(others.len(), WATCHES_OF_ONE_MAX - twice.len());
        let of_greedy = (1..200)
            .filter_map(|of| enter(greedy, of))
            .collect::<Vec<_>>();
        assert_eq!(of_greedy.len(), WATCHES_OF_PEER_MAX - twice.len());
        let all: Vec<_> = (0..5_000)
            .filter_map(|number| enter(PeerId::random(), 1_000 + number / 32))
            .collect();
        let before = twice.len() + others.len() + of_greedy.len();
        assert_eq!(before + all.len(), WATCHES_MAX);
        drop((twice, others, of_greedy, all));
        assert!(watches.0.keys().is_empty(), "nothing is left behind");
    }

    #[test]
    fn a_watch_of_one_repo_has_places_of_its_own() {
        let watches = Watches::default();
        let key = Subject::profile(publisher(1)).key();
        let of_all: Vec<_> = (0..WATCHES_OF_ONE_MAX)
            .map(|_| watches.enter(PeerId::random(), publisher(1), None))
            .collect();
        let peer = PeerId::random();
        assert!(watches.enter(peer, publisher(1), None).is_none());
        assert!(watches.enter(peer, publisher(1), Some(key)).is_some());
        drop(of_all);
    }
}
