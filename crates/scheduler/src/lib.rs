//! Decides which chunk is requested from which source, and when: a pure state machine.
//!
//! One [`Scheduler`] serves one fetch of one model. It identifies chunks by their position in the
//! whole model ([`ModelChunk`](hubless_content::ModelChunk)) and sources by [`SourceId`]s that the
//! caller chooses; it handles no bytes, hashes or addresses. The caller reports events ([`Input`]) and executes decisions ([`Output`]).
//!
//! # Goals
//! - The rarest chunks first, so that a swarm does not depend on its only complete source for
//!   longer than necessary; runs of consecutive chunks when every source is complete or several have
//!   even the rarest, because sequential disk access is faster and rarity matters little then.
//! - Each source has as many open requests as its measured rate and round trip need, and no more:
//!   the end of a fetch waits for requests that are queued at a slow source.
//! - No source can block a fetch: a late request is sent to another source too, the last chunks are
//!   requested from two sources, a source that fails rests, one that sent a wrong chunk gets no request
//!   for it again, one that lies is banned.
//! - The same inputs give the same outputs. Time and seed are arguments.
//!
//! # Not here
//! Finding sources, sending requests, verifying and storing chunks (see `node`).
//!
//! # Example
//! ```
//! use std::time::Duration;
//! use hubless_content::{ChunkSet, ModelChunk};
//! use hubless_scheduler::{Input, Output, Scheduler, SchedulerConfig, SourceId};
//!
//! let mut scheduler = Scheduler::new(SchedulerConfig::default(), &ChunkSet::full(1));
//! let (alice, chunk, now) = (SourceId(7), ModelChunk(0), Duration::ZERO);
//! scheduler.handle(now, Input::SourceJoined(alice));
//! scheduler.handle(now, Input::SourceComplete(alice));
//! let outputs: Vec<Output> = std::iter::from_fn(|| scheduler.poll_output()).collect();
//! assert!(outputs.contains(&Output::Request(alice, chunk)));
//!
//! // The chunk arrived, was verified and is stored.
//! let now = Duration::from_millis(40);
//! scheduler.handle(now, Input::Received { source: alice, chunk, bytes: 1000 });
//! assert_eq!(scheduler.poll_output(), Some(Output::Done));
//! ```
//!
//! # Where things are
//! | module | contents |
//! |---|---|
//! | `config`, `types` | settings, inputs and outputs |
//! | `pool` | the missing chunks, which of them have no open request, and how rare they are |
//! | `source` | one source: its chunks, its open requests, its rests |
//! | `pace` | the speed of one source: rate, round trip, window, deadlines |
//! | `requests` | the open requests, and those that are late |
//! | `cancelled` | the cancelled requests that may be answered all the same |
//! | `faults` | the wrong chunks of each peer, and when they are too many |
//! | `choose` | the chunk to request next from one source |
//! | `uploads` | the serving side: which waiting peer is sent its chunk next |
//! | `scheduler` | the order of the steps; below it how requests end, what sources gain and lose, timeouts, and which source gets the next request |

mod bits;
mod cancelled;
mod choose;
mod config;
mod faults;
mod pace;
mod pool;
mod rarity;
mod requests;
mod rng;
mod scheduler;
mod source;
mod types;
mod uploads;

pub use config::{
    IN_FLIGHT_BYTES_MAX, Order, REQUESTS_PER_SOURCE_MAX, SOURCES_MAX, SchedulerConfig,
};
pub use scheduler::Scheduler;
pub use types::{BanReason, Input, Output, Refusal, SourceId, SourceView};
pub use uploads::Uploads;
