//! The judge against a world of processes that end whenever they like.

use model::Mebibytes;
use proptest::prelude::*;

use super::super::plan::tests::wish;
use super::*;

const HERE: fn(&GuestWish) -> Have = |_| Have::Here;
const BIG: Capacity = Capacity { total: 64 * 1024, taken: 0 };

fn name() -> NodeName {
    "vm1".parse().unwrap()
}

fn end(cause: GuestCause) -> Ended {
    Ended { end: GuestEnd { cause, evidence: "signal 9".to_owned() }, own_restart: false }
}

fn running(wished: &GuestWish) -> Judge {
    let mut judge = Judge::new(BIG);
    judge.wish(std::slice::from_ref(wished));
    assert_eq!(judge.decide(0, &HERE), [Act::Start(name())]);
    judge.started(&name(), "pid 1".to_owned());
    assert_eq!(judge.decide(0, &HERE), []);
    judge
}

fn state(judge: &Judge) -> (GuestState, u32) {
    let seen = judge.seen(&"hv1".parse().unwrap(), "b1");
    (seen[0].state, seen[0].starts)
}

#[test]
fn a_guest_that_is_lost_comes_back_until_the_budget_is_spent_and_another_order_starts_it_again() {
    let mut wished = wish("vm1");
    let mut judge = running(&wished);
    let mut now = 1000;
    for loss in 1..=5 {
        judge.ended(&name(), end(GuestCause::QemuDied), now);
        let lost = now;
        while judge.decide(now, &HERE).is_empty() {
            assert_eq!(state(&judge).0, GuestState::Starting);
            now = judge.due(now).unwrap();
        }
        assert!(now - lost <= 10_000, "loss {loss} came back after {} ms", now - lost);
        judge.started(&name(), "pid 2".to_owned());
        assert_eq!(state(&judge).1, loss + 1);
    }
    judge.ended(&name(), end(GuestCause::QemuDied), now);
    for later in [now, now + WINDOW_MS, now + 9 * WINDOW_MS] {
        assert_eq!(judge.decide(later, &HERE), []);
        assert_eq!(state(&judge), (GuestState::CrashLooping, 6));
    }
    judge.wish(std::slice::from_ref(&wished));
    assert_eq!(judge.decide(now, &HERE), [], "the same order says nothing new");
    wished.order += 1;
    judge.wish(&[wished]);
    assert_eq!(judge.decide(now, &HERE), [Act::Start(name())]);
}

#[test]
fn losses_far_apart_never_spend_the_budget() {
    let mut judge = running(&wish("vm1"));
    for loss in 1..40_u64 {
        let now = loss * WINDOW_MS / 5;
        judge.ended(&name(), end(GuestCause::PoweredOff), now);
        let back = judge.decide(now, &HERE).len() + judge.decide(now + 8000, &HERE).len();
        assert_eq!(back, 1, "loss {loss}");
        judge.started(&name(), String::new());
    }
}

#[test]
fn what_its_own_system_restarts_is_no_loss_but_one_that_does_nothing_else_is_given_up() {
    let mut judge = running(&wish("vm1"));
    let restart = || Ended { own_restart: true, ..end(GuestCause::PoweredOff) };
    for _ in 0..OWN_RESTARTS {
        judge.ended(&name(), restart(), 5000);
        assert_eq!(judge.decide(5000, &HERE), [Act::Start(name())]);
        judge.started(&name(), String::new());
    }
    let seen = judge.seen(&"hv1".parse().unwrap(), "b1");
    assert_eq!(seen[0].ended.as_ref().unwrap().cause, GuestCause::Ordered);
    let mut now = 6000;
    for _ in 0..=BUDGET {
        judge.ended(&name(), restart(), now);
        now += 10_000;
        drop(judge.decide(now, &HERE));
    }
    assert_eq!(state(&judge).0, GuestState::CrashLooping);
}

#[test]
fn another_definition_is_another_machine_and_another_kernel_line_is_not() {
    let mut wished = wish("vm1");
    let mut judge = running(&wished);
    wished.args = "other".to_owned();
    wished.image = None;
    judge.wish(std::slice::from_ref(&wished));
    assert_eq!(judge.decide(1, &HERE), []);
    wished.spec.memory = Mebibytes(2048);
    judge.wish(std::slice::from_ref(&wished));
    assert_eq!(judge.decide(2, &HERE), [Act::PowerDown(name())]);
    judge.ended(&name(), end(GuestCause::PoweredOff), 3);
    assert_eq!(judge.decide(3, &HERE), [Act::Start(name())]);
    let seen = judge.seen(&"hv1".parse().unwrap(), "b1");
    assert_eq!(seen[0].ended.as_ref().unwrap().cause, GuestCause::Ordered);
}

#[test]
fn a_guest_wished_off_is_asked_then_told_then_killed() {
    let mut wished = wish("vm1");
    let mut judge = running(&wished);
    wished.power = PowerOrder::Off;
    judge.wish(&[wished]);
    assert_eq!(judge.decide(100, &HERE), [Act::PowerDown(name())]);
    assert_eq!(judge.due(100), Some(10_100));
    assert_eq!(judge.decide(10_099, &HERE), []);
    assert_eq!(judge.decide(10_100, &HERE), [Act::Quit(name())]);
    assert_eq!(judge.decide(13_100, &HERE), [Act::Kill(name())]);
    assert_eq!(state(&judge).0, GuestState::Running);
    judge.ended(&name(), end(GuestCause::QemuDied), 13_200);
    assert_eq!(judge.decide(13_200, &HERE), []);
    assert_eq!(state(&judge).0, GuestState::Off);
}

#[test]
fn what_runs_goes_on_while_nobody_says_and_what_is_not_listed_ends() {
    let mut judge = Judge::new(BIG);
    judge.recall(name(), Past { starts: 3, order: 1, ..Past::default() }, Some(definition(&wish("vm1"))));
    judge.wish(&[wish("vm1")]);
    assert_eq!(judge.decide(0, &HERE), []);
    // To the core, one that starts would be one that was off.
    assert_eq!(state(&judge), (GuestState::Running, 3), "before its QEMU answers this agent");
    judge.started(&name(), "pid 7".to_owned());
    assert_eq!(judge.decide(0, &HERE), []);
    assert_eq!(state(&judge), (GuestState::Running, 3));
    judge.wish(&[]);
    assert_eq!(judge.decide(5, &HERE), [Act::PowerDown(name())]);
    judge.ended(&name(), end(GuestCause::PoweredOff), 6);
    assert_eq!(judge.decide(6, &HERE), [Act::Forget(name())]);
    assert_eq!(state(&judge).0, GuestState::Off);
    assert_eq!(judge.decide(6 + TOLD_MS, &HERE), []);
    assert!(judge.seen(&"hv1".parse().unwrap(), "b1").is_empty());
}

#[test]
fn what_it_boots_is_waited_for_and_what_is_bad_is_refused() {
    let mut judge = Judge::new(BIG);
    judge.wish(&[wish("vm1")]);
    let all = [
        (Have::Undecided, GuestState::Fetching),
        (Have::Coming("61 of 95 MB".to_owned()), GuestState::Fetching),
        (Have::Bad("another digest".to_owned()), GuestState::Refused),
        (Have::NoRoom("no room".to_owned()), GuestState::Refused),
    ];
    for (have, wanted) in all {
        assert_eq!(judge.decide(0, &|_| have.clone()), []);
        assert_eq!(state(&judge), (wanted, 0));
    }
    assert_eq!(judge.decide(0, &HERE), [Act::Start(name())]);
}

/// What happens to the one guest of a world.
#[derive(Debug, Clone, Copy)]
enum Turn {
    Wait(u64),
    Lose(bool),
    Power(bool),
    Order,
    Grow,
    List(bool),
    Agent,
}

fn turn() -> impl Strategy<Value = Turn> {
    prop_oneof![
        4 => (0..15_000_u64).prop_map(Turn::Wait),
        4 => any::<bool>().prop_map(Turn::Lose),
        1 => any::<bool>().prop_map(Turn::Power),
        1 => Just(Turn::Order),
        1 => Just(Turn::Grow),
        1 => any::<bool>().prop_map(Turn::List),
        1 => Just(Turn::Agent),
    ]
}

/// A world that carries out what the judge wants. A machine ends when its button is pressed, or only when it is killed.
#[derive(Debug)]
struct World {
    judge: Judge,
    now: u64,
    wished: GuestWish,
    listed: bool,
    qemu: Option<String>,
    deaf: bool,
}

impl World {
    fn act(&mut self) {
        if self.listed {
            self.judge.wish(std::slice::from_ref(&self.wished));
        } else {
            self.judge.wish(&[]);
        }
        loop {
            let acts = self.judge.decide(self.now, &HERE);
            assert!(self.judge.decide(self.now, &HERE).is_empty(), "asked twice it wants something twice");
            if acts.is_empty() {
                return;
            }
            for act in acts {
                match act {
                    Act::Start(_) => {
                        assert!(self.qemu.is_none(), "a second QEMU for the same guest");
                        self.qemu = Some(definition(&self.wished));
                        self.judge.started(&name(), String::new());
                    }
                    Act::PowerDown(_) if self.deaf => {}
                    Act::PowerDown(_) | Act::Quit(_) | Act::Kill(_) => self.lose(GuestCause::PoweredOff),
                    Act::Forget(_) => assert!(self.qemu.is_none(), "the disk of a machine that runs"),
                }
            }
        }
    }

    fn lose(&mut self, cause: GuestCause) {
        if self.qemu.take().is_some() {
            self.judge.ended(&name(), end(cause), self.now);
        }
    }

    fn wait(&mut self, span: u64) {
        let until = self.now + span;
        while let Some(due) = self.judge.due(self.now).filter(|due| *due <= until) {
            self.now = due;
            self.act();
        }
        self.now = until;
        self.act();
    }
}

proptest! {
    #[test]
    fn whatever_happens_there_is_one_qemu_at_most_and_the_wish_comes_true_or_is_given_up(
        turns in prop::collection::vec(turn(), 0..60), deaf: bool
    ) {
        let wished = wish("vm1");
        let mut world = World { judge: Judge::new(BIG), now: 0, wished, listed: true, qemu: None, deaf };
        for turn in turns {
            match turn {
                Turn::Wait(span) => world.wait(span),
                Turn::Lose(true) => world.lose(GuestCause::QemuDied),
                Turn::Lose(false) => world.lose(GuestCause::PoweredOff),
                Turn::Power(on) => world.wished.power = if on { PowerOrder::On } else { PowerOrder::Off },
                Turn::Order => world.wished.order += 1,
                Turn::Grow => world.wished.spec.memory.0 += 1,
                Turn::List(listed) => world.listed = listed,
                Turn::Agent => {
                    // Another agent takes over: it knows the past, and finds QEMU if there is one.
                    let past = world.judge.past(&name()).cloned().unwrap_or_default();
                    world.judge = Judge::new(BIG);
                    world.judge.recall(name(), past, world.qemu.clone());
                    if world.qemu.is_some() {
                        world.judge.started(&name(), String::new());
                    }
                }
            }
            world.act();
        }
        // 13 s until a deaf one is killed, then at most the longest pause.
        world.wait(30_000);
        let on = world.listed && world.wished.power == PowerOrder::On;
        if !on {
            prop_assert_eq!(&world.qemu, &None);
        } else if state(&world.judge).0 == GuestState::CrashLooping {
            prop_assert!(world.judge.past(&name()).unwrap().losses.len() > BUDGET);
        } else {
            prop_assert_eq!(&world.qemu, &Some(definition(&world.wished)));
            prop_assert_eq!(state(&world.judge).0, GuestState::Running);
        }
    }
}

#[test]
fn a_start_that_waits_for_libvirt_is_none_and_one_by_hand_is_followed_by_the_wish() {
    let mut wished = wish("vm1");
    let mut judge = Judge::new(BIG);
    judge.wish(std::slice::from_ref(&wished));
    let away = |_: &GuestWish| Have::Waits("libvirt does not answer".to_owned());
    assert_eq!(judge.decide(0, &away), []);
    assert_eq!(state(&judge), (GuestState::Starting, 0));
    assert_eq!(judge.decide(0, &HERE), [Act::Start(name())]);
    judge.not_started(&name());
    assert_eq!(judge.decide(1, &away), []);
    assert_eq!(state(&judge), (GuestState::Starting, 0));
    assert_eq!(judge.decide(2, &HERE), [Act::Start(name())]);
    judge.started(&name(), "pid 1".to_owned());

    // What libvirt lost is named once its end is known, and an end by another cause keeps its own.
    judge.ended(&name(), end(GuestCause::QemuDied), 1000);
    judge.undefined(&name(), "no such domain");
    let ended = |judge: &Judge| judge.seen(&"hv1".parse().unwrap(), "b1")[0].ended.clone().unwrap();
    assert_eq!(ended(&judge).cause, GuestCause::Undefined);
    assert_eq!(ended(&judge).evidence, "no such domain; signal 9");
    judge.ended(&name(), end(GuestCause::PoweredOff), 2000);
    judge.undefined(&name(), "no such domain");
    assert_eq!(ended(&judge).cause, GuestCause::PoweredOff);

    // Wished off and started by hand: followed by the wish. What it was made of says whether it may stay.
    wished.power = PowerOrder::Off;
    judge.wish(std::slice::from_ref(&wished));
    judge.found(&name(), definition(&wished));
    assert_eq!(judge.decide(3000, &HERE), [Act::PowerDown(name())]);
    judge.ended(&name(), end(GuestCause::QemuDied), 4000);
    wished.power = PowerOrder::On;
    judge.wish(std::slice::from_ref(&wished));
    judge.found(&name(), definition(&wished));
    assert_eq!(judge.decide(5000, &HERE), []);
    judge.found(&name(), "another".to_owned());
    assert_eq!(judge.decide(5000, &HERE), [Act::PowerDown(name())]);
}
