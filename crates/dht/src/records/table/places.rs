//! The places of one key: which provider leaves when a newcomer wants one. The rules are in the head of the
//! module above.

use super::{Group, Provider, Shares, Slot, Stamp, Times};

/// A provider that has a place of the key.
pub(super) struct Holder<'a> {
    pub(super) slot: Slot,
    pub(super) times: Times,
    pub(super) provider: &'a Provider,
}

/// Rule 2: the one found unreachable longest ago.
pub(super) fn unreachable(holders: &[Holder<'_>], now: Stamp) -> Option<Slot> {
    let gone = holders
        .iter()
        .filter(|holder| holder.provider.is_unreachable(now));
    gone.min_by_key(|holder| holder.provider.unreachable_since)
        .map(|holder| holder.slot)
}

/// How many places of the key each network has.
fn shares(holders: &[Holder<'_>]) -> Shares {
    let mut shares = Shares::default();
    for holder in holders {
        shares.add(holder.provider.group, 1);
    }
    shares
}

/// Rule 3: one of the network with the most places, if that has two more than the newcomer's.
pub(super) fn crowded(
    holders: &[Holder<'_>],
    newcomer: Group,
    draw: impl Fn(&Provider) -> (u64, u64),
) -> Option<Slot> {
    let payer = shares(holders).payer(newcomer, 1)?;
    let members = holders
        .iter()
        .filter(|holder| holder.provider.group == payer);
    members
        .max_by_key(|holder| draw(holder.provider))
        .map(|holder| holder.slot)
}

/// Rule 4: the one refreshed longest ago, if that was before `limit`.
pub(super) fn stale(holders: &[Holder<'_>], limit: Stamp) -> Option<Slot> {
    let oldest = holders.iter().min_by_key(|holder| holder.times.refreshed)?;
    (oldest.times.refreshed < limit).then_some(oldest.slot)
}

/// Rule 5: the one with the highest number, if the newcomer's is lower, among those whose leaving
/// does not make the newcomer's network larger than theirs.
pub(super) fn unlucky(
    holders: &[Holder<'_>],
    newcomer: &Provider,
    draw: impl Fn(&Provider) -> (u64, u64),
) -> Option<Slot> {
    let shares = shares(holders);
    let own = newcomer.group;
    let rivals = holders.iter().filter(|holder| {
        let group = holder.provider.group;
        group == own || shares.of(group) > shares.of(own)
    });
    let highest = rivals.max_by_key(|holder| draw(holder.provider))?;
    (draw(newcomer) < draw(highest.provider)).then_some(highest.slot)
}
