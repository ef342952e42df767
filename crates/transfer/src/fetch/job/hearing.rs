//! What a fetch hears of its sources.

use hubless_scheduler::Input;
use tokio::time::Instant;

use super::{Job, NEWS_MAX, runs_in};
use crate::{
    blocking::Blocking,
    failure::Failure,
    fetch::{failures, source::News},
};

impl Job {
    /// Hears all news there is before anything is decided.
    pub(super) async fn hear_all(&mut self, first: News) -> Result<(), Failure> {
        self.hear(first).await?;
        for _ in 0..NEWS_MAX {
            match self.news.try_recv() {
                Ok(news) => self.hear(news).await?,
                Err(_) => break,
            }
        }
        Ok(())
    }

    async fn hear(&mut self, news: News) -> Result<(), Failure> {
        match news {
            News::Manifest(manifest) => {
                if !self.wish.only_plan {
                    let (store, kept) = (self.shared.fetches.cx.store.clone(), manifest.clone());
                    Blocking::run_long(move || store.put_manifest(&kept)).await??;
                }
                self.plan(manifest).await?;
            }
            News::BadManifest(error) => {
                return Err(failures::bad_manifest(&self.wish.target, &error));
            }
            News::Input(input) => self.hear_input(input),
            News::List(file) => {
                self.lists_missing = self.lists_missing.saturating_sub(1);
                self.last_progress = Instant::now();
                let range = self
                    .layout
                    .borrow()
                    .as_ref()
                    .map(|layout| layout.range(file));
                for run in range
                    .map(|range| runs_in(&self.missing, range))
                    .unwrap_or_default()
                {
                    self.schedule(Input::Want(run));
                }
            }
            News::Peer(mut candidate) => {
                // A stranger must not have us knock at the doors of our own network.
                candidate.addresses = self.network.believable(candidate.addresses);
                self.candidates.add(candidate, Instant::now());
            }
            News::Store(error) => return Err(failures::store(error, &self.wish.target)),
            News::Ended(source, end) => self.source_ended(source, end).await,
        }
        Ok(())
    }

    fn hear_input(&mut self, input: Input) {
        match &input {
            Input::Received {
                source,
                chunk,
                bytes,
            } => {
                self.last_progress = Instant::now();
                if self.missing.remove(*chunk) {
                    self.bytes_missing = self.bytes_missing.saturating_sub((*bytes).into());
                }
                if let Some(handle) = self.sources.get_mut(source) {
                    handle.useful = true;
                    self.last_giver = Some(handle.peer);
                }
                self.stored.send_modify(|stored| *stored += 1);
            }
            Input::SourceHas(source, _)
            | Input::SourceGained(source, _)
            | Input::SourceComplete(source) => {
                self.anyone = true;
                let is_empty = matches!(&input, Input::SourceHas(_, set) if set.is_empty());
                if let Some(handle) = self.sources.get_mut(source).filter(|_| !is_empty)
                    && !std::mem::replace(&mut handle.has_some, true)
                {
                    self.show_outlook();
                }
            }
            Input::SourceJoined(_) => self.reached = true,
            _ => {}
        }
        let joined = match &input {
            Input::SourceJoined(source) => self.twin_of(*source),
            _ => None,
        };
        self.schedule(input);
        if let Some((source, other)) = joined {
            self.schedule(Input::SourceIsTwin(source, other));
        }
    }
}
