//! The task of one watched peer: the heads that it reports are proven and adopted.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use hubless_content::PublisherId;
use hubless_sync::Rate;
use tokio::{sync::mpsc, task::JoinSet};

use super::{Event, Follower, plan::End};
use crate::ask::{AskError, News, Source, Watching};

/// Heads of one peer that are adopted at once. Further ones wait in the stream.
const ADOPTIONS_MAX: usize = 8;

/// Heads of one peer that are proven per [`PROOF_WINDOW`]; further ones wait in the stream, so that no peer
/// keeps this node busy with proofs. A publisher of a thousand repos is known within half a minute.
const PROOFS_MAX: u32 = 40;

/// The time window of this limit.
const PROOF_WINDOW: Duration = Duration::from_secs(1);

/// What the driver wants of a watched peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    /// Watch a publisher.
    Watch(PublisherId),
    /// Watch it no longer.
    End(PublisherId),
}

/// Watches publishers at one peer until no watch is left or the peer leaves. Each watch that ends
/// otherwise than by a command is reported.
pub(super) async fn run(
    follower: Arc<Follower>,
    source: Source,
    mut commands: mpsc::UnboundedReceiver<Command>,
    events: mpsc::Sender<Event>,
) {
    let peer = source.peer;
    let mut watched = HashSet::new();
    let mut watch = Watch {
        follower,
        source,
        watched: &mut watched,
        events: &events,
        proofs: Rate::new(PROOF_WINDOW, PROOFS_MAX, PROOFS_MAX),
        adoptions: JoinSet::new(),
    };
    let end = match watch.work(&mut commands).await {
        Err(AskError::Wrong { .. }) => End::Lied,
        Ok(()) | Err(_) => End::Gone,
    };
    // The driver begins another task for commands that come later.
    commands.close();
    while let Some(command) = commands.recv().await {
        match command {
            Command::Watch(publisher) => watched.insert(publisher),
            Command::End(publisher) => watched.remove(&publisher),
        };
    }
    for publisher in watched {
        // Fails if the driver has ended.
        let _ = events.send(Event::Ended(peer, publisher, end)).await;
    }
}

struct Watch<'a> {
    follower: Arc<Follower>,
    source: Source,
    watched: &'a mut HashSet<PublisherId>,
    events: &'a mpsc::Sender<Event>,
    proofs: Rate<()>,
    /// Dropped with the watch: an adoption may be.
    adoptions: JoinSet<()>,
}

impl Watch<'_> {
    async fn work(
        &mut self,
        commands: &mut mpsc::UnboundedReceiver<Command>,
    ) -> Result<(), AskError> {
        let mut watching = Watching::open(self.follower.cx(), &self.source).await?;
        loop {
            tokio::select! {
                command = commands.recv() => match command {
                    Some(Command::Watch(publisher)) => {
                        self.watched.insert(publisher);
                        watching.watch(publisher).await?;
                    }
                    Some(Command::End(publisher)) => {
                        self.watched.remove(&publisher);
                        watching.end(publisher).await?;
                    }
                    None => return Ok(()),
                },
                news = watching.next(), if self.adoptions.len() < ADOPTIONS_MAX => match news? {
                    News::Head(publisher, record) => self.take(&watching, publisher, record).await?,
                    News::Ended(publisher, _) => {
                        self.watched.remove(&publisher);
                        let ended = Event::Ended(self.source.peer, publisher, End::Refused);
                        let _ = self.events.send(ended).await;
                    }
                },
                Some(_) = self.adoptions.join_next() => {}
            }
            if watching.is_empty() {
                return Ok(());
            }
        }
    }

    async fn take(
        &mut self,
        watching: &Watching,
        publisher: PublisherId,
        record: Bytes,
    ) -> Result<(), AskError> {
        if !self.proofs.admits((), Instant::now()) {
            tokio::time::sleep(PROOF_WINDOW).await;
        }
        let head = match watching.prove(publisher, record).await {
            Ok(head) => head,
            // One of both clocks is wrong; it may be set right.
            Err(AskError::Clock { source, .. }) => {
                tracing::debug!(%publisher, %source, "a head is ahead of the clock");
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let (follower, source) = (self.follower.clone(), self.source.clone());
        self.adoptions
            .spawn(async move { follower.adopt(head, &source).await });
        Ok(())
    }
}
