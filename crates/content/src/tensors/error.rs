//! Errors of reading a header of tensors.

use std::io;

use super::{DIMENSIONS_MAX, METADATA_MAX, TENSOR_NAME_BYTES_MAX, TENSORS_MAX};

/// Why the tensors of a file cannot be listed.
#[derive(Debug, thiserror::Error)]
pub enum TensorsError {
    /// Reading failed.
    #[error("the header could not be read")]
    Read(#[source] io::Error),
    /// It ends inside its header.
    #[error("the file ends inside its header")]
    Short,
    /// It does not begin with the format's magic bytes.
    #[error("the file does not begin with the magic bytes of the format")]
    Magic,
    /// An unsupported version.
    #[error("version {0} of the format is not known")]
    Version(u32),
    /// The header is larger than a limit.
    #[error("the header has {bytes} bytes, which is more than {max}")]
    HeaderTooLarge {
        /// The declared length, or the number of bytes read so far.
        bytes: u64,
        /// The limit.
        max: u64,
    },
    /// More than [`TENSORS_MAX`].
    #[error("a file has at most {TENSORS_MAX} tensors")]
    TooManyTensors,
    /// More than [`METADATA_MAX`].
    #[error("a file has at most {METADATA_MAX} entries of metadata")]
    TooMuchMetadata,
    /// Longer than [`TENSOR_NAME_BYTES_MAX`].
    #[error("a name has at most {TENSOR_NAME_BYTES_MAX} bytes")]
    NameTooLong,
    /// More than [`DIMENSIONS_MAX`].
    #[error("a tensor has at most {DIMENSIONS_MAX} dimensions")]
    TooManyDimensions,
    /// A text is not UTF-8.
    #[error("a text is not UTF-8")]
    NotText,
    /// A value type that the format does not define.
    #[error("the format has no type {0} of values")]
    ValueType(u32),
    /// The alignment is no power of two, or larger than any page.
    #[error("{0} is not a valid alignment")]
    Alignment(u64),
    /// The bytes of a tensor lie outside the file, overlap those of another, or do not have the
    /// length of its shape and type.
    #[error("the offsets of {0:?} are outside the file, overlap, or do not fit its shape")]
    Place(String),
    /// Two tensors have one name.
    #[error("the tensor {0:?} occurs twice")]
    Twice(String),
    /// The JSON of the header is malformed.
    #[error("the header is malformed")]
    Json(#[source] serde_json::Error),
}

impl From<io::Error> for TensorsError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Short,
            _ => Self::Read(error),
        }
    }
}
