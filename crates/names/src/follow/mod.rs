//! Following publishers: their heads arrive within seconds, their history always, their content by policy.
//!
//! `plan` decides which holders are watched, polled and searched for; this module executes it. A watched
//! holder reports each head that it takes; the follower adopts it from that holder, and its own watchers
//! receive it in turn. `mirror` fetches the content.
//!
//! # Not here
//! Which content is kept from being collected: the store decides by the policy of each follow.

mod holders;
mod mirror;
mod plan;
mod poll;
mod watch;

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use hubless_content::{PublisherId, VerifiedHead};
use hubless_network::{Multiaddr, PeerId};
use hubless_store::StoreError;
use hubless_transfer::{Context, Fetches};
use tokio::{
    sync::{Notify, mpsc, watch as latest},
    task::JoinSet,
    time::{Instant, sleep_until},
};
use tracing::{debug, warn};

use self::{
    plan::{End, Input, Output, Plan},
    watch::Command,
};
use crate::{
    ask::Source,
    sync::{Adopted, Adopter},
};

/// Events of watches, polls and searches that wait for the driver.
const EVENTS_MAX: usize = 256;

/// Searches and polls at once: each has a few requests open.
const WORK_MAX: usize = 16;

/// The holders that are watched now, by publisher.
type Watched = HashMap<PublisherId, Vec<PeerId>>;

/// Follows publishers for one node.
pub struct Follower {
    fetches: Arc<Fetches>,
    adopter: Arc<Adopter>,
    changed: Notify,
    is_running: AtomicBool,
    watched: latest::Sender<Watched>,
}

impl Follower {
    /// Follows what the store of a node says; begins with [`Follower::run`].
    pub fn new(fetches: Arc<Fetches>, adopter: Arc<Adopter>) -> Arc<Self> {
        Arc::new(Self {
            fetches,
            adopter,
            changed: Notify::new(),
            is_running: AtomicBool::new(false),
            watched: latest::Sender::default(),
        })
    }

    /// Whether this process follows, which only one does that serves.
    pub fn is_running(&self) -> bool {
        self.is_running.load(Ordering::Relaxed)
    }

    /// To be called when the follows of the store have changed.
    pub fn follows_changed(&self) {
        self.changed.notify_one();
    }

    /// Follows until the node stops. Needs the network.
    pub async fn run(self: Arc<Self>) {
        self.is_running.store(true, Ordering::Relaxed);
        let cancel = self.cx().cancel.clone();
        let (events, inbox) = mpsc::channel(EVENTS_MAX);
        let driver = Driver {
            plan: Plan::new(rand::random()),
            start: Instant::now(),
            addresses: HashMap::new(),
            peers: HashMap::new(),
            waiting: VecDeque::new(),
            work: JoinSet::new(),
            watches: JoinSet::new(),
            events,
            inbox,
            follower: self.clone(),
        };
        let work = async { tokio::join!(driver.run(), mirror::run(&self)) };
        cancel.run_until_cancelled(work).await;
    }

    fn cx(&self) -> &Arc<Context> {
        &self.fetches.cx
    }

    /// Adopts a head that a holder gave. A holder that is behind is no error: others are asked too.
    async fn adopt(&self, head: VerifiedHead, source: &Source) {
        let subject = head.head().subject.clone();
        let adopted = self
            .adopter
            .adopt(Arc::new(head), std::slice::from_ref(source));
        match adopted.await {
            Ok(Adopted::Newer { fork_of: Some(_) }) => {
                warn!(%subject, "two states of one sequence number: the one that ranks higher is taken");
            }
            Ok(_) => {}
            Err(error) => debug!(%subject, peer = %source.peer, %error, "a head is not taken"),
        }
    }
}

/// What comes to the driver.
enum Event {
    Found(PublisherId, Vec<Source>),
    Searched(PublisherId),
    Ended(PeerId, PublisherId, End),
    Polled(PublisherId),
}

/// Executes the plan.
struct Driver {
    follower: Arc<Follower>,
    plan: Plan<PeerId>,
    start: Instant,
    /// Of the holders that the plan knows.
    addresses: HashMap<PeerId, Vec<Multiaddr>>,
    /// Where watched peers take commands.
    peers: HashMap<PeerId, mpsc::UnboundedSender<Command>>,
    /// Searches and polls that wait for a place.
    waiting: VecDeque<Output<PeerId>>,
    work: JoinSet<()>,
    watches: JoinSet<()>,
    events: mpsc::Sender<Event>,
    inbox: mpsc::Receiver<Event>,
}

impl Driver {
    async fn run(mut self) {
        let follower = self.follower.clone();
        self.follow().await;
        loop {
            self.execute();
            let wake = self.plan.wake().map(|wake| self.start + wake);
            tokio::select! {
                () = follower.changed.notified() => self.follow().await,
                Some(event) = self.inbox.recv() => {
                    self.on_event(event);
                    while let Ok(event) = self.inbox.try_recv() {
                        self.on_event(event);
                    }
                }
                Some(_) = self.work.join_next() => {}
                Some(_) = self.watches.join_next() => {}
                () = until(wake) => self.handle(Input::Tick),
            }
        }
    }

    /// Reads what is followed.
    async fn follow(&mut self) {
        let store = self.follower.cx().store.clone();
        match self
            .follower
            .cx()
            .blocking
            .run(move || store.follows())
            .await
        {
            Ok(Ok(follows)) => {
                let publishers = follows.iter().map(|follow| follow.publisher).collect();
                self.handle(Input::Following(publishers));
            }
            Ok(Err(error)) => warn!(%error, "cannot read what is followed"),
            Err(error) => debug!(%error, "cannot read what is followed"),
        }
    }

    fn handle(&mut self, input: Input<PeerId>) {
        self.plan.handle(self.start.elapsed(), input);
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Found(publisher, sources) => {
                let peers = sources.iter().map(|source| source.peer).collect();
                for Source { peer, addresses } in sources {
                    self.addresses.insert(peer, addresses);
                }
                self.handle(Input::Found(publisher, peers));
                let plan = &self.plan;
                self.addresses.retain(|peer, _| plan.is_holder(peer));
            }
            Event::Ended(peer, publisher, end) => {
                self.handle(Input::Ended(peer, publisher, end));
            }
            Event::Searched(publisher) => self.handle(Input::Searched(publisher)),
            Event::Polled(publisher) => self.handle(Input::Polled(publisher)),
        }
    }

    fn execute(&mut self) {
        let mut have_watches_changed = false;
        while let Some(output) = self.plan.poll_output() {
            match output {
                Output::Watch(peer, publisher) => self.send(peer, Command::Watch(publisher)),
                Output::Unwatch(peer, publisher) => self.send(peer, Command::End(publisher)),
                Output::Find(_) | Output::Poll(..) => {
                    self.waiting.push_back(output);
                    continue;
                }
            }
            have_watches_changed = true;
        }
        while self.work.len() < WORK_MAX
            && let Some(output) = self.waiting.pop_front()
        {
            self.begin(output);
        }
        if have_watches_changed {
            self.follower.watched.send_replace(self.plan.all_watched());
        }
    }

    /// Gives a command to the task of a peer, which is begun if there is none.
    fn send(&mut self, peer: PeerId, command: Command) {
        let undelivered = match self.peers.get(&peer) {
            Some(commands) => match commands.send(command) {
                Ok(()) => return,
                Err(undelivered) => undelivered.0,
            },
            None => command,
        };
        self.peers.retain(|_, commands| !commands.is_closed());
        if let Command::End(_) = undelivered {
            return; // it has ended
        }
        // One command for each watch: the plan bounds them.
        let (commands, inbox) = mpsc::unbounded_channel();
        // Cannot fail: the receiver is here.
        let _ = commands.send(undelivered);
        self.peers.insert(peer, commands);
        let watch = watch::run(
            self.follower.clone(),
            self.source(peer),
            inbox,
            self.events.clone(),
        );
        self.watches.spawn(watch);
    }

    fn source(&self, peer: PeerId) -> Source {
        let addresses = self.addresses.get(&peer).cloned().unwrap_or_default();
        Source { peer, addresses }
    }

    /// Begins a search or a poll.
    fn begin(&mut self, output: Output<PeerId>) {
        let (follower, events) = (self.follower.clone(), self.events.clone());
        match output {
            Output::Find(publisher) => {
                self.work.spawn(async move {
                    holders::find(&follower, publisher, &events).await;
                    // Fails if the driver has ended.
                    let _ = events.send(Event::Searched(publisher)).await;
                });
            }
            Output::Poll(publisher, peers) => {
                let sources: Vec<Source> =
                    peers.into_iter().map(|peer| self.source(peer)).collect();
                self.work.spawn(async move {
                    poll::run(&follower, publisher, &sources).await;
                    let _ = events.send(Event::Polled(publisher)).await;
                });
            }
            // Executed at once.
            Output::Watch(..) | Output::Unwatch(..) => {}
        }
    }
}

/// Waits until a time, or for ever.
async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// A store call of the follower; errors are logged, and count as nothing.
async fn read<T: Send + 'static>(
    cx: &Context,
    call: impl FnOnce(&hubless_store::Store) -> Result<T, StoreError> + Send + 'static,
) -> Option<T> {
    let store = cx.store.clone();
    match cx.blocking.run(move || call(&store)).await {
        Ok(Ok(found)) => Some(found),
        Ok(Err(error)) => {
            warn!(%error, "cannot read what is known of a publisher");
            None
        }
        Err(_) => None,
    }
}
