//! Frames of the control socket.

use std::io;

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::Occupant;
use crate::{event::Event, failure::Failure, replies::Update};

/// Bytes of a frame: the details of a model of a million files are about 200 MB of JSON.
const FRAME_BYTES_MAX: usize = 512 * 1024 * 1024;

/// Bytes of a request: the longest has a few thousand globs.
const REQUEST_BYTES_MAX: usize = 1024 * 1024;

/// Bytes of a greeting: a process id and the name of a command.
const GREETING_BYTES_MAX: usize = 4096;

pub(super) async fn write_greeting(
    to: &mut (impl AsyncWrite + Unpin),
    occupant: &Occupant,
) -> io::Result<()> {
    write(to, b'G', &json(occupant)?).await
}

/// The greeting; `None` if the connection was closed without one.
pub(super) async fn read_greeting(
    from: &mut (impl AsyncRead + Unpin),
) -> io::Result<Option<Occupant>> {
    match read(from, GREETING_BYTES_MAX).await? {
        Some((b'G', bytes)) => parse(&bytes).map(Some),
        Some(_) => Err(io::ErrorKind::InvalidData.into()),
        None => Ok(None),
    }
}

pub(super) async fn write_request(
    to: &mut (impl AsyncWrite + Unpin),
    request: &impl Serialize,
) -> io::Result<()> {
    write(to, b'R', &json(request)?).await
}

/// The JSON of the next call; `None` at the end.
pub(super) async fn read_request(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Bytes>> {
    match read(from, REQUEST_BYTES_MAX).await? {
        Some((b'R', bytes)) => Ok(Some(bytes)),
        Some(_) => Err(io::ErrorKind::InvalidData.into()),
        None => Ok(None),
    }
}

/// What a node sends to the caller of a call.
pub(super) enum Reply {
    /// More are to come.
    Update(Update),
    /// The last one: the answer as JSON, or the failure.
    End(Result<Bytes, Failure>),
}

pub(super) async fn write_update(
    to: &mut (impl AsyncWrite + Unpin),
    update: &Update,
) -> io::Result<()> {
    match update {
        Update::Event(event) => write(to, b'E', &json(event)?).await,
        Update::Data(bytes) => write(to, b'B', bytes).await,
    }
}

pub(super) async fn write_end(
    to: &mut (impl AsyncWrite + Unpin),
    end: &Result<Vec<u8>, Failure>,
) -> io::Result<()> {
    match end {
        Ok(answer) => write(to, b'D', answer).await,
        Err(failure) => write(to, b'F', &json(failure)?).await,
    }
}

/// The next reply; `None` if the connection ends without the last one.
pub(super) async fn read_reply(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Reply>> {
    let Some((kind, bytes)) = read(from, FRAME_BYTES_MAX).await? else {
        return Ok(None);
    };
    Ok(Some(match kind {
        b'E' => Reply::Update(Update::Event(parse::<Event>(&bytes)?)),
        b'B' => Reply::Update(Update::Data(bytes)),
        b'D' => Reply::End(Ok(bytes)),
        b'F' => Reply::End(Err(parse(&bytes)?)),
        _ => return Err(io::ErrorKind::InvalidData.into()),
    }))
}

fn json(value: &impl Serialize) -> io::Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(io::Error::other)
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> io::Result<T> {
    serde_json::from_slice(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

async fn write(to: &mut (impl AsyncWrite + Unpin), kind: u8, bytes: &[u8]) -> io::Result<()> {
    let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    let mut head = [kind; 5];
    head[1..].copy_from_slice(&length.to_be_bytes());
    to.write_all(&head).await?;
    to.write_all(bytes).await?;
    to.flush().await
}

async fn read(from: &mut (impl AsyncRead + Unpin), max: usize) -> io::Result<Option<(u8, Bytes)>> {
    let mut head = [0; 5];
    match from.read_exact(&mut head).await {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    };
    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
    if length > max {
        return Err(io::ErrorKind::InvalidData.into());
    }
    // Grows with the bytes that arrive, not with the declared length.
    let mut bytes = Vec::new();
    from.take(length as u64).read_to_end(&mut bytes).await?;
    if bytes.len() < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some((head[0], bytes.into())))
}
