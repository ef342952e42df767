//! Whole fetches in virtual time.

mod swarm;
