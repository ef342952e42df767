//! The scheduler in virtual time: rules and properties.

mod behaviour;
mod duplicates;
mod properties;
