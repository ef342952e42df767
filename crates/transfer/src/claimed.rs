//! Claims of peers about the aliases of files that are not held.
//!
//! Clients of a hub request SHA-256 and git's id of a file before its bytes. A peer that holds the
//! file has computed both, but only the bytes of the whole file prove them. Until then clients see
//! the claim. Once the digests were computed on this node, the claim is dropped, and if it was
//! wrong the peer is banned: digests are computed over verified bytes, so damage causes no wrong
//! ones. A claim is never passed on to peers.
//!
//! Claims are kept in memory: after a restart peers are asked again, and honest ones answer the
//! same.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Mutex, MutexGuard},
};

use hubless_content::{FileHash, Sha256};
use hubless_network::PeerId;
use hubless_store::{Digests, Store, StoreError};
use hubless_sync::lock;
use hubless_wire::FileDigests;

/// Limit of kept claims: 20 MB, for the files of thousands of repos. When it is reached, all are
/// dropped, and peers are asked again.
const CLAIMS_MAX: usize = 100_000;

/// The claims of peers. A file has at most one claim.
#[derive(Debug, Default)]
pub struct Claimed(Mutex<Claims>);

#[derive(Debug, Default)]
struct Claims {
    files: HashMap<FileHash, Claim>,
    /// The file that is claimed to have this SHA-256.
    sha256s: HashMap<Sha256, FileHash>,
}

#[derive(Debug, Clone, Copy)]
struct Claim {
    digests: FileDigests,
    peer: PeerId,
}

/// The outcome of a claim that a peer made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// It is kept, or an earlier claim is.
    Kept,
    /// It contradicts the claim about another file, and neither is proven: neither is kept.
    Doubtful,
    /// It is certainly wrong.
    Wrong,
}

impl Claimed {
    /// The claimed aliases of a file.
    pub fn get(&self, file: FileHash) -> Option<FileDigests> {
        self.claims().files.get(&file).map(|claim| claim.digests)
    }

    /// Records a peer's claim about a file. The first claim about a file stays: a second opinion
    /// would prove nothing, since an attacker creates peers at no cost.
    ///
    /// # Errors
    /// If the store fails.
    pub fn make(
        &self,
        store: &Store,
        file: FileHash,
        digests: FileDigests,
        peer: PeerId,
    ) -> Result<Made, StoreError> {
        // No two files have one SHA-256, so the proof for another file refutes the claim.
        let is_other = |other: Option<FileHash>| other.is_some_and(|other| other != file);
        if is_other(store.file_by_sha256(digests.sha256)?) {
            return Ok(Made::Wrong);
        }
        // SHA-1 has collisions: two files may have one git id, and both claims may be true.
        if is_other(store.file_by_git_blob(digests.git_blob)?) {
            return Ok(Made::Doubtful);
        }
        Ok(self.claims().make(file, Claim { digests, peer }))
    }

    /// Drops the claim about a file whose digests are known now; returns the peer if its claim was
    /// wrong.
    pub fn prove(&self, file: FileHash, proven: Digests) -> Option<PeerId> {
        let claim = self.claims().remove(file)?;
        let Claim { digests, peer } = claim;
        let is_right = (digests.sha256, digests.git_blob) == (proven.sha256, proven.git_blob);
        (!is_right).then_some(peer)
    }

    fn claims(&self) -> MutexGuard<'_, Claims> {
        lock(&self.0)
    }
}

impl Claims {
    fn make(&mut self, file: FileHash, claim: Claim) -> Made {
        if self.files.len() >= CLAIMS_MAX {
            *self = Self::default();
        }
        if self.files.contains_key(&file) {
            return Made::Kept;
        }
        match self.sha256s.entry(claim.digests.sha256) {
            Entry::Occupied(other) => {
                let other = *other.get();
                let earlier = self.remove(other);
                match earlier.is_some_and(|earlier| earlier.peer == claim.peer) {
                    true => Made::Wrong,
                    false => Made::Doubtful,
                }
            }
            Entry::Vacant(free) => {
                free.insert(file);
                self.files.insert(file, claim);
                Made::Kept
            }
        }
    }

    fn remove(&mut self, file: FileHash) -> Option<Claim> {
        let claim = self.files.remove(&file)?;
        self.sha256s.remove(&claim.digests.sha256);
        Some(claim)
    }
}

#[cfg(test)]
mod tests {
    use hubless_content::GitBlobId;
    use hubless_store::StoreOptions;

    use super::*;

    fn digests(fill: u8) -> FileDigests {
        FileDigests {
            sha256: Sha256::new([fill; 32]),
            git_blob: GitBlobId::new([fill; 20]),
            binary: false,
        }
    }

    fn proven(fill: u8) -> Digests {
        let FileDigests {
            sha256, git_blob, ..
        } = digests(fill);
        Digests { sha256, git_blob }
    }

    #[test]
    fn the_first_claim_stays_until_it_is_proven_or_refuted() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(home.path(), StoreOptions::default()).unwrap();
        let claimed = Claimed::default();
        let [honest, liar] = [PeerId::random(), PeerId::random()];
        let [file, other] = [1, 2].map(|fill| FileHash::new([fill; 32]));
        let make = |file, fill, peer| claimed.make(&store, file, digests(fill), peer).unwrap();
        assert_eq!(make(file, 1, honest), Made::Kept);
        assert_eq!(make(file, 9, liar), Made::Kept);
        assert_eq!(claimed.get(file), Some(digests(1)));
        assert_eq!(claimed.prove(file, proven(1)), None);
        assert_eq!(claimed.get(file), None);
        assert_eq!(make(other, 9, liar), Made::Kept);
        assert_eq!(claimed.prove(other, proven(2)), Some(liar));
        assert_eq!(claimed.prove(other, proven(2)), None, "reported once");
    }

    #[test]
    fn a_file_is_not_called_what_another_one_is_called() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(home.path(), StoreOptions::default()).unwrap();
        let claimed = Claimed::default();
        let [honest, liar] = [PeerId::random(), PeerId::random()];
        let [file, other, third] = [1, 2, 3].map(|fill| FileHash::new([fill; 32]));
        let make = |file, fill, peer| claimed.make(&store, file, digests(fill), peer).unwrap();
        assert_eq!(make(file, 1, honest), Made::Kept);
        assert_eq!(make(other, 1, liar), Made::Doubtful);
        assert_eq!((claimed.get(file), claimed.get(other)), (None, None));
        assert_eq!(make(other, 2, liar), Made::Kept);
        assert_eq!(make(third, 2, liar), Made::Wrong, "one peer, two files");

        // The digests of a held file are proven: a claim that contradicts them is refuted at once.
        let source = tempfile::tempdir().unwrap();
        std::fs::write(source.path().join("a"), b"held").unwrap();
        store
            .import(source.path(), &Default::default(), &())
            .unwrap();
        let held = hubless_content::hash_reader(&b"held"[..]).unwrap().file();
        let Digests { sha256, git_blob } = store.compute_digests(held, &()).unwrap();
        let stolen = FileDigests {
            sha256,
            ..digests(3)
        };
        let made = claimed.make(&store, third, stolen, liar).unwrap();
        assert_eq!(made, Made::Wrong);
        let collision = FileDigests {
            git_blob,
            ..digests(3)
        };
        let made = claimed.make(&store, third, collision, liar).unwrap();
        assert_eq!(made, Made::Doubtful);
    }
}
