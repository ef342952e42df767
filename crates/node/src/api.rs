//! The calls to a node, their answers, and the events of running work.
//!
//! The same types serve callers in this process and, as JSON, callers on the Unix socket
//! (`node.sock` in the home directory). Answers serialize to what `--json` prints: scripts rely on
//! these names.

pub use hubless_names::namespaces::{NameSource, Sources};
pub use hubless_network::{Multiaddr, NodeId, Reachability};
pub use hubless_publishers::publishers::{
    Begin, Begun, Changes, Join as PublisherJoin, Joined, PublisherDetails, Shown, Sign, SignState,
    Signed,
};
pub use hubless_repos::names::{
    NameDetails, NameRef, NameRevision, NameSet, Named, Names, ResolvedName, RevisionRemoved,
};
pub use hubless_store::Mirror;
pub use hubless_transfer::{
    Stall, State, Subject, Transfer, TransferSource,
    fetch::{Swarm, SwarmMember},
};

pub use crate::{
    event::Event,
    failure::{Failure, FailureKind},
    remedy::Remedy,
    requests::*,
};
