//! What is done with each answer.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use hubless_content::chunk_count;
use hubless_network::AnswerFrame;
use hubless_scheduler::{Input, Refusal};
use hubless_wire::{Answer, Ask, Scope};

use super::{End, FILE_SCOPES_MAX, LIST_TIMEOUT, News, Open, Source};
use crate::fetch::{
    availability::Availability,
    discovery::Candidate,
    lists::{Claim, ListInProgress},
};

impl Source {
    /// An answer begins to arrive. Of a chunk that was cancelled nobody needs to know.
    pub(super) async fn begins(&mut self, id: u64) -> Result<(), End> {
        let source = self.id;
        match self.open.get(&id) {
            Some(&Open::Chunk(chunk)) => self.tell(Input::Started { source, chunk }).await,
            _ => Ok(()),
        }
    }

    pub(super) async fn answered(&mut self, frame: AnswerFrame) -> Result<(), End> {
        let AnswerFrame {
            id,
            answer,
            payload,
        } = frame;
        match self.open.remove(&id) {
            Some(Open::Chunk(chunk)) => {
                self.chunks.remove(&chunk);
                self.chunk_answered(chunk, answer, payload).await
            }
            Some(Open::Availability(availability)) => {
                self.availability_answered(id, availability, answer, &payload)
                    .await
            }
            Some(Open::List(list)) => self.list_answered(id, list, answer, &payload).await,
            Some(Open::Digests(ask)) => self.digests_answered(ask, answer).await,
            Some(Open::Peers) => self.peers_answered(answer).await,
            Some(Open::Report) => Ok(()),
            None => {
                let cancelled = self
                    .cancelled
                    .iter()
                    .find(|(cancelled, _)| *cancelled == id);
                match (cancelled, answer) {
                    (Some((_, chunk)), answer @ Answer::Chunk(_)) => {
                        self.chunk_answered(*chunk, answer, payload).await
                    }
                    _ => Ok(()),
                }
            }
        }
    }

    async fn chunk_answered(
        &mut self,
        chunk: u32,
        answer: Answer,
        payload: Bytes,
    ) -> Result<(), End> {
        let source = self.id;
        let refusal = match answer {
            Answer::Chunk(index) => {
                let place = self
                    .layout
                    .place(chunk)
                    .filter(|(_, asked)| *asked == index);
                let (file, _) = place.ok_or(End::Lied)?;
                self.shared
                    .bytes_fetched
                    .fetch_add(payload.len() as u64, Ordering::Relaxed);
                self.store(chunk, file, payload);
                return Ok(());
            }
            Answer::NotHere => Refusal::NotHere,
            Answer::Busy(wait) => Refusal::Busy(wait),
            _ => return self.tell(Input::Failed { source, chunk }).await,
        };
        self.tell(Input::Refused {
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
        answer: Answer,
        payload: &Bytes,
    ) -> Result<(), End> {
        if answer == Answer::NotHere {
            return match availability.scope() == self.layout.target.scope() {
                true => self.ask_for_files().await,
                false => Ok(()),
            };
        }
        let inputs = availability.take(self.id, &self.layout, answer, payload)?;
        let has_more = |input: &Input| !matches!(input, Input::OnTheWay(_));
        if inputs.iter().any(has_more) {
            // It has more than before, perhaps also lists.
            self.refused_lists.clear();
        }
        for input in inputs {
            self.tell(input).await?;
        }
        self.open.insert(id, Open::Availability(availability));
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

    pub(super) async fn ask_list(&mut self, claim: Claim) -> Result<(), End> {
        self.lists += 1;
        let entry = self.layout.entry(claim.file());
        let (file, size) = (entry.hash, entry.size);
        let list = ListInProgress::new(claim, chunk_count(size));
        self.ask(
            Ask::ChunkList {
                file,
                size,
                first: 0,
            },
            Open::List(list),
        )
        .await?;
        Ok(())
    }

    async fn list_answered(
        &mut self,
        id: u64,
        mut list: ListInProgress,
        answer: Answer,
        payload: &Bytes,
    ) -> Result<(), End> {
        if answer != Answer::ChunkList {
            self.lists -= 1;
            self.refused_lists.insert(list.file());
            return Ok(()); // dropping the claim gives it to another source
        }
        let entry = self.layout.entry(list.file());
        let (file, size) = (entry.hash, entry.size);
        list.take(payload).ok_or(End::Lied)?;
        if let Some(first) = list.next() {
            self.open.insert(id, Open::List(list));
            // An answer ends its ask, so the id is free again.
            return self
                .asks
                .send(id, Ask::ChunkList { file, size, first })
                .await
                .map_err(|_| End::Gone);
        }
        self.lists -= 1;
        self.store_list(list);
        Ok(())
    }

    pub(super) async fn give_up_slow_lists(&mut self) -> Result<(), End> {
        let slow = |open: &Open| matches!(open, Open::List(list) if list.idle() > LIST_TIMEOUT);
        let ids: Vec<u64> = self
            .open
            .iter()
            .filter(|(_, open)| slow(open))
            .map(|(id, _)| *id)
            .collect();
        for id in ids {
            if let Some(Open::List(list)) = self.open.remove(&id) {
                self.lists -= 1;
                self.refused_lists.insert(list.file());
                self.asks
                    .send(id, Ask::Cancel)
                    .await
                    .map_err(|_| End::Gone)?;
            }
        }
        Ok(())
    }

    async fn peers_answered(&mut self, answer: Answer) -> Result<(), End> {
        if let Answer::Peers(peers) = answer {
            for candidate in peers.iter().filter_map(Candidate::from_exchange) {
                self.shared
                    .news
                    .send(News::Peer(candidate))
                    .await
                    .map_err(|_| End::Gone)?;
            }
        }
        Ok(())
    }
}
