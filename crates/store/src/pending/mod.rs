pub(crate) mod queue;
pub(crate) mod quota;
pub(crate) mod uses;
