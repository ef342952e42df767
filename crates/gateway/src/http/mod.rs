//! What holds for every request, whatever it asks.

pub(crate) mod context;
pub(crate) mod error;
pub(crate) mod guard;
pub(crate) mod metrics;
pub(crate) mod range;
pub(crate) mod request_id;
