//! safetensors: eight bytes with the length of a JSON object, the object, the tensors' bytes.
//!
//! Source: the format's README. The bytes of all tensors follow each other without gaps, which is
//! checked here too, so that a file cannot hide other bytes.

use std::{collections::HashSet, fmt, io::Read};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, SeqAccess, Visitor},
};

use super::{
    DIMENSIONS_MAX, METADATA_MAX, METADATA_TEXT_BYTES_MAX, SAFETENSORS_HEADER_BYTES_MAX,
    TENSOR_NAME_BYTES_MAX, TENSORS_MAX, Tensor, Tensors, TensorsError, cut, product,
};

/// Bytes of the length field before the header.
const LENGTH_BYTES: u64 = 8;

pub(super) fn read(mut reader: impl Read, size: u64) -> Result<Tensors, TensorsError> {
    let mut length = [0; LENGTH_BYTES as usize];
    reader.read_exact(&mut length)?;
    let bytes = u64::from_le_bytes(length);
    if bytes > SAFETENSORS_HEADER_BYTES_MAX {
        return Err(TensorsError::HeaderTooLarge {
            bytes,
            max: SAFETENSORS_HEADER_BYTES_MAX,
        });
    }
    let data = size
        .checked_sub(LENGTH_BYTES + bytes)
        .ok_or(TensorsError::Short)?;
    let mut json = Vec::new();
    if reader.take(bytes).read_to_end(&mut json)? as u64 != bytes {
        return Err(TensorsError::Short);
    }
    if json.first() != Some(&b'{') {
        return Err(TensorsError::Magic);
    }
    let header: Header = serde_json::from_slice(&json).map_err(TensorsError::Json)?;
    header.check(data)
}

/// The JSON value of a tensor's name.
#[derive(Deserialize)]
struct Entry {
    dtype: Name,
    #[serde(deserialize_with = "dimensions")]
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

#[derive(Default)]
struct Header {
    tensors: Vec<(String, Entry)>,
    metadata: Vec<(String, String)>,
}

impl Header {
    fn check(mut self, data: u64) -> Result<Tensors, TensorsError> {
        let mut names = HashSet::with_capacity(self.tensors.len());
        if let Some((twice, _)) = self.tensors.iter().find(|(name, _)| !names.insert(name)) {
            return Err(TensorsError::Twice(twice.clone()));
        }
        drop(names);
        self.tensors.sort_by_key(|(_, entry)| entry.data_offsets);
        let mut at = 0;
        for (name, entry) in &self.tensors {
            let (start, end) = entry.data_offsets;
            // Of an unknown type only the place can be checked.
            let fits = start == at
                && end >= start
                && bytes_of(&entry.dtype.0, &entry.shape).is_none_or(|bytes| bytes == end - start);
            if !fits {
                return Err(TensorsError::Place(name.clone()));
            }
            at = end;
        }
        // Bytes after the last tensor would belong to no tensor.
        if at != data {
            let last = self.tensors.pop().map(|(name, _)| name);
            return Err(TensorsError::Place(last.unwrap_or_default()));
        }
        let tensors = self.tensors.into_iter().map(|(name, entry)| Tensor {
            name,
            dtype: entry.dtype.0,
            shape: entry.shape,
        });
        Ok(Tensors {
            tensors: tensors.collect(),
            metadata: self.metadata,
        })
    }
}

/// Bytes of a tensor; `None` for an unknown type. A shape that 64 bits cannot count has more bytes
/// than any file.
fn bytes_of(dtype: &str, shape: &[u64]) -> Option<u64> {
    let bits = match dtype {
        "F4" => 4,
        "F6_E2M3" | "F6_E3M2" => 6,
        "BOOL" | "U8" | "I8" | "F8_E4M3" | "F8_E5M2" | "F8_E8M0" => 8,
        "U16" | "I16" | "F16" | "BF16" => 16,
        "U32" | "I32" | "F32" => 32,
        "U64" | "I64" | "F64" | "C64" => 64,
        _ => return None,
    };
    let bits = product(shape).and_then(|numbers| numbers.checked_mul(bits));
    Some(bits.map_or(u64::MAX, |bits| bits.div_ceil(8)))
}

/// A short text.
struct Name(String);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let name = String::deserialize(from)?;
        if name.len() > TENSOR_NAME_BYTES_MAX {
            return Err(D::Error::custom(TensorsError::NameTooLong));
        }
        Ok(Self(name))
    }
}

fn dimensions<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u64>, D::Error> {
    struct Dimensions;
    impl<'de> Visitor<'de> for Dimensions {
        type Value = Vec<u64>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of sizes")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<u64>, A::Error> {
            let mut shape = Vec::new();
            while let Some(size) = list.next_element()? {
                if shape.len() == DIMENSIONS_MAX {
                    return Err(A::Error::custom(TensorsError::TooManyDimensions));
                }
                shape.push(size);
            }
            Ok(shape)
        }
    }
    from.deserialize_seq(Dimensions)
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Header;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
                let mut header = Header::default();
                while let Some(Name(name)) = map.next_key()? {
                    if name == "__metadata__" {
                        let Metadata(metadata) = map.next_value()?;
                        header.metadata = metadata;
                        continue;
                    }
                    if header.tensors.len() == TENSORS_MAX {
                        return Err(A::Error::custom(TensorsError::TooManyTensors));
                    }
                    header.tensors.push((name, map.next_value()?));
                }
                Ok(header)
            }
        }
        from.deserialize_map(Entries)
    }
}

/// Texts by key.
struct Metadata(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Texts;
        impl<'de> Visitor<'de> for Texts {
            type Value = Metadata;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of texts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Metadata, A::Error> {
                let mut texts = Vec::new();
                while let Some((Name(key), text)) = map.next_entry::<Name, String>()? {
                    if texts.len() == METADATA_MAX {
                        return Err(A::Error::custom(TensorsError::TooMuchMetadata));
                    }
                    texts.push((key, cut(text, METADATA_TEXT_BYTES_MAX)));
                }
                Ok(Metadata(texts))
            }
        }
        from.deserialize_map(Texts)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(json: &str, data: usize) -> Vec<u8> {
        let length = (json.len() as u64).to_le_bytes();
        [&length[..], json.as_bytes(), &vec![0; data]].concat()
    }

    fn read_all(bytes: &[u8]) -> Result<Tensors, TensorsError> {
        read(bytes, bytes.len() as u64)
    }

    #[test]
    fn a_header_as_trainers_write_it() {
        let json = r#"{"__metadata__":{"format":"pt"},
            "b":{"dtype":"F32","shape":[2,3],"data_offsets":[4,28]},
            "a":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]},
            "c":{"dtype":"F16","shape":[],"data_offsets":[28,30]}}   "#;
        let tensors = read_all(&file(json, 30)).unwrap();
        let names: Vec<_> = tensors.tensors.iter().map(|t| t.name.as_str()).collect();
        assert_eq!(names, ["a", "b", "c"]);
        assert_eq!(tensors.tensors[1].shape, [2, 3]);
        assert_eq!(tensors.parameters(), 2 + 6 + 1);
        assert_eq!(tensors.metadata, [("format".into(), "pt".into())]);
        assert_eq!(read_all(&file("{}", 0)).unwrap().tensors, []);
    }

    #[test]
    fn a_header_that_lies_is_refused() {
        let one = |dtype: &str, shape: &str, offsets: &str, data| {
            let json = format!(
                r#"{{"a":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}}}"#
            );
            read_all(&file(&json, data))
        };
        let place = |result| assert!(matches!(result, Err(TensorsError::Place(_))), "{result:?}");
        place(one("F32", "[2]", "[0,8]", 4));
        place(one("F32", "[2]", "[0,8]", 9));
        place(one("F32", "[3]", "[0,8]", 8));
        place(one("F32", "[2]", "[8,0]", 8));
        place(one("F32", "[2]", "[1,9]", 9));
        place(one("U8", "[4294967296,4294967296]", "[0,1]", 1));
        place(read_all(&file("{}", 1)));
        assert!(one("F99", "[2]", "[0,5]", 5).is_ok(), "of the future");
        let json = |result| assert!(matches!(result, Err(TensorsError::Json(_))), "{result:?}");
        json(one("F32", "[-1]", "[0,8]", 8));
        json(one("F32", "[1e99]", "[0,8]", 8));
        json(one("F32", "[2]", "[0,8,9]", 8));
        json(one(
            "F32",
            &format!("{:?}", [1; DIMENSIONS_MAX + 1]),
            "[0,4]",
            4,
        ));
        json(one(
            &"F".repeat(TENSOR_NAME_BYTES_MAX + 1),
            "[2]",
            "[0,8]",
            8,
        ));
        json(read_all(&file(&"{\"a\":".repeat(10_000), 0)));
        json(read_all(&file("{\"__metadata__\":{\"a\":1}}", 0)));
        json(read_all(&file("{} x", 0)));
    }

    #[test]
    fn a_declared_length_is_not_trusted() {
        let mut huge = file("{}", 0);
        huge[..8].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(matches!(
            read_all(&huge),
            Err(TensorsError::HeaderTooLarge { .. })
        ));
        huge[..8].copy_from_slice(&1000u64.to_le_bytes());
        assert!(matches!(read_all(&huge), Err(TensorsError::Short)));
        let cut_off = read(&huge[..], 2000);
        assert!(matches!(cut_off, Err(TensorsError::Short)));
        assert!(matches!(read_all(b"\0\0"), Err(TensorsError::Short)));
        assert!(matches!(read_all(&file("[]", 0)), Err(TensorsError::Magic)));
        let twice = r#"{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},
            "a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}"#;
        assert!(matches!(
            read_all(&file(twice, 0)),
            Err(TensorsError::Twice(_))
        ));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(
            json in r#"(\{|\}|\[|\]|"a"|"dtype"|"shape"|"data_offsets"|"F32"|__metadata__|:|,|[0-9]{1,20}|-|\\u[0-9a-f]{4}|\PC){0,40}"#,
            data in 0usize..20, size in any::<u64>(), raw in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let _ = read_all(&file(&json, data));
            let _ = read(&file(&json, data)[..], size);
            let _ = read(&raw[..], size);
        }
    }
}
