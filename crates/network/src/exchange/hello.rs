//! The first frame in each direction.

use std::{io, time::Duration};

use futures::{AsyncRead, AsyncWrite};
use hubless_wire::{Body, Frame};
use libp2p::PeerId;

use super::{ExchangeError, reader::FrameReader, writer::FrameWriter};

/// How long the other side may take for its `Hello`: a few round trips over the worst link.
const HELLO_TIME_MAX: Duration = Duration::from_secs(15);

/// Sends `Hello` and waits for that of the other side. `None` if the other side closed the stream instead.
pub(super) async fn exchange<R, W>(
    peer: PeerId,
    reader: &mut FrameReader<R>,
    writer: &mut FrameWriter<W>,
) -> Result<Option<()>, ExchangeError>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let hello = async {
        let io = |source| ExchangeError::io(peer, source);
        writer
            .write(&Frame::new(0, Body::Hello))
            .await
            .map_err(io)?;
        writer.flush().await.map_err(io)?;
        reader
            .next()
            .await
            .map_err(|error| ExchangeError::read(peer, error))
    };
    match tokio::time::timeout(HELLO_TIME_MAX, hello).await {
        Ok(Ok(Some((head, _)))) if head.body == Body::Hello => Ok(Some(())),
        Ok(Ok(Some(_))) => Err(ExchangeError::Unexpected {
            peer,
            rule: "the first frame is a hello",
        }),
        Ok(Ok(None)) => Ok(None),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(ExchangeError::io(peer, io::ErrorKind::TimedOut.into())),
    }
}
