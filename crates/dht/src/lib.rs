//! A node's part in the DHT: which keys it provides and when it announces them, and which provider
//! records and heads of other nodes it keeps. Pure: time is an argument, and walks, packets and the disk
//! belong to the caller.
//!
//! ```text
//! announcer   when which own key is announced
//! records     own keys, and provider records and heads of other nodes within quotas
//! ```
//!
//! ```
//! use std::{sync::Arc, time::{Duration, SystemTime}};
//! use hubless_dht::{AnnounceKey, MemoryDb, ProviderRecord, Records, RecordsConfig};
//! # use hubless_address::{Multiaddr, PeerId};
//! # fn example(local: PeerId, peer: PeerId, address: Multiaddr) {
//! let (db, now) = (Arc::new(MemoryDb::default()), SystemTime::now());
//! let mut records = Records::new(local, db, RecordsConfig::new(7), now);
//! let key = AnnounceKey::new([1; 32]);
//! let record = ProviderRecord { key, provider: peer, addresses: vec![address] };
//! records.accept(&record, None, Duration::MAX).expect("there is room");
//! assert_eq!(records.providers(key), [record]);
//! # }
//! ```
//!
//! # Not here
//! Kademlia itself, and walks through the DHT (see `network`).

#![deny(clippy::self_named_module_files)]

mod announcer;
mod records;

pub use self::{
    announcer::{Announcer, AnnouncerConfig, Priority},
    records::{
        AnnounceKey, HeldFull, MemoryDb, NotAnnounceKey, OwnKeysFull, ProviderRecord, RecordBatch,
        RecordDb, Records, RecordsConfig, Refused, ValueRefused, Values, ValuesConfig,
    },
};
