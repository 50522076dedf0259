//! The board alone: what presses, what does not, and what a line full of noise, losses and resets comes to.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn asked(number: u16, ask: Ask) -> Vec<u8> {
    Asked { number, ask }.frame().bytes().to_vec()
}

fn press(number: u16, relay: u8, ms: u16, boot: u32) -> Vec<u8> {
    asked(number, Ask::Press { relay, ms, boot })
}

fn answer(board: &mut Board, bytes: &[u8], now: u64) -> Option<Said> {
    let frames: Vec<Frame> = bytes.iter().filter_map(|byte| board.take(*byte, now)).collect();
    frames.last().map(|frame| Said::read(frame.bytes().strip_suffix(b"\n").unwrap()).unwrap())
}

#[test]
fn it_presses_nothing_when_it_begins_and_says_that_it_does() {
    let mut board = Board::new(0xbeef, 0xff, 5000);
    let greeting = board.greeting(5000);
    let said = Said::read(greeting.bytes().strip_suffix(b"\n").unwrap()).unwrap();
    assert_eq!((said.number, said.boot, said.uptime), (0, 0xbeef, 0));
    for time in 5000..6000 {
        assert_eq!(board.tick(0, time), 0);
    }
}

#[test]
fn a_press_ends_by_the_board_s_own_clock_and_is_done_once_however_often_it_is_told() {
    let mut board = Board::new(1, 0, 0);
    let told = press(7, 3, 250, 1);
    for time in [100, 110, 120] {
        assert_eq!(answer(&mut board, &told, time).unwrap().answer, Ok(()), "told again, answered again");
    }
    assert_eq!((board.tick(0, 349), board.tick(0, 350)), (0b100, 0));
    assert_eq!(answer(&mut board, &told, 400).unwrap().answer, Ok(()));
    assert_eq!(board.tick(0, 401), 0, "told late, and not done again");
    assert_eq!(answer(&mut board, &press(8, 3, 250, 1), 500).unwrap().answer, Ok(()));
    assert_eq!(answer(&mut board, &press(9, 3, 250, 1), 600).unwrap().answer, Err(No::Busy));
    assert_eq!(answer(&mut board, &press(10, 8, 8000, 1), 600).unwrap().answer, Ok(()));
    assert_eq!(board.tick(0, 600), 0b1000_0100);
    // Another asker may have the same number an hour later.
    assert_eq!(answer(&mut board, &told, 3_600_000).unwrap().answer, Ok(()));
    assert_eq!(board.tick(0, 3_600_000), 0b100);
}

#[test]
fn what_was_known_of_another_start_presses_nothing() {
    let mut board = Board::new(2, 0, 0);
    let said = answer(&mut board, &press(7, 3, 250, 1), 10).unwrap();
    assert_eq!((said.answer, said.boot, board.tick(0, 10)), (Err(No::Boot), 2, 0));
    for (relay, ms) in [(0, 250), (9, 250), (3, 19), (3, 8001)] {
        assert_eq!(answer(&mut board, &press(7, relay, ms, 2), 10).unwrap().answer, Err(No::Bounds));
    }
    assert_eq!(board.tick(0, 10), 0);
}

#[test]
fn an_led_that_blinks_is_on_one_that_is_dark_for_long_is_off_and_at_first_nobody_knows() {
    let mut board = Board::new(1, 0b011, 0);
    let senses = |board: &mut Board, now| answer(board, &asked(1, Ask::Status), now).unwrap().sensed;
    board.tick(0b001, 0);
    assert_eq!(senses(&mut board, 10)[..3], [Sense::Lit, Sense::Unknown, Sense::Unwired]);
    for time in 0..5000 {
        board.tick(if time % 1000 < 500 { 0b001 } else { 0 }, time);
        assert_eq!(senses(&mut board, time)[0], Sense::Lit, "{time}");
    }
    assert_eq!(senses(&mut board, 4999)[1], Sense::Dark);
    board.tick(0, 5499);
    assert_eq!(senses(&mut board, 5499)[0], Sense::Dark);
}

#[test]
fn a_line_without_end_is_let_go_and_the_next_one_is_heard() {
    let mut board = Board::new(1, 0, 0);
    assert_eq!(answer(&mut board, &[b'x'; 10_000], 0), None);
    assert_eq!(answer(&mut board, b"\n", 0), None);
    assert!(answer(&mut board, &asked(9, Ask::Status), 0).is_some());
}

/// What may happen on a line.
#[derive(Debug, Clone)]
enum Comes {
    Noise(Vec<u8>),
    /// A press, of which only so many bytes arrive.
    Half(u8, usize),
    /// A press with a number of its own, told so often; answers are lost.
    Press(u8, u16, u8),
    /// The board's supply was away.
    Reset,
    Time(u64),
}

fn comes() -> impl Strategy<Value = Comes> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..80).prop_map(Comes::Noise),
        (1..=8_u8, 0..20_usize).prop_map(|(relay, bytes)| Comes::Half(relay, bytes)),
        (1..=8_u8, 20..=8000_u16, 1..4_u8).prop_map(|(relay, ms, times)| Comes::Press(relay, ms, times)),
        Just(Comes::Reset),
        (0..9000_u64).prop_map(Comes::Time),
    ]
}

proptest! {
    /// Against a model that hears only whole frames: the same relays are closed at every moment, each for as long as it
    /// was told, once.
    #[test]
    fn only_whole_frames_of_this_start_press_and_each_once(course in prop::collection::vec(comes(), 0..40)) {
        let (mut now, mut boot, mut number) = (0_u64, 1_u32, 0_u16);
        let mut board = Board::new(boot, 0xff, now);
        let mut model: BTreeMap<u8, u64> = BTreeMap::new();
        for come in course {
            match come {
                Comes::Noise(bytes) => {
                    for byte in &bytes {
                        prop_assert_eq!(board.take(*byte, now), None, "noise is not answered");
                    }
                    // What noise left behind ends with its line.
                    prop_assert_eq!(board.take(b'\n', now), None);
                }
                Comes::Half(relay, bytes) => {
                    number += 1;
                    let frame = press(number, relay, 250, boot);
                    let some = bytes.min(frame.len() - 2);
                    for byte in frame.iter().take(some).chain(b"\n") {
                        prop_assert_eq!(board.take(*byte, now), None);
                    }
                }
                Comes::Press(relay, ms, times) => {
                    number += 1;
                    let free = model.get(&relay).is_none_or(|until| now >= *until);
                    for _ in 0..times {
                        let said = answer(&mut board, &press(number, relay, ms, boot), now).unwrap();
                        prop_assert_eq!(said.answer, if free { Ok(()) } else { Err(No::Busy) });
                        prop_assert_eq!((said.number, said.boot), (number, boot));
                    }
                    if free {
                        model.insert(relay, now + u64::from(ms));
                    }
                }
                Comes::Reset => {
                    let before = boot;
                    boot += 1;
                    board = Board::new(boot, 0xff, now);
                    model.clear();
                    number += 1;
                    let said = answer(&mut board, &press(number, 1, 250, before), now).unwrap();
                    prop_assert_eq!(said.answer, Err(No::Boot));
                }
                Comes::Time(passed) => now += passed,
            }
            let wanted = model.iter().filter(|(_, until)| now < **until);
            let wanted = wanted.fold(0_u8, |all, (relay, _)| all | 1 << (relay - 1));
            prop_assert_eq!(board.tick(0, now), wanted);
        }
    }
}
