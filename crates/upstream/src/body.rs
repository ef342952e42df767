//! The bytes of a file from an upstream, over as many connections as needed.

use std::{
    ops::Range,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::{Buf, Bytes};
use hubless_content::{CommitId, ModelPath, RepoId};
use hubless_transfer::Fetches;
use reqwest::{StatusCode, Url, header::CONTENT_RANGE};

use crate::{client::Answer, error::UpstreamError, metadata, pulls::Origin, upstream::Upstream};

/// Failed attempts in a row after the first byte: about half a minute.
const TRIES_MAX: u32 = 6;

/// Attempts before the first byte: a client that waits for it should get the failure soon.
const FIRST_TRIES_MAX: u32 = 2;

/// The wait after the first failure; doubled each time.
const RETRY_FIRST: Duration = Duration::from_millis(500);

/// The longest wait. If the upstream asks for a longer one, the pull fails.
const RETRY_WAIT_MAX: Duration = Duration::from_secs(30);

/// The longest wait before the first byte: a client waits 10 s for it, and can get `Retry-After`
/// instead.
const FIRST_WAIT_MAX: Duration = Duration::from_secs(3);

/// Bytes that are skipped before the first wanted one, from an upstream that sends only whole
/// files: the bytes of the 10 s that clients wait, on a fast line.
const SKIP_MAX: u64 = 256 * 1024 * 1024;

/// A range of a file that comes from an upstream. Nothing proves these bytes.
pub struct Body {
    fetches: Arc<Fetches>,
    upstream: Arc<Upstream>,
    repo: RepoId,
    url: Url,
    token: Option<Arc<str>>,
    size: u64,
    at: u64,
    end: u64,
    answer: Option<Answer>,
    /// Bytes of the response to skip before the wanted ones.
    skip: u64,
    failures: u32,
    begun: bool,
}

impl Origin {
    /// Its bytes as the upstream sends them, not kept.
    pub fn body(
        &self,
        fetches: &Arc<Fetches>,
        upstream: &Arc<Upstream>,
        range: Range<u64>,
    ) -> Body {
        let place = (&self.repo, self.commit, &self.path);
        Body::new(
            fetches,
            upstream,
            place,
            self.size,
            range,
            self.token.clone(),
        )
    }
}

impl Body {
    /// The bytes `range` of a file of the hub, as far as it sends them.
    pub fn new(
        fetches: &Arc<Fetches>,
        upstream: &Arc<Upstream>,
        (repo, commit, path): (&RepoId, CommitId, &ModelPath),
        size: u64,
        range: Range<u64>,
        token: Option<Arc<str>>,
    ) -> Self {
        Self {
            fetches: fetches.clone(),
            repo: repo.clone(),
            url: metadata::file_url(&upstream.client, repo, commit, path),
            upstream: upstream.clone(),
            token,
            size,
            at: range.start,
            end: range.end,
            answer: None,
            skip: 0,
            failures: 0,
            begun: false,
        }
    }

    /// The same, to continue an earlier attempt: an upstream that sends only whole files sends all
    /// bytes again, which costs no more than dropping the part.
    pub fn resumed(self) -> Self {
        Self {
            begun: self.at > 0,
            ..self
        }
    }

    /// The next bytes; `None` at the end of the range.
    ///
    /// # Errors
    /// If the upstream refuses, or sends nothing more after some attempts.
    pub async fn next(&mut self) -> Result<Option<Bytes>, UpstreamError> {
        while self.at < self.end {
            match self.piece().await {
                Ok(bytes) => {
                    (self.failures, self.begun) = (0, true);
                    self.at += bytes.len() as u64;
                    self.note(bytes.len()).await;
                    return Ok(Some(bytes));
                }
                Err(error) => self.recover(error).await?,
            }
        }
        Ok(None)
    }

    /// Counts received bytes, and enforces the download limit. Unread bytes slow the upstream down
    /// by back-pressure.
    async fn note(&self, mut bytes: usize) {
        let received = &self.upstream.bytes_received;
        received.fetch_add(bytes as u64, Ordering::Relaxed);
        let Ok(network) = self.fetches.cx.network() else {
            return;
        };
        while bytes > 0 {
            bytes -= network.take_elsewhere(bytes).await.clamp(1, bytes);
        }
    }

    /// The next non-empty bytes, from the current response or a new one.
    async fn piece(&mut self) -> Result<Bytes, UpstreamError> {
        loop {
            let answer = match &mut self.answer {
                Some(answer) => answer,
                None => {
                    let (answer, skip) = self.ask().await?;
                    self.skip = skip;
                    self.answer.insert(answer)
                }
            };
            let Some(mut bytes) = answer.next().await? else {
                return Err(UpstreamError::Malformed("it ended too early".into()));
            };
            let skipped = bytes
                .len()
                .min(usize::try_from(self.skip).unwrap_or(usize::MAX));
            if skipped > 0 {
                bytes.advance(skipped);
                self.skip -= skipped as u64;
                self.note(skipped).await;
            }
            let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
            bytes.truncate(left);
            if !bytes.is_empty() {
                return Ok(bytes);
            }
        }
    }

    /// Requests the rest; also returns the number of bytes to skip in the response.
    async fn ask(&self) -> Result<(Answer, u64), UpstreamError> {
        let (start, end, size) = (self.at, self.end, self.size);
        let is_all = start == 0 && end == size;
        let range = (!is_all).then_some(start..end);
        let (client, token) = (&self.upstream.client, self.token.as_deref());
        let asked = client.file(&self.repo, self.url.clone(), token, range, end - start);
        let answer = asked.await?;
        let sent = answer.response.headers().get(CONTENT_RANGE);
        let sent = sent.and_then(|range| range.to_str().ok());
        let skip = match answer.response.status() {
            StatusCode::PARTIAL_CONTENT => {
                (sent.and_then(content_range) == Some((start, size))).then_some(0)
            }
            // The whole file is a valid response to a range request.
            _ => {
                let length = answer.response.content_length();
                length.is_none_or(|length| length == size).then_some(start)
            }
        };
        match skip {
            Some(skip) if skip <= SKIP_MAX || self.begun => Ok((answer, skip)),
            Some(_) => Err(UpstreamError::Malformed(
                "the whole of a file of which only a part was asked for".into(),
            )),
            None => Err(UpstreamError::Malformed(
                "not the range that was asked for, or a file of another size".into(),
            )),
        }
    }

    /// Waits before the next attempt, or gives up.
    async fn recover(&mut self, error: UpstreamError) -> Result<(), UpstreamError> {
        // A response that ended early is retried; one that never began is not.
        let broke_off = self.answer.take().is_some();
        self.failures += 1;
        let (tries, wait_max) = match self.begun {
            true => (TRIES_MAX, RETRY_WAIT_MAX),
            false => (FIRST_TRIES_MAX, FIRST_WAIT_MAX),
        };
        let wait = error
            .retry_after()
            .unwrap_or(RETRY_FIRST * (1 << self.failures.min(6)) / 2);
        let hopeless = !(broke_off || error.is_temporary());
        if hopeless || self.failures >= tries || wait > wait_max {
            return Err(error);
        }
        tracing::debug!(%error, ?wait, at = self.at, "a file is asked for again");
        tokio::time::sleep(wait).await;
        Ok(())
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
