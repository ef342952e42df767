//! What other hubs call files, asked of a peer that may hold them.

use std::collections::HashSet;

use hubless_content::FileHash;
use hubless_fetch::End;
use hubless_wire::{Request, Response};

use super::{Connection, DIGESTS_TIMEOUT, OpenRequest};
use crate::digest_asks::DigestAsk;

impl Connection {
    pub(super) async fn ask_digests(&mut self) -> Result<(), End> {
        let Some(ask) = self.shared.digests.claim(&self.refused_digests) else {
            return Ok(());
        };
        self.digest_asks += 1;
        let files = ask.files().collect();
        self.ask_beside(Request::Digests(files), OpenRequest::Digests(ask))
            .await
    }

    /// A peer of an earlier version does not know the ask, and answers that nothing is there.
    pub(super) async fn digests_answered(
        &mut self,
        ask: DigestAsk,
        answer: Response,
    ) -> Result<(), End> {
        self.digest_asks -= 1;
        self.digests_changed.mark_changed();
        let found = match answer {
            Response::Digests(found) if found.len() == ask.files().len() => found,
            Response::Digests(_) => return Err(End::Misbehaved),
            _ => Vec::new(),
        };
        let claims = ask.files().zip(found);
        let claims: Vec<_> = claims
            .filter_map(|(file, digests)| Some((file, digests?)))
            .collect();
        let known: HashSet<FileHash> = claims.iter().map(|(file, _)| *file).collect();
        let peer = self.requests.peer();
        let made = self.shared.fetches.claim_digests(peer, claims).await;
        let is_wrong = made.map_err(|error| {
            tracing::warn!(%error, "what a peer claims about files cannot be checked");
            End::Gone
        })?;
        self.refused_digests.extend(ask.answered(&known));
        if is_wrong {
            self.shared.fetches.cx.counters.rejected.count();
            return Err(End::Misbehaved);
        }
        Ok(())
    }

    pub(super) async fn give_up_slow_digests(&mut self) -> Result<(), End> {
        let is_slow = |request: &OpenRequest| matches!(request, OpenRequest::Digests(ask) if ask.age() > DIGESTS_TIMEOUT);
        for (id, request) in self.open.take_all(is_slow) {
            if let OpenRequest::Digests(ask) = request {
                self.digest_asks -= 1;
                self.refused_digests.extend(ask.answered(&HashSet::new()));
                self.send_beside(id, Request::Cancel).await?;
            }
        }
        Ok(())
    }
}
