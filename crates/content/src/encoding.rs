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

/// A number; 0 is the default, which is left out.
pub(crate) fn put_number(out: &mut Vec<u8>, tag: u8, value: u64) {
    if value != 0 {
        out.push(tag);
        put_varint(out, value);
    }
}

/// A text; the empty one is the default, which is left out.
pub(crate) fn put_text(out: &mut Vec<u8>, tag: u8, text: &str) {
    if !text.is_empty() {
        put_bytes(out, tag, text.as_bytes());
    }
}

/// The tag of field `number`, which holds a varint.
pub(crate) const fn number_tag(number: u8) -> u8 {
    number << 3
}

/// The tag of field `number`, which holds bytes, a text or a message.
pub(crate) const fn bytes_tag(number: u8) -> u8 {
    number << 3 | 2
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

    /// The bytes of a field, if it comes next.
    pub(crate) fn field(&mut self, tag: u8) -> Result<Option<&'a [u8]>, NotCanonical> {
        if self.peek() != Some(tag) {
            return Ok(None);
        }
        self.tag(tag)?;
        self.slice().map(Some)
    }

    /// A field of fixed length, if it comes next; `from` refuses other lengths.
    pub(crate) fn fixed<T>(
        &mut self,
        tag: u8,
        from: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<Option<T>, NotCanonical> {
        let start = self.at;
        match self.field(tag)? {
            None => Ok(None),
            Some(bytes) => from(bytes).map(Some).ok_or(NotCanonical(start)),
        }
    }

    /// A text; empty if the field is left out.
    pub(crate) fn text(&mut self, tag: u8) -> Result<&'a str, NotCanonical> {
        let start = self.at;
        match self.field(tag)? {
            None => Ok(""),
            Some(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) if !text.is_empty() => Ok(text),
                _ => Err(NotCanonical(start)),
            },
        }
    }

    /// A number; 0 if the field is left out.
    pub(crate) fn number(&mut self, tag: u8) -> Result<u64, NotCanonical> {
        if self.peek() != Some(tag) {
            return Ok(0);
        }
        let start = self.at;
        self.tag(tag)?;
        match self.varint()? {
            0 => Err(NotCanonical(start)),
            value => Ok(value),
        }
    }

    /// The end: no bytes are left.
    pub(crate) fn end(&self) -> Result<(), NotCanonical> {
        if self.at == self.bytes.len() {
            Ok(())
        } else {
            Err(NotCanonical(self.at))
        }
    }
}
