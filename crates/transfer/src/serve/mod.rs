//! What this node tells and gives to peers.
//!
//! Every answer comes from verified bytes: the store gives out nothing else. A node serves also
//! what it is still fetching itself, and tells those who asked when it has more ([`Gains`]).
//! "Not here" is the answer to all that is unknown, damaged or changed; it never says why.

mod availability;
mod digests;
mod gains;
mod manifests;
mod reports;
mod service;
mod swarms;
mod turns;

pub(crate) use self::gains::{Gain, Gains};
pub use self::{gains::News, service::Service, swarms::Swarms};
