//! What a caller can choose, and its bounds.

use hubless_content::CHUNK_SIZE;

/// Open asks of one source. 128 x 256 KiB fills 1 Gbit/s at round trips of up to 0.25 s, and is
/// half of what one stream carries, so that cancelled asks never fill it.
pub const ASKS_PER_SOURCE_MAX: usize = 128;

/// Bytes asked for and not yet arrived, over all sources: what a fetch may have to hold in memory
/// if all answers come at once. 64 MiB fills 10 Gbit/s at round trips of up to 50 ms.
pub const IN_FLIGHT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Sources known at a time. Each partial one costs a bit per chunk of the model; more than this
/// many would not make a fetch faster.
pub const SOURCES_MAX: usize = 1024;

/// In which order chunks are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Those that the fewest sources have come first, ties at random; runs of consecutive chunks
    /// while all sources are complete, or several have even the rarest.
    #[default]
    RarestFirst,
    /// The lowest number comes first: for streaming.
    Sequential,
}

/// Settings of one fetch. Values beyond the bounds of the constants are cut to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SchedulerConfig {
    /// In which order chunks are asked for.
    pub order: Order,
    /// The only origin of chance: a caller gives each fetch another seed, or a swarm would ask
    /// for the same chunks at the same time.
    pub seed: u64,
    /// Open asks of one source at most; 1 to [`ASKS_PER_SOURCE_MAX`].
    pub asks_per_source_max: usize,
    /// Bytes of all open asks at most, counted in whole chunks; at least one chunk.
    pub in_flight_bytes_max: usize,
    /// Sources known at a time; those that join beyond it are ignored. At most [`SOURCES_MAX`].
    pub sources_max: usize,
}

impl Default for SchedulerConfig {
    fn default() -> Self {
        Self {
            order: Order::default(),
            seed: 0,
            asks_per_source_max: ASKS_PER_SOURCE_MAX,
            in_flight_bytes_max: IN_FLIGHT_BYTES_MAX,
            sources_max: SOURCES_MAX,
        }
    }
}

impl SchedulerConfig {
    /// The same settings within their bounds.
    pub(crate) fn bounded(self) -> Self {
        Self {
            asks_per_source_max: self.asks_per_source_max.clamp(1, ASKS_PER_SOURCE_MAX),
            sources_max: self.sources_max.min(SOURCES_MAX),
            ..self
        }
    }

    /// Open asks over all sources at most.
    pub(crate) fn asks_max(&self) -> usize {
        (self.in_flight_bytes_max / CHUNK_SIZE).max(1)
    }
}
