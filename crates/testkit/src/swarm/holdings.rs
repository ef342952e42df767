//! What one simulated peer holds, and what it says and sends of it.

use hubless_content::ModelChunk;

use super::PeerSpec;

/// The bytes of a chunk, as a number.
pub(super) type Token = u64;

/// Whether these are the bytes of the chunk.
pub(super) fn is_right(chunk: ModelChunk, token: Token) -> bool {
    token == right(chunk)
}

fn right(chunk: ModelChunk) -> Token {
    u64::from(chunk.0).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1
}

/// The store of one peer.
pub(super) struct Holdings {
    lies: bool,
    pub(super) has_manifest: bool,
    pub(super) has_list: bool,
    tokens: Vec<Option<Token>>,
    held: u32,
}

impl Holdings {
    pub(super) fn new(spec: &PeerSpec, chunks: u32) -> Self {
        let complete = spec.complete;
        Self {
            lies: spec.lies,
            has_manifest: complete,
            // A file of one chunk needs none.
            has_list: complete || chunks <= 1,
            tokens: (0..chunks)
                .map(ModelChunk)
                .map(|chunk| complete.then(|| right(chunk)))
                .collect(),
            held: if complete { chunks } else { 0 },
        }
    }

    /// What this peer sends for a chunk, if it claims to hold it.
    pub(super) fn token(&self, chunk: ModelChunk) -> Option<Token> {
        let wrong = u64::from(self.lies) << 63;
        // A liar claims what it does not have.
        let held = self.tokens.get(chunk.0 as usize).copied().flatten();
        held.or_else(|| self.lies.then(|| right(chunk)))
            .map(|token| token ^ wrong)
    }

    /// What it says that it holds.
    pub(super) fn claimed(&self) -> impl Iterator<Item = ModelChunk> + '_ {
        let chunks = (0..self.tokens.len() as u32).map(ModelChunk);
        chunks.filter(|&chunk| self.token(chunk).is_some())
    }

    pub(super) fn holds(&self, chunk: ModelChunk) -> bool {
        self.tokens[chunk.0 as usize].is_some()
    }

    pub(super) fn count(&self) -> u32 {
        self.held
    }

    /// Keeps a chunk; false if it was here.
    pub(super) fn keep(&mut self, chunk: ModelChunk, token: Token) -> bool {
        let is_new = self.tokens[chunk.0 as usize].is_none();
        if is_new {
            self.tokens[chunk.0 as usize] = Some(token);
            self.held += 1;
        }
        is_new
    }

    /// Wrong chunks that it keeps.
    pub(super) fn poisoned(&self) -> usize {
        let tokens = (0..).map(ModelChunk).zip(&self.tokens);
        let wrong =
            tokens.filter(|(chunk, token)| token.is_some_and(|token| !is_right(*chunk, token)));
        wrong.count()
    }
}
