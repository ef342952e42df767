//! Where profiles come from.

use std::sync::Arc;

use futures::{FutureExt, future::BoxFuture};
use hubless_content::{Profile, PublisherId};
use hubless_transfer::Context;
use tracing::warn;

/// Finds the profile of a publisher, here or in the network.
pub trait Profiles: Send + Sync + 'static {
    /// The newest profile that is found in the time that a caller waits; `None` if none is.
    fn profile(&self, publisher: PublisherId) -> BoxFuture<'_, Option<Profile>>;
}

/// The profiles that are in the store: those of publishers that are followed or were asked for.
pub struct StoredProfiles(pub Arc<Context>);

impl Profiles for StoredProfiles {
    fn profile(&self, publisher: PublisherId) -> BoxFuture<'_, Option<Profile>> {
        async move {
            let store = self.0.store.clone();
            let stored = self.0.blocking.run(move || store.profile(publisher)).await;
            stored.ok()?.unwrap_or_else(|error| {
                warn!(%publisher, %error, "a profile could not be read");
                None
            })
        }
        .boxed()
    }
}
