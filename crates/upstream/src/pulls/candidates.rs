//! The files that peers claim to be the wanted one, and the order in which they are tried.
//!
//! A claim costs a peer nothing, so a file that is not trusted is only tried: the digest of the whole
//! decides. What most peers claim comes first. A file is trusted, and its chunks may be read as they
//! come, if the upstream lists its hash itself or if every peer is a member of one private network.

use hubless_content::FileHash;
use hubless_network::PeerId;
use hubless_transfer::fetch::claims::Claim;

/// Files that are tried, one after the other: peers that lie can waste no more than this.
const TRIED_MAX: usize = 8;

/// What is known of the file and of the peers before any of them is asked.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Listing {
    /// The file hash, if the upstream lists it.
    pub(crate) file: Option<FileHash>,
    /// The upstream lists a SHA-256, so of two different files one is certainly wrong.
    pub(crate) has_sha256: bool,
    /// Every peer is a member of one private network, and members trust each other.
    pub(crate) members_only: bool,
}

/// What peers can be asked about the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PeerSearch {
    /// Nothing: there is no peer, or peers must not know of the file.
    None,
    /// Only for the file hash that the upstream lists: there is no alias of which to ask.
    ListedHash,
    /// For claims, too.
    Claims,
}

/// The files of one pull. The search that finds the claims bounds their number.
#[derive(Debug)]
pub(super) struct Candidates {
    listing: Listing,
    all: Vec<Candidate>,
    tried: usize,
    /// The one that is fetched now.
    current: Option<usize>,
    /// More claims may come.
    is_searching: bool,
}

#[derive(Debug)]
struct Candidate {
    file: FileHash,
    claims: Vec<Claim>,
    is_tried: bool,
}

/// A file to fetch from the peers that claim it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Trial {
    pub(super) file: FileHash,
    pub(super) is_trusted: bool,
    pub(super) claims: Vec<Claim>,
}

impl Candidates {
    pub(super) fn new(listing: Listing) -> Self {
        Self {
            listing,
            all: Vec::new(),
            tried: 0,
            current: None,
            is_searching: false,
        }
    }

    pub(super) fn begin(&mut self, search: PeerSearch) {
        self.is_searching = search == PeerSearch::Claims;
        if search != PeerSearch::None
            && let Some(listed) = self.listing.file
        {
            self.position(listed);
        }
    }

    /// Takes a claim; true if it is for the file that is fetched now.
    pub(super) fn add(&mut self, claim: Claim) -> bool {
        let at = self.position(claim.file);
        self.all[at].claims.push(claim);
        self.current == Some(at)
    }

    pub(super) fn end_search(&mut self) {
        self.is_searching = false;
    }

    /// The next file to try, unless one is being tried.
    pub(super) fn next(&mut self) -> Option<Trial> {
        if self.current.is_some() || self.tried == TRIED_MAX {
            return None;
        }
        let waiting = self.all.iter().enumerate();
        let waiting = waiting.filter(|(_, candidate)| !candidate.is_tried);
        let rank = |candidate: &Candidate| (self.is_trusted(candidate), candidate.claims.len());
        let (at, _) = waiting.max_by_key(|(_, candidate)| rank(candidate))?;
        self.all[at].is_tried = true;
        self.tried += 1;
        self.current = Some(at);
        let candidate = &self.all[at];
        Some(Trial {
            file: candidate.file,
            is_trusted: self.is_trusted(candidate),
            claims: candidate.claims.clone(),
        })
    }

    /// Whether a peer claims the file that is fetched now. A hash that only the upstream lists may
    /// be held by no peer.
    pub(super) fn leads(&self) -> bool {
        self.current().is_some_and(|it| !it.claims.is_empty())
    }

    /// The file that is fetched now, if its chunks may be read before the proof.
    pub(super) fn trusted(&self) -> Option<FileHash> {
        let current = self.current().filter(|it| self.is_trusted(it));
        current.map(|it| it.file)
    }

    pub(super) fn has_claims(&self) -> bool {
        self.all.iter().any(|it| !it.claims.is_empty())
    }

    /// Whether no file comes from peers any more, whatever they still claim.
    pub(super) fn are_over(&self) -> bool {
        let may_follow = self.is_searching || self.all.iter().any(|it| !it.is_tried);
        self.current.is_none() && (self.tried == TRIED_MAX || !may_follow)
    }

    /// The file that was fetched until now; it is not tried again.
    pub(super) fn end_current(&mut self) -> Option<FileHash> {
        self.current.take().map(|at| self.all[at].file)
    }

    /// The same for a file that proved to be another: with the peers that claimed it.
    pub(super) fn reject_current(&mut self) -> Option<(FileHash, Vec<PeerId>)> {
        let at = self.current.take()?;
        Some((self.all[at].file, self.take_claimants(at)))
    }

    /// The peers that certainly lied, now that the right file is known. Files with the same SHA-1
    /// can be made, so of two that differ under a git id none need be a lie.
    pub(super) fn liars(&mut self, truth: FileHash) -> Vec<PeerId> {
        if !self.listing.has_sha256 {
            return Vec::new();
        }
        let wrong = (0..self.all.len()).filter(|at| self.all[*at].file != truth);
        let wrong: Vec<usize> = wrong.collect();
        let liars = wrong.into_iter().map(|at| self.take_claimants(at));
        liars.flatten().collect()
    }

    fn current(&self) -> Option<&Candidate> {
        self.current.map(|at| &self.all[at])
    }

    fn is_trusted(&self, candidate: &Candidate) -> bool {
        self.listing.members_only || self.listing.file == Some(candidate.file)
    }

    fn position(&mut self, file: FileHash) -> usize {
        let known = self.all.iter().position(|it| it.file == file);
        known.unwrap_or_else(|| {
            self.all.push(Candidate {
                file,
                claims: Vec::new(),
                is_tried: false,
            });
            self.all.len() - 1
        })
    }

    /// Each peer is banned once.
    fn take_claimants(&mut self, at: usize) -> Vec<PeerId> {
        let claims = std::mem::take(&mut self.all[at].claims);
        claims.into_iter().map(|claim| claim.peer).collect()
    }
}
