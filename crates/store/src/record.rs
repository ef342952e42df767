//! A file's record in the index: where its bytes are.
//!
//! ```text
//! byte 0      1 inline, 2 owned, 3 partial, 4 external
//! 8 bytes     size
//! external only:
//! 36 bytes    signature when it was last known to be right
//! 1 byte      1 if it is stale: changed since, and not known to be right
//! 36 bytes    signature at which it was last found to be wrong; zeros if not looked at
//! the rest    absolute path
//! ```
//! Numbers are little-endian. A signature is size (8), seconds (8), nanoseconds (4), inode (8),
//! device (8).

use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use crate::disk::Signature;

const INLINE: u8 = 1;
const OWNED: u8 = 2;
const PARTIAL: u8 = 3;
const EXTERNAL: u8 = 4;

/// Where a file's bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) size: u64,
    pub(crate) place: Place,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Inline,
    Owned,
    Partial,
    External(External),
}

/// The user's own file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct External {
    pub(crate) path: PathBuf,
    pub(crate) right: Signature,
    pub(crate) stale: bool,
    /// At this signature it was looked at and found wrong, so there is no need to look again.
    pub(crate) wrong: Signature,
}

impl Record {
    pub(crate) fn new(size: u64, place: Place) -> Self {
        Self { size, place }
    }

    /// Whether all chunks can be served.
    pub(crate) fn is_complete(&self) -> bool {
        match &self.place {
            Place::Inline | Place::Owned => true,
            Place::Partial => false,
            Place::External(external) => !external.stale,
        }
    }

    /// Bytes that the file takes in the home directory. A partial file has its space from the
    /// beginning.
    pub(crate) fn bytes_owned(&self) -> u64 {
        if matches!(self.place, Place::External(_)) {
            0
        } else {
            self.size
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let tag = match self.place {
            Place::Inline => INLINE,
            Place::Owned => OWNED,
            Place::Partial => PARTIAL,
            Place::External(_) => EXTERNAL,
        };
        let mut out = vec![tag];
        out.extend(self.size.to_le_bytes());
        if let Place::External(external) = &self.place {
            put_signature(&mut out, &external.right);
            out.push(u8::from(external.stale));
            put_signature(&mut out, &external.wrong);
            out.extend(external.path.as_os_str().as_bytes());
        }
        out
    }

    /// `None` if the bytes are not a record.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        let [tag] = reader.array()?;
        let size = reader.u64()?;
        let place = match tag {
            INLINE => Place::Inline,
            OWNED => Place::Owned,
            PARTIAL => Place::Partial,
            EXTERNAL => Place::External(reader.external()?),
            _ => return None,
        };
        reader.0.is_empty().then_some(Self { size, place })
    }
}

fn put_signature(out: &mut Vec<u8>, signature: &Signature) {
    out.extend(signature.size.to_le_bytes());
    out.extend(signature.modified.to_le_bytes());
    out.extend(signature.modified_nanos.to_le_bytes());
    out.extend(signature.inode.to_le_bytes());
    out.extend(signature.device.to_le_bytes());
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (now, later) = self.0.split_first_chunk()?;
        self.0 = later;
        Some(*now)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn signature(&mut self) -> Option<Signature> {
        Some(Signature {
            size: self.u64()?,
            modified: self.array().map(i64::from_le_bytes)?,
            modified_nanos: self.array().map(u32::from_le_bytes)?,
            inode: self.u64()?,
            device: self.u64()?,
        })
    }

    fn external(&mut self) -> Option<External> {
        let right = self.signature()?;
        let [stale] = self.array()?;
        let wrong = self.signature()?;
        let path = Path::new(OsStr::from_bytes(std::mem::take(&mut self.0))).to_owned();
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

    fn external() -> Record {
        let right = Signature {
            size: 5,
            modified: -1,
            modified_nanos: 999,
            inode: u64::MAX,
            device: 3,
        };
        let path = "/models/käse".into();
        let external = External {
            path,
            right,
            stale: true,
            wrong: Signature::default(),
        };
        Record::new(5, Place::External(external))
    }

    #[test]
    fn bytes_and_back() {
        for place in [Place::Inline, Place::Owned, Place::Partial] {
            let record = Record::new(1 << 40, place);
            assert_eq!(Record::decode(&record.encode()), Some(record));
        }
        assert_eq!(Record::decode(&external().encode()), Some(external()));
        assert_eq!(
            Record::new(0x0102, Place::Owned).encode(),
            [2, 2, 1, 0, 0, 0, 0, 0, 0]
        );
    }

    proptest! {
        #[test]
        fn no_bytes_are_read_in_two_ways(mut bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            if let Some(first) = bytes.first_mut() {
                *first %= 6;
            }
            if let Some(record) = Record::decode(&bytes) {
                prop_assert_eq!(record.encode(), bytes);
            }
        }
    }
}
