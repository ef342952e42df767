//! The scheduler in virtual time: rules, properties, and simulated swarms.

mod behaviour;
mod duplicates;
mod properties;
mod swarm;
