//! What all requests share.

use std::sync::Arc;

use hubless_node::NodeHandle;
use tokio_util::sync::CancellationToken;

use crate::{config::GatewayConfig, http::metrics::HttpMetrics};

/// What all requests share.
pub(crate) struct App {
    pub(crate) node: NodeHandle,
    pub(crate) config: Arc<GatewayConfig>,
    /// Ends answers that have no end of their own when the gateway stops.
    pub(crate) stopping: CancellationToken,
    pub(crate) http: HttpMetrics,
}

/// The state of the router.
pub(crate) type Shared = Arc<App>;
