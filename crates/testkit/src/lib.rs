//! Deterministic bytes, failing stores, simulated swarms, processes, networks in namespaces.
//!
//! For tests only: what goes wrong here panics, with all that is known about it.

pub mod http;
pub mod model;
pub mod mount;
pub mod net;
pub mod process;
pub mod proxy;
pub mod swarm;
