//! The caller of a repo, with its credentials.

use std::sync::Arc;

/// The caller of a request. Its token is for the repo's hub: it is never printed and never sent to
/// a peer.
#[derive(Clone, Default)]
pub struct Caller {
    /// The token of `Authorization: Bearer`.
    pub token: Option<Arc<str>>,
}

impl std::fmt::Debug for Caller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.token {
            Some(_) => "Caller(with a token)",
            None => "Caller",
        })
    }
}
