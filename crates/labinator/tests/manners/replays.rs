//! Questions of real machines, taken from captures (`labinator boot import --as-test`), asked of the real counter.
//!
//! Every file of `tests/captures` is one: a report from somebody's wire becomes a test by being put there.

use std::path::Path;

use model::MacAddr;
use netboot::Cable;
use sim::replay::{Player, Script};

use crate::bench::{Bench, machine};

/// Plays a script; the questions whose answers lack something, with what they lack.
async fn play(script: Script) -> Vec<String> {
    let mut config = machine(1, sim::Kind::BiosPxe, &[]);
    config.mac = script.mac;
    let bench = Bench::open(vec![config]);
    let mut cable = Cable::new(std::sync::Arc::clone(&bench.counter), MacAddr([2, 0, 0, 0, 1, 0]));
    let mut player = Player::new(script);
    let mut now = 0;
    while !player.is_over() {
        let frames = player.poll(now);
        for frame in &frames {
            for answer in cable.on_frame(frame, now).await {
                player.on_frame(&answer);
            }
        }
        if frames.is_empty() {
            now = player.wake_at().unwrap_or(now).max(now + 1);
        }
    }
    let lacking = player.answered().iter().filter(|answered| !answered.missing().is_empty());
    lacking.map(|a| format!("question {}: {:?} missing in {:?}", a.place + 1, a.missing(), a.got)).collect()
}

#[tokio::test(start_paused = true)]
async fn every_captured_machine_is_answered_as_it_was_or_better() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures");
    let mut played = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|ending| ending != "replay") {
            continue;
        }
        let script = Script::parse(&std::fs::read_to_string(&path).unwrap()).unwrap();
        assert!(
            script.asks.iter().any(|ask| !ask.answer.is_empty()),
            "{}: nothing is wanted",
            path.display()
        );
        let lacking = play(script).await;
        assert!(lacking.is_empty(), "{}: {lacking:#?}", path.display());
        played += 1;
    }
    assert!(played >= 2, "{played} captures");
}

#[tokio::test(start_paused = true)]
async fn a_capture_that_wants_more_than_is_answered_fails() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures");
    let mut script =
        Script::parse(&std::fs::read_to_string(folder.join("ovmf-pxe.replay")).unwrap()).unwrap();
    script.asks[0].answer.push("43.6=3".to_owned());
    let lacking = play(script).await;
    assert_eq!(lacking.len(), 1, "{lacking:?}");
    assert!(lacking[0].starts_with("question 1: [\"43.6=3\"] missing"), "{lacking:?}");
}
