//! What other hubs call files, asked of a source that may hold them.

use std::collections::HashSet;

use hubless_content::FileHash;
use hubless_wire::{Answer, Ask};

use super::{DIGESTS_TIMEOUT, End, Open, Source};
use crate::fetch::digests::DigestAsk;

impl Source {
    pub(super) async fn ask_digests(&mut self) -> Result<(), End> {
        let Some(ask) = self.shared.digests.claim(&self.refused_digests) else {
            return Ok(());
        };
        self.digest_asks += 1;
        let files = ask.files().collect();
        self.ask_beside(Ask::Digests(files), Open::Digests(ask))
            .await
    }

    /// A peer of an earlier version does not know the ask, and answers that nothing is there.
    pub(super) async fn digests_answered(
        &mut self,
        ask: DigestAsk,
        answer: Answer,
    ) -> Result<(), End> {
        self.digest_asks -= 1;
        self.digests_changed.mark_changed();
        let found = match answer {
            Answer::Digests(found) if found.len() == ask.files().len() => found,
            Answer::Digests(_) => return Err(End::Lied),
            _ => Vec::new(),
        };
        let claims = ask.files().zip(found);
        let claims: Vec<_> = claims
            .filter_map(|(file, digests)| Some((file, digests?)))
            .collect();
        let known: HashSet<FileHash> = claims.iter().map(|(file, _)| *file).collect();
        let peer = self.asks.peer();
        let made = self.shared.fetches.claim_digests(peer, claims).await;
        let is_wrong = made.map_err(|error| {
            tracing::warn!(%error, "what a peer claims about files cannot be checked");
            End::Gone
        })?;
        self.refused_digests.extend(ask.answered(&known));
        match is_wrong {
            true => {
                self.shared.fetches.cx.counters.rejected.count();
                Err(End::Lied)
            }
            false => Ok(()),
        }
    }

    pub(super) async fn give_up_slow_digests(&mut self) -> Result<(), End> {
        let is_slow =
            |open: &Open| matches!(open, Open::Digests(ask) if ask.age() > DIGESTS_TIMEOUT);
        let slow = self.open.iter().filter(|(_, open)| is_slow(open));
        let ids: Vec<u64> = slow.map(|(id, _)| *id).collect();
        for id in ids {
            if let Some(Open::Digests(ask)) = self.open.remove(&id) {
                self.digest_asks -= 1;
                self.refused_digests.extend(ask.answered(&HashSet::new()));
                let asks = self
                    .beside
                    .as_ref()
                    .map_or(&self.asks, |beside| &beside.asks);
                asks.send(id, Ask::Cancel).await.map_err(|_| End::Gone)?;
            }
        }
        Ok(())
    }
}
