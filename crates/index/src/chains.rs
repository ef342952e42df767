//! Chains of identities: of each publisher the newest one that was seen.
//!
//! A chain that was seen is never forgotten, since a newcomer cannot decide between two that contradict
//! each other. A row has the encoded documents in order, each behind its length: 4 bytes, little-endian.

use hubless_content::{Chain, Continues, PublisherId, SignedIdentity};
use redb::{ReadableTableMetadata, WriteTransaction};

use crate::{
    database::{Database, Stop, at_most},
    error::IndexError,
    tables,
    tx::{TxError, TxResult},
};

/// Chains of a store: one for each publisher of a head, and of those whose heads are still to come.
const CHAINS_MAX: u64 = 1_000_000;

/// The rows of chains.
#[derive(Clone, Copy)]
pub struct ChainTable<'a> {
    pub(crate) database: &'a Database,
}

impl ChainTable<'_> {
    /// The newest chain of a publisher that was seen.
    pub fn get(self, publisher: PublisherId) -> Result<Option<Chain>, IndexError> {
        self.database.read(|read| {
            let row = tables::CHAINS.read(read)?.get(publisher.as_bytes())?;
            row.map(|row| decode(&row)).transpose()
        })
    }

    /// Keeps a chain if none or an older one is known; whether it is kept. Durable when it returns.
    ///
    /// # Errors
    /// [`IndexError::ChainContradicts`]; [`IndexError::TooMany`].
    pub fn put(self, chain: &Chain) -> Result<bool, IndexError> {
        self.database.write_or_stop(|write| take(write, chain))
    }
}

/// Keeps a chain if none or an older one is known; whether it is kept.
pub(crate) fn take(write: &WriteTransaction, chain: &Chain) -> Result<bool, Stop> {
    let publisher = chain.publisher();
    let mut table = tables::CHAINS.write(write)?;
    let known = table.get(publisher.as_bytes())?;
    let known = known.map(|row| decode(&row)).transpose()?;
    match known.map(|known| chain.compare(&known)) {
        Some(Continues::Contradicts) => {
            return Err(IndexError::ChainContradicts { publisher }.into());
        }
        Some(Continues::Same | Continues::Older) => return Ok(false),
        Some(Continues::Newer) | None => {}
    }
    table.insert(publisher.as_bytes(), &encode(chain))?;
    at_most(table.table.len()?, "publishers", CHAINS_MAX)?;
    Ok(true)
}

fn encode(chain: &Chain) -> Vec<u8> {
    let mut row = Vec::new();
    for document in chain.documents() {
        let document = document.encode();
        row.extend((document.len() as u32).to_le_bytes());
        row.extend(document);
    }
    row
}

fn decode(mut row: &[u8]) -> TxResult<Chain> {
    const MALFORMED: TxError = TxError::Malformed("the chain of an identity");
    let mut documents = Vec::new();
    while let Some((len, rest)) = row.split_first_chunk() {
        let len = u32::from_le_bytes(*len) as usize;
        let (document, rest) = rest.split_at_checked(len).ok_or(MALFORMED)?;
        documents.push(SignedIdentity::decode(document).map_err(|_| MALFORMED)?);
        row = rest;
    }
    Chain::new(documents).map_err(|_| MALFORMED)
}
