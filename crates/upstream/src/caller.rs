//! The caller of a repo: what it sent to prove who it is.

use std::sync::Arc;

/// Who asks. A token is the caller's own, for the hub where a repo comes from: it is never printed
/// and never sent to a peer.
#[derive(Clone, Default)]
pub struct Caller {
    /// What the caller sent as `Authorization: Bearer`.
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
