//! What is done with each answer.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use hubless_content::{ModelChunk, chunk_count};
use hubless_fetch::{Availability, End, FileNumber};
use hubless_network::ResponseFrame;
use hubless_scheduler::{Input as ChunkInput, Refusal};
use hubless_wire::{Request, Response, Scope};

use super::{Connection, FILE_SCOPES_MAX, Input, ListInProgress, OpenRequest};
use crate::fetch::discovery;

impl Connection {
    /// An answer begins to arrive. That of a cancelled chunk is no news for the scheduler.
    pub(super) async fn begins(&mut self, id: u64) -> Result<(), End> {
        let source = self.source;
        match self.open.requests.get(&id) {
            Some(&OpenRequest::Chunk(chunk)) => {
                self.report(ChunkInput::Started { source, chunk }).await
            }
            _ => Ok(()),
        }
    }

    pub(super) async fn answered(&mut self, frame: ResponseFrame) -> Result<(), End> {
        let ResponseFrame {
            id,
            response: answer,
            payload,
        } = frame;
        match self.open.take(id) {
            Some(OpenRequest::Chunk(chunk)) => self.chunk_answered(chunk, answer, payload).await,
            Some(OpenRequest::Availability(availability)) => {
                self.availability_answered(id, availability, answer, &payload)
                    .await
            }
            Some(OpenRequest::List(list)) => self.list_answered(id, list, answer, &payload).await,
            Some(OpenRequest::Digests(ask)) => self.digests_answered(ask, answer).await,
            Some(OpenRequest::Peers) => self.peers_answered(answer).await,
            Some(OpenRequest::Report) => Ok(()),
            None => match (self.open.cancelled_chunk(id), &answer) {
                // The cancel came too late; the chunk is as good as any other.
                (Some(chunk), Response::Chunk(_)) => {
                    self.chunk_answered(chunk, answer, payload).await
                }
                _ => Ok(()),
            },
        }
    }

    async fn chunk_answered(
        &mut self,
        chunk: ModelChunk,
        answer: Response,
        payload: Bytes,
    ) -> Result<(), End> {
        let source = self.source;
        let refusal = match answer {
            Response::Chunk(index) => {
                let place = self
                    .layout
                    .place(chunk)
                    .filter(|(_, asked)| *asked == index);
                let (file, _) = place.ok_or(End::Misbehaved)?;
                self.shared
                    .bytes_fetched
                    .fetch_add(payload.len() as u64, Ordering::Relaxed);
                self.store(chunk, file, payload);
                return Ok(());
            }
            Response::NotHere => Refusal::NotHere,
            Response::Busy(wait) => Refusal::Busy(wait),
            _ => return self.report(ChunkInput::Failed { source, chunk }).await,
        };
        self.report(ChunkInput::Refused {
            source,
            chunk,
            refusal,
        })
        .await
    }

    async fn availability_answered(
        &mut self,
        id: u64,
        mut availability: Availability,
        answer: Response,
        payload: &Bytes,
    ) -> Result<(), End> {
        if answer == Response::NotHere {
            return match availability.scope() == self.layout.target.scope() {
                true => self.ask_for_files().await,
                false => Ok(()),
            };
        }
        for input in availability.take(self.source, &self.layout, answer, payload)? {
            self.report(input).await?;
        }
        // More follows under the same id, as the peer gains chunks.
        let availability = OpenRequest::Availability(availability);
        self.open.requests.insert(id, availability);
        Ok(())
    }

    /// The peer does not know what is wanted, but may have been named for some files of it.
    async fn ask_for_files(&mut self) -> Result<(), End> {
        let files = std::mem::take(&mut self.files);
        if files.is_empty() {
            return Err(End::Nothing);
        }
        for file in files.into_iter().take(FILE_SCOPES_MAX) {
            self.ask_availability(Scope::File(file)).await?;
        }
        Ok(())
    }

    pub(super) async fn ask_list(&mut self, file: FileNumber) -> Result<(), End> {
        let entry = self.layout.entry(file);
        let ask = Request::ChunkList {
            file: entry.hash,
            size: entry.size,
            first: 0,
        };
        let list = ListInProgress::new(file, chunk_count(entry.size));
        let id = self.open.add(OpenRequest::List(list));
        self.send(id, ask).await
    }

    pub(super) async fn cancel_list(&mut self, file: FileNumber) -> Result<(), End> {
        let is_meant = |request: &OpenRequest| matches!(request, OpenRequest::List(list) if list.file() == file);
        for (id, _) in self.open.take_all(is_meant) {
            self.send(id, Request::Cancel).await?;
        }
        Ok(())
    }

    async fn list_answered(
        &mut self,
        id: u64,
        mut list: ListInProgress,
        answer: Response,
        payload: &Bytes,
    ) -> Result<(), End> {
        let number = list.file();
        if answer != Response::ChunkList {
            let refused = Input::ListRefused(self.source, number);
            return self.shared.report(refused).await;
        }
        list.take(payload).ok_or(End::Misbehaved)?;
        let page = Input::ListPage(self.source, number);
        self.shared.report(page).await?;
        let Some(first) = list.next() else {
            self.store_list(list);
            return Ok(());
        };
        let entry = self.layout.entry(number);
        let (file, size) = (entry.hash, entry.size);
        // An answer ends its request, so the id is free again.
        self.open.requests.insert(id, OpenRequest::List(list));
        self.send(id, Request::ChunkList { file, size, first })
            .await
    }

    async fn peers_answered(&mut self, answer: Response) -> Result<(), End> {
        let Response::Peers(peers) = answer else {
            return Ok(());
        };
        let network = self.shared.fetches.cx.network().map_err(|_| End::Gone)?;
        for mut candidate in peers.iter().filter_map(discovery::from_exchange) {
            // SSRF guard: never dials a private address that a peer named.
            candidate.addresses = network.believable(candidate.addresses);
            self.shared.report(Input::PeerNamed(candidate)).await?;
        }
        Ok(())
    }
}
