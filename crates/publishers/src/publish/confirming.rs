//! What the announcer asks of the signing keys: daily confirmations, and heads of other signers that the
//! DHT had first.

use std::sync::Arc;

use futures::{FutureExt as _, future::BoxFuture};
use hubless_content::{SubjectKey, VerifiedHead};

use super::{Signer, StepError};
use hubless_names::{announce::Confirm, book, clock, resolve::Wanted};

impl Confirm for Signer {
    fn confirm(&self, key: SubjectKey) -> BoxFuture<'static, Option<Arc<VerifiedHead>>> {
        let signer = self.clone();
        async move {
            let _one = signer.inner.repos.lock(key).await;
            match signer.confirm_once(key).await {
                Ok(confirmed) => confirmed,
                Err(error) => {
                    tracing::warn!(%error, "a head could not be confirmed");
                    None
                }
            }
        }
        .boxed()
    }

    fn outranked(&self, newer: VerifiedHead) -> BoxFuture<'static, ()> {
        let signer = self.clone();
        async move {
            // The reader finds holders of it, and takes or merges it.
            let (subject, wanted) = (&newer.head().subject, Wanted::now());
            let current = signer.inner.resolver.current(subject, &wanted);
            if let Err(error) = current.await {
                tracing::warn!(%subject, %error, "a newer head is in the DHT, and could not be taken");
            }
        }
        .boxed()
    }
}

impl Signer {
    async fn confirm_once(
        &self,
        key: SubjectKey,
    ) -> Result<Option<Arc<VerifiedHead>>, super::PublishError> {
        let (cx, keys) = (self.inner.cx.clone(), self.inner.keys.clone());
        let watchers = self.inner.adopter.watchers().clone();
        let confirm = move || {
            let Some(record) = cx.store.head(key)? else {
                return Ok(None);
            };
            let Ok(signing) = keys.signing(&cx.store, record.head().subject.publisher()) else {
                // Confirmed by its other signers.
                return Ok(None);
            };
            let Some(head) = book::seen(record, Some(&signing.chain)) else {
                return Ok(None);
            };
            let confirmed = Arc::new(signing.confirm(head.head(), clock::now())?);
            if !cx.store.put_head(&confirmed)? {
                return Ok(None);
            }
            watchers.taken(&confirmed);
            Ok::<_, StepError>(Some(confirmed))
        };
        Ok(self.inner.cx.blocking.run(confirm).await??)
    }
}
