//! A file's record in the index: where its bytes are, and when they were last known to be right.
//!
//! ```text
//! byte 0      1 inline, 2 owned, 3 partial, 4 external
//! 8 bytes     size
//! 8 bytes     when all of it was last checked, in seconds since 1970; 0: never
//! owned only:
//! 48 bytes    signature when it was last known to be right; zeros if it never was
//! external only:
//! 48 bytes    signature when it was last known to be right
//! 1 byte      1 if it is stale: changed since, and not known to be right
//! 48 bytes    signature at which it was last found to be wrong; zeros if not checked
//! the rest    absolute path
//! ```
//! Numbers are little-endian. A signature is size (8), seconds (8) and nanoseconds (4) of the last
//! write, the same of the last change, inode (8), device (8). In the index a checksum follows; see
//! `sealed.rs`.
//!
//! Version 1 had no time of the check, no signature of owned files, no time of the last change in
//! signatures (36 bytes), and no checksum.

use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    time::SystemTime,
};

use hubless_disk::Signature;

const INLINE: u8 = 1;
const OWNED: u8 = 2;
const PARTIAL: u8 = 3;
const EXTERNAL: u8 = 4;

/// Where a file's bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Bytes of the file.
    pub size: u64,
    /// Where they are.
    pub place: FileLocation,
    /// When all of it was last checked, in seconds since 1970; 0: never, or not as a whole.
    pub checked: u64,
}

/// Which kind of place a file's bytes are in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileLocation {
    /// In the index: a file of one chunk.
    Inline,
    /// In a complete file of the store, with its signature when it was last known to be right.
    Owned(Signature),
    /// In a file of the store that is not complete.
    Partial,
    /// In the user's own file.
    External(External),
}

impl FileLocation {
    /// What the file that has the bytes was when it was last known to be right; `None` where no whole
    /// file has them.
    pub fn right(&self) -> Option<&Signature> {
        match self {
            Self::Owned(right) => Some(right),
            Self::External(external) => Some(&external.right),
            Self::Inline | Self::Partial => None,
        }
    }
}

/// The user's own file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct External {
    /// Where it lies; absolute.
    pub path: PathBuf,
    /// Its signature when it was last known to be right.
    pub right: Signature,
    /// It changed since, and is not known to be right.
    pub stale: bool,
    /// At this signature it was checked and found wrong, so there is no need to check it again.
    pub wrong: Signature,
}

impl Record {
    /// Of a file that is known to be right now, unless it is partial.
    pub fn new(size: u64, place: FileLocation) -> Self {
        let checked = match place {
            FileLocation::Partial => 0,
            _ => seconds_since_1970(SystemTime::now()),
        };
        Self {
            size,
            place,
            checked,
        }
    }

    /// The record of the same file after it was found to be right with this signature.
    pub(crate) fn found_right(&self, check: &Check) -> Self {
        let mut record = self.clone();
        record.checked = record.checked.max(check.at);
        match (&mut record.place, check.signature) {
            (FileLocation::Owned(right), Some(now)) => *right = now,
            (FileLocation::External(external), Some(now)) => {
                external.right = now;
                external.stale = false;
            }
            _ => {}
        }
        record
    }

    /// Whether the bytes are in a complete file of the store.
    pub fn is_owned(&self) -> bool {
        matches!(self.place, FileLocation::Owned(_))
    }

    /// Whether the file is not complete.
    pub fn is_partial(&self) -> bool {
        self.place == FileLocation::Partial
    }

    /// Whether all chunks can be served.
    pub fn is_complete(&self) -> bool {
        match &self.place {
            FileLocation::Inline | FileLocation::Owned(_) => true,
            FileLocation::Partial => false,
            FileLocation::External(external) => !external.stale,
        }
    }

    /// Bytes that the file takes in the home directory. A partial file has its space from the
    /// beginning.
    pub fn bytes_owned(&self) -> u64 {
        if matches!(self.place, FileLocation::External(_)) {
            0
        } else {
            self.size
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let tag = match self.place {
            FileLocation::Inline => INLINE,
            FileLocation::Owned(_) => OWNED,
            FileLocation::Partial => PARTIAL,
            FileLocation::External(_) => EXTERNAL,
        };
        let mut out = vec![tag];
        out.extend(self.size.to_le_bytes());
        out.extend(self.checked.to_le_bytes());
        match &self.place {
            FileLocation::Inline | FileLocation::Partial => {}
            FileLocation::Owned(right) => put_signature(&mut out, right),
            FileLocation::External(external) => {
                put_signature(&mut out, &external.right);
                out.push(u8::from(external.stale));
                put_signature(&mut out, &external.wrong);
                out.extend(external.path.as_os_str().as_bytes());
            }
        }
        out
    }

    /// `None` if the bytes are not a record.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        Self::read(bytes, Version::Two)
    }

    /// A record of version 1: when its file was checked is not known.
    pub(crate) fn decode_v1(bytes: &[u8]) -> Option<Self> {
        Self::read(bytes, Version::One)
    }

    fn read(bytes: &[u8], version: Version) -> Option<Self> {
        let mut reader = Reader { bytes, version };
        let [tag] = reader.array()?;
        let size = reader.u64()?;
        let (checked, right) = match version {
            Version::One => (0, None),
            Version::Two => (reader.u64()?, (tag == OWNED).then(|| reader.signature())),
        };
        let place = match tag {
            INLINE => FileLocation::Inline,
            OWNED => FileLocation::Owned(right.unwrap_or(Some(Signature::default()))?),
            PARTIAL => FileLocation::Partial,
            EXTERNAL => FileLocation::External(reader.external()?),
            _ => return None,
        };
        reader.bytes.is_empty().then_some(Self {
            size,
            place,
            checked,
        })
    }
}

/// A file was found to be right, all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Check {
    /// What it was when it was read; `None` of a file without a signature.
    pub signature: Option<Signature>,
    /// When it was read, in seconds since 1970.
    pub at: u64,
}

impl Check {
    /// A file with this signature was found to be right now.
    pub fn now(signature: Option<Signature>) -> Self {
        Self {
            signature,
            at: seconds_since_1970(SystemTime::now()),
        }
    }
}

/// Seconds from 1970 to `time`; 0 for a time before 1970.
pub fn seconds_since_1970(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

#[derive(Clone, Copy)]
enum Version {
    One,
    Two,
}

fn put_signature(out: &mut Vec<u8>, signature: &Signature) {
    out.extend(signature.size.to_le_bytes());
    out.extend(signature.modified.to_le_bytes());
    out.extend(signature.modified_nanos.to_le_bytes());
    out.extend(signature.changed.to_le_bytes());
    out.extend(signature.changed_nanos.to_le_bytes());
    out.extend(signature.inode.to_le_bytes());
    out.extend(signature.device.to_le_bytes());
}

struct Reader<'a> {
    bytes: &'a [u8],
    version: Version,
}

impl Reader<'_> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (now, later) = self.bytes.split_first_chunk()?;
        self.bytes = later;
        Some(*now)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn time(&mut self) -> Option<(i64, u32)> {
        let seconds = self.array().map(i64::from_le_bytes)?;
        Some((seconds, self.array().map(u32::from_le_bytes)?))
    }

    fn signature(&mut self) -> Option<Signature> {
        let size = self.u64()?;
        let (modified, modified_nanos) = self.time()?;
        let (changed, changed_nanos) = match self.version {
            Version::One => (0, 0),
            Version::Two => self.time()?,
        };
        Some(Signature {
            size,
            modified,
            modified_nanos,
            changed,
            changed_nanos,
            inode: self.u64()?,
            device: self.u64()?,
        })
    }

    fn external(&mut self) -> Option<External> {
        let right = self.signature()?;
        let [stale] = self.array()?;
        let wrong = self.signature()?;
        let path = Path::new(OsStr::from_bytes(std::mem::take(&mut self.bytes))).to_owned();
        let well_formed = stale <= 1 && path.is_absolute();
        well_formed.then_some(External {
            path,
            right,
            stale: stale == 1,
            wrong,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SIGNATURE: Signature = Signature {
        size: 5,
        modified: -1,
        modified_nanos: 999,
        changed: 7,
        changed_nanos: 8,
        inode: u64::MAX,
        device: 3,
    };

    fn external() -> Record {
        let external = External {
            path: "/models/käse".into(),
            right: SIGNATURE,
            stale: true,
            wrong: Signature::default(),
        };
        Record::new(5, FileLocation::External(external))
    }

    #[test]
    fn bytes_and_back() {
        for place in [
            FileLocation::Inline,
            FileLocation::Owned(SIGNATURE),
            FileLocation::Partial,
        ] {
            let record = Record::new(1 << 40, place);
            assert_eq!(Record::decode(&record.encode()), Some(record));
        }
        assert_eq!(Record::decode(&external().encode()), Some(external()));
        let record = Record {
            size: 0x0102,
            place: FileLocation::Owned(SIGNATURE),
            checked: 0x0304,
        };
        let mut bytes = vec![2, 2, 1, 0, 0, 0, 0, 0, 0, 4, 3, 0, 0, 0, 0, 0, 0];
        bytes.extend([5, 0, 0, 0, 0, 0, 0, 0]);
        bytes.extend([0xff; 8]);
        bytes.extend([0xe7, 3, 0, 0]);
        bytes.extend([7, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0]);
        bytes.extend([0xff; 8]);
        bytes.extend([3, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(record.encode(), bytes);
    }

    #[test]
    fn records_of_version_1_are_read() {
        let bytes = [2, 2, 1, 0, 0, 0, 0, 0, 0];
        let record = Record {
            size: 0x0102,
            place: FileLocation::Owned(Signature::default()),
            checked: 0,
        };
        assert_eq!(Record::decode_v1(&bytes), Some(record));
        let mut bytes = vec![4, 5, 0, 0, 0, 0, 0, 0, 0];
        bytes.extend([1; 36]);
        bytes.push(0);
        bytes.extend([0; 36]);
        bytes.extend(b"/a");
        let record = Record::decode_v1(&bytes).unwrap();
        let FileLocation::External(external) = record.place else {
            panic!("{record:?}");
        };
        assert_eq!(external.right.inode, u64::from_le_bytes([1; 8]));
        assert_eq!(external.right.changed, 0);
        assert_eq!(external.path, Path::new("/a"));
    }

    proptest! {
        #[test]
        fn no_bytes_are_read_in_two_ways(mut bytes in prop::collection::vec(any::<u8>(), 0..150)) {
            if let Some(first) = bytes.first_mut() {
                *first %= 6;
            }
            if let Some(record) = Record::decode(&bytes) {
                prop_assert_eq!(record.encode(), bytes);
            }
        }
    }
}
