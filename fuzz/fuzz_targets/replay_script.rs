//! A script of anybody: what parses survives the way to text and back, and playing it ends.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sim::replay::{Player, Script};

fuzz_target!(|input: (String, Vec<Vec<u8>>)| {
    let (text, answers) = input;
    let Ok(script) = Script::parse(&text) else { return };
    assert_eq!(Script::parse(&script.text()).map(|again| again.asks), Ok(script.asks.clone()));
    let mut player = Player::new(script);
    let mut answers = answers.into_iter();
    let mut now = 0;
    while !player.is_over() {
        player.poll(now);
        if let Some(answer) = answers.next() {
            player.on_frame(&answer);
        }
        now = player.wake_at().unwrap_or(now).max(now + 1);
    }
});
