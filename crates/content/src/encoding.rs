//! The canonical protobuf encoding of everything that is hashed, and a reader that refuses every
//! other: fields in order, lengths within the bytes, varints in their shortest form.

/// The bytes are not canonical; holds the offset of the first deviation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotCanonical(pub(crate) usize);

pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(crate) fn put_bytes(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    out.push(tag);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// A cursor over bytes from outside: every step is checked.
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The number of bytes read.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn byte(&mut self) -> Result<u8, NotCanonical> {
        let byte = self.peek().ok_or(NotCanonical(self.at))?;
        self.at += 1;
        Ok(byte)
    }

    pub(crate) fn tag(&mut self, tag: u8) -> Result<(), NotCanonical> {
        let at = self.at;
        if self.byte()? == tag {
            Ok(())
        } else {
            Err(NotCanonical(at))
        }
    }

    /// A varint in its shortest form.
    pub(crate) fn varint(&mut self) -> Result<u64, NotCanonical> {
        let start = self.at;
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            // The tenth byte has room for the highest bit only.
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte < 0x80 {
                // A final zero byte adds nothing: a shorter form of the same value exists.
                let shortest = byte != 0 || shift == 0;
                return if shortest {
                    Ok(value)
                } else {
                    Err(NotCanonical(start))
                };
            }
        }
        Err(NotCanonical(start))
    }

    /// A length; returns the end of the covered bytes, which is checked to be within the input.
    pub(crate) fn length(&mut self) -> Result<usize, NotCanonical> {
        let start = self.at;
        let length = usize::try_from(self.varint()?).ok();
        let end = length.and_then(|length| self.at.checked_add(length));
        end.filter(|end| *end <= self.bytes.len())
            .ok_or(NotCanonical(start))
    }

    pub(crate) fn slice(&mut self) -> Result<&'a [u8], NotCanonical> {
        let end = self.length()?;
        let slice = &self.bytes[self.at..end];
        self.at = end;
        Ok(slice)
    }
}
