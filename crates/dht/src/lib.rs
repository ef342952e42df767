//! This node in the DHT: what it provides, which providers it keeps for other nodes, and which
//! it finds there.
//!
//! ```text
//! announcing   drives the announcer: walks for own keys, and what of them goes to the database
//! announcer    when which own key is announced; pure
//! lookups      walks for providers that a caller waits for
//! records      what kad keeps: own keys, and provider records of other nodes within quotas
//! ```

pub(crate) mod announcer;
pub(crate) mod announcing;
pub(crate) mod lookups;
pub(crate) mod records;
