//! Settings of a fetch, and their bounds.

use hubless_content::CHUNK_SIZE;

/// Open requests of one source. 128 x 256 KiB fills 1 Gbit/s at round trips of up to 0.25 s, and is
/// half of what one stream carries, so that cancelled requests never fill it.
pub const REQUESTS_PER_SOURCE_MAX: usize = 128;

/// Bytes requested and not yet arrived, over all sources: what a fetch may have to hold in memory
/// if all responses arrive at once. 64 MiB fills 10 Gbit/s at round trips of up to 50 ms.
pub const IN_FLIGHT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Sources known at a time. Each partial one costs a bit per chunk of the model; more than this
/// many would not make a fetch faster.
pub const SOURCES_MAX: usize = 1024;

/// The order in which chunks are requested.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Chunks that the fewest sources have come first, ties at random; runs of consecutive chunks
    /// while all sources are complete, or several have even the rarest.
    #[default]
    RarestFirst,
    /// The lowest number comes first: for streaming.
    Sequential,
}

/// Settings of one fetch. Values beyond the bounds of the constants are cut to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SchedulerConfig {
    /// The order in which chunks are requested.
    pub order: Order,
    /// The only source of randomness. A caller gives each fetch another seed, or the fetches of a
    /// swarm would request the same chunks at the same time.
    pub seed: u64,
    /// Limit of open requests of one source; 1 to [`REQUESTS_PER_SOURCE_MAX`].
    pub requests_per_source_max: usize,
    /// Limit of the bytes of all open requests, counted in whole chunks; at least one chunk.
    pub in_flight_bytes_max: usize,
    /// Sources known at a time; those that join beyond it are ignored. At most [`SOURCES_MAX`].
    pub sources_max: usize,
}

impl Default for SchedulerConfig {
    fn default() -> Self {
        Self {
            order: Order::default(),
            seed: 0,
            requests_per_source_max: REQUESTS_PER_SOURCE_MAX,
            in_flight_bytes_max: IN_FLIGHT_BYTES_MAX,
            sources_max: SOURCES_MAX,
        }
    }
}

impl SchedulerConfig {
    /// The same settings within their bounds.
    pub(crate) fn bounded(self) -> Self {
        Self {
            requests_per_source_max: self
                .requests_per_source_max
                .clamp(1, REQUESTS_PER_SOURCE_MAX),
            sources_max: self.sources_max.min(SOURCES_MAX),
            ..self
        }
    }

    /// Limit of open requests over all sources.
    pub(crate) fn requests_max(&self) -> usize {
        (self.in_flight_bytes_max / CHUNK_SIZE).max(1)
    }
}
