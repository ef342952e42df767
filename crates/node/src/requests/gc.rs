//! `gc`: frees what no pin reaches.

use std::sync::Arc;

use hubless_transfer::Blocking;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AnswerForm, Call, HttpCall, Method, Route};
use crate::{core::Core, failure::Failure, replies::ReplySink};

/// Frees what no pin reaches.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Gc {}

/// The result of garbage collection: freed files, and the reasons for kept ones.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Collected {
    /// Files that were freed.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Models that stay because they are pinned.
    pub pinned: u64,
    /// Revisions of names of this node, which stay until they are removed.
    pub named: u64,
    /// Revisions of names of an upstream, or of a publisher beyond what is mirrored, whose files stay
    /// until the quota needs their room.
    pub cached: u64,
}

impl Call for Gc {
    type Answer = Collected;

    async fn handle(self, core: &Arc<Core>, _: &ReplySink) -> Result<Collected, Failure> {
        let store = core.cx.store.clone();
        let freed = Blocking::run_long(move || store.gc()).await??;
        core.cx.note_change();
        Ok(Collected {
            files: freed.files,
            bytes: freed.bytes,
            pinned: freed.pinned,
            named: freed.named,
            cached: freed.cached,
        })
    }
}

impl HttpCall for Gc {
    type Fields = Self;

    const ROUTE: Route = Route {
        method: Method::Post,
        path: "/gc",
        has_body: false,
        id: "gc",
        group: "content",
        summary: "Free what no pin reaches",
        description: "",
        answer: AnswerForm::Json("What was freed"),
        failures: &[],
    };

    fn from_fields(fields: Self) -> Result<Self, Failure> {
        Ok(fields)
    }
}
