//! Chooses the next chunk to request from one source. Pure functions over the parts; `scheduler`
//! sends the requests.

use std::{collections::BTreeMap, ops::Range, time::Duration};

use hubless_content::ModelChunk;

use crate::{
    bits::Bits,
    config::Order,
    pool::Pool,
    rarity::Rarity,
    requests::{REQUESTS_PER_CHUNK_MAX, Request, Requests},
    rng::Rng,
    source::{Has, Source},
    types::SourceId,
};

/// Free chunks probed, rarest first, before a source gets a shortlist: a source that has a good
/// part of the model has one of them nearly always.
const PROBES_MAX: usize = 256;

/// Random places tried for a new run before the first free chunk after such a place is taken, which
/// most likely continues the run of another source.
const RUN_STARTS_MAX: usize = 8;

/// Chunks that at least this many partial sources have are requested in runs. Rarer ones are
/// requested at random among those that are as rare: a swarm is as fast as it spreads them.
const COMMON: u16 = 4;

/// A run continues with one of this many chunks after the last one.
const RUN_GAP_MAX: u32 = 64;

/// A shortlist has one entry for each so many steps of its search, so that a search costs next to
/// nothing per chunk and a small model is searched often.
const STEPS_PER_ENTRY: usize = 64;

/// Fewest and most entries of a shortlist. The most are 16 KiB for each source, and keep searches
/// cheap up to models of some hundred gigabytes.
const SHORTLIST: Range<usize> = 16..4096;

/// A duplicate request is sent only if it is expected to be faster than the first by this factor.
const DUPLICATE_GAIN_MIN: u32 = 2;

/// And only if it is expected to be sooner by this much. A cancel takes about a round trip, and bytes
/// in the buffers between two peers arrive all the same, so that a duplicate for a smaller gain would
/// cost more than it saves.
const DUPLICATE_GAIN_TIME_MIN: Duration = Duration::from_millis(100);

/// One free chunk that the source has: the first that a reader waits for, else in order.
pub(crate) fn free_chunk(
    pool: &mut Pool,
    source: &mut Source,
    urgent: &[Range<ModelChunk>],
    order: Order,
    rng: &mut Rng,
) -> Option<ModelChunk> {
    // No chunk became free since the last search in vain.
    if pool.free().count() == 0 || source.dry_at == Some(pool.releases()) {
        return None;
    }
    let lowest = pool.lowest_free()?;
    let first_urgent = urgent
        .iter()
        .find_map(|range| first_of(pool.free(), source, range.start.max(lowest)..range.end));
    let found = first_urgent.or_else(|| match (order, pool.rarity()) {
        (Order::Sequential, _) => first_of(pool.free(), source, lowest..pool.free().all().end),
        // All sources are complete: every chunk is as rare, and runs are cheaper to read.
        (Order::RarestFirst, None) => next_of_run(pool.free(), source, rng),
        (Order::RarestFirst, Some(rarity)) => rarest(rarity, pool.free(), source, rng),
    });
    source.dry_at = found.is_none().then_some(pool.releases());
    found
}

/// The first chunk in `range` that is free and that the source has.
fn first_of(free: &Bits, source: &Source, range: Range<ModelChunk>) -> Option<ModelChunk> {
    match &source.has {
        Has::Unknown => None,
        Has::Partial(has) => free.first_common(has, range),
        Has::Complete { lacks } => {
            let mut found = free.first_in(range.clone())?;
            while lacks.contains(&found) {
                found = free.first_in(found.plus(1)..range.end)?;
            }
            Some(found)
        }
    }
}

/// The chunk after the last one of this source, or the start of a new run at a random place.
fn next_of_run(free: &Bits, source: &mut Source, rng: &mut Rng) -> Option<ModelChunk> {
    let fits = |chunk: ModelChunk| free.contains(chunk) && source.has(chunk);
    let start = if fits(source.next_in_run) {
        source.next_in_run
    } else {
        let all = free.all();
        let mut random = || ModelChunk(rng.below(free.len() as usize) as u32);
        let found = (0..RUN_STARTS_MAX)
            .map(|_| random())
            .find(|place| fits(*place));
        match found {
            Some(place) => place,
            None => {
                let place = random();
                first_of(free, source, place..all.end)
                    .or_else(|| first_of(free, source, all.start..place))?
            }
        }
    };
    source.next_in_run = start.plus(1);
    Some(start)
}

/// One of the rarest free chunks that the source has.
fn rarest(rarity: &Rarity, free: &Bits, source: &mut Source, rng: &mut Rng) -> Option<ModelChunk> {
    while let Some(chunk) = source.shortlist.pop() {
        if free.contains(chunk) && source.has(chunk) {
            return Some(chunk);
        }
    }
    let found = next_as_rare(rarity, free, source)
        .or_else(|| rarity.probe(rng, PROBES_MAX, |chunk| source.has(chunk)));
    source.next_in_run = found.map_or(ModelChunk(u32::MAX), |chunk| chunk.plus(1));
    let Has::Partial(has) = &source.has else {
        return found;
    };
    found.or_else(|| {
        source.shortlist = shortlist(rarity, free, has, rng);
        source.shortlist.pop()
    })
}

/// The next chunk after the last one of this source if no free chunk is rarer, and none is rare.
/// Consecutive chunks share cache lines in the tables; loading these for random chunks takes most of
/// the time of a choice.
fn next_as_rare(rarity: &Rarity, free: &Bits, source: &Source) -> Option<ModelChunk> {
    let fewest = rarity.fewest_holders()?;
    if fewest < COMMON {
        return None;
    }
    let mut from = source.next_in_run;
    let end = from.plus(RUN_GAP_MAX);
    loop {
        let chunk = first_of(free, source, from..end)?;
        if rarity.holders(chunk) == fewest {
            return Some(chunk);
        }
        from = chunk.plus(1);
    }
}

/// Some of the rarest chunks that are free and in `has`, the rarest last, by a pass over all chunks.
fn shortlist(rarity: &Rarity, free: &Bits, has: &Bits, rng: &mut Rng) -> Vec<ModelChunk> {
    let steps = free.len() as usize / 64 + free.count_common(has) as usize;
    let entries = (steps / STEPS_PER_ENTRY).clamp(SHORTLIST.start, SHORTLIST.end);
    let ranked = free
        .common(has)
        .map(|chunk| (rarity.holders(chunk), rng.next() as u32, chunk));
    let mut found = least(ranked, entries);
    found.sort_unstable_by(|a, b| b.cmp(a));
    found.into_iter().map(|(_, _, chunk)| chunk).collect()
}

/// The `count` least items, in any order; holds at most twice as many at a time.
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

/// A chunk of which all requests are late, that this source has and that is not requested from it;
/// and the source whose request is to be cancelled if there are enough already.
pub(crate) fn late_chunk(
    requests: &Requests,
    id: SourceId,
    source: &Source,
) -> Option<(ModelChunk, Option<SourceId>)> {
    requests.late().find_map(|chunk| {
        let requests = requests.of(chunk);
        let fits = source.has(chunk) && requests.iter().all(|request| request.source != id);
        let enough = requests.len() >= REQUESTS_PER_CHUNK_MAX;
        let first = requests.first().map(|request| request.source);
        fits.then(|| (chunk, first.filter(|_| enough)))
    })
}

/// Of the chunks with a single request, at a source of another peer, the one that will take longest,
/// if this source is expected to send it much sooner.
pub(crate) fn duplicate_chunk(
    requests: &mut Requests,
    sources: &BTreeMap<SourceId, Source>,
    id: SourceId,
    source: &Source,
    now: Duration,
) -> Option<ModelChunk> {
    let own = source.pace.answer_time(source.open.len());
    let least = own
        .saturating_mul(DUPLICATE_GAIN_MIN)
        .max(own.saturating_add(DUPLICATE_GAIN_TIME_MIN));
    // The usual case, checked for all sources after each response: no request takes that long.
    if requests.longest_single(now) <= least {
        return None;
    }
    let other_peer = |request: &Request| {
        sources.get(&request.source).map(|other| other.peer) != Some(source.peer)
    };
    single_requests(requests, id, source)
        .filter(|(_, request)| other_peer(request))
        .map(|(chunk, request)| (request.remaining(now), chunk))
        .filter(|&(remaining, _)| remaining > least)
        .max()
        .map(|(_, chunk)| chunk)
}

/// A chunk that is queued at another source, for a source that has no free chunk. Moving the
/// request lets the other source serve a chunk that only it has. The first request in a queue stays:
/// its chunk may be in transit already.
pub(crate) fn movable_chunk(
    requests: &Requests,
    sources: &BTreeMap<SourceId, Source>,
    id: SourceId,
    source: &Source,
    now: Duration,
) -> Option<(ModelChunk, SourceId)> {
    let least = source.pace.answer_time(0);
    single_requests(requests, id, source)
        .filter(|(chunk, request)| {
            let other = sources.get(&request.source);
            !request.started && other.is_some_and(|other| other.open.first() != Some(chunk))
        })
        .map(|(chunk, request)| (request.remaining(now), chunk, request.source))
        .filter(|&(remaining, ..)| remaining > least || source.pace.round_trip().is_none())
        .max()
        .map(|(_, chunk, other)| (chunk, other))
}

/// Chunks with a single request, at another source, that this source has.
fn single_requests<'a>(
    requests: &'a Requests,
    id: SourceId,
    source: &'a Source,
) -> impl Iterator<Item = (ModelChunk, &'a Request)> {
    requests
        .iter()
        .filter_map(move |(chunk, requests)| match requests {
            // In this order: few chunks pass the first test, and the second loads other memory.
            [request] if source.has(chunk) && request.source != id => Some((chunk, request)),
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
