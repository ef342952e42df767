//! Proving and storing, beside the reading of what comes next.

use bytes::Bytes;
use hubless_content::{ChunkList, ModelChunk};
use hubless_fetch::{End, FileNumber, Layout};
use hubless_scheduler::Input as ChunkInput;
use hubless_store::StoreError;
use hubless_wire::Request;

use super::{Connection, Input, ListInProgress, OpenRequest};
use crate::{fetches::Fetches, news::Gain};

/// How storing something went.
pub(in crate::fetch) enum Stored {
    Right {
        chunk: ModelChunk,
        bytes: u32,
    },
    Wrong {
        chunk: ModelChunk,
    },
    Failed {
        chunk: ModelChunk,
        error: StoreError,
    },
    Aborted,
    List(FileNumber),
    WrongList,
}

impl Connection {
    /// Verifies and stores a chunk, beside the reading of the next ones.
    pub(super) fn store(&mut self, chunk: ModelChunk, file: FileNumber, payload: Bytes) {
        let (fetches, layout) = (self.shared.fetches.clone(), self.layout.clone());
        self.storing.push(Box::pin(async move {
            let blocking = fetches.cx.blocking.clone();
            let stored = blocking.run(move || put(&fetches, &layout, chunk, file, payload));
            stored.await.unwrap_or(Stored::Aborted)
        }));
    }

    pub(super) async fn stored(&mut self, stored: Stored) -> Result<(), End> {
        let source = self.source;
        match stored {
            Stored::Right { chunk, bytes } => {
                self.report(ChunkInput::Received {
                    source,
                    chunk,
                    bytes,
                })
                .await
            }
            // The scheduler decides whether the peer misbehaves or its disk is damaged.
            Stored::Wrong { chunk } => {
                self.shared.fetches.cx.counters.rejected.count();
                self.report(ChunkInput::Wrong { source, chunk }).await?;
                self.report_wrong(chunk).await
            }
            Stored::Failed { chunk, error } => {
                self.report(ChunkInput::Failed { source, chunk }).await?;
                let sent = self.shared.events.send(Err(error)).await;
                sent.map_err(|_| End::Gone)
            }
            Stored::Aborted => Err(End::Gone),
            Stored::List(file) => self.shared.report(Input::ListStored(file)).await,
            Stored::WrongList => {
                self.shared.fetches.cx.counters.rejected.count();
                Err(End::Misbehaved)
            }
        }
    }

    /// Asks the peer to read a chunk again: its disk may be damaged.
    async fn report_wrong(&mut self, chunk: ModelChunk) -> Result<(), End> {
        let Some((file, index)) = self.layout.place(chunk) else {
            return Ok(());
        };
        let entry = self.layout.entry(file);
        let (file, path) = (entry.hash, &entry.path);
        tracing::warn!(peer = %self.requests.peer(), %path, chunk = %index, "a peer sent a wrong chunk");
        let report = Request::ReportWrong { file, index };
        let id = self.open.add(OpenRequest::Report);
        self.send(id, report).await
    }

    /// Verifies and stores a chunk list.
    pub(super) fn store_list(&mut self, list: ListInProgress) {
        let (fetches, layout) = (self.shared.fetches.clone(), self.layout.clone());
        self.storing.push(Box::pin(async move {
            let blocking = fetches.cx.blocking.clone();
            let stored = blocking.run(move || put_list(&fetches, &layout, list));
            stored.await.unwrap_or(Stored::Aborted)
        }));
    }
}

/// Proves a chunk and stores it; announces it to connected peers.
pub(in crate::fetch) fn put(
    fetches: &Fetches,
    layout: &Layout,
    chunk: ModelChunk,
    file: FileNumber,
    payload: Bytes,
) -> Stored {
    let Some((_, index)) = layout.place(chunk) else {
        return Stored::Wrong { chunk };
    };
    let Some(list) = layout.list(file) else {
        return Stored::Wrong { chunk };
    };
    let bytes = payload.len() as u32;
    let Ok(verified) = list.verify(index, payload) else {
        return Stored::Wrong { chunk };
    };
    match fetches.cx.store.put(&verified) {
        Ok(put) => {
            if put.new {
                fetches.gains.send(Gain {
                    file: verified.file(),
                    index,
                });
            }
            if put.file_complete {
                fetches.cx.note_change();
            }
            Stored::Right { chunk, bytes }
        }
        Err(error) => Stored::Failed { chunk, error },
    }
}

/// Proves a chunk list and stores it.
fn put_list(fetches: &Fetches, layout: &Layout, list: ListInProgress) -> Stored {
    let file = list.file();
    let entry = layout.entry(file);
    let Ok(list) = ChunkList::prove(entry.hash, entry.size, list.finish()) else {
        return Stored::WrongList;
    };
    if let Err(error) = fetches.cx.store.put_chunk_list(&list) {
        return Stored::Failed {
            chunk: layout.range(file).start,
            error,
        };
    }
    layout.set_list(file, list);
    Stored::List(file)
}
