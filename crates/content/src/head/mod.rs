//! Heads: what is newest of a repo, signed.
//!
//! One head for each repo and for each profile, small enough for a record of the DHT. It names the hash
//! of the [state](crate::State), which has all refs; content, history and states are fetched from
//! holders. A [`HeadRecord`] carries the head, its signature and the chain of the identity, so that a
//! node that never knew the publisher can prove it.
//!
//! # Which of two heads counts
//! Heads of one subject have a total order ([`Head::rank`]): number of the identity document,
//! sequence number, state, time. All nodes that have seen the same heads therefore keep the same one. The
//! identity comes first, so that a new document undoes what a thief signed, whatever number he chose.
//!
//! # Not here
//! Clocks: the caller gives the time. What a reader has seen is kept by `repos`, and where records lie in
//! the DHT is decided by `network`.
//!
//! Source: `proto/head.proto`.

mod record;
#[cfg(test)]
mod tests;
mod verified;

pub use self::{
    record::{CLOCK_AHEAD_MAX_MS, HEAD_RECORD_BYTES_MAX, HeadRecord},
    verified::{AgainstSeen, VerifiedHead},
};

use crate::{
    encoding::{NotCanonical, Reader, bytes_tag, number_tag, put_bytes, put_number},
    hash::DocumentHash,
    identity::IdentityError,
    subject::Subject,
};

/// The only version of the encoding.
const VERSION: u64 = 1;

const TAG_VERSION: u8 = number_tag(1);
// Fields 2 to 4 are the subject.
const TAG_NUMBER: u8 = number_tag(5);
const TAG_SEQ: u8 = number_tag(6);
const TAG_STATE: u8 = bytes_tag(7);
const TAG_PREVIOUS: u8 = bytes_tag(8);
const TAG_SUMMARY: u8 = bytes_tag(9);
const TAG_TIME: u8 = number_tag(10);

/// Why bytes are not a head that counts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// More than [`HEAD_RECORD_BYTES_MAX`] bytes; holds their number.
    #[error("a record of a head has at most {HEAD_RECORD_BYTES_MAX} bytes, this has {0}")]
    TooLarge(usize),
    /// The bytes are not in the canonical encoding; holds the offset of the first deviation.
    #[error("not a head in canonical encoding (at byte {0})")]
    Encoding(usize),
    /// Sequence number 0, or a first head with a previous state, or a later one without.
    #[error("a head has a sequence number from 1 on, and all but the first one a previous state")]
    Sequence,
    /// The head is of another subject than was asked for.
    #[error("the head is of {0}")]
    OtherSubject(Subject),
    /// The head is from the future; holds how many milliseconds ahead of this node's clock it is.
    #[error("the head is {0} ms ahead of the clock of this machine")]
    Future(u64),
    /// The chain of the identity is wrong.
    #[error("{0}")]
    Identity(#[from] IdentityError),
    /// The head names another document of the identity than the chain ends in.
    #[error("the head counts for document {head} of the identity, its chain ends in {chain}")]
    Number {
        /// Of the head.
        head: u64,
        /// Of the last document of the chain.
        chain: u64,
    },
    /// The signer is none of the identity.
    #[error("the key that signed the head is no signer of the publisher")]
    Signer,
    /// The signature is wrong.
    #[error("the signature of the head is wrong")]
    Signature,
}

impl From<NotCanonical> for HeadError {
    fn from(NotCanonical(at): NotCanonical) -> Self {
        Self::Encoding(at)
    }
}

/// What is newest of a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The repo or the profile.
    pub subject: Subject,
    /// Number of the identity document that lets the signer sign.
    pub number: u64,
    /// Rises by one with each state, from 1.
    pub seq: u64,
    /// Hash of the [`State`](crate::State), or of the [`Profile`](crate::Profile).
    pub state: DocumentHash,
    /// The state of the head before; `None` in the first one.
    pub previous: Option<DocumentHash>,
    /// Hash of a summary for search, if there is one.
    pub summary: Option<DocumentHash>,
    /// When a signer last confirmed the state: milliseconds since 1970, UTC. The only field that a
    /// confirmation changes.
    pub time: u64,
}

impl Head {
    /// The canonical bytes, which the signature covers.
    ///
    /// # Errors
    /// If the sequence number does not fit the previous state.
    pub fn encode(&self) -> Result<Vec<u8>, HeadError> {
        self.check()?;
        let mut out = Vec::new();
        put_number(&mut out, TAG_VERSION, VERSION);
        self.subject.put(&mut out);
        put_number(&mut out, TAG_NUMBER, self.number);
        put_number(&mut out, TAG_SEQ, self.seq);
        put_bytes(&mut out, TAG_STATE, self.state.as_bytes());
        for (tag, hash) in [(TAG_PREVIOUS, &self.previous), (TAG_SUMMARY, &self.summary)] {
            if let Some(hash) = hash {
                put_bytes(&mut out, tag, hash.as_bytes());
            }
        }
        put_number(&mut out, TAG_TIME, self.time);
        Ok(out)
    }

    /// Decodes the output of [`Head::encode`], and refuses every other encoding.
    ///
    /// # Errors
    /// If a rule is broken; nothing is allocated from declared lengths.
    pub fn decode(bytes: &[u8]) -> Result<Self, HeadError> {
        let mut reader = Reader::new(bytes);
        if reader.number(TAG_VERSION)? != VERSION {
            return Err(HeadError::Encoding(0));
        }
        let subject = Subject::read(&mut reader)?;
        let number = reader.number(TAG_NUMBER)?;
        let seq = reader.number(TAG_SEQ)?;
        let state = reader.fixed(TAG_STATE, DocumentHash::from_slice)?;
        let state = state.ok_or(HeadError::Encoding(reader.at()))?;
        let previous = reader.fixed(TAG_PREVIOUS, DocumentHash::from_slice)?;
        let summary = reader.fixed(TAG_SUMMARY, DocumentHash::from_slice)?;
        let time = reader.number(TAG_TIME)?;
        reader.end()?;
        let head = Self {
            subject,
            number,
            seq,
            state,
            previous,
            summary,
            time,
        };
        head.check()?;
        Ok(head)
    }

    /// The place of the head among all heads of its subject; a total order.
    pub fn rank(&self) -> (u64, u64, DocumentHash, u64) {
        (self.number, self.seq, self.state, self.time)
    }

    /// The head that follows this one, with another state.
    pub fn next(&self, state: DocumentHash, number: u64, time: u64) -> Self {
        Self {
            subject: self.subject.clone(),
            number,
            // A thief's head can have the highest number of all; a new identity document outranks it.
            seq: self.seq.saturating_add(1),
            state,
            previous: Some(self.state),
            summary: None,
            time,
        }
    }

    fn check(&self) -> Result<(), HeadError> {
        match (self.seq, self.previous) {
            (0, _) | (1, Some(_)) | (2.., None) => Err(HeadError::Sequence),
            (1, None) | (2.., Some(_)) => Ok(()),
        }
    }
}
