//! GGUF: counts, keys with values of many types, a row for each tensor, the tensors' bytes.
//!
//! Source: the format's description in the ggml repository; versions 2 and 3, little endian.

use std::{collections::HashSet, io::Read};

use super::{
    DIMENSIONS_MAX, GGUF_HEADER_BYTES_MAX, METADATA_MAX, METADATA_TEXT_BYTES_MAX,
    TENSOR_NAME_BYTES_MAX, TENSORS_MAX, Tensor, Tensors, TensorsError, cut, product,
};

const MAGIC: [u8; 4] = *b"GGUF";

/// Alignment of the tensors' bytes, if the file does not declare another.
const ALIGNMENT: u64 = 32;

/// Largest alignment: far above the page size of any machine.
const ALIGNMENT_MAX: u64 = 1024 * 1024;

/// Depth of arrays in arrays; known writers use one.
const NESTING_MAX: u32 = 4;

pub(super) fn read(reader: impl Read, size: u64) -> Result<Tensors, TensorsError> {
    let mut header = Header { reader, at: 0 };
    if header.bytes()? != MAGIC {
        return Err(TensorsError::Magic);
    }
    let version = header.u32()?;
    if !(2..=3).contains(&version) {
        return Err(TensorsError::Version(version));
    }
    let (tensors, entries) = (header.u64()?, header.u64()?);
    if tensors > TENSORS_MAX as u64 {
        return Err(TensorsError::TooManyTensors);
    }
    if entries > METADATA_MAX as u64 {
        return Err(TensorsError::TooMuchMetadata);
    }
    let (mut metadata, mut alignment) = (Vec::new(), ALIGNMENT);
    for _ in 0..entries {
        let key = header.name()?;
        let kind = header.u32()?;
        let value = header.value(kind, NESTING_MAX)?;
        if key == "general.alignment" {
            // Anything but a number is refused below.
            alignment = value.parse().unwrap_or(0);
        }
        metadata.push((key, value));
    }
    if !alignment.is_power_of_two() || alignment > ALIGNMENT_MAX {
        return Err(TensorsError::Alignment(alignment));
    }
    let mut rows = Vec::new();
    for _ in 0..tensors {
        rows.push(header.row()?);
    }
    let data = header.at.next_multiple_of(alignment);
    check(&mut rows, size.saturating_sub(data), alignment)?;
    let tensors = rows.into_iter().map(|row| row.tensor).collect();
    Ok(Tensors { tensors, metadata })
}

/// The header's entry for one tensor.
struct Row {
    tensor: Tensor,
    kind: u32,
    offset: u64,
}

/// Sorts by offset, and refuses rows outside the file and rows that overlap.
fn check(rows: &mut [Row], data: u64, alignment: u64) -> Result<(), TensorsError> {
    rows.sort_by_key(|row| row.offset);
    let mut names = HashSet::with_capacity(rows.len());
    let mut at = 0;
    for Row {
        tensor,
        kind,
        offset,
    } in rows.iter()
    {
        if !names.insert(tensor.name.as_str()) {
            return Err(TensorsError::Twice(tensor.name.clone()));
        }
        let end = match type_of(*kind) {
            Some(kind) => kind
                .bytes(&tensor.shape)
                .and_then(|b| offset.checked_add(b)),
            // A type of a later version: its length is unknown, only its start can be checked.
            None => Some(*offset),
        };
        let end = end.filter(|end| *end <= data && *offset >= at && offset % alignment == 0);
        at = end.ok_or_else(|| TensorsError::Place(tensor.name.clone()))?;
    }
    Ok(())
}

/// A reader of the header with its position.
struct Header<R> {
    reader: R,
    at: u64,
}

impl<R: Read> Header<R> {
    /// Counts bytes before they are read, up to the limit of the header.
    fn advance(&mut self, bytes: u64) -> Result<(), TensorsError> {
        self.at = self.at.saturating_add(bytes);
        if self.at > GGUF_HEADER_BYTES_MAX {
            return Err(TensorsError::HeaderTooLarge {
                bytes: self.at,
                max: GGUF_HEADER_BYTES_MAX,
            });
        }
        Ok(())
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], TensorsError> {
        self.advance(N as u64)?;
        let mut bytes = [0; N];
        self.reader.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn skip(&mut self, bytes: u64) -> Result<(), TensorsError> {
        self.advance(bytes)?;
        let skipped = std::io::copy(&mut (&mut self.reader).take(bytes), &mut std::io::sink())?;
        (skipped == bytes).then_some(()).ok_or(TensorsError::Short)
    }

    fn u32(&mut self) -> Result<u32, TensorsError> {
        Ok(u32::from_le_bytes(self.bytes()?))
    }

    fn u64(&mut self) -> Result<u64, TensorsError> {
        Ok(u64::from_le_bytes(self.bytes()?))
    }

    /// A text of `bytes` bytes. Memory grows with the bytes read, not with the declared length.
    fn text(&mut self, bytes: u64) -> Result<String, TensorsError> {
        self.advance(bytes)?;
        let mut text = Vec::new();
        let read = (&mut self.reader).take(bytes).read_to_end(&mut text)?;
        if read as u64 != bytes {
            return Err(TensorsError::Short);
        }
        String::from_utf8(text).map_err(|_| TensorsError::NotText)
    }

    fn name(&mut self) -> Result<String, TensorsError> {
        let bytes = self.u64()?;
        if bytes > TENSOR_NAME_BYTES_MAX as u64 {
            return Err(TensorsError::NameTooLong);
        }
        self.text(bytes)
    }

    /// A value as text; an array as its length and type.
    fn value(&mut self, kind: u32, nesting: u32) -> Result<String, TensorsError> {
        Ok(match kind {
            0 => u8::from_le_bytes(self.bytes()?).to_string(),
            1 => i8::from_le_bytes(self.bytes()?).to_string(),
            2 => u16::from_le_bytes(self.bytes()?).to_string(),
            3 => i16::from_le_bytes(self.bytes()?).to_string(),
            4 => self.u32()?.to_string(),
            5 => i32::from_le_bytes(self.bytes()?).to_string(),
            6 => f32::from_le_bytes(self.bytes()?).to_string(),
            7 => (self.bytes()? != [0u8]).to_string(),
            8 => {
                let bytes = self.u64()?;
                cut(self.text(bytes)?, METADATA_TEXT_BYTES_MAX)
            }
            9 => self.array(nesting)?,
            10 => self.u64()?.to_string(),
            11 => i64::from_le_bytes(self.bytes()?).to_string(),
            12 => f64::from_le_bytes(self.bytes()?).to_string(),
            other => return Err(TensorsError::ValueType(other)),
        })
    }

    /// Skips the elements: a vocabulary is too long to show.
    fn array(&mut self, nesting: u32) -> Result<String, TensorsError> {
        let (kind, count) = (self.u32()?, self.u64()?);
        let (name, bytes) = match kind {
            0 => ("u8", 1),
            1 => ("i8", 1),
            2 => ("u16", 2),
            3 => ("i16", 2),
            4 => ("u32", 4),
            5 => ("i32", 4),
            6 => ("f32", 4),
            7 => ("bool", 1),
            8 => ("text", 0),
            9 => ("array", 0),
            10 => ("u64", 8),
            11 => ("i64", 8),
            12 => ("f64", 8),
            other => return Err(TensorsError::ValueType(other)),
        };
        match kind {
            // Each element has at least its length field, so the limit of the header ends this loop.
            8 => {
                for _ in 0..count {
                    let bytes = self.u64()?;
                    self.skip(bytes)?;
                }
            }
            9 => {
                let inner = nesting.checked_sub(1).ok_or(TensorsError::ValueType(9))?;
                for _ in 0..count {
                    self.array(inner)?;
                }
            }
            _ => self.skip(count.saturating_mul(bytes))?,
        }
        Ok(format!("{count} × {name}"))
    }

    fn row(&mut self) -> Result<Row, TensorsError> {
        let name = self.name()?;
        let dimensions = self.u32()?;
        if dimensions as usize > DIMENSIONS_MAX {
            return Err(TensorsError::TooManyDimensions);
        }
        let mut shape = Vec::new();
        for _ in 0..dimensions {
            shape.push(self.u64()?);
        }
        let kind = self.u32()?;
        let dtype = type_of(kind).map_or_else(|| format!("type {kind}"), |kind| kind.name.into());
        Ok(Row {
            tensor: Tensor { name, dtype, shape },
            kind,
            offset: self.u64()?,
        })
    }
}

/// How numbers are packed: blocks of `numbers` numbers in `bytes` bytes.
struct Type {
    name: &'static str,
    numbers: u64,
    bytes: u64,
}

impl Type {
    /// Bytes of a tensor; `None` if 64 bits cannot count them, or if the last block is not full.
    fn bytes(&self, shape: &[u64]) -> Option<u64> {
        let numbers = product(shape)?;
        (numbers % self.numbers == 0).then_some(())?;
        (numbers / self.numbers).checked_mul(self.bytes)
    }
}

fn type_of(kind: u32) -> Option<Type> {
    let (name, numbers, bytes) = match kind {
        0 => ("F32", 1, 4),
        1 => ("F16", 1, 2),
        2 => ("Q4_0", 32, 18),
        3 => ("Q4_1", 32, 20),
        6 => ("Q5_0", 32, 22),
        7 => ("Q5_1", 32, 24),
        8 => ("Q8_0", 32, 34),
        9 => ("Q8_1", 32, 36),
        10 => ("Q2_K", 256, 84),
        11 => ("Q3_K", 256, 110),
        12 => ("Q4_K", 256, 144),
        13 => ("Q5_K", 256, 176),
        14 => ("Q6_K", 256, 210),
        15 => ("Q8_K", 256, 292),
        16 => ("IQ2_XXS", 256, 66),
        17 => ("IQ2_XS", 256, 74),
        18 => ("IQ3_XXS", 256, 98),
        19 => ("IQ1_S", 256, 50),
        20 => ("IQ4_NL", 32, 18),
        21 => ("IQ3_S", 256, 110),
        22 => ("IQ2_S", 256, 82),
        23 => ("IQ4_XS", 256, 136),
        24 => ("I8", 1, 1),
        25 => ("I16", 1, 2),
        26 => ("I32", 1, 4),
        27 => ("I64", 1, 8),
        28 => ("F64", 1, 8),
        29 => ("IQ1_M", 256, 56),
        30 => ("BF16", 1, 2),
        34 => ("TQ1_0", 256, 54),
        35 => ("TQ2_0", 256, 66),
        39 => ("MXFP4", 32, 17),
        _ => return None,
    };
    Some(Type {
        name,
        numbers,
        bytes,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(text: &str) -> Vec<u8> {
        [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
    }

    fn head(tensors: u64, entries: u64) -> Vec<u8> {
        let counts = [tensors.to_le_bytes(), entries.to_le_bytes()].concat();
        [&MAGIC[..], &3u32.to_le_bytes(), &counts].concat()
    }

    fn row(name: &str, shape: &[u64], kind: u32, offset: u64) -> Vec<u8> {
        let mut bytes = [text(name), (shape.len() as u32).to_le_bytes().to_vec()].concat();
        shape
            .iter()
            .for_each(|size| bytes.extend(size.to_le_bytes()));
        bytes.extend(kind.to_le_bytes());
        bytes.extend(offset.to_le_bytes());
        bytes
    }

    fn with_data(mut bytes: Vec<u8>, data: usize) -> Vec<u8> {
        bytes.resize(bytes.len().next_multiple_of(32) + data, 0);
        bytes
    }

    fn read_all(bytes: &[u8]) -> Result<Tensors, TensorsError> {
        read(bytes, bytes.len() as u64)
    }

    #[test]
    fn a_header_as_converters_write_it() {
        let mut bytes = head(2, 3);
        bytes.extend([text("general.architecture"), 8u32.to_le_bytes().to_vec()].concat());
        bytes.extend(text("llama"));
        bytes.extend([text("llama.block_count"), 4u32.to_le_bytes().to_vec()].concat());
        bytes.extend(32u32.to_le_bytes());
        bytes.extend([text("tokenizer.ggml.tokens"), 9u32.to_le_bytes().to_vec()].concat());
        bytes.extend([8u32.to_le_bytes().to_vec(), 2u64.to_le_bytes().to_vec()].concat());
        bytes.extend([text("<s>"), text("</s>")].concat());
        bytes.extend(row("output.weight", &[32, 2], 8, 128));
        bytes.extend(row("norm", &[32], 0, 0));
        let tensors = read_all(&with_data(bytes, 196)).unwrap();
        let shown = |t: &Tensor| format!("{} {} {:?}", t.name, t.dtype, t.shape);
        let shown: Vec<_> = tensors.tensors.iter().map(shown).collect();
        assert_eq!(shown, ["norm F32 [32]", "output.weight Q8_0 [32, 2]"]);
        let values: Vec<_> = tensors.metadata.iter().map(|(_, v)| v.as_str()).collect();
        assert_eq!(values, ["llama", "32", "2 × text"]);
    }

    #[test]
    fn tensors_outside_the_file_or_over_each_other_are_refused() {
        let one = |shape: &[u64], kind, offset, data| {
            let bytes = [head(1, 0), row("a", shape, kind, offset)].concat();
            read_all(&with_data(bytes, data))
        };
        assert!(one(&[32], 0, 0, 128).is_ok());
        assert!(one(&[32], 99, 0, 0).is_ok(), "of the future");
        let place = |result| assert!(matches!(result, Err(TensorsError::Place(_))), "{result:?}");
        place(one(&[32], 0, 0, 127));
        place(one(&[32], 0, 1, 256));
        place(one(&[32], 0, u64::MAX - 31, 128));
        place(one(&[31], 8, 0, 128));
        place(one(&[1 << 40, 1 << 40], 0, 0, 128));
        place(one(&[32], 99, 32, 0));
        let over = [head(2, 0), row("a", &[32], 0, 0), row("b", &[32], 0, 32)];
        place(read_all(&with_data(over.concat(), 256)));
    }

    #[test]
    fn declared_counts_and_lengths_are_not_trusted() {
        assert!(matches!(
            read_all(&head(u64::MAX, 0)),
            Err(TensorsError::TooManyTensors)
        ));
        assert!(matches!(
            read_all(&head(0, u64::MAX)),
            Err(TensorsError::TooMuchMetadata)
        ));
        let value = |kind: u32, rest: &[&[u8]]| {
            let bytes = [
                head(0, 1),
                text("k"),
                kind.to_le_bytes().to_vec(),
                rest.concat(),
            ];
            read_all(&bytes.concat())
        };
        let huge = u64::MAX.to_le_bytes();
        let large = |result| assert!(matches!(result, Err(TensorsError::HeaderTooLarge { .. })));
        large(value(8, &[&huge]));
        large(value(9, &[&8u32.to_le_bytes(), &huge, &huge]));
        large(value(9, &[&12u32.to_le_bytes(), &huge]));
        let many = value(9, &[&8u32.to_le_bytes(), &huge, &[0; 64]]);
        assert!(matches!(many, Err(TensorsError::Short)));
        let nested = [9u32.to_le_bytes().to_vec(), 1u64.to_le_bytes().to_vec()].concat();
        assert!(matches!(
            value(9, &[&nested.repeat(100)]),
            Err(TensorsError::ValueType(9))
        ));
        let text = value(8, &[&1u64.to_le_bytes(), &[0xff]]);
        assert!(matches!(text, Err(TensorsError::NotText)));
        assert!(matches!(read_all(b"GGML"), Err(TensorsError::Magic)));
        let turned = [&MAGIC[..], &3u32.to_be_bytes()].concat();
        assert!(matches!(read_all(&turned), Err(TensorsError::Version(_))));
    }

    #[test]
    fn an_invalid_alignment_is_refused() {
        for (alignment, fits) in [(64u32, true), (0, false), (48, false), (u32::MAX, false)] {
            let mut bytes = [head(0, 1), text("general.alignment")].concat();
            bytes.extend([4u32.to_le_bytes(), alignment.to_le_bytes()].concat());
            assert_eq!(read_all(&bytes).is_ok(), fits, "{alignment}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(
            tensors in 0u64..4, entries in 0u64..4, size: u64,
            rest in prop::collection::vec(prop_oneof![Just(0u8), 0u8..14, any::<u8>()], 0..200),
        ) {
            let bytes = [head(tensors, entries), rest.clone()].concat();
            let _ = read_all(&bytes);
            let _ = read(&bytes[..], size);
            let _ = read(&rest[..], size);
        }
    }
}
