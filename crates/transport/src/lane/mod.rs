//! Lanes: exchange streams on TLS connections of their own, without a muxer.
//!
//! Between two nodes that reach each other directly, the muxer is what bulk data pays most for. A
//! lane carries one exchange stream over TCP and TLS 1.3 alone, to the same port that libp2p listens
//! on. The bytes are described in `proto/lane.md`.
//!
//! # How
//! The requesting peer, which has dialled the peer over TCP, opens a libp2p stream of the protocol
//! `/hubless/lane/1` and gets
//! a *pass*: 16 random bytes, good for one lane, for a short time. It dials the same address again
//! and shows the pass in its TLS hello. Both sides prove the identities that they have in libp2p.
//!
//! # Goals
//! A lane is an appendix of a libp2p connection, and lives no longer: whatever refuses or closes
//! that (a ban, a limit, a broken rule, a private network's key, the end) holds for lanes too. A
//! peer without a pass gets no byte and costs one parse. Whatever goes wrong, the libp2p stream works.
//!
//! # Not here
//! The messages on a lane (see `network`), distinguishing TLS from libp2p on a fresh socket (see
//! `door`).

mod accept;
mod dial;
mod passes;
mod stream;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use hubless_sync::Counter;
use libp2p::PeerId;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::dial::LaneError;
use self::{dial::Failures, passes::Passes};
use crate::{
    bans::Bans,
    identity::Identity,
    places::{PlacesConfig, SharedPlaces},
    streams::Opened,
    tls::{self, TlsSetupError},
};

/// What both sides say in the ALPN extension of a lane.
const ALPN: &[u8] = b"hubless-lane/1";

/// How long a pass is good for, and how long the handshake of a lane may take: several round trips
/// over a bad link.
const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(5);

/// Takes over a lane that a peer has opened.
type Accept = Box<dyn Fn(PeerId, Opened) + Send + Sync>;

/// What a node needs for lanes, in both directions. Cheap to clone.
#[derive(Clone)]
pub struct Lanes {
    shared: Arc<Shared>,
}

struct Shared {
    tls: tls::Config,
    passes: Mutex<Passes>,
    failures: Mutex<Failures>,
    /// Open lanes by peer; bounded by the places for exchange streams.
    open: Counter<PeerId>,
    /// Handshakes that others began. One that has shown no good pass yet is idle.
    handshakes: SharedPlaces,
    accept: Accept,
    bans: Bans,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Lanes {
    /// `handshakes`: those that other nodes may have begun. `accept` gets each lane that another
    /// node has opened.
    ///
    /// # Errors
    /// If TLS cannot be set up.
    pub fn new(
        handshakes: u32,
        identity: &Identity,
        accept: impl Fn(PeerId, Opened) + Send + Sync + 'static,
        bans: Bans,
        tasks: TaskTracker,
        stop: CancellationToken,
    ) -> Result<Self, TlsSetupError> {
        let shared = Shared {
            tls: tls::Config::new(identity.keypair(), ALPN)?,
            passes: Mutex::default(),
            failures: Mutex::default(),
            open: Counter::default(),
            handshakes: SharedPlaces::new(PlacesConfig::of_handshakes(handshakes as usize)),
            accept: Box::new(accept),
            bans,
            tasks,
            stop,
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Lanes that are open with a peer now.
    pub fn open_with(&self, peer: &PeerId) -> usize {
        self.shared.open.get(peer)
    }
}
