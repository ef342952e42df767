//! File descriptors: the limit of the process, and its division among the parts of the node.
//!
//! When descriptors run out, the next operation that needs one fails, not the part that holds too
//! many. So each part has a limit of its own, and together they stay below that of the process.

use hubless_network::{ConnectionLimits, PlacesConfig};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors outside these parts: standard streams, the runtime's polls and signals, listening
/// sockets, the index and its lock, and files that are being imported or exported.
const REST: usize = 24;

/// The least and the most descriptors of each part.
///
/// With the least a part can do one operation at a time; with the most another bound applies first.
#[derive(Debug, Clone, Copy)]
struct Wish {
    min: usize,
    max: usize,
}

/// Connections over HTTP: a hundred clients that download 8 files each.
const HTTP: Wish = Wish { min: 4, max: 1024 };

/// Additional connections over HTTP for health requests only.
const HTTP_RESERVE: Wish = Wish { min: 2, max: 16 };

/// Requests of commands on this machine: each may hold some megabytes, and few run at once.
const CONTROL: Wish = Wish { min: 2, max: 256 };

/// Connections with peers, handshakes and lanes included.
const PEERS: Wish = Wish { min: 22, max: 2240 };

/// Files of the store that are kept open: opening one costs more than reading a chunk of it.
const FILES: Wish = Wish { min: 6, max: 128 };

/// Connections with the upstream: pulls and metadata requests.
const UPSTREAM: Wish = Wish { min: 4, max: 64 };

/// Places over HTTP that one address prefix may have: eight clients that download 8 files each.
const HTTP_PREFIX: usize = 64;

/// The limit of file descriptors of each part of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Descriptors {
    /// Connections over HTTP.
    pub(crate) http: usize,
    /// Additional connections over HTTP for health requests only.
    pub(crate) http_reserve: usize,
    /// Connections of the control socket.
    pub(crate) control: usize,
    /// Connections with peers, handshakes and lanes included.
    pub(crate) peers: usize,
    /// Open files of the store.
    pub(crate) files: usize,
    /// Whether a part got less than it can use.
    pub(crate) is_short: bool,
}

impl Descriptors {
    /// Raises the limit of this process as far as possible, and divides it.
    pub(crate) fn claim() -> Self {
        let limit = raise();
        let divided = Self::divide(limit);
        if divided.is_short {
            tracing::warn!(
                limit,
                http = divided.http,
                peers = divided.peers,
                files = divided.files,
                "few file descriptors: fewer connections are served at once; raise `ulimit -n`"
            );
        }
        divided
    }

    /// Divides a number of descriptors: each part gets the least that it needs, and a share of the
    /// rest in proportion to its additional need.
    fn divide(limit: usize) -> Self {
        let parts = [HTTP, HTTP_RESERVE, CONTROL, PEERS, FILES, UPSTREAM];
        let least: usize = parts.iter().map(|part| part.min).sum();
        let more: usize = parts.iter().map(|part| part.max - part.min).sum();
        let left = limit.saturating_sub(REST + least).min(more);
        let of = |part: Wish| part.min + (part.max - part.min) * left / more;
        Self {
            http: of(HTTP),
            http_reserve: of(HTTP_RESERVE),
            control: of(CONTROL),
            peers: of(PEERS),
            files: of(FILES),
            is_short: left < more,
        }
    }

    /// The bounds of the network, reduced if descriptors are few.
    pub(crate) fn connections(&self) -> ConnectionLimits {
        let descriptors = u32::try_from(self.peers).unwrap_or(u32::MAX);
        ConnectionLimits::default().within(descriptors)
    }

    /// The places over HTTP: up to half of them for this machine, from which proxies connect too,
    /// and few for each other address prefix.
    pub(crate) fn http_places(&self) -> PlacesConfig {
        let (total, reserve) = (self.http + self.http_reserve, self.http_reserve);
        let share = |places: usize| (places + reserve).min(total);
        PlacesConfig {
            total,
            share_per_prefix: share(HTTP_PREFIX),
            share_loopback: share((self.http / 2).max(HTTP_PREFIX)),
            reserve,
        }
    }

    /// The places of the control socket, which only one user can open.
    pub(crate) fn control_places(&self) -> PlacesConfig {
        PlacesConfig {
            total: self.control,
            share_per_prefix: self.control,
            share_loopback: self.control,
            reserve: 0,
        }
    }
}

/// Raises the soft limit to the hard one, and returns it. The default soft limit is low for the
/// sake of programs that use `select`.
fn raise() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    let limit = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => maximum,
        Err(error) => {
            tracing::debug!(%error, "the limit of file descriptors cannot be raised");
            current
        }
    };
    // `None`: unlimited.
    limit.map_or(usize::MAX, |limit| {
        usize::try_from(limit).unwrap_or(usize::MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(divided: &Descriptors) -> usize {
        let Descriptors {
            http,
            http_reserve,
            control,
            peers,
            files,
            is_short: _,
        } = *divided;
        REST + UPSTREAM.min + peers + http + http_reserve + control + files
    }

    #[test]
    fn the_parts_stay_below_the_limit_and_each_has_some() {
        for limit in [64, 65, 100, 256, 1024, 2000, 4096, usize::MAX] {
            let divided = Descriptors::divide(limit);
            assert!(sum(&divided) <= limit, "{limit}: {divided:?}");
            assert!(divided.http >= 4 && divided.files >= 6, "{divided:?}");
        }
        // Below the minimum each part can still do one operation at a time.
        assert_eq!(Descriptors::divide(16), Descriptors::divide(64));
    }

    #[test]
    fn with_enough_each_part_has_the_most_it_can_use() {
        let divided = Descriptors::divide(4096);
        assert!(!divided.is_short);
        assert_eq!((divided.http, divided.files), (1024, 128));
        assert_eq!(divided.connections(), ConnectionLimits::default());
        assert!(Descriptors::divide(1024).is_short);
    }

    #[test]
    fn half_of_the_places_are_for_this_machine() {
        let places = Descriptors::divide(usize::MAX).http_places();
        assert_eq!((places.total, places.reserve), (1040, 16));
        assert_eq!((places.share_loopback, places.share_per_prefix), (528, 80));
        let few = Descriptors::divide(64).http_places();
        assert_eq!((few.total, few.share_loopback, few.reserve), (6, 6, 2));
    }
}
