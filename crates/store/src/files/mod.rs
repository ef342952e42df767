pub(crate) mod chunks;
pub(crate) mod external;
pub(crate) mod located;
pub(crate) mod partial;
pub(crate) mod proven;
pub(crate) mod source;
