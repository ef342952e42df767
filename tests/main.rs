//! End-to-end runs with several processes. One binary: each more would link all of hubless again.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bad_input;
mod bounded;
mod clients;
mod crowd;
mod damage;
mod dht;
mod exports;
mod following;
mod gateway;
mod json;
mod large_and_many;
mod limits;
mod lying_peer;
mod many_networks;
mod many_sources;
mod name_views;
mod namespaces;
mod never_start_over;
mod no_copy;
mod operations;
mod pages;
mod proof;
mod publish;
mod publisher;
mod readme;
mod same_hash;
mod shared_home;
mod silent_crowd;
mod silent_peers;
mod soak;
mod together;
mod upstream;
