//! Why a file shows no tensors.

use std::io;

use super::{DIMENSIONS_MAX, METADATA_MAX, TENSOR_NAME_BYTES_MAX, TENSORS_MAX};

/// Why a file shows no tensors.
#[derive(Debug, thiserror::Error)]
pub enum TensorsError {
    /// It could not be read.
    #[error("the header could not be read")]
    Read(#[source] io::Error),
    /// It ends inside its header.
    #[error("the file ends inside its header")]
    Short,
    /// It does not begin as the format does.
    #[error("the file does not begin as one of this format does")]
    Magic,
    /// A version that nobody knows here.
    #[error("version {0} of the format is not known")]
    Version(u32),
    /// The header is larger than a limit.
    #[error("the header has {bytes} bytes, which is more than {max}")]
    HeaderTooLarge {
        /// What the file says, or what was read.
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
    /// A type of a value that the format does not have.
    #[error("the format has no type {0} of values")]
    ValueType(u32),
    /// The alignment is no power of two, or larger than any page.
    #[error("{0} is no alignment")]
    Alignment(u64),
    /// The bytes of a tensor are not where they can be: outside the file, over those of another, or
    /// not as many as its shape and type need.
    #[error("the bytes of {0:?} are not where they can be")]
    Place(String),
    /// Two tensors have one name.
    #[error("{0:?} is there twice")]
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
