//! What to ask one source for next. Functions over the parts; `scheduler` asks and keeps count.

use std::{collections::BTreeMap, ops::Range, time::Duration};

use crate::{
    bits::Bits,
    config::Order,
    pool::Pool,
    rarity::Rarity,
    requests::{ASKS_PER_CHUNK_MAX, Ask, Requests},
    rng::Rng,
    source::{Has, Source},
    types::SourceId,
};

/// Free chunks looked at, rarest first, before a source gets a shortlist: a source that has a
/// good part of the model has one of them nearly always.
const PROBES_MAX: usize = 256;

/// Places tried for a new run before the first free chunk after a place is taken, where most
/// likely somebody else's run goes on.
const RUN_STARTS_MAX: usize = 8;

/// Chunks that so many partial sources have are asked for in runs. Rarer ones are asked for at random
/// among those that are as rare: a swarm is as fast as it spreads them.
const COMMON: u16 = 4;

/// A run goes on with one of so many chunks after the last one.
const RUN_GAP_MAX: u32 = 64;

/// A shortlist has one entry for so many looks that it took, so that a look costs next to nothing
/// per chunk and a small model is looked through often.
const LOOKS_PER_ENTRY: usize = 64;

/// Fewest and most entries of a shortlist. The most are 16 KiB for each source, and keep a look
/// cheap up to models of some hundred gigabytes.
const SHORTLIST: Range<usize> = 16..4096;

/// A second source is asked only if it is expected to be faster than the first by this factor.
const SPARE_GAIN_MIN: u32 = 2;

/// And only if it should be sooner by this much. A cancel takes about a round trip and what lies
/// in the buffers between two peers comes all the same, so that insurance against less would cost
/// more than it saves.
const SPARE_GAIN_TIME_MIN: Duration = Duration::from_millis(100);

/// One free chunk that the source has: the first that somebody waits for, else in order.
pub(crate) fn free_chunk(
    pool: &mut Pool,
    source: &mut Source,
    urgent: &[Range<u32>],
    order: Order,
    rng: &mut Rng,
) -> Option<u32> {
    if pool.free().count() == 0 || source.dry_at == Some(pool.releases()) {
        return None;
    }
    let lowest = pool.lowest_free()?;
    let first_urgent = urgent
        .iter()
        .find_map(|range| first_of(pool.free(), source, range.start.max(lowest)..range.end));
    let found = first_urgent.or_else(|| match (order, pool.rarity()) {
        (Order::Sequential, _) => first_of(pool.free(), source, lowest..pool.len()),
        (Order::RarestFirst, None) => next_of_run(pool.free(), source, rng),
        (Order::RarestFirst, Some(rarity)) => rarest(rarity, pool.free(), source, rng),
    });
    source.dry_at = found.is_none().then_some(pool.releases());
    found
}

/// The first chunk in `range` that is free and that the source has.
fn first_of(free: &Bits, source: &Source, range: Range<u32>) -> Option<u32> {
    match &source.has {
        Has::Unknown => None,
        Has::Partial(has) => free.first_common(has, range),
        Has::Complete { lacks } => {
            let mut found = free.first_in(range.clone())?;
            while lacks.contains(&found) {
                found = free.first_in(found.checked_add(1)?..range.end)?;
            }
            Some(found)
        }
    }
}

/// The chunk after the last one of this source, or a new run from a random place.
fn next_of_run(free: &Bits, source: &mut Source, rng: &mut Rng) -> Option<u32> {
    let fits = |chunk: u32| free.contains(chunk) && source.has(chunk);
    let start = if fits(source.next_in_run) {
        source.next_in_run
    } else {
        let mut places = (0..RUN_STARTS_MAX).map(|_| rng.below(free.len() as usize) as u32);
        match places.find(|&place| fits(place)) {
            Some(place) => place,
            None => {
                let place = rng.below(free.len() as usize) as u32;
                first_of(free, source, place..free.len())
                    .or_else(|| first_of(free, source, 0..place))?
            }
        }
    };
    source.next_in_run = start.saturating_add(1);
    Some(start)
}

/// One of the rarest free chunks that the source has.
fn rarest(rarity: &Rarity, free: &Bits, source: &mut Source, rng: &mut Rng) -> Option<u32> {
    while let Some(chunk) = source.shortlist.pop() {
        if free.contains(chunk) && source.has(chunk) {
            return Some(chunk);
        }
    }
    let found = next_as_rare(rarity, free, source)
        .or_else(|| rarity.probe(rng, PROBES_MAX, |chunk| source.has(chunk)));
    source.next_in_run = found.map_or(u32::MAX, |chunk| chunk.saturating_add(1));
    let Has::Partial(has) = &source.has else {
        return found;
    };
    found.or_else(|| {
        source.shortlist = shortlist(rarity, free, has, rng);
        source.shortlist.pop()
    })
}

/// The next chunk after the last one of this source if none is rarer, and none is rare. What is known
/// of chunks that lie side by side is read together, which of random ones takes most of the time.
fn next_as_rare(rarity: &Rarity, free: &Bits, source: &Source) -> Option<u32> {
    let fewest = rarity.fewest_holders()?;
    if fewest < COMMON {
        return None;
    }
    let mut from = source.next_in_run;
    let end = from.saturating_add(RUN_GAP_MAX);
    loop {
        let chunk = first_of(free, source, from..end)?;
        if rarity.holders(chunk) == fewest {
            return Some(chunk);
        }
        from = chunk + 1;
    }
}

/// Some of the rarest chunks that are free and in `has`, the rarest last, by a pass over all.
fn shortlist(rarity: &Rarity, free: &Bits, has: &Bits, rng: &mut Rng) -> Vec<u32> {
    let looks = free.len() as usize / 64 + free.count_common(has) as usize;
    let entries = (looks / LOOKS_PER_ENTRY).clamp(SHORTLIST.start, SHORTLIST.end);
    let ranked = free
        .common(has)
        .map(|chunk| (rarity.holders(chunk), rng.next() as u32, chunk));
    let mut found = least(ranked, entries);
    found.sort_unstable_by(|a, b| b.cmp(a));
    found.into_iter().map(|(_, _, chunk)| chunk).collect()
}

/// The `count` least items, in no order; holds no more than twice as many at a time.
fn least<T: Ord + Copy>(items: impl Iterator<Item = T>, count: usize) -> Vec<T> {
    let (mut found, mut worst) = (Vec::with_capacity(2 * count), None);
    for item in items {
        if worst.is_some_and(|worst| item > worst) {
            continue;
        }
        found.push(item);
        if found.len() == 2 * count {
            worst = Some(*found.select_nth_unstable(count - 1).1);
            found.truncate(count);
        }
    }
    if found.len() > count {
        found.select_nth_unstable(count - 1);
        found.truncate(count);
    }
    found
}

/// A chunk of which all asks are late, that this source has and is not asked for, and the source
/// to cancel it at if enough are asked already.
pub(crate) fn late_chunk(
    requests: &Requests,
    id: SourceId,
    source: &Source,
) -> Option<(u32, Option<SourceId>)> {
    requests.late().find_map(|chunk| {
        let asks = requests.of(chunk);
        let fits = source.has(chunk) && asks.iter().all(|ask| ask.source != id);
        let enough = asks.len() >= ASKS_PER_CHUNK_MAX;
        fits.then(|| (chunk, asks.first().filter(|_| enough).map(|ask| ask.source)))
    })
}

/// Of the chunks that one source of another peer is asked for, the one for which that source will
/// take longest, if this one should have it much sooner.
pub(crate) fn spare_chunk(
    requests: &mut Requests,
    sources: &BTreeMap<SourceId, Source>,
    id: SourceId,
    source: &Source,
    now: Duration,
) -> Option<u32> {
    let own = source.pace.answer_time(source.open.len());
    let least = own
        .saturating_mul(SPARE_GAIN_MIN)
        .max(own.saturating_add(SPARE_GAIN_TIME_MIN));
    // Most often no ask takes that long, and all sources look at each answer.
    if requests.longest_single(now) <= least {
        return None;
    }
    let other_peer =
        |ask: &Ask| sources.get(&ask.source).map(|other| other.peer) != Some(source.peer);
    single_asks(requests, id, source)
        .filter(|(_, ask)| other_peer(ask))
        .map(|(chunk, ask)| (ask.remaining(now), chunk))
        .filter(|&(remaining, _)| remaining > least)
        .max()
        .map(|(_, chunk)| chunk)
}

/// A chunk that waits in the queue of another source, for a source that has nothing else to give.
/// Moving it here lets the other one be asked for something that only it has. The first in a
/// queue stays: it may be on its way already.
pub(crate) fn movable_chunk(
    requests: &Requests,
    sources: &BTreeMap<SourceId, Source>,
    id: SourceId,
    source: &Source,
    now: Duration,
) -> Option<(u32, SourceId)> {
    let least = source.pace.answer_time(0);
    single_asks(requests, id, source)
        .filter(|(chunk, ask)| {
            let other = sources.get(&ask.source);
            !ask.started && other.is_some_and(|other| other.open.first() != Some(chunk))
        })
        .map(|(chunk, ask)| (ask.remaining(now), chunk, ask.source))
        .filter(|&(remaining, ..)| remaining > least || source.pace.round_trip().is_none())
        .max()
        .map(|(_, chunk, other)| (chunk, other))
}

/// Chunks that one other source is asked for and this one has.
fn single_asks<'a>(
    requests: &'a Requests,
    id: SourceId,
    source: &'a Source,
) -> impl Iterator<Item = (u32, &'a Ask)> {
    requests.iter().filter_map(move |(chunk, asks)| match asks {
        // In this order: few chunks pass the first test, and the ask lies elsewhere in memory.
        [ask] if source.has(chunk) && ask.source != id => Some((chunk, ask)),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_least_are_what_sorting_puts_first(
            items in prop::collection::vec(0u8..40, 0..200),
            count in 1usize..30,
        ) {
            let mut found = least(items.iter().copied(), count);
            found.sort_unstable();
            let mut obvious = items;
            obvious.sort_unstable();
            obvious.truncate(count);
            prop_assert_eq!(found, obvious);
        }
    }
}
