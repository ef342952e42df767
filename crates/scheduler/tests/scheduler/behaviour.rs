//! One fetch, step by step: the outputs of the scheduler for each input.

use std::{ops::Range, time::Duration};

use hubless_content::{ChunkSet, ModelChunk};
use hubless_scheduler::{
    BanReason, Input, Order, Output, Refusal, Scheduler, SchedulerConfig, SourceId,
};

const ALICE: SourceId = SourceId(1);
const BOB: SourceId = SourceId(2);
const CAROL: SourceId = SourceId(3);
const CHUNK: u32 = 256 * 1024;

fn range(numbers: Range<u32>) -> Range<ModelChunk> {
    ModelChunk(numbers.start)..ModelChunk(numbers.end)
}

fn request(id: SourceId, chunk: u32) -> Output {
    Output::Request(id, ModelChunk(chunk))
}

fn cancel(id: SourceId, chunk: u32) -> Output {
    Output::Cancel(id, ModelChunk(chunk))
}

fn ban(id: SourceId, chunk: u32) -> Output {
    Output::Ban(id, BanReason::WrongBytes(ModelChunk(chunk)))
}

/// A fetch and its clock.
struct Fetch {
    scheduler: Scheduler,
    now: Duration,
    wake_at: Option<Duration>,
}

impl Fetch {
    fn of(chunks: u32, order: Order) -> Self {
        let config = SchedulerConfig {
            order,
            seed: 1,
            ..SchedulerConfig::default()
        };
        let scheduler = Scheduler::new(config, &ChunkSet::full(chunks));
        Self {
            scheduler,
            now: Duration::ZERO,
            wake_at: None,
        }
    }

    /// The outputs of an input, without those to wake.
    fn handle(&mut self, input: Input) -> Vec<Output> {
        self.scheduler.handle(self.now, input);
        let mut outputs = Vec::new();
        while let Some(output) = self.scheduler.poll_output() {
            match output {
                Output::WakeAt(at) => self.wake_at = Some(at),
                output => outputs.push(output),
            }
        }
        outputs
    }

    fn complete_source(&mut self, id: SourceId) -> Vec<Output> {
        self.handle(Input::SourceJoined(id));
        self.handle(Input::SourceComplete(id))
    }

    fn source_without(&mut self, id: SourceId, lacks: impl Fn(u32) -> bool) -> Vec<Output> {
        let mut has = ChunkSet::full(1000);
        (0..1000).filter(|&chunk| lacks(chunk)).for_each(|chunk| {
            has.remove(chunk);
        });
        self.handle(Input::SourceJoined(id));
        self.handle(Input::SourceHas(id, has))
    }

    fn receive(&mut self, source: SourceId, chunk: u32) -> Vec<Output> {
        self.now += Duration::from_millis(20);
        self.handle(Input::Received {
            source,
            chunk: ModelChunk(chunk),
            bytes: CHUNK,
        })
    }

    fn refuse(&mut self, source: SourceId, chunk: u32, refusal: Refusal) -> Vec<Output> {
        self.handle(Input::Refused {
            source,
            chunk: ModelChunk(chunk),
            refusal,
        })
    }

    fn wrong(&mut self, source: SourceId, chunk: u32) -> Vec<Output> {
        let chunk = ModelChunk(chunk);
        self.handle(Input::Wrong { source, chunk })
    }

    /// Lets time pass up to `until`, with a tick at each requested wake-up.
    fn pass(&mut self, until: Duration) -> Vec<Output> {
        let mut outputs = Vec::new();
        while let Some(at) = self.wake_at.filter(|&at| at <= until) {
            self.wake_at = None;
            self.now = self.now.max(at);
            outputs.extend(self.handle(Input::Tick));
        }
        self.now = until;
        outputs
    }
}

fn requests(outputs: &[Output]) -> Vec<(SourceId, u32)> {
    outputs
        .iter()
        .filter_map(|output| match output {
            Output::Request(id, chunk) => Some((*id, chunk.0)),
            _ => None,
        })
        .collect()
}

fn of_chunks(requests: &[(SourceId, u32)]) -> Vec<u32> {
    requests.iter().map(|(_, chunk)| *chunk).collect()
}

#[test]
fn nothing_wanted_is_done_at_once() {
    let mut scheduler = Scheduler::new(SchedulerConfig::default(), &ChunkSet::empty(10));
    assert_eq!(scheduler.poll_output(), Some(Output::Done));
    assert_eq!(scheduler.poll_output(), None);
}

#[test]
fn starved_is_reported_once_until_the_next_request() {
    let mut fetch = Fetch::of(8, Order::Sequential);
    assert_eq!(fetch.handle(Input::Tick), [Output::Starved]);
    assert_eq!(fetch.handle(Input::Tick), []);
    assert_eq!(fetch.scheduler.unavailable(), 8);
    fetch.complete_source(ALICE);
    assert_eq!(fetch.scheduler.unavailable(), 0);
    assert_eq!(fetch.handle(Input::SourceGone(ALICE)), [Output::Starved]);
}

#[test]
fn a_stream_is_requested_in_order_and_a_jump_comes_first() {
    let mut fetch = Fetch::of(1000, Order::Sequential);
    let asked = fetch.complete_source(ALICE);
    assert_eq!(
        requests(&asked),
        [(ALICE, 0), (ALICE, 1), (ALICE, 2), (ALICE, 3)]
    );
    fetch.handle(Input::Prioritize(range(500..502)));
    let mut asked = Vec::new();
    for chunk in 0..4 {
        asked.extend(requests(&fetch.receive(ALICE, chunk)));
    }
    assert_eq!(
        asked[..3],
        [(ALICE, 500), (ALICE, 501), (ALICE, 4)],
        "{asked:?}"
    );
}

#[test]
fn a_busy_source_is_asked_again_after_the_wait_it_named() {
    let mut fetch = Fetch::of(1, Order::RarestFirst);
    fetch.complete_source(ALICE);
    let busy = Refusal::Busy(Duration::from_secs(3));
    assert_eq!(fetch.refuse(ALICE, 0, busy), [], "busy is not starved");
    assert_eq!(fetch.pass(Duration::from_millis(2_990)), []);
    assert_eq!(
        fetch.pass(Duration::from_millis(3_010)),
        [request(ALICE, 0)]
    );
}

#[test]
fn a_failed_request_goes_to_another_source_and_its_source_rests() {
    let mut fetch = Fetch::of(1, Order::RarestFirst);
    fetch.complete_source(ALICE);
    fetch.complete_source(BOB);
    let chunk = ModelChunk(0);
    let failed = |source| Input::Failed { source, chunk };
    assert_eq!(fetch.handle(failed(ALICE)), [request(BOB, 0)]);
    assert_eq!(fetch.handle(failed(BOB)), [Output::Starved]);
    let again = requests(&fetch.pass(Duration::from_secs(1)));
    assert!(
        matches!(again[..], [(_, 0)] | [(_, 0), (_, 0)]),
        "{again:?}"
    );
}

#[test]
fn the_fourth_wrong_chunk_bans_its_source_and_frees_all_its_requests() {
    let mut fetch = Fetch::of(4, Order::Sequential);
    assert_eq!(requests(&fetch.complete_source(ALICE)).len(), 4);
    for chunk in 0..3 {
        assert_eq!(fetch.wrong(ALICE, chunk), [], "no other source has it");
    }
    let outputs = fetch.complete_source(BOB);
    assert_eq!(of_chunks(&requests(&outputs)), [0, 1, 2]);
    let outputs = fetch.wrong(ALICE, 0);
    let banned = ban(ALICE, 0);
    assert_eq!(outputs, [banned, request(BOB, 3)]);
    assert_eq!(
        fetch.complete_source(ALICE),
        [],
        "a banned source cannot join again"
    );
    assert_eq!(fetch.scheduler.sources().count(), 1);
}

#[test]
fn a_peer_is_not_asked_again_for_its_wrong_chunks_whatever_it_announces() {
    let mut fetch = Fetch::of(3, Order::Sequential);
    fetch.complete_source(ALICE);
    // A second connection to the same peer.
    fetch.handle(Input::SourceJoined(BOB));
    fetch.handle(Input::SourceSharesPeer(BOB, ALICE));
    assert_eq!(fetch.wrong(ALICE, 1), []);
    let gained = Input::SourceGained(ALICE, vec![range(1..2)]);
    for input in [
        gained,
        Input::SourceComplete(ALICE),
        Input::SourceComplete(BOB),
    ] {
        let asked = of_chunks(&requests(&fetch.handle(input)));
        assert!(!asked.contains(&1), "{asked:?}");
    }
    // It leaves, and returns as another source.
    fetch.handle(Input::SourceGone(ALICE));
    fetch.handle(Input::SourceGone(BOB));
    fetch.handle(Input::SourceJoined(CAROL));
    fetch.handle(Input::SourceSharesPeer(CAROL, ALICE));
    let outputs = fetch.handle(Input::SourceComplete(CAROL));
    assert_eq!(of_chunks(&requests(&outputs)), [0, 2]);
    // Its earlier wrong chunks count.
    fetch.wrong(CAROL, 0);
    fetch.wrong(CAROL, 2);
    let outputs = fetch.handle(Input::Want(range(0..3)));
    assert_eq!(of_chunks(&requests(&outputs)), [0; 0]);
}

#[test]
fn all_connections_of_a_liar_are_banned() {
    let mut fetch = Fetch::of(8, Order::Sequential);
    fetch.complete_source(ALICE);
    fetch.handle(Input::SourceJoined(BOB));
    fetch.handle(Input::SourceSharesPeer(BOB, ALICE));
    (0..3).for_each(|chunk| drop(fetch.wrong(ALICE, chunk)));
    let outputs = fetch.wrong(ALICE, 3);
    for source in [ALICE, BOB] {
        assert!(outputs.contains(&ban(source, 3)));
    }
}

#[test]
fn a_chunk_that_a_source_lacks_is_requested_from_another() {
    let mut fetch = Fetch::of(1, Order::RarestFirst);
    fetch.complete_source(ALICE);
    fetch.complete_source(BOB);
    assert_eq!(fetch.refuse(ALICE, 0, Refusal::NotHere), [request(BOB, 0)]);
    assert_eq!(fetch.refuse(BOB, 0, Refusal::NotHere), [Output::Starved]);
    let gained = fetch.handle(Input::SourceGained(ALICE, [0..1, 5..9].map(range).to_vec()));
    assert_eq!(gained, [request(ALICE, 0)]);
}

#[test]
fn a_silent_source_is_late_then_cancelled_and_a_late_answer_counts() {
    let mut fetch = Fetch::of(1, Order::RarestFirst);
    assert_eq!(fetch.complete_source(ALICE), [request(ALICE, 0)]);
    assert_eq!(
        fetch.pass(Duration::from_secs(5)),
        [],
        "no other source: it may still answer"
    );
    assert_eq!(
        fetch
            .scheduler
            .sources()
            .map(|source| source.late)
            .sum::<usize>(),
        1
    );
    assert_eq!(fetch.complete_source(BOB), [request(BOB, 0)]);
    assert_eq!(fetch.receive(ALICE, 0), [cancel(BOB, 0), Output::Done]);

    let mut fetch = Fetch::of(1, Order::RarestFirst);
    fetch.complete_source(ALICE);
    let outputs = fetch.pass(Duration::from_secs(62));
    assert_eq!(outputs[0], cancel(ALICE, 0), "{outputs:?}");
    assert!(
        outputs.contains(&request(ALICE, 0)),
        "requested again after its rest"
    );
}

#[test]
fn the_last_chunk_is_requested_twice_and_the_slower_request_is_cancelled() {
    let mut fetch = Fetch::of(9, Order::Sequential);
    fetch.complete_source(ALICE);
    (0..8).for_each(|chunk| {
        fetch.receive(ALICE, chunk);
    });
    assert_eq!(
        (fetch.scheduler.missing(), fetch.scheduler.in_flight()),
        (1, 1)
    );
    fetch.complete_source(BOB);
    // Bob is unknown; Alice is fast, but now she is silent.
    let until = fetch.now + Duration::from_millis(2_200);
    assert_eq!(fetch.pass(until), [request(BOB, 8)]);
    assert_eq!(fetch.receive(BOB, 8), [cancel(ALICE, 8), Output::Done]);
    assert_eq!(
        fetch.receive(ALICE, 8),
        [],
        "too late, and done is reported once"
    );
    assert_eq!(fetch.scheduler.bytes_wasted(), u64::from(CHUNK));
}

#[test]
fn a_chunk_in_transit_to_another_peer_is_left_for_one_that_no_peer_has() {
    let mut fetch = Fetch::of(64, Order::RarestFirst);
    fetch.handle(Input::SourceJoined(BOB));
    fetch.handle(Input::SourceHas(BOB, ChunkSet::empty(64)));
    let asked = requests(&fetch.complete_source(ALICE));
    let [(_, first), (_, second), ..] = asked[..] else {
        panic!("{asked:?}");
    };
    let on_the_way = |chunk| Input::OnTheWay(vec![range(chunk..chunk + 1)]);
    let traded = fetch.handle(on_the_way(first));
    assert!(traded.contains(&cancel(ALICE, first)), "{traded:?}");
    let instead = requests(&traded);
    assert!(
        instead.len() == 1 && !asked.contains(&instead[0]),
        "{traded:?}"
    );
    // A chunk that begins to arrive is not cancelled.
    let (source, chunk) = (ALICE, ModelChunk(second));
    fetch.handle(Input::Started { source, chunk });
    assert_eq!(fetch.handle(on_the_way(second)), []);
    // Nonsense changes nothing.
    assert_eq!(
        fetch.handle(Input::OnTheWay([100..200, 5..5].map(range).to_vec())),
        []
    );
}

#[test]
fn another_connection_to_the_same_peer_gets_no_duplicate_request() {
    let mut fetch = Fetch::of(9, Order::Sequential);
    fetch.complete_source(ALICE);
    (0..8).for_each(|chunk| {
        fetch.receive(ALICE, chunk);
    });
    fetch.handle(Input::SourceJoined(BOB));
    fetch.handle(Input::SourceSharesPeer(BOB, ALICE));
    fetch.handle(Input::SourceComplete(BOB));
    let until = fetch.now + Duration::from_millis(1_500);
    assert_eq!(fetch.pass(until), []);
    // A late request is another matter: the first connection may be stuck.
    let until = fetch.now + Duration::from_secs(30);
    assert_eq!(fetch.pass(until), [request(BOB, 8)]);
}

#[test]
fn wanting_more_makes_it_done_once_more() {
    let mut scheduler = Scheduler::new(SchedulerConfig::default(), &ChunkSet::empty(2));
    assert_eq!(scheduler.poll_output(), Some(Output::Done));
    let mut fetch = Fetch {
        scheduler,
        now: Duration::ZERO,
        wake_at: None,
    };
    fetch.complete_source(ALICE);
    assert_eq!(fetch.handle(Input::Want(range(1..9))), [request(ALICE, 1)]);
    assert_eq!(fetch.receive(ALICE, 1), [Output::Done]);
    // It arrived and was lost again.
    assert_eq!(fetch.handle(Input::Want(range(1..2))), [request(ALICE, 1)]);
    assert_eq!(fetch.receive(ALICE, 1), [Output::Done]);
    assert_eq!(fetch.handle(Input::Want(range(0..1))), [request(ALICE, 0)]);
    assert_eq!(
        fetch.handle(Input::Unwanted(range(0..1))),
        [cancel(ALICE, 0), Output::Done]
    );
}

#[test]
fn strange_inputs_are_ignored() {
    let mut fetch = Fetch::of(3, Order::RarestFirst);
    fetch.handle(Input::Tick);
    let (source, chunk) = (SourceId(99), ModelChunk(u32::MAX));
    let backwards = range(Range { start: 9, end: 2 });
    for input in [
        Input::SourceGone(source),
        Input::SourceHas(source, ChunkSet::full(1000)),
        Input::SourceGained(source, vec![range(0..u32::MAX), backwards.clone()]),
        Input::SourceComplete(source),
        Input::Received {
            source,
            chunk,
            bytes: u32::MAX,
        },
        Input::Wrong { source, chunk },
        Input::Refused {
            source,
            chunk,
            refusal: Refusal::Busy(Duration::MAX),
        },
        Input::Refused {
            source,
            chunk,
            refusal: Refusal::NotHere,
        },
        Input::Failed { source, chunk },
        Input::Want(range(5..u32::MAX)),
        Input::Unwanted(backwards),
    ] {
        assert_eq!(fetch.handle(input.clone()), [], "{input:?}");
    }
    // The end of time, and back.
    fetch.now = Duration::MAX;
    assert_eq!(requests(&fetch.complete_source(ALICE)).len(), 3);
    fetch.now = Duration::ZERO;
    for chunk in 0..3 {
        fetch.handle(Input::Received {
            source: ALICE,
            chunk: ModelChunk(chunk),
            bytes: CHUNK,
        });
    }
    assert_eq!(fetch.scheduler.missing(), 0);
}

#[test]
fn a_source_that_begins_late_does_not_cancel_the_duplicate_request() {
    let mut fetch = Fetch::of(2, Order::Sequential);
    fetch.complete_source(ALICE);
    fetch.receive(ALICE, 0);
    // Alice is late with the other chunk, so it is requested from Bob too.
    let late = fetch.now + Duration::from_secs(12);
    fetch.pass(late);
    let outputs = fetch.complete_source(BOB);
    assert!(outputs.contains(&request(BOB, 1)), "{outputs:?}");
    let (source, chunk) = (ALICE, ModelChunk(1));
    let outputs = fetch.handle(Input::Started { source, chunk });
    assert_eq!(outputs, [], "a late start may also end late");
    assert_eq!(fetch.scheduler.in_flight(), 2);
}

impl Fetch {
    /// Bob answers all his requests, Alice none; returns how many chunks stay missing.
    fn only_bob_answers(&mut self, outputs: &[Output]) -> u32 {
        let mut asked = requests(outputs);
        while let Some((source, chunk)) = asked.pop() {
            if source == BOB {
                asked.extend(requests(&self.receive(BOB, chunk)));
            }
        }
        self.scheduler.missing()
    }
}

#[test]
fn the_duplicate_budget_is_spent_until_cancelled_requests_are_settled() {
    // Four chunks of each piece are requested from Alice, and four may be received twice.
    let piece = |first| Input::Want(range(first..first + 16));
    let begin = || {
        let mut fetch = Fetch::of(48, Order::Sequential);
        fetch.handle(Input::Unwanted(range(0..48)));
        fetch.complete_source(ALICE);
        fetch.complete_source(BOB);
        let asked = fetch.handle(piece(0));
        assert_eq!(fetch.only_bob_answers(&asked), 0);
        fetch
    };
    let mut fetch = begin();
    let asked = fetch.handle(piece(16));
    assert_eq!(fetch.only_bob_answers(&asked), 4, "Alice may still answer");
    let (_, later) = requests(&asked)
        .into_iter()
        .find(|request| request.0 == ALICE)
        .unwrap();
    let asked = fetch.receive(ALICE, later);
    assert_eq!(
        fetch.only_bob_answers(&asked),
        0,
        "the cancels reached Alice in time"
    );

    let mut fetch = begin();
    fetch.pass(fetch.now + Duration::from_secs(3));
    let asked = fetch.handle(piece(16));
    assert_eq!(fetch.only_bob_answers(&asked), 0, "settled by time");

    let mut fetch = begin();
    fetch.handle(Input::SourceGone(ALICE));
    fetch.complete_source(ALICE);
    let asked = fetch.handle(piece(16));
    assert_eq!(
        fetch.only_bob_answers(&asked),
        0,
        "Alice's old stream is gone"
    );
}

#[test]
fn common_chunks_are_requested_in_runs_and_rare_ones_at_random() {
    let mut fetch = Fetch::of(1000, Order::RarestFirst);
    // In the end each chunk has five holders.
    let asked: Vec<Vec<(SourceId, u32)>> = (0..6)
        .map(|id| requests(&fetch.source_without(SourceId(id), |chunk| chunk % 6 == id)))
        .collect();
    let is_run = |asked: &[(SourceId, u32)]| {
        let near = |pair: &[(SourceId, u32)]| (1..10).contains(&pair[1].1.wrapping_sub(pair[0].1));
        asked.len() == 4 && asked.windows(2).all(near)
    };
    assert!(!is_run(&asked[1]), "{asked:?}");
    assert!(is_run(&asked[5]), "{asked:?}");
    // A run ends where a chunk is rarer.
    let (last, rarer) = (SourceId(5), 501);
    assert!(asked.iter().flatten().all(|request| request.1 != rarer));
    fetch.source_without(SourceId(6), |chunk| chunk == rarer);
    let next = requests(&fetch.receive(last, asked[5][0].1));
    assert_eq!(next.first(), Some(&(last, rarer)));
}
