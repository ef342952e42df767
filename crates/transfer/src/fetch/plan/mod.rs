//! What is wanted, and what of it is missing here.

mod missing;
mod selection;

pub(super) use missing::{plan, plan_read};
pub use selection::{BadGlob, Selection};
