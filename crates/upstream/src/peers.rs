//! What peers have of a file that is pulled: they come before the upstream, and beside it.
//!
//! The upstream says what the SHA-256 of the file is (or git's SHA-1), and peers claim which file
//! hash that is ([`claims`]). What is claimed is fetched, chunk by chunk verified against that hash;
//! but only the digest of the whole shows that it is the file. Until then it is held back from
//! peers and from readers, and if it turns out to be another, it is thrown away and whoever claimed
//! it is banned. Taken at their word are the members of a private network, and the upstream if it
//! says the hash itself: their chunks may be read as they come.
//!
//! What the upstream sends meanwhile fills the file too ([`fill`]). It begins when nobody nearby has
//! the file, after a head start, or when those who are taken at their word are slow.
//!
//! Nobody is asked about a file that is private or gated at the upstream, but the members of a
//! private network.

use std::{pin::pin, sync::Arc, time::Duration};

use hubless_content::{Alias, FileHash, ManifestEntry};
use hubless_store::{Ahead, Digests, DigestsAhead, Expected};
use hubless_transfer::{Blocking, Failure, Fetches, HeldBack, Withheld, interrupted};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, Interval, interval_at, timeout},
};

use super::{
    fill::fill,
    pull::{Origin, Pull, State},
};
use hubless_transfer::fetch::{
    FileFetch,
    claims::{self, Claim, Found, Wanted},
};

/// How long claims are searched for.
const SEARCH_FOR: Duration = Duration::from_secs(8);

/// How long the first claim may take when the upstream has failed: who waits for the answer then
/// hears what failed before the gateway begins it.
const CLAIM_WITHIN: Duration = Duration::from_secs(3);

/// How long the upstream waits for the answers of peers that are known without the DHT: some round
/// trips, and much less than a hub takes to answer.
const NEARBY_WITHIN: Duration = Duration::from_millis(200);

/// How long the upstream waits when somebody claims to have the file. A file that peers give in
/// this time costs the upstream nothing; a client waits up to 10 s for the first byte.
const HEAD_START: Duration = Duration::from_secs(2);

/// Chunks in each [`HEAD_START`] that peers must give for the upstream to wait longer: 2 MiB/s.
const CHUNKS_IN_LEAD_MIN: u64 = 16;

/// How long peers may give nothing until another claim is followed, and the upstream has its turn.
const PATIENCE: Duration = Duration::from_secs(5);

/// Claims that are followed, one after the other: whoever lies wastes no more.
const FOLLOWED_MAX: usize = 8;

/// Chunks whose digests are computed before it is looked whether anybody still waits: 16 MiB.
const DIGESTED_AT_ONCE: u32 = 64;

/// What the upstream has to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lead {
    /// Those nearby were not all heard.
    Asking,
    /// A file comes from peers that they claim to be the one.
    Claimed,
    /// The file comes from peers.
    Trusted,
    /// Nothing comes from peers.
    None,
}

impl Lead {
    /// Ends when it is the upstream's turn.
    pub(super) async fn pass(mut lead: watch::Receiver<Self>) {
        // Without a sender there are no peers.
        let _ = timeout(NEARBY_WITHIN, lead.wait_for(|lead| *lead != Self::Asking)).await;
        let _ = timeout(HEAD_START, lead.wait_for(|lead| *lead != Self::Claimed)).await;
        let _ = lead.wait_for(|lead| *lead != Self::Trusted).await;
    }

    /// Ends when nobody has claimed to have the file for a while.
    pub(super) async fn fade(mut lead: watch::Receiver<Self>) {
        let leads = |lead: &Self| matches!(lead, Self::Claimed | Self::Trusted);
        while lead.wait_for(|lead| !leads(lead)).await.is_ok()
            && let Ok(Ok(_)) = timeout(CLAIM_WITHIN, lead.wait_for(leads)).await
        {}
    }
}

/// The peers' part of one pull.
pub(super) struct Peers {
    fetches: Arc<Fetches>,
    withheld: Withheld,
    origin: Origin,
    found: Option<mpsc::Receiver<Found>>,
    claimed: Vec<Claimed>,
    lead: watch::Sender<Lead>,
}

/// A file hash that somebody claims.
struct Claimed {
    file: FileHash,
    claims: Vec<Claim>,
    followed: bool,
    /// Nothing of it was here before.
    fresh: bool,
    held_back: Option<HeldBack>,
}

impl Peers {
    /// Begins the search, if there is a peer to ask.
    pub(super) async fn new(fetches: &Arc<Fetches>, withheld: &Withheld, origin: &Origin) -> Self {
        let may_ask = (!origin.restricted || is_private(fetches)) && fetches.has_peers().await;
        let alias = alias(origin.expected).filter(|_| may_ask);
        let wanted = alias.map(|alias| Wanted {
            alias,
            size: Some(origin.size),
            named: Vec::new(),
            within: SEARCH_FOR,
        });
        let found = wanted.and_then(|wanted| claims::search(fetches, wanted).ok());
        let lead = match found {
            Some(_) => Lead::Asking,
            None => Lead::None,
        };
        let mut peers = Self {
            fetches: fetches.clone(),
            withheld: withheld.clone(),
            origin: origin.clone(),
            found,
            claimed: Vec::new(),
            lead: watch::Sender::new(lead),
        };
        if let Some(told) = origin.expected.file.filter(|_| may_ask) {
            peers.add(told);
        }
        peers
    }

    pub(super) fn lead(&self) -> watch::Receiver<Lead> {
        self.lead.subscribe()
    }

    /// Gets the file; `None` if no peer has it, as far as can be said.
    pub(super) async fn run(
        &mut self,
        pull: &Pull,
        state: &watch::Sender<State>,
    ) -> Option<FileHash> {
        for _ in 0..FOLLOWED_MAX {
            let Some(at) = self.next().await else { break };
            let file = self.claimed[at].file;
            match self.follow(at, pull, state).await {
                Ok(true) => return Some(file),
                Ok(false) => {
                    tracing::warn!(%file, path = %self.origin.path, "peers claimed another file");
                    self.reject(at).await;
                }
                Err(failure) => tracing::debug!(%file, %failure, "no file from peers"),
            }
            state.send_if_modified(|state| state.show(None));
            self.lead.send_replace(Lead::None);
            self.discard(at).await;
        }
        self.lead.send_replace(Lead::None);
        None
    }

    /// To be called when the pull has ended: what is not the file goes, and who claimed it.
    pub(super) async fn settle(mut self, truth: Option<FileHash>) {
        while let Some(found) = self.found.as_mut().and_then(|found| found.try_recv().ok()) {
            self.hear(found);
        }
        for at in 0..self.claimed.len() {
            if Some(self.claimed[at].file) == truth {
                continue;
            }
            // Files with the same SHA-1 can be made: of two that differ, none need be a lie.
            if truth.is_some() && self.origin.expected.sha256.is_some() {
                self.reject(at).await;
            }
            self.discard(at).await;
        }
    }

    /// The next file to fetch: that which most claim.
    async fn next(&mut self) -> Option<usize> {
        loop {
            let waiting = self.claimed.iter().enumerate();
            let waiting = waiting.filter(|(_, claimed)| !claimed.followed);
            let claims = |claimed: &Claimed| (self.is_trusted(claimed.file), claimed.claims.len());
            let best = waiting.max_by_key(|(_, claimed)| claims(claimed));
            if let Some((at, _)) = best {
                return Some(at);
            }
            let found = self.found.as_mut()?.recv().await?;
            self.hear(found);
        }
    }

    fn hear(&mut self, found: Found) {
        match found {
            Found::Claim(claim) => {
                let at = self.add(claim.file);
                self.claimed[at].claims.push(claim);
            }
            Found::NearbyHeard => {
                if self.claimed.iter().all(|known| known.claims.is_empty()) {
                    self.lead.send_replace(Lead::None);
                }
            }
        }
    }

    fn add(&mut self, file: FileHash) -> usize {
        let known = self.claimed.iter().position(|known| known.file == file);
        known.unwrap_or_else(|| {
            self.claimed.push(Claimed {
                file,
                claims: Vec::new(),
                followed: false,
                fresh: false,
                held_back: None,
            });
            self.claimed.len() - 1
        })
    }

    fn is_trusted(&self, file: FileHash) -> bool {
        is_private(&self.fetches) || self.origin.expected.file == Some(file)
    }

    /// Fetches what is claimed; whether it is the file.
    async fn follow(
        &mut self,
        at: usize,
        pull: &Pull,
        state: &watch::Sender<State>,
    ) -> Result<bool, Failure> {
        let file = self.claimed[at].file;
        let trusted = self.is_trusted(file);
        self.claimed[at].followed = true;
        self.take_in(at, trusted).await?;
        if trusted {
            state.send_if_modified(|state| state.show(Some(file)));
        }
        let entry = ManifestEntry {
            path: self.origin.path.clone(),
            size: self.origin.size,
            hash: file,
        };
        let mut fetch = FileFetch::new(&self.fetches, entry, PATIENCE)?;
        fetch.list_as(self.origin.show(&self.fetches, None));
        let (fetches, expected, size) =
            (self.fetches.clone(), self.origin.expected, self.origin.size);
        let is_told = expected.file == Some(file);
        let stored = fetch.stored();
        let filled = fill(fetch.external_chunks(), size, pull, state.subscribe());
        let proven = async {
            if is_told {
                return Ok(true);
            }
            let digests = digest(&fetches, DigestsAhead::new(file, size), stored);
            Ok(is_expected(expected, digests.await?))
        };
        let fetched = async { tokio::try_join!(self.fetch(at, fetch, state), proven) };
        tokio::select! {
            fetched = fetched => fetched.map(|((), proven)| proven),
            Err(failure) = filled => Err(failure),
        }
    }

    /// Holds the file back before anything of it comes, unless it was here before.
    async fn take_in(&mut self, at: usize, trusted: bool) -> Result<(), Failure> {
        let (store, file) = (self.fetches.cx.store.clone(), self.claimed[at].file);
        let known = self
            .fetches
            .cx
            .blocking
            .run(move || store.file(file))
            .await??;
        let claimed = &mut self.claimed[at];
        claimed.fresh = known.is_none();
        if claimed.fresh && !trusted {
            claimed.held_back = Some(self.withheld.hold_back(file));
        }
        Ok(())
    }

    /// Fetches while more is claimed.
    async fn fetch(
        &mut self,
        at: usize,
        fetch: FileFetch,
        state: &watch::Sender<State>,
    ) -> Result<(), Failure> {
        let file = self.claimed[at].file;
        let (introductions, mut stored) = (fetch.introductions(), fetch.stored());
        let (mut named, mut pace) = (0, Pace::new(fetch.stored()));
        let mut fetched = pin!(fetch.run());
        loop {
            for claim in &self.claimed[at].claims[named..] {
                introductions.name(claim.peer, claim.addresses.clone());
            }
            named = self.claimed[at].claims.len();
            // What the upstream alone says, nobody may have.
            if named > 0 {
                self.take_lead(file, &pace);
            }
            tokio::select! {
                fetched = &mut fetched => return fetched,
                Some(found) = next_found(&mut self.found) => self.hear(found),
                // Who reads what is trusted looks again.
                Ok(()) = stored.changed() => {
                    self.take_lead(file, &pace);
                    state.send_modify(|_| {});
                }
                () = pace.look() => {}
            }
        }
    }

    fn take_lead(&self, file: FileHash, pace: &Pace) {
        let lead = match self.is_trusted(file) && !pace.is_slow {
            true => Lead::Trusted,
            false => Lead::Claimed,
        };
        self.lead
            .send_if_modified(|now| std::mem::replace(now, lead) != lead);
    }

    /// Breaks with those who claimed a file that is another.
    async fn reject(&mut self, at: usize) {
        for claim in std::mem::take(&mut self.claimed[at].claims) {
            self.fetches.cx.reject(claim.peer).await;
        }
    }

    /// Throws away what came for nothing.
    async fn discard(&mut self, at: usize) {
        let claimed = &mut self.claimed[at];
        if !std::mem::take(&mut claimed.fresh) {
            return;
        }
        let (store, file) = (self.fetches.cx.store.clone(), claimed.file);
        let discarded = Blocking::run_long(move || store.discard(file)).await;
        if let Ok(Err(error)) = discarded {
            tracing::warn!(%file, %error, "cannot remove what peers sent for nothing");
        }
        self.claimed[at].held_back = None;
        self.fetches.cx.note_change();
    }
}

/// Whether peers give enough for the upstream to wait.
struct Pace {
    stored: watch::Receiver<u64>,
    windows: Interval,
    chunks: u64,
    is_slow: bool,
}

impl Pace {
    fn new(stored: watch::Receiver<u64>) -> Self {
        Self {
            stored,
            windows: interval_at(Instant::now() + HEAD_START, HEAD_START),
            chunks: 0,
            is_slow: false,
        }
    }

    /// Ends when a window has.
    async fn look(&mut self) {
        self.windows.tick().await;
        let chunks = *self.stored.borrow();
        self.is_slow = chunks.saturating_sub(self.chunks) < CHUNKS_IN_LEAD_MIN;
        self.chunks = chunks;
    }
}

/// The digests of a file that is fetched, soon after its last chunk has come.
async fn digest(
    fetches: &Fetches,
    mut ahead: DigestsAhead,
    mut stored: watch::Receiver<u64>,
) -> Result<Digests, Failure> {
    let mut is_over = false;
    loop {
        stored.borrow_and_update();
        let store = fetches.cx.store.clone();
        let step = move || (store.digest_ahead(&mut ahead, DIGESTED_AT_ONCE), ahead);
        let (came, now) = Blocking::run_long(step).await?;
        ahead = now;
        match came? {
            Ahead::Done(digests) => return Ok(digests),
            Ahead::More => {}
            // What failed is told by the fetch.
            Ahead::Waits if is_over => return Err(interrupted()),
            Ahead::Waits => is_over = stored.changed().await.is_err(),
        }
    }
}

/// The next of a search; never ends when that has ended.
async fn next_found(found: &mut Option<mpsc::Receiver<Found>>) -> Option<Found> {
    let Some(search) = found else {
        return std::future::pending().await;
    };
    let next = search.recv().await;
    if next.is_none() {
        *found = None;
    }
    next
}

/// Whether all peers are members of one network, who trust each other.
fn is_private(fetches: &Fetches) -> bool {
    fetches.known_peers.is_private
}

/// What peers may know the file by.
fn alias(expected: Expected) -> Option<Alias> {
    let sha256 = expected.sha256.map(Alias::from);
    sha256.or(expected.git_blob.map(Alias::from))
}

fn is_expected(expected: Expected, found: Digests) -> bool {
    let sha256 = expected.sha256.map(|sha256| sha256 == found.sha256);
    let git_blob = expected.git_blob.map(|id| id == found.git_blob);
    // Of a file of which nothing is known, anything would do.
    let is_known = sha256.is_some() || git_blob.is_some();
    is_known && sha256 != Some(false) && git_blob != Some(false)
}
