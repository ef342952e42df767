//! Identities that were proven: of their next heads, only the head's own signature is verified.

use std::collections::{BTreeMap, HashMap};

use hubless_content::{Chain, HeadError, HeadRecord, PublisherId, SignedIdentity, VerifiedHead};

/// Publishers whose chains are remembered.
const CHAINS_MAX: usize = 10_000;

/// Encoded bytes of all chains; decoded they take about three times as much. Chains of 10,000 publishers
/// with some devices fit, while a flood of chains of the largest size displaces the others sooner.
const BYTES_MAX: usize = 4 << 20;

/// Signatures that prove a record of which nothing is known.
pub(super) fn signatures(record: &HeadRecord) -> usize {
    let chain = record.chain().iter().map(SignedIdentity::signatures);
    1 + chain.sum::<usize>()
}

struct Known {
    chain: Chain,
    bytes: usize,
    used: u64,
}

/// The latest proven chain of each publisher, those used longest ago dropped first.
#[derive(Default)]
pub(super) struct Chains {
    known: HashMap<PublisherId, Known>,
    by_use: BTreeMap<u64, PublisherId>,
    bytes: usize,
    uses: u64,
}

impl Chains {
    /// Signatures that have to be verified to prove a record.
    pub(super) fn cost(&self, record: &HeadRecord) -> usize {
        let known = self.known.get(&record.head().subject.publisher());
        if known.is_some_and(|known| known.chain.documents() == record.chain()) {
            1
        } else {
            signatures(record)
        }
    }

    /// Proves a record and remembers its chain; `now` in milliseconds since 1970.
    pub(super) fn prove(
        &mut self,
        record: HeadRecord,
        now: u64,
    ) -> Result<VerifiedHead, HeadError> {
        let known = self.known.get(&record.head().subject.publisher());
        let head = match known {
            Some(known) => record.verify_knowing(now, &known.chain)?,
            None => record.verify(now)?,
        };
        self.remember(head.chain());
        Ok(head)
    }

    /// Remembers a proven chain in place of the one that the publisher had.
    pub(super) fn remember(&mut self, chain: &Chain) {
        let publisher = chain.publisher();
        self.uses += 1;
        if let Some(known) = self.known.get_mut(&publisher)
            && known.chain == *chain
        {
            self.by_use.remove(&known.used);
            known.used = self.uses;
        } else {
            self.forget(publisher);
            let bytes = chain.documents().iter().map(|doc| doc.encode().len()).sum();
            let known = Known {
                chain: chain.clone(),
                bytes,
                used: self.uses,
            };
            self.known.insert(publisher, known);
            self.bytes += bytes;
        }
        self.by_use.insert(self.uses, publisher);
        while (self.known.len() > CHAINS_MAX || self.bytes > BYTES_MAX)
            && let Some((_, oldest)) = self.by_use.first_key_value()
        {
            self.forget(*oldest);
        }
    }

    fn forget(&mut self, publisher: PublisherId) {
        if let Some(known) = self.known.remove(&publisher) {
            self.by_use.remove(&known.used);
            self.bytes -= known.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use hubless_content::{Identity, SecretKey};

    use super::*;

    /// A publisher by number.
    fn chain(number: u32) -> Chain {
        let mut salt = [0; 16];
        salt[..4].copy_from_slice(&number.to_be_bytes());
        let root = SecretKey::new(&[1; 32]).public();
        let first = Identity::first(vec![root], 1, Vec::new(), salt);
        Chain::new(vec![SignedIdentity::unsigned(first).unwrap()]).unwrap()
    }

    fn check(chains: &Chains) {
        let bytes: usize = chains.known.values().map(|known| known.bytes).sum();
        assert_eq!(chains.bytes, bytes);
        assert_eq!(chains.known.len(), chains.by_use.len());
    }

    #[test]
    fn a_flood_of_publishers_displaces_those_not_used_lately() {
        let mut chains = Chains::default();
        let (used, unused) = (chain(0), chain(1));
        chains.remember(&unused);
        for number in 2..=10_000 {
            chains.remember(&used);
            chains.remember(&chain(number));
        }
        assert_eq!(chains.known.len(), 10_000);
        assert!(chains.known.contains_key(&used.publisher()));
        assert!(!chains.known.contains_key(&unused.publisher()));
        check(&chains);
    }

    #[test]
    fn chains_of_any_size_have_so_many_bytes() {
        let mut chains = Chains::default();
        let [large, small] = [1, 2].map(chain);
        chains.remember(&large);
        // As 1,100 chains of the largest size have.
        chains
            .known
            .values_mut()
            .for_each(|known| known.bytes += BYTES_MAX);
        chains.bytes += BYTES_MAX;
        chains.remember(&small);
        assert_eq!(
            chains.known.keys().collect::<Vec<_>>(),
            [&small.publisher()]
        );
        check(&chains);
    }
}
