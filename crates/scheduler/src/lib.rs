//! Whom to ask for what and when: a pure state machine.
//!
//! One [`Scheduler`] serves one fetch of one model. It knows chunks as numbers over the whole
//! model (the chunks of all files, one file after the other in the order of the manifest) and
//! sources as [`SourceId`]s that the caller gives; it never sees a byte, a hash or an address.
//! The caller tells it what happened ([`Input`]) and does what it says ([`Output`]).
//!
//! # Goals
//! - The rarest chunks first, so that a swarm with one complete source does not depend on it for
//!   longer than it must; runs of consecutive chunks when every source is complete or many have what
//!   is left, because disks like them and rarity says little then.
//! - Each source is asked for as much at a time as its measured rate and round trip need, and no
//!   more: what waits at a slow source is what the end of a fetch waits for.
//! - No source can block a fetch: an answer that is late is asked for elsewhere, the last chunks
//!   are asked of two, a source that fails rests, one that sent a wrong chunk is not asked for it
//!   again, one that lies is banned.
//! - The same inputs give the same outputs. Time and seed are arguments.
//!
//! # Not here
//! Finding sources, sending asks, verifying and storing what arrives (see `node`).
//!
//! # Example
//! ```
//! use std::time::Duration;
//! use hubless_content::ChunkSet;
//! use hubless_scheduler::{Input, Output, Scheduler, SchedulerConfig, SourceId};
//!
//! let mut scheduler = Scheduler::new(SchedulerConfig::default(), &ChunkSet::full(1));
//! let (alice, now) = (SourceId(7), Duration::ZERO);
//! scheduler.handle(now, Input::SourceJoined(alice));
//! scheduler.handle(now, Input::SourceComplete(alice));
//! let outputs: Vec<Output> = std::iter::from_fn(|| scheduler.poll_output()).collect();
//! assert!(outputs.contains(&Output::Request(alice, 0)));
//!
//! // The answer came, was verified and is stored.
//! let now = Duration::from_millis(40);
//! scheduler.handle(now, Input::Received { source: alice, chunk: 0, bytes: 1000 });
//! assert_eq!(scheduler.poll_output(), Some(Output::Done));
//! ```
//!
//! # Where things are
//! | module | what it knows |
//! |---|---|
//! | `config`, `types` | what callers say and hear |
//! | `pool` | which chunks are missing, which of them nobody was asked for, and how rare they are |
//! | `source` | one source: what it has, what it was asked for, whether it rests |
//! | `pace` | how fast one source is: rate, round trip, window, deadlines |
//! | `requests` | the open asks, and those that are late |
//! | `doubts` | the cancelled asks whose answers may come all the same |
//! | `faults` | the wrong chunks of each peer, and when they are too many |
//! | `choose` | what to ask one source for next |
//! | `uploads` | the other side: which of those that wait is sent its chunk next |
//! | `scheduler` | the order in which all this happens; below it how asks end, what sources gain and lose, what is due with time, and who is asked next |

mod bits;
mod choose;
mod config;
mod doubts;
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

pub use config::{ASKS_PER_SOURCE_MAX, IN_FLIGHT_BYTES_MAX, Order, SOURCES_MAX, SchedulerConfig};
pub use scheduler::Scheduler;
pub use types::{BanReason, Input, Output, Refusal, SourceId, SourceView};
pub use uploads::Uploads;
