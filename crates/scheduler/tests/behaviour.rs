//! One fetch at a time, step by step: what the scheduler does when something happens.

use std::{ops::Range, time::Duration};

use hubless_content::ChunkSet;
use hubless_scheduler::{
    BanReason, Input, Order, Output, Refusal, Scheduler, SchedulerConfig, SourceId,
};

const ALICE: SourceId = SourceId(1);
const BOB: SourceId = SourceId(2);
const CAROL: SourceId = SourceId(3);
const CHUNK: u32 = 256 * 1024;

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

    /// What comes of an input, except when to wake.
    fn tell(&mut self, input: Input) -> Vec<Output> {
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
        self.tell(Input::SourceJoined(id));
        self.tell(Input::SourceComplete(id))
    }

    fn source_without(&mut self, id: SourceId, lacks: impl Fn(u32) -> bool) -> Vec<Output> {
        let mut has = ChunkSet::full(1000);
        (0..1000).filter(|&chunk| lacks(chunk)).for_each(|chunk| {
            has.remove(chunk);
        });
        self.tell(Input::SourceJoined(id));
        self.tell(Input::SourceHas(id, has))
    }

    fn receive(&mut self, source: SourceId, chunk: u32) -> Vec<Output> {
        self.now += Duration::from_millis(20);
        self.tell(Input::Received {
            source,
            chunk,
            bytes: CHUNK,
        })
    }

    fn refuse(&mut self, source: SourceId, chunk: u32, refusal: Refusal) -> Vec<Output> {
        self.tell(Input::Refused {
            source,
            chunk,
            refusal,
        })
    }

    fn wrong(&mut self, source: SourceId, chunk: u32) -> Vec<Output> {
        self.tell(Input::Wrong { source, chunk })
    }

    /// Lets time pass up to `until`, waking when asked to.
    fn pass(&mut self, until: Duration) -> Vec<Output> {
        let mut outputs = Vec::new();
        while let Some(at) = self.wake_at.filter(|&at| at <= until) {
            self.wake_at = None;
            self.now = self.now.max(at);
            outputs.extend(self.tell(Input::Tick));
        }
        self.now = until;
        outputs
    }
}

fn requests(outputs: &[Output]) -> Vec<(SourceId, u32)> {
    outputs
        .iter()
        .filter_map(|output| match output {
            Output::Request(id, chunk) => Some((*id, *chunk)),
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
fn nobody_to_ask_is_said_once_until_somebody_was_asked() {
    let mut fetch = Fetch::of(8, Order::Sequential);
    assert_eq!(fetch.tell(Input::Tick), [Output::Starved]);
    assert_eq!(fetch.tell(Input::Tick), []);
    assert_eq!(fetch.scheduler.unavailable(), 8);
    fetch.complete_source(ALICE);
    assert_eq!(fetch.scheduler.unavailable(), 0);
    assert_eq!(fetch.tell(Input::SourceGone(ALICE)), [Output::Starved]);
}

#[test]
fn a_stream_is_asked_for_in_order_and_a_jump_comes_first() {
    let mut fetch = Fetch::of(1000, Order::Sequential);
    let asked = fetch.complete_source(ALICE);
    assert_eq!(
        requests(&asked),
        [(ALICE, 0), (ALICE, 1), (ALICE, 2), (ALICE, 3)]
    );
    fetch.tell(Input::Prioritize(500..502));
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
fn a_busy_source_is_asked_again_when_it_said() {
    let mut fetch = Fetch::of(1, Order::RarestFirst);
    fetch.complete_source(ALICE);
    let busy = Refusal::Busy(Duration::from_secs(3));
    assert_eq!(fetch.refuse(ALICE, 0, busy), [], "busy is not starved");
    assert_eq!(fetch.pass(Duration::from_millis(2_990)), []);
    assert_eq!(
        fetch.pass(Duration::from_millis(3_010)),
        [Output::Request(ALICE, 0)]
    );
}

#[test]
fn a_failed_ask_goes_elsewhere_and_its_source_rests() {
    let mut fetch = Fetch::of(1, Order::RarestFirst);
    fetch.complete_source(ALICE);
    fetch.complete_source(BOB);
    let failed = |source| Input::Failed { source, chunk: 0 };
    assert_eq!(fetch.tell(failed(ALICE)), [Output::Request(BOB, 0)]);
    assert_eq!(fetch.tell(failed(BOB)), [Output::Starved]);
    let again = requests(&fetch.pass(Duration::from_secs(1)));
    assert!(
        matches!(again[..], [(_, 0)] | [(_, 0), (_, 0)]),
        "{again:?}"
    );
}

#[test]
fn the_fourth_wrong_chunk_bans_its_source_and_frees_all_its_asks() {
    let mut fetch = Fetch::of(4, Order::Sequential);
    assert_eq!(requests(&fetch.complete_source(ALICE)).len(), 4);
    for chunk in 0..3 {
        assert_eq!(fetch.wrong(ALICE, chunk), [], "no other has it");
    }
    let outputs = fetch.complete_source(BOB);
    assert_eq!(of_chunks(&requests(&outputs)), [0, 1, 2]);
    let outputs = fetch.wrong(ALICE, 0);
    let ban = Output::Ban(ALICE, BanReason::WrongBytes(0));
    assert_eq!(outputs, [ban, Output::Request(BOB, 3)]);
    assert_eq!(
        fetch.complete_source(ALICE),
        [],
        "a banned source does not come back"
    );
    assert_eq!(fetch.scheduler.sources().count(), 1);
}

#[test]
fn a_peer_is_not_asked_again_for_what_it_sent_wrong_whatever_it_says() {
    let mut fetch = Fetch::of(3, Order::Sequential);
    fetch.complete_source(ALICE);
    // A second lane to the same peer.
    fetch.tell(Input::SourceJoined(BOB));
    fetch.tell(Input::SourceIsTwin(BOB, ALICE));
    assert_eq!(fetch.wrong(ALICE, 1), []);
    let gained = Input::SourceGained(ALICE, std::iter::once(1..2).collect());
    for input in [
        gained,
        Input::SourceComplete(ALICE),
        Input::SourceComplete(BOB),
    ] {
        let asked = of_chunks(&requests(&fetch.tell(input)));
        assert!(!asked.contains(&1), "{asked:?}");
    }
    // It leaves, and comes back as another source.
    fetch.tell(Input::SourceGone(ALICE));
    fetch.tell(Input::SourceGone(BOB));
    fetch.tell(Input::SourceJoined(CAROL));
    fetch.tell(Input::SourceIsTwin(CAROL, ALICE));
    let outputs = fetch.tell(Input::SourceComplete(CAROL));
    assert_eq!(of_chunks(&requests(&outputs)), [0, 2]);
    // What it sent wrong before counts.
    fetch.wrong(CAROL, 0);
    fetch.wrong(CAROL, 2);
    let outputs = fetch.tell(Input::Want(0..3));
    assert_eq!(of_chunks(&requests(&outputs)), [0; 0]);
}

#[test]
fn all_lanes_of_a_liar_are_banned() {
    let mut fetch = Fetch::of(8, Order::Sequential);
    fetch.complete_source(ALICE);
    fetch.tell(Input::SourceJoined(BOB));
    fetch.tell(Input::SourceIsTwin(BOB, ALICE));
    (0..3).for_each(|chunk| drop(fetch.wrong(ALICE, chunk)));
    let outputs = fetch.wrong(ALICE, 3);
    for lane in [ALICE, BOB] {
        assert!(outputs.contains(&Output::Ban(lane, BanReason::WrongBytes(3))));
    }
}

#[test]
fn what_a_source_does_not_have_is_asked_of_another() {
    let mut fetch = Fetch::of(1, Order::RarestFirst);
    fetch.complete_source(ALICE);
    fetch.complete_source(BOB);
    assert_eq!(
        fetch.refuse(ALICE, 0, Refusal::NotHere),
        [Output::Request(BOB, 0)]
    );
    assert_eq!(fetch.refuse(BOB, 0, Refusal::NotHere), [Output::Starved]);
    let gained = fetch.tell(Input::SourceGained(ALICE, vec![0..1, 5..9]));
    assert_eq!(gained, [Output::Request(ALICE, 0)]);
}

#[test]
fn a_silent_source_is_late_then_given_up_and_a_late_answer_counts() {
    let mut fetch = Fetch::of(1, Order::RarestFirst);
    assert_eq!(fetch.complete_source(ALICE), [Output::Request(ALICE, 0)]);
    assert_eq!(
        fetch.pass(Duration::from_secs(5)),
        [],
        "nobody else to ask: it may still answer"
    );
    assert_eq!(
        fetch
            .scheduler
            .sources()
            .map(|source| source.late)
            .sum::<usize>(),
        1
    );
    assert_eq!(fetch.complete_source(BOB), [Output::Request(BOB, 0)]);
    assert_eq!(
        fetch.receive(ALICE, 0),
        [Output::Cancel(BOB, 0), Output::Done]
    );

    let mut fetch = Fetch::of(1, Order::RarestFirst);
    fetch.complete_source(ALICE);
    let outputs = fetch.pass(Duration::from_secs(62));
    assert_eq!(outputs[0], Output::Cancel(ALICE, 0), "{outputs:?}");
    assert!(
        outputs.contains(&Output::Request(ALICE, 0)),
        "asked again after its rest"
    );
}

#[test]
fn the_last_chunk_is_asked_of_a_second_source_and_the_loser_is_cancelled() {
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
    assert_eq!(fetch.pass(until), [Output::Request(BOB, 8)]);
    assert_eq!(
        fetch.receive(BOB, 8),
        [Output::Cancel(ALICE, 8), Output::Done]
    );
    assert_eq!(
        fetch.receive(ALICE, 8),
        [],
        "too late, and done is said once"
    );
    assert_eq!(fetch.scheduler.bytes_wasted(), u64::from(CHUNK));
}

#[test]
fn what_another_is_sent_already_is_left_for_what_nobody_has() {
    let mut fetch = Fetch::of(64, Order::RarestFirst);
    fetch.tell(Input::SourceJoined(BOB));
    fetch.tell(Input::SourceHas(BOB, ChunkSet::empty(64)));
    let asked = requests(&fetch.complete_source(ALICE));
    let [(_, first), (_, second), ..] = asked[..] else {
        panic!("{asked:?}");
    };
    let on_the_way = |chunk| Input::OnTheWay(std::iter::once(chunk..chunk + 1).collect());
    let traded = fetch.tell(on_the_way(first));
    assert!(traded.contains(&Output::Cancel(ALICE, first)), "{traded:?}");
    let instead = requests(&traded);
    assert!(
        instead.len() == 1 && !asked.contains(&instead[0]),
        "{traded:?}"
    );
    // What comes already is not taken back.
    let (source, chunk) = (ALICE, second);
    fetch.tell(Input::Started { source, chunk });
    assert_eq!(fetch.tell(on_the_way(second)), []);
    // Nonsense changes nothing.
    assert_eq!(fetch.tell(Input::OnTheWay(vec![100..200, 5..5])), []);
}

#[test]
fn another_way_to_the_same_peer_is_no_insurance() {
    let mut fetch = Fetch::of(9, Order::Sequential);
    fetch.complete_source(ALICE);
    (0..8).for_each(|chunk| {
        fetch.receive(ALICE, chunk);
    });
    fetch.tell(Input::SourceJoined(BOB));
    fetch.tell(Input::SourceIsTwin(BOB, ALICE));
    fetch.tell(Input::SourceComplete(BOB));
    let until = fetch.now + Duration::from_millis(1_500);
    assert_eq!(fetch.pass(until), []);
    // An ask that is late is another matter: the first way may be stuck.
    let until = fetch.now + Duration::from_secs(30);
    assert_eq!(fetch.pass(until), [Output::Request(BOB, 8)]);
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
    assert_eq!(fetch.tell(Input::Want(1..9)), [Output::Request(ALICE, 1)]);
    assert_eq!(fetch.receive(ALICE, 1), [Output::Done]);
    // It came and was lost again.
    assert_eq!(fetch.tell(Input::Want(1..2)), [Output::Request(ALICE, 1)]);
    assert_eq!(fetch.receive(ALICE, 1), [Output::Done]);
    assert_eq!(fetch.tell(Input::Want(0..1)), [Output::Request(ALICE, 0)]);
    assert_eq!(
        fetch.tell(Input::Unwanted(0..1)),
        [Output::Cancel(ALICE, 0), Output::Done]
    );
}

#[test]
fn strange_inputs_are_ignored() {
    let mut fetch = Fetch::of(3, Order::RarestFirst);
    fetch.tell(Input::Tick);
    let (source, chunk) = (SourceId(99), u32::MAX);
    let backwards = Range { start: 9, end: 2 };
    for input in [
        Input::SourceGone(source),
        Input::SourceHas(source, ChunkSet::full(1000)),
        Input::SourceGained(source, vec![0..u32::MAX, backwards.clone()]),
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
        Input::Want(5..u32::MAX),
        Input::Unwanted(backwards),
    ] {
        assert_eq!(fetch.tell(input.clone()), [], "{input:?}");
    }
    // The end of time, and back.
    fetch.now = Duration::MAX;
    assert_eq!(requests(&fetch.complete_source(ALICE)).len(), 3);
    fetch.now = Duration::ZERO;
    for chunk in 0..3 {
        fetch.tell(Input::Received {
            source: ALICE,
            chunk,
            bytes: CHUNK,
        });
    }
    assert_eq!(fetch.scheduler.missing(), 0);
}

#[test]
fn who_begins_late_is_not_asked_alone() {
    let mut fetch = Fetch::of(2, Order::Sequential);
    fetch.complete_source(ALICE);
    fetch.receive(ALICE, 0);
    // Alice is late with the other one, so Bob is asked for it too.
    let late = fetch.now + Duration::from_secs(12);
    fetch.pass(late);
    let outputs = fetch.complete_source(BOB);
    assert!(outputs.contains(&Output::Request(BOB, 1)), "{outputs:?}");
    let (source, chunk) = (ALICE, 1);
    let outputs = fetch.tell(Input::Started { source, chunk });
    assert_eq!(outputs, [], "who begins late may also end late");
    assert_eq!(fetch.scheduler.in_flight(), 2);
}

impl Fetch {
    /// Bob answers all that he is asked for, Alice nothing; how much stays missing.
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
fn insurance_is_spent_until_it_is_known_that_nothing_came_twice() {
    // Alice is asked for four chunks of each piece, and four may come twice.
    let piece = |first| Input::Want(first..first + 16);
    let begin = || {
        let mut fetch = Fetch::of(48, Order::Sequential);
        fetch.tell(Input::Unwanted(0..48));
        fetch.complete_source(ALICE);
        fetch.complete_source(BOB);
        let asked = fetch.tell(piece(0));
        assert_eq!(fetch.only_bob_answers(&asked), 0);
        fetch
    };
    let mut fetch = begin();
    let asked = fetch.tell(piece(16));
    assert_eq!(fetch.only_bob_answers(&asked), 4, "Alice may still answer");
    let (_, later) = requests(&asked)
        .into_iter()
        .find(|ask| ask.0 == ALICE)
        .unwrap();
    let asked = fetch.receive(ALICE, later);
    assert_eq!(
        fetch.only_bob_answers(&asked),
        0,
        "her cancels came in time"
    );

    let mut fetch = begin();
    fetch.pass(fetch.now + Duration::from_secs(3));
    let asked = fetch.tell(piece(16));
    assert_eq!(fetch.only_bob_answers(&asked), 0, "nothing came for long");

    let mut fetch = begin();
    fetch.tell(Input::SourceGone(ALICE));
    fetch.complete_source(ALICE);
    let asked = fetch.tell(piece(16));
    assert_eq!(fetch.only_bob_answers(&asked), 0, "her old stream is gone");
}

#[test]
fn what_many_have_is_asked_for_in_runs_and_what_few_have_at_random() {
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
    // A run ends where something is rarer.
    let (last, rarer) = (SourceId(5), 501);
    assert!(asked.iter().flatten().all(|ask| ask.1 != rarer));
    fetch.source_without(SourceId(6), |chunk| chunk == rarer);
    let next = requests(&fetch.receive(last, asked[5][0].1));
    assert_eq!(next.first(), Some(&(last, rarer)));
}
