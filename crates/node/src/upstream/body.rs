//! The bytes of a file as an upstream sends them, over as many connections as it takes.

use std::{
    ops::Range,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use hubless_content::{CommitId, ModelPath, RepoId};
use reqwest::{StatusCode, Url, header::CONTENT_RANGE};

use super::{Upstream, client::Answer, error::UpstreamError, metadata};
use crate::core::Core;

/// Tries in a row that bring nothing, once something came: some half a minute.
const TRIES_MAX: u32 = 6;

/// Tries before anything came: who waits for the first byte wants to hear of a failure.
const FIRST_TRIES_MAX: u32 = 2;

/// The wait after the first failure; doubled each time.
const RETRY_FIRST: Duration = Duration::from_millis(500);

/// The longest wait, also if the upstream asks for more: then the pull fails.
const RETRY_WAIT_MAX: Duration = Duration::from_secs(30);

/// A range of a file that comes from an upstream. Nothing proves these bytes.
pub(crate) struct Body {
    core: Arc<Core>,
    upstream: Arc<Upstream>,
    url: Url,
    token: Option<Arc<str>>,
    size: u64,
    at: u64,
    end: u64,
    answer: Option<Answer>,
    failures: u32,
    begun: bool,
}

impl Body {
    pub(crate) fn new(
        core: &Arc<Core>,
        upstream: &Arc<Upstream>,
        (repo, commit, path): (&RepoId, CommitId, &ModelPath),
        size: u64,
        range: Range<u64>,
        token: Option<Arc<str>>,
    ) -> Self {
        Self {
            core: core.clone(),
            url: metadata::file_url(&upstream.client, repo, commit, path),
            upstream: upstream.clone(),
            token,
            size,
            at: range.start,
            end: range.end,
            answer: None,
            failures: 0,
            begun: false,
        }
    }

    /// The next bytes; `None` at the end of the range.
    ///
    /// # Errors
    /// If the upstream refuses, or gives no more after some tries.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, UpstreamError> {
        while self.at < self.end {
            match self.piece().await {
                Ok(bytes) => {
                    (self.failures, self.begun) = (0, true);
                    self.at += bytes.len() as u64;
                    let received = &self.upstream.bytes_received;
                    received.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                    self.slow_down(bytes.len()).await;
                    return Ok(Some(bytes));
                }
                Err(error) => self.recover(error).await?,
            }
        }
        Ok(None)
    }

    /// Holds to the limit of what is taken in all. What waits to be read holds the upstream back.
    async fn slow_down(&self, mut bytes: usize) {
        let Ok(network) = self.core.network() else {
            return;
        };
        while bytes > 0 {
            bytes -= network.take_elsewhere(bytes).await.clamp(1, bytes);
        }
    }

    /// Bytes that are not nothing, from the answer under way or a new one.
    async fn piece(&mut self) -> Result<Bytes, UpstreamError> {
        loop {
            let answer = match &mut self.answer {
                Some(answer) => answer,
                None => self.answer.insert(
                    ask(
                        &self.upstream,
                        &self.url,
                        self.token.as_deref(),
                        self.size,
                        self.at,
                        self.end,
                    )
                    .await?,
                ),
            };
            let Some(mut bytes) = answer.next().await? else {
                return Err(UpstreamError::Malformed("it ended too early".into()));
            };
            let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
            bytes.truncate(left);
            if !bytes.is_empty() {
                return Ok(bytes);
            }
        }
    }

    /// Waits before the next try, or gives up.
    async fn recover(&mut self, error: UpstreamError) -> Result<(), UpstreamError> {
        // An answer that ended early is worth another try; one that never began is not.
        let broke_off = self.answer.take().is_some();
        self.failures += 1;
        let tries = if self.begun {
            TRIES_MAX
        } else {
            FIRST_TRIES_MAX
        };
        let wait = error
            .retry_after()
            .unwrap_or(RETRY_FIRST * (1 << self.failures.min(6)) / 2);
        let hopeless = !(broke_off || error.is_passing());
        if hopeless || self.failures >= tries || wait > RETRY_WAIT_MAX {
            return Err(error);
        }
        tracing::debug!(%error, ?wait, at = self.at, "a file is asked for again");
        tokio::time::sleep(wait).await;
        Ok(())
    }
}

/// Asks for a range; the answer's body begins with its first byte.
async fn ask(
    upstream: &Upstream,
    url: &Url,
    token: Option<&str>,
    size: u64,
    start: u64,
    end: u64,
) -> Result<Answer, UpstreamError> {
    let is_all = start == 0 && end == size;
    let range = (!is_all).then_some(start..end);
    let answer = upstream.client.file(url.clone(), token, range).await?;
    let sent = answer.response.headers().get(CONTENT_RANGE);
    let sent = sent.and_then(|range| range.to_str().ok());
    let is_right = match answer.response.status() {
        StatusCode::PARTIAL_CONTENT => sent.and_then(content_range) == Some((start, size)),
        // The whole, as one of the ways to answer a range; but not again and again.
        _ => {
            let length = answer.response.content_length();
            start == 0 && length.is_none_or(|length| length == size)
        }
    };
    match is_right {
        true => Ok(answer),
        false => Err(UpstreamError::Malformed(
            "not the range that was asked for, or a file of another size".into(),
        )),
    }
}

/// The first byte and the size in `bytes 5-9/10`.
fn content_range(text: &str) -> Option<(u64, u64)> {
    let (range, size) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (start, _) = range.split_once('-')?;
    Some((start.parse().ok()?, size.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_an_answer_begins() {
        assert_eq!(content_range("bytes 5-9/10"), Some((5, 10)));
        for text in ["bytes */10", "bytes 5-9", "5-9/10", "bytes -1-9/10", ""] {
            assert_eq!(content_range(text), None, "{text}");
        }
    }
}
