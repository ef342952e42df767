//! The manifest from one source.

use std::{sync::Arc, time::Duration};

use hubless_content::{ContentHash, MANIFEST_BYTES_MAX, Manifest};
use hubless_fetch::End;
use hubless_network::Exchange;
use hubless_wire::{Request, Response};

use super::{Input, only_answer};

/// How long a source may take for a page.
const PAGE_TIMEOUT: Duration = Duration::from_secs(10);

/// Gets the pages one after the other and checks the whole.
///
/// Memory grows with what arrives, never with what is declared; a source that sends wrong bytes
/// can waste one manifest's length of them, and then is banned.
pub(super) async fn get(exchange: &mut Exchange, content: ContentHash) -> Result<Input, End> {
    let mut bytes = Vec::new();
    for id in 1.. {
        let offset = u32::try_from(bytes.len()).map_err(|_| End::Misbehaved)?;
        let asked = exchange
            .requests
            .send(id, Request::Manifest { content, offset })
            .await;
        asked.map_err(|_| End::Gone)?;
        let (answer, page) = only_answer(exchange, id, PAGE_TIMEOUT).await?;
        let total = match answer {
            Response::Manifest { total } => total as usize,
            Response::NotHere => return Err(End::Nothing),
            _ => return Err(End::Gone),
        };
        bytes.extend_from_slice(&page);
        if page.is_empty() || bytes.len() > total.min(MANIFEST_BYTES_MAX) {
            return Err(End::Misbehaved);
        }
        if bytes.len() == total {
            break;
        }
    }
    if ContentHash::of_manifest_bytes(&bytes) != content {
        return Err(End::Misbehaved);
    }
    Ok(Input::Manifest(Manifest::decode(&bytes).map(Arc::new)))
}
