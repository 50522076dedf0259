//! Leaves over days, years and wrong clocks: nothing invalid is served, and what can be well is well within a minute.

use model::{LabTime, Moment, Span, WallTime};
use pki::clock::Floor;
use pki::renewal::{BACKDATE, LIFETIME, LONGEST_PAUSE, Tries, Validity, Verdict, Waiting, Why};
use proptest::prelude::*;

const DAY: u64 = 86_400_000;
const WRITTEN: WallTime = WallTime(20_500 * DAY);
const BEGIN: u64 = 20_783 * DAY;
/// How often a service looks, in milliseconds.
const TICK: u64 = 5_000;

/// A boss with one service: its clocks, what it saw on disk, and whether its authority answers.
struct Boss {
    lab_time: u64,
    wall: u64,
    seen: Option<u64>,
    authority: bool,
    leaf: Option<Validity>,
    tries: Tries,
    made: Vec<Why>,
}

impl Boss {
    fn new() -> Self {
        Self {
            lab_time: 0,
            wall: BEGIN,
            seen: None,
            authority: true,
            leaf: None,
            tries: Tries::default(),
            made: Vec::new(),
        }
    }

    fn now(&self) -> Moment {
        Moment { since_start: LabTime(self.lab_time), wall: WallTime(self.wall) }
    }

    fn floor(&self) -> Floor {
        Floor { written: WRITTEN, seen: self.seen.map(WallTime) }
    }

    /// One look, as a service has it: judged, acted on, judged again.
    fn look(&mut self) -> Verdict {
        let verdict = self.tries.decide(self.now(), &self.floor(), self.leaf.as_ref());
        assert!(!verdict.serves() || self.valid(), "{verdict:?}");
        if let Some(why) = verdict.renewal() {
            if self.authority {
                let end = WallTime(self.wall + LIFETIME.0);
                self.leaf = Some(Validity::issued(WallTime(self.wall), LIFETIME, end, 77));
                self.tries.done();
                self.made.push(why);
            } else {
                self.tries.failed(self.now(), "the disk is gone".to_owned(), 200);
            }
        }
        if self.floor().judge(WallTime(self.wall)).is_ok() {
            self.seen = Some(self.seen.unwrap_or_default().max(self.wall));
        }
        self.tries.decide(self.now(), &self.floor(), self.leaf.as_ref())
    }

    /// Time that passes on both clocks, with looks.
    fn pass(&mut self, span: u64) -> Verdict {
        let mut verdict = self.look();
        for _ in 0..span / TICK {
            self.lab_time += TICK;
            self.wall += TICK;
            verdict = self.look();
        }
        verdict
    }

    fn valid(&self) -> bool {
        self.leaf.is_some_and(|leaf| leaf.not_before.0 <= self.wall && self.wall < leaf.not_after.0)
    }
}

#[test]
fn a_boss_that_was_off_for_days_serves_a_valid_leaf_at_the_first_look_and_says_why() {
    for days in [3, 30, 400, 800] {
        let mut boss = Boss::new();
        assert_eq!(boss.pass(60_000), Verdict::Serve);
        // Off: the wall went on, and the lab's own clock with it as far as it is believed.
        boss.wall += days * DAY;
        boss.lab_time += 1;
        assert!(!boss.valid());
        assert_eq!(boss.look(), Verdict::Serve, "{days}");
        assert!(boss.valid());
        let why = *boss.made.last().unwrap();
        let ago = days * DAY + 60_000 - LIFETIME.0;
        let expected = if days <= 401 { Why::Ended(Span(ago)) } else { Why::LongEnded(Span(ago)) };
        assert_eq!(why, expected, "{days}");
        // And so it is when its process starts anew with nothing in memory.
        (boss.leaf, boss.tries) = (None, Tries::default());
        assert_eq!(boss.look(), Verdict::Serve);
    }
}

#[test]
fn a_leaf_is_renewed_once_two_thirds_are_over_and_never_later_than_they_are() {
    let mut boss = Boss::new();
    boss.pass(5 * DAY);
    assert_eq!(boss.made.first(), Some(&Why::First));
    // 24 h · 2/3 less up to 1.2 h: five days have seven of them, at most eight.
    assert!((8..=9).contains(&boss.made.len()), "{:?}", boss.made);
    assert!(boss.made.iter().skip(1).all(|why| *why == Why::Due), "{:?}", boss.made);
    let of = |dice| {
        Validity::issued(WallTime(BEGIN), LIFETIME, WallTime(BEGIN + LIFETIME.0), dice).renew_at.0 - BEGIN
    };
    assert_eq!(of(0), DAY / 3 * 2);
    assert_eq!(of(255), DAY / 3 * 2 - DAY / 20);
}

#[test]
fn a_clock_of_1970_or_of_last_year_holds_everything_with_its_name_and_a_right_one_ends_that() {
    let mut boss = Boss::new();
    boss.pass(DAY);
    for (wall, code) in [
        (5_000, "clock_before_program"),
        (BEGIN - 30 * DAY, "clock_behind"),
        (BEGIN + 9_000 * DAY, "clock_ahead"),
    ] {
        let right = (boss.wall, boss.made.len());
        boss.wall = wall;
        let verdict = boss.pass(600_000);
        let Verdict::Wait(Waiting::Clock(fault)) = verdict else { panic!("{wall}: {verdict:?}") };
        assert_eq!(fault.code(), code);
        assert_eq!(boss.made.len(), right.1, "nothing is made by a wrong clock");
        assert!(boss.seen.unwrap() <= right.0, "and it is not written down");
        boss.wall = right.0 + 600_000;
        assert_eq!(boss.look(), Verdict::Serve);
    }
}

#[test]
fn a_clock_that_goes_back_by_hours_gets_another_leaf_rather_than_one_that_is_not_valid_yet() {
    let mut boss = Boss::new();
    boss.pass(60_000);
    boss.wall -= BACKDATE.0 + 120_000;
    assert!(!boss.valid());
    assert_eq!(boss.look(), Verdict::Serve);
    assert!(boss.valid());
    assert_eq!(boss.made.last(), Some(&Why::NotYet));
}

#[test]
fn an_authority_that_is_late_is_asked_at_longer_and_longer_pauses_and_never_given_up() {
    let mut boss = Boss::new();
    boss.authority = false;
    let verdict = boss.pass(10 * 60_000);
    assert_eq!(verdict, Verdict::Wait(Waiting::Authority("the disk is gone".to_owned())));
    let patient = boss.tries.clone();
    boss.pass(3 * DAY);
    assert_ne!(boss.tries, patient, "it goes on to try");
    boss.authority = true;
    let mut waited = 0;
    while boss.look() != Verdict::Serve {
        boss.lab_time += TICK;
        boss.wall += TICK;
        waited += TICK;
        assert!(waited <= LONGEST_PAUSE.0 + TICK, "well within one pause");
    }
}

#[test]
fn a_valid_leaf_is_served_on_while_its_authority_is_away() {
    let mut boss = Boss::new();
    boss.pass(60_000);
    boss.authority = false;
    assert_eq!(boss.pass(23 * 3_600_000), Verdict::Serve);
    let verdict = boss.pass(2 * 3_600_000);
    assert!(matches!(verdict, Verdict::Wait(Waiting::Authority(_))), "{verdict:?}");
}

#[test]
fn who_asks_gets_another_leaf_at_once_even_between_tries() {
    let mut boss = Boss::new();
    boss.pass(60_000);
    let before = boss.made.len();
    boss.tries.ask();
    assert_eq!(boss.look(), Verdict::Serve);
    assert_eq!((boss.made.len(), boss.made.last()), (before + 1, Some(&Why::Asked)));
    assert_eq!(boss.pass(60_000), Verdict::Serve);
    assert_eq!(boss.made.len(), before + 1, "once");
}

#[test]
fn who_asks_after_a_try_failed_does_not_wait_for_the_next() {
    let mut boss = Boss::new();
    boss.authority = false;
    boss.look();
    assert!(matches!(boss.look(), Verdict::Wait(Waiting::Authority(_))));
    boss.authority = true;
    boss.tries.ask();
    assert_eq!(boss.look(), Verdict::Serve);
}

#[test]
fn a_leaf_that_ends_with_its_authority_is_renewed_within_its_own_life() {
    let (now, hour) = (WallTime(BEGIN), 3_600_000);
    let leaf = Validity::issued(now, LIFETIME, WallTime(BEGIN + 3 * hour), 0);
    assert_eq!(leaf.renew_at, WallTime(BEGIN + 2 * hour));
}

#[derive(Debug, Clone)]
enum Happening {
    /// Both clocks go on.
    Pass(u64),
    /// The boss is off: the wall goes on, the process starts anew.
    Off(u64),
    /// The date is set by hand.
    Set(i64),
    /// The authority comes or goes.
    Authority(bool),
    Asked,
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        (0..2 * DAY / 4).prop_map(Happening::Pass),
        prop_oneof![Just(3 * DAY), Just(30 * DAY), Just(400 * DAY), 0..500 * DAY].prop_map(Happening::Off),
        (-25_000_i64..25_000).prop_map(|hours| Happening::Set(hours * 3_600_000)),
        any::<bool>().prop_map(Happening::Authority),
        Just(Happening::Asked),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_nothing_invalid_is_served_and_what_can_be_well_is_within_a_minute(
        story in prop::collection::vec(happening(), 1..20),
    ) {
        let mut boss = Boss::new();
        for one in story {
            match one {
                Happening::Pass(span) => {
                    for _ in 0..span / 60_000 / 20 {
                        let verdict = boss.look();
                        prop_assert!(!verdict.serves() || boss.valid());
                        boss.lab_time += 1_200_000;
                        boss.wall += 1_200_000;
                    }
                }
                Happening::Off(span) => {
                    boss.wall += span;
                    (boss.leaf, boss.tries) = (None, Tries::default());
                }
                Happening::Set(by) => boss.wall = boss.wall.saturating_add_signed(by),
                Happening::Authority(there) => boss.authority = there,
                Happening::Asked => boss.tries.ask(),
            }
            let verdict = boss.look();
            let believed = boss.floor().judge(WallTime(boss.wall)).is_ok();
            prop_assert!(!verdict.serves() || (boss.valid() && believed), "{verdict:?}");
            if !believed {
                prop_assert!(matches!(verdict, Verdict::Wait(Waiting::Clock(_))), "{verdict:?}");
            }
            if believed && boss.authority {
                let verdict = boss.pass(LONGEST_PAUSE.0 + TICK);
                prop_assert!(verdict == Verdict::Serve && boss.valid(), "{verdict:?}");
            }
        }
    }
}
