//! The bytes that lie in the [`RecordDb`](super::RecordDb): byte tables in `proto/dht-records.md`.
//!
//! Decoders take any bytes and return `None` to what they do not understand.

use hubless_address::{Multiaddr, PeerId};

use super::{
    address::{ADDRESSES_BYTES_MAX, ADDRESSES_MAX, Origin},
    key::{AnnounceKey, Stamp},
    shares::Group,
};

/// First byte of a key: a provider record of another node.
const TAG_RECORD: u8 = 1;
/// First byte of a key: where a provider is.
const TAG_PROVIDER: u8 = 2;
/// First byte of a key: when this node last announced a key of its own.
const TAG_ANNOUNCED: u8 = 3;
/// First byte of a key: a head that was put here.
const TAG_VALUE: u8 = 4;

/// First byte of every value.
const VERSION: u8 = 1;

const ORIGIN_UNKNOWN: u8 = 0;
const ORIGIN_LOCAL: u8 = 1;
const ORIGIN_V4: u8 = 4;
const ORIGIN_V6: u8 = 6;

/// What a key of the table names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EntryKey {
    Record(AnnounceKey, PeerId),
    Provider(PeerId),
    Announced(AnnounceKey),
    Value(AnnounceKey),
}

impl EntryKey {
    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Record(key, peer) => {
                [&[TAG_RECORD][..], key.as_bytes(), &peer.to_bytes()].concat()
            }
            Self::Provider(peer) => [&[TAG_PROVIDER][..], &peer.to_bytes()].concat(),
            Self::Announced(key) => [&[TAG_ANNOUNCED][..], key.as_bytes()].concat(),
            Self::Value(key) => [&[TAG_VALUE][..], key.as_bytes()].concat(),
        }
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (tag, rest) = bytes.split_first()?;
        match *tag {
            TAG_RECORD => {
                let (key, peer) = rest.split_first_chunk::<32>()?;
                Some(Self::Record(
                    AnnounceKey::new(*key),
                    PeerId::from_bytes(peer).ok()?,
                ))
            }
            TAG_PROVIDER => Some(Self::Provider(PeerId::from_bytes(rest).ok()?)),
            TAG_ANNOUNCED => Some(Self::Announced(AnnounceKey::from_slice(rest)?)),
            TAG_VALUE => Some(Self::Value(AnnounceKey::from_slice(rest)?)),
            _ => None,
        }
    }
}

/// One entry of the table, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Entry {
    Record {
        key: AnnounceKey,
        peer: PeerId,
        expires: Stamp,
        refreshed: Stamp,
    },
    Provider {
        peer: PeerId,
        origin: Origin,
        addresses: AddressList,
    },
    Announced {
        key: AnnounceKey,
        at: Stamp,
    },
    Value {
        key: AnnounceKey,
        expires: Stamp,
        group: Group,
        record: Vec<u8>,
    },
}

/// Whether a table's key is one of this version's, so that an entry whose value makes no sense may
/// be deleted. Others are left alone: a later version may have put them there.
pub(crate) fn is_ours(key: &[u8]) -> bool {
    matches!(
        key.first(),
        Some(&(TAG_RECORD | TAG_PROVIDER | TAG_ANNOUNCED | TAG_VALUE))
    )
}

pub(crate) fn decode(key: &[u8], value: &[u8]) -> Option<Entry> {
    let key = EntryKey::decode(key)?;
    let value = value.strip_prefix(&[VERSION])?;
    match key {
        EntryKey::Record(key, peer) => {
            let (expires, rest) = stamp(value)?;
            let (refreshed, rest) = stamp(rest)?;
            rest.is_empty().then_some(Entry::Record {
                key,
                peer,
                expires,
                refreshed,
            })
        }
        EntryKey::Provider(peer) => {
            let (origin, rest) = origin(value)?;
            let addresses = AddressList::decode(rest)?;
            Some(Entry::Provider {
                peer,
                origin,
                addresses,
            })
        }
        EntryKey::Announced(key) => {
            let (at, rest) = stamp(value)?;
            rest.is_empty().then_some(Entry::Announced { key, at })
        }
        EntryKey::Value(key) => {
            let (expires, rest) = stamp(value)?;
            let (number, rest) = rest.split_first_chunk()?;
            let (origin, record) = origin(rest)?;
            Some(Entry::Value {
                key,
                expires,
                group: Group::new(origin, u32::from_be_bytes(*number)),
                record: record.to_vec(),
            })
        }
    }
}

#[cfg(test)]
pub(crate) fn decode_announced(key: &[u8], value: &[u8]) -> Option<(AnnounceKey, Stamp)> {
    match decode(key, value)? {
        Entry::Announced { key, at } => Some((key, at)),
        _ => None,
    }
}

pub(crate) fn record_value(expires: Stamp, refreshed: Stamp) -> Vec<u8> {
    [
        &[VERSION][..],
        &expires.0.to_be_bytes(),
        &refreshed.0.to_be_bytes(),
    ]
    .concat()
}

pub(crate) fn provider_value(origin: Origin, addresses: &AddressList) -> Vec<u8> {
    let (tag, network) = origin_parts(&origin);
    [&[VERSION, tag], network, &addresses.0].concat()
}

pub(super) fn value_value(expires: Stamp, group: Group, record: &[u8]) -> Vec<u8> {
    let (tag, network) = origin_parts(&group.0);
    let number = group.1.unwrap_or(0);
    [
        &[VERSION][..],
        &expires.0.to_be_bytes(),
        &number.to_be_bytes(),
        &[tag],
        network,
        record,
    ]
    .concat()
}

fn origin_parts(origin: &Origin) -> (u8, &[u8]) {
    match origin {
        Origin::Unknown => (ORIGIN_UNKNOWN, &[]),
        Origin::Local => (ORIGIN_LOCAL, &[]),
        Origin::V4(network) => (ORIGIN_V4, network),
        Origin::V6(network) => (ORIGIN_V6, network),
    }
}

pub(crate) fn announced_value(at: Stamp) -> Vec<u8> {
    [&[VERSION][..], &at.0.to_be_bytes()].concat()
}

fn stamp(bytes: &[u8]) -> Option<(Stamp, &[u8])> {
    let (seconds, rest) = bytes.split_first_chunk::<4>()?;
    Some((Stamp(u32::from_be_bytes(*seconds)), rest))
}

fn origin(bytes: &[u8]) -> Option<(Origin, &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    match *tag {
        ORIGIN_UNKNOWN => Some((Origin::Unknown, rest)),
        ORIGIN_LOCAL => Some((Origin::Local, rest)),
        ORIGIN_V4 => rest
            .split_first_chunk()
            .map(|(network, rest)| (Origin::V4(*network), rest)),
        ORIGIN_V6 => rest
            .split_first_chunk()
            .map(|(network, rest)| (Origin::V6(*network), rest)),
        _ => None,
    }
}

/// The addresses of one provider as one piece of memory: tens of thousands of these are held, and
/// decoded only for a request of a peer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct AddressList(Box<[u8]>);

impl AddressList {
    /// Addresses that [`sensible`](super::address::sensible) has let through.
    pub(crate) fn new(addresses: &[Multiaddr]) -> Self {
        let mut bytes = Vec::new();
        for address in addresses {
            let Ok(length) = u16::try_from(address.len()) else {
                continue;
            };
            bytes.extend(length.to_be_bytes());
            bytes.extend(address.as_ref());
        }
        Self(bytes.into())
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > ADDRESSES_BYTES_MAX + 2 * ADDRESSES_MAX {
            return None;
        }
        let list = Self(bytes.into());
        let total: usize = list.to_vec().iter().map(|address| address.len() + 2).sum();
        (total == bytes.len()).then_some(list)
    }

    /// The addresses, one by one.
    pub(crate) fn to_vec(&self) -> Vec<Multiaddr> {
        let mut rest = &self.0[..];
        std::iter::from_fn(|| {
            let (length, tail) = rest.split_first_chunk()?;
            let (address, tail) = tail.split_at_checked(u16::from_be_bytes(*length).into())?;
            rest = tail;
            Multiaddr::try_from(address.to_vec()).ok()
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn peer(id: u8) -> PeerId {
        PeerId::from_bytes(&[&[0x12, 0x20][..], &[id; 32]].concat()).unwrap()
    }

    /// Bytes from digits; `#` begins a comment, `ab*32` repeats a byte.
    fn hexdump(text: &str) -> Vec<u8> {
        let words = text
            .lines()
            .flat_map(|line| line.split('#').next().unwrap().split(' '));
        words
            .filter(|word| !word.is_empty())
            .flat_map(|word| {
                let (byte, count) = word.split_once('*').unwrap_or((word, "1"));
                vec![u8::from_str_radix(byte, 16).unwrap(); count.parse().unwrap()]
            })
            .collect()
    }

    #[test]
    fn a_record() {
        let (key, peer) = (AnnounceKey::new([0xab; 32]), peer(0xcd));
        let bytes = (
            EntryKey::Record(key, peer).encode(),
            record_value(Stamp(0x65432100), Stamp(0x65400000)),
        );
        let expected = hexdump(
            "01              # tag: provider record
             ab*32           # announced key
             12 20 cd*32     # peer id",
        );
        let value = hexdump(
            "01              # version
             65 43 21 00     # expires
             65 40 00 00     # refreshed",
        );
        assert_eq!(bytes, (expected, value));
        let (expires, refreshed) = (Stamp(0x65432100), Stamp(0x65400000));
        assert_eq!(
            decode(&bytes.0, &bytes.1),
            Some(Entry::Record {
                key,
                peer,
                expires,
                refreshed
            })
        );
    }

    #[test]
    fn a_provider() {
        let peer = peer(0xcd);
        let addresses = AddressList::new(&[
            "/ip4/81.2.3.4/tcp/4001".parse().unwrap(),
            "/ip4/81.2.3.4/udp/4001/quic-v1".parse().unwrap(),
        ]);
        let key = EntryKey::Provider(peer).encode();
        assert_eq!(key, hexdump("02 12 20 cd*32"));
        let value = provider_value(Origin::V4([81, 2, 3]), &addresses);
        let expected = hexdump(
            "01                                       # version
             04 51 02 03                              # origin: 81.2.3.0/24
             00 08 04 51 02 03 04 06 0f a1            # length and first address
             00 0b 04 51 02 03 04 91 02 0f a1 cd 03   # length and second address",
        );
        assert_eq!(value, expected);
        for origin in [
            Origin::Unknown,
            Origin::Local,
            Origin::V4([1; 3]),
            Origin::V6([2; 6]),
        ] {
            let value = provider_value(origin, &addresses);
            let addresses = addresses.clone();
            assert_eq!(
                decode(&key, &value),
                Some(Entry::Provider {
                    peer,
                    origin,
                    addresses
                })
            );
        }
    }

    #[test]
    fn an_announced_key() {
        let key = AnnounceKey::new([0xab; 32]);
        let bytes = (
            EntryKey::Announced(key).encode(),
            announced_value(Stamp(0x65432100)),
        );
        assert_eq!(bytes, (hexdump("03 ab*32"), hexdump("01 65 43 21 00")));
        assert_eq!(
            decode(&bytes.0, &bytes.1),
            Some(Entry::Announced {
                key,
                at: Stamp(0x65432100)
            })
        );
    }

    #[test]
    fn a_head() {
        let key = AnnounceKey::new([0xab; 32]);
        let (expires, record) = (Stamp(0x65432100), vec![0xee; 3]);
        let group = Group::new(Origin::V4([81, 2, 3]), 0);
        let bytes = (
            EntryKey::Value(key).encode(),
            value_value(expires, group, &record),
        );
        let expected = hexdump(
            "01              # version
             65 43 21 00     # expires
             00 00 00 00     # which peer of a local network put it
             04 51 02 03     # origin: 81.2.3.0/24
             ee*3            # record of the head",
        );
        assert_eq!(bytes, (hexdump("04 ab*32"), expected));
        for group in [group, Group::new(Origin::Local, 0x01020304)] {
            let value = value_value(expires, group, &record);
            let record = record.clone();
            let entry = Entry::Value {
                key,
                expires,
                group,
                record,
            };
            assert_eq!(decode(&bytes.0, &value), Some(entry));
        }
    }

    #[test]
    fn too_many_address_bytes_are_refused() {
        let long: Multiaddr = format!("/dns/{}/tcp/1", "a".repeat(250)).parse().unwrap();
        let value = provider_value(Origin::Unknown, &AddressList::new(&[long.clone(), long]));
        assert_eq!(decode(&EntryKey::Provider(peer(1)).encode(), &value), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_decoder_panic(
            tag in 0u8..6,
            key in proptest::collection::vec(any::<u8>(), 0..80),
            value in proptest::collection::vec(any::<u8>(), 0..80),
        ) {
            decode(&[&[tag][..], &key].concat(), &value);
            let right_key = match tag % 4 {
                0 => EntryKey::Provider(peer(tag)),
                1 => EntryKey::Record(AnnounceKey::new([tag; 32]), peer(tag)),
                2 => EntryKey::Announced(AnnounceKey::new([tag; 32])),
                _ => EntryKey::Value(AnnounceKey::new([tag; 32])),
            };
            decode(&right_key.encode(), &[&[VERSION][..], &value].concat());
        }

        #[test]
        fn a_cut_or_longer_value_is_refused(cut in 1usize..15) {
            let value = record_value(Stamp(1), Stamp(2));
            let key = EntryKey::Record(AnnounceKey::new([1; 32]), peer(1)).encode();
            prop_assert_eq!(decode(&key, &value[..value.len().saturating_sub(cut)]), None);
            let longer = [&value[..], &vec![0; cut]].concat();
            prop_assert_eq!(decode(&key, &longer), None);
        }
    }
}
