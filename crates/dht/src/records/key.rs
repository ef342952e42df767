//! What is announced, and when: the 32 bytes behind a DHT key, and compact time stamps.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use hubless_content::{Alias, ChunkCv, ContentHash, FileHash, SubjectKey};

/// Multicodec number of BLAKE3, the first byte of the multihash.
const BLAKE3_CODE: u8 = 0x1e;

/// Width of an expiry bucket. A record is gone for readers at its second; its memory is freed when
/// its bucket is over, so that refreshing within a bucket moves nothing.
const BUCKET_SECONDS: u32 = 600;

/// Length of a BLAKE3 hash, the second byte of the multihash.
const BLAKE3_LENGTH: u8 = 0x20;

/// The BLAKE3 value under which a provider record is stored: a content hash, a file hash, the
/// chaining value of a chunk, or what is derived from an alias or the name of a repo (`proto/dht-keys.md`). In the DHT it
/// is a multihash: `1e 20` and the 32 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AnnounceKey([u8; 32]);

impl AnnounceKey {
    /// The key with these 32 bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The key of one chunk, for nodes that announce chunks too.
    pub const fn chunk(cv: &ChunkCv) -> Self {
        Self(*cv.as_bytes())
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The bytes of the key in the DHT.
    pub fn to_multihash(self) -> Vec<u8> {
        [&[BLAKE3_CODE, BLAKE3_LENGTH][..], &self.0].concat()
    }

    /// The key with these bytes in the DHT.
    ///
    /// # Errors
    /// If they are not a BLAKE3 multihash.
    pub fn from_multihash(bytes: &[u8]) -> Result<Self, NotAnnounceKey> {
        match bytes {
            [BLAKE3_CODE, BLAKE3_LENGTH, hash @ ..] => Self::from_slice(hash).ok_or(NotAnnounceKey),
            _ => Err(NotAnnounceKey),
        }
    }

    /// The key from a slice; `None` unless it has 32 bytes.
    pub(crate) fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The first eight bytes as a number: where the key lies on the ring of all keys.
    pub(crate) fn position(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }
}

/// Ten digits, so that logs stay legible.
impl fmt::Debug for AnnounceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .take(5)
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl From<ContentHash> for AnnounceKey {
    fn from(hash: ContentHash) -> Self {
        Self(*hash.as_bytes())
    }
}

impl From<FileHash> for AnnounceKey {
    fn from(hash: FileHash) -> Self {
        Self(*hash.as_bytes())
    }
}

impl From<Alias> for AnnounceKey {
    fn from(alias: Alias) -> Self {
        Self(alias.derived_key())
    }
}

impl From<SubjectKey> for AnnounceKey {
    fn from(key: SubjectKey) -> Self {
        Self(*key.as_bytes())
    }
}

/// A DHT key that is not a BLAKE3 multihash of 34 bytes; nothing of ours is stored under it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a DHT key of hubless is a BLAKE3 multihash of 34 bytes")]
pub struct NotAnnounceKey;

/// Whole seconds since 1970, in four bytes because there is one for every key: good until 2106.
/// Times outside are cut to the range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Stamp(pub(crate) u32);

impl Stamp {
    pub(crate) fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(seconds(duration)))
    }

    pub(crate) fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(seconds(duration)))
    }

    pub(crate) fn milliseconds(self) -> u64 {
        u64::from(self.0) * 1_000
    }

    /// The expiry bucket that the time lies in.
    pub(crate) fn bucket(self) -> u32 {
        self.0 / BUCKET_SECONDS
    }

    /// The time from `earlier` to `self`; zero if it is not earlier.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_secs(self.0.saturating_sub(earlier.0).into())
    }
}

impl From<SystemTime> for Stamp {
    fn from(time: SystemTime) -> Self {
        Self(
            time.duration_since(SystemTime::UNIX_EPOCH)
                .map_or(0, seconds),
        )
    }
}

impl From<Stamp> for SystemTime {
    fn from(stamp: Stamp) -> Self {
        SystemTime::UNIX_EPOCH + Duration::from_secs(stamp.0.into())
    }
}

/// Whole seconds, cut to what a [`Stamp`] can hold.
fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use hubless_content::Sha256;

    use super::*;

    #[test]
    fn a_dht_key_is_a_blake3_multihash() {
        let key = AnnounceKey::from(ContentHash::new([0xab; 32]));
        let dht_key = key.to_multihash();
        assert_eq!(dht_key, [&[0x1e, 0x20][..], &[0xab; 32]].concat());
        assert_eq!(AnnounceKey::from_multihash(&dht_key), Ok(key));
        assert_eq!(format!("{key:?}"), "ababababab");
    }

    #[test]
    fn the_key_of_an_alias_is_nothing_elses() {
        let bytes = [0xab; 32];
        let alias = AnnounceKey::from(Alias::from(Sha256::new(bytes)));
        assert_ne!(alias, AnnounceKey::from(FileHash::new(bytes)));
        assert_eq!(
            alias,
            AnnounceKey::new(Alias::from(Sha256::new(bytes)).derived_key())
        );
    }

    #[test]
    fn the_key_of_a_name_is_that_of_its_head() {
        let subject = SubjectKey::new([0xab; 32]);
        assert_eq!(AnnounceKey::from(subject), AnnounceKey::new([0xab; 32]));
    }

    #[test]
    fn other_keys_are_refused() {
        let sha256 = [&[0x12, 0x20][..], &[0xab; 32]].concat();
        let short = [&[0x1e, 0x20][..], &[0xab; 31]].concat();
        let long = [&[0x1e, 0x20][..], &[0xab; 33]].concat();
        for bytes in [vec![], vec![0x1e], sha256, short, long] {
            assert_eq!(AnnounceKey::from_multihash(&bytes), Err(NotAnnounceKey));
        }
    }

    #[test]
    fn stamps_never_leave_their_range() {
        let before_1970 = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
        assert_eq!(Stamp::from(before_1970), Stamp(0));
        assert_eq!(Stamp(7).minus(Duration::from_secs(8)), Stamp(0));
        assert_eq!(Stamp(7).plus(Duration::MAX), Stamp(u32::MAX));
        assert_eq!(Stamp(7).since(Stamp(9)), Duration::ZERO);
        assert_eq!(
            Stamp::from(SystemTime::from(Stamp(u32::MAX))),
            Stamp(u32::MAX)
        );
    }
}
