//! The tensors of a file of weights: names, shapes and types, read from its header alone.
//!
//! The header comes from a stranger. Every number in it is checked against the size of the file and a
//! named limit before it is used, memory grows with the bytes read and never with a declared number,
//! and no weight is read, let alone executed.
//!
//! # Not here
//! The quality of the weights, and formats that run code when they are opened (pickles).

mod error;
mod gguf;
mod safetensors;

use std::io::Read;

pub use error::TensorsError;

/// Bytes of a safetensors header. The largest known models stay below 10 MiB a file.
pub const SAFETENSORS_HEADER_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Bytes of a GGUF header, vocabulary included: that of the largest known tokenizers takes 12 MiB.
pub const GGUF_HEADER_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Tensors of one file. The largest known checkpoints have some 100,000 in all their files.
pub const TENSORS_MAX: usize = 200_000;

/// Bytes of a tensor's name, of a key and of a type's name. GGUF has 64 for tensors.
pub const TENSOR_NAME_BYTES_MAX: usize = 1024;

/// Dimensions of a tensor. Frameworks have at most 64, weights at most 6.
pub const DIMENSIONS_MAX: usize = 64;

/// Entries of metadata.
pub const METADATA_MAX: usize = 4096;

/// Bytes that are kept of a metadata value; a chat template is longer than most and shorter than
/// this. Longer values are cut.
pub const METADATA_TEXT_BYTES_MAX: usize = 32 * 1024;

/// A file format whose header lists tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TensorFormat {
    /// `.safetensors`
    Safetensors,
    /// `.gguf`
    Gguf,
}

impl TensorFormat {
    /// The format by the extension of a path.
    pub fn of_path(path: &str) -> Option<Self> {
        let (_, ending) = path.rsplit_once('.')?;
        match ending {
            "safetensors" => Some(Self::Safetensors),
            "gguf" => Some(Self::Gguf),
            _ => None,
        }
    }
}

/// The content of a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensors {
    /// In the order of their bytes in the file.
    pub tensors: Vec<Tensor>,
    /// Keys and values as text; long values are cut, and arrays only counted.
    pub metadata: Vec<(String, String)>,
}

impl Tensors {
    /// Reads the header of a file of `size` bytes from its beginning, and nothing after it.
    ///
    /// # Errors
    /// If it breaks a rule of the format, or is beyond a limit.
    pub fn read(format: TensorFormat, reader: impl Read, size: u64) -> Result<Self, TensorsError> {
        match format {
            TensorFormat::Safetensors => safetensors::read(reader, size),
            TensorFormat::Gguf => gguf::read(reader, size),
        }
    }

    /// Numbers in all tensors.
    pub fn parameters(&self) -> u64 {
        let all = self.tensors.iter().map(Tensor::parameters);
        all.fold(0, u64::saturating_add)
    }
}

/// One tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor {
    /// Its name.
    pub name: String,
    /// The type of its numbers, by its name in the format.
    pub dtype: String,
    /// Its dimensions, in the order of the file. Empty for a single number.
    pub shape: Vec<u64>,
}

impl Tensor {
    /// Numbers in it.
    pub fn parameters(&self) -> u64 {
        product(&self.shape).unwrap_or(u64::MAX)
    }
}

/// The number of numbers in a tensor; `None` if 64 bits cannot count them.
fn product(shape: &[u64]) -> Option<u64> {
    if shape.contains(&0) {
        return Some(0);
    }
    shape
        .iter()
        .try_fold(1, |all: u64, one| all.checked_mul(*one))
}

/// Cuts a text to a limit, at a character boundary.
fn cut(mut text: String, bytes_max: usize) -> String {
    if text.len() > bytes_max {
        let mut end = bytes_max;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push('…');
    }
    text
}
