//! Counts payload bytes of one direction and, if there is a limit, lets them pass in turns.

use std::{
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Instant,
};

use hubless_sync::lock;
use hubless_transport::carrier::Carrier;
use libp2p::PeerId;
use tokio::sync::{Notify, oneshot};

use super::fair::{Fair, Step};

/// Bytes that pass at once without a limit, so that counters move while a chunk is on its way.
const PIECE_BYTES_MAX: usize = 64 * 1024;

/// Payload bytes by what carried them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traffic(pub [(Carrier, u64); Carrier::ALL.len()]);

impl Traffic {
    /// The sum over all carriers.
    pub fn total(&self) -> u64 {
        self.0.iter().map(|(_, bytes)| bytes).sum()
    }
}

/// Bytes that may pass; comes when it is the waiter's turn.
pub(crate) type Turn = oneshot::Receiver<usize>;

/// Both directions of a node.
#[derive(Clone)]
pub(crate) struct Shapers {
    pub(crate) up: Shaper,
    pub(crate) down: Shaper,
}

/// One direction's limit and counters. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Shaper {
    shared: Arc<Shared>,
    /// For what this clone counts.
    carrier: Carrier,
}

struct Shared {
    /// Read without the lock, so that an unlimited node pays nothing.
    limited: AtomicBool,
    /// One for each carrier.
    passed: [AtomicU64; Carrier::ALL.len()],
    fair: Mutex<Fair<oneshot::Sender<usize>>>,
    changed: Notify,
}

impl Shaper {
    pub(crate) fn new(all: Option<u64>, each: Option<u64>) -> Self {
        let shared = Shared {
            limited: AtomicBool::new(false),
            passed: Default::default(),
            fair: Mutex::new(Fair::new()),
            changed: Notify::new(),
        };
        let shaper = Self {
            shared: Arc::new(shared),
            carrier: Carrier::default(),
        };
        shaper.set_limits(all, each);
        shaper
    }

    pub(crate) fn set_limits(&self, all: Option<u64>, each: Option<u64>) {
        let mut fair = self.fair();
        fair.set_limits(all, each, Instant::now());
        self.shared
            .limited
            .store(fair.is_limited(), Ordering::Relaxed);
        drop(fair);
        self.shared.changed.notify_one();
    }

    /// Requests that bytes may pass: either some at once, or a turn to wait for. At least one is wanted.
    pub(crate) fn request(&self, peer: PeerId, want: usize) -> Result<usize, Turn> {
        if !self.shared.limited.load(Ordering::Relaxed) {
            return Ok(want.min(PIECE_BYTES_MAX));
        }
        let (sender, turn) = oneshot::channel();
        self.fair().request(peer, sender, want);
        self.shared.changed.notify_one();
        Err(turn)
    }

    /// The same one for a stream, whose bytes count for what carries it.
    pub(crate) fn on(&self, carrier: Carrier) -> Self {
        Self {
            carrier,
            ..self.clone()
        }
    }

    /// Counts what passed.
    pub(crate) fn count(&self, bytes: usize) {
        self.shared.passed[self.carrier as usize].fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Bytes that passed since the start.
    pub(crate) fn passed(&self) -> Traffic {
        let passed = |carrier| self.shared.passed[carrier as usize].load(Ordering::Relaxed);
        Traffic(Carrier::ALL.map(|carrier| (carrier, passed(carrier))))
    }

    /// Hands out turns; sleeps while no request waits. Ends only by being dropped.
    pub(crate) async fn run(self) {
        loop {
            let step = self.fair().poll(Instant::now());
            match step {
                Step::Grant(waiter, bytes) => {
                    if waiter.send(bytes).is_err() {
                        self.fair().put_back(bytes);
                    }
                }
                Step::WakeAt(at) => tokio::select! {
                    () = tokio::time::sleep_until(at.into()) => {}
                    () = self.shared.changed.notified() => {}
                },
                Step::Idle => self.shared.changed.notified().await,
            }
        }
    }

    fn fair(&self) -> MutexGuard<'_, Fair<oneshot::Sender<usize>>> {
        lock(&self.shared.fair)
    }
}
