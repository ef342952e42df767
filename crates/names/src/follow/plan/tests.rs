use super::*;

type P = u32;

fn publisher(number: u8) -> PublisherId {
    PublisherId::new([number; 32])
}

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// A plan, and what it decided since it was last read.
struct Scene {
    plan: Plan<P>,
    now: Duration,
}

impl Scene {
    fn following(publishers: impl IntoIterator<Item = u8>) -> Self {
        let mut scene = Self {
            plan: Plan::new(7),
            now: Duration::ZERO,
        };
        let publishers = publishers.into_iter().map(publisher).collect();
        scene.report(Input::Following(publishers));
        scene
    }

    fn report(&mut self, input: Input<P>) {
        self.plan.handle(self.now, input);
    }

    fn outputs(&mut self) -> Vec<Output<P>> {
        std::iter::from_fn(|| self.plan.poll_output()).collect()
    }

    /// Lets time pass, tick by tick; polls and searches end at once and find nothing new.
    fn pass(&mut self, time: Duration) -> Vec<(Duration, Output<P>)> {
        let (end, mut all) = (self.now + time, Vec::new());
        while let Some(wake) = self.plan.wake().filter(|wake| *wake <= end) {
            self.now = wake.max(self.now);
            self.report(Input::Tick);
            for output in self.outputs() {
                match &output {
                    Output::Poll(of, _) => self.report(Input::Polled(*of)),
                    Output::Find(of) => self.report(Input::Searched(*of)),
                    _ => {}
                }
                all.push((self.now, output));
            }
        }
        self.now = end;
        all
    }

    fn found(&mut self, of: u8, holders: impl IntoIterator<Item = P>) -> Vec<Output<P>> {
        let holders = holders.into_iter().collect();
        self.report(Input::Found(publisher(of), holders));
        self.report(Input::Searched(publisher(of)));
        let outputs = self.outputs();
        for output in &outputs {
            if let Output::Poll(of, _) = output {
                self.report(Input::Polled(*of));
            }
        }
        outputs
    }

    fn ended(&mut self, peer: P, of: u8, end: End) -> Vec<Output<P>> {
        self.report(Input::Ended(peer, publisher(of), end));
        self.outputs()
    }
}

#[test]
fn three_holders_are_watched_the_best_first_and_asked_for_all_at_once() {
    let mut scene = Scene::following([1]);
    let one = publisher(1);
    assert_eq!(scene.outputs(), [Output::Find(one)]);
    let outputs = scene.found(1, [10, 11, 12, 13]);
    assert_eq!(
        outputs,
        [
            Output::Watch(10, one),
            Output::Watch(11, one),
            Output::Watch(12, one),
            Output::Poll(one, vec![10, 11, 12])
        ]
    );
    assert_eq!(scene.ended(11, 1, End::Gone), [Output::Watch(13, one)]);
    assert_eq!(scene.plan.watched(one), [10, 12, 13]);
}

#[test]
fn a_holder_that_leaves_is_tried_again_after_waits_that_grow_to_an_hour() {
    let mut scene = Scene::following([1]);
    scene.found(1, [10]);
    let mut waits = Vec::new();
    for _ in 0..9 {
        let left = scene.now;
        scene.ended(10, 1, End::Gone);
        while scene.plan.watched(publisher(1)).is_empty() {
            scene.pass(Duration::from_secs(1));
        }
        waits.push(scene.now - left);
    }
    assert!(waits[0] >= MINUTE.mul_f64(0.75) && waits[0] <= MINUTE.mul_f64(1.3));
    assert!(waits[3] > 4 * waits[0], "{waits:?}");
    assert!(
        waits.iter().all(|wait| *wait <= HOUR.mul_f64(1.25)),
        "{waits:?}"
    );
    // One that stayed for long has not failed.
    scene.now += HOUR;
    scene.ended(10, 1, End::Gone);
    let again = scene.pass(2 * MINUTE);
    assert!(
        again
            .iter()
            .any(|(_, output)| *output == Output::Watch(10, publisher(1)))
    );
}

#[test]
fn a_holder_without_a_place_is_asked_again_after_an_hour_and_a_liar_never() {
    let mut scene = Scene::following([1]);
    scene.found(1, [10, 11]);
    scene.ended(10, 1, End::Refused);
    scene.ended(11, 1, End::Lied);
    let of_half_an_hour = scene.pass(HOUR / 2);
    assert!(
        !of_half_an_hour
            .iter()
            .any(|(_, output)| matches!(output, Output::Watch(..)))
    );
    let later = scene.pass(24 * HOUR);
    let watched: Vec<P> = later
        .iter()
        .filter_map(|(_, output)| match output {
            Output::Watch(peer, _) => Some(*peer),
            _ => None,
        })
        .collect();
    assert_eq!(watched, [10]);
}

#[test]
fn without_a_watch_it_is_polled_each_hour_and_with_one_each_sixth() {
    let polls = |is_watched: bool| {
        let mut scene = Scene::following([1]);
        scene.found(1, [10]);
        if !is_watched {
            scene.ended(10, 1, End::Lied);
            scene.found(1, [11]);
            scene.ended(11, 1, End::Refused);
            // Refused again each time it is tried.
            let mut polls = Vec::new();
            let end = scene.now + 48 * HOUR;
            while scene.now < end {
                for (at, output) in scene.pass(MINUTE) {
                    match output {
                        Output::Poll(..) => polls.push(at),
                        Output::Watch(peer, _) => drop(scene.ended(peer, 1, End::Refused)),
                        _ => {}
                    }
                }
            }
            return polls;
        }
        let outputs = scene.pass(48 * HOUR).into_iter();
        outputs
            .filter(|(_, output)| matches!(output, Output::Poll(..)))
            .map(|(at, _)| at)
            .collect()
    };
    let (without, with) = (polls(false), polls(true));
    assert!((39..=64).contains(&without.len()), "{}", without.len());
    assert!((6..=11).contains(&with.len()), "{}", with.len());
    let gaps: Vec<Duration> = without.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps.windows(2).any(|pair| pair[0] != pair[1]), "jittered");
}

#[test]
fn no_more_than_fifty_peers_are_watched_and_the_rest_is_polled() {
    let mut scene = Scene::following(0..60);
    scene.outputs();
    let mut polled = 0;
    for of in 0..60 {
        let outputs = scene.found(of, [u32::from(of)]);
        polled += outputs
            .iter()
            .filter(|output| matches!(output, Output::Poll(..)))
            .count();
    }
    let watched = |scene: &Scene| {
        (0..60)
            .flat_map(|of| scene.plan.watched(publisher(of)))
            .count()
    };
    assert_eq!((watched(&scene), polled), (PEERS_MAX, 60));
    // A peer that is watched already needs no further connection.
    let shared = scene.found(59, [0]);
    assert_eq!(shared, [Output::Watch(0, publisher(59))]);
    // One that leaves makes room.
    scene.ended(7, 7, End::Gone);
    assert_eq!(scene.plan.watched(publisher(50)), [50]);
}

#[test]
fn what_is_not_followed_any_more_is_not_watched() {
    let mut scene = Scene::following([1, 2]);
    scene.outputs();
    scene.found(1, [10]);
    scene.found(2, [10]);
    scene.report(Input::Following(vec![publisher(2)]));
    assert_eq!(scene.outputs(), [Output::Unwatch(10, publisher(1))]);
    assert_eq!(scene.plan.peers, HashMap::from([(10, 1)]));
    let later = scene.pass(24 * HOUR);
    assert!(later.iter().all(|(_, output)| match output {
        Output::Find(of) | Output::Poll(of, _) | Output::Watch(_, of) | Output::Unwatch(_, of) =>
            *of == publisher(2),
    }));
}

#[test]
fn a_search_that_finds_no_holder_is_repeated_ever_less_often() {
    let mut scene = Scene::following([1]);
    scene.found(1, []);
    let searches: Vec<Duration> = scene
        .pass(24 * HOUR)
        .into_iter()
        .map(|(at, _)| at)
        .collect();
    assert!((20..=40).contains(&searches.len()), "{}", searches.len());
    assert!(searches[0] <= 2 * MINUTE);
}

#[test]
fn a_plan_that_waits_for_nothing_but_answers_does_not_wake() {
    let mut scene = Scene::following([1]);
    assert_eq!(scene.outputs().len(), 1);
    assert_eq!(scene.plan.wake(), None, "the search is running");
}
