//! `labinator power --device`: one device, no lab file and no controller, as somebody has it on a desk.
#![expect(clippy::unwrap_used, reason = "a test may stop")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sim::buttons::{Cabinet, Doing, Pace, RelayBoard};
use sim::pty::Adapter;

/// Asks, and gives the exit code with all that was said.
fn said(line: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_labinator"));
    command.arg("power").args(line).stdin(Stdio::null()).env("COLUMNS", "100");
    // Nobody is asked but the device.
    command.env("LABINATOR_SOCKET", "/nonexistent/api.sock");
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap(), text)
}

fn doing(adapter: &Adapter<RelayBoard>, at: usize) -> Doing {
    adapter.with(|board, now| {
        board.lives(now);
        board.cabinet(at).unwrap().doing()
    })
}

fn board(name: &str) -> (Adapter<RelayBoard>, PathBuf) {
    let path = Path::new("/dev/shm").join(format!("by-hand-{}-{name}", std::process::id()));
    let board = RelayBoard::new([Cabinet::new(Pace { post: 200, stop: 300 }); 8], 0);
    (Adapter::new(&path, 9600, board), path)
}

#[test]
fn a_button_is_pressed_only_by_who_says_what_is_seen_of_its_machine() {
    let (mut adapter, path) = board("press");
    adapter.plug().unwrap();
    // The firmware presses a button of its own accord when it begins, for a quarter of a second.
    let presses = || adapter.with(|board, now| (board.lives(now), board.wake_at()).1.is_some());
    while presses() {
        std::thread::yield_now();
    }
    let device = format!("relayinator={}", path.display());
    let ask = |line: &[&str]| said(&[line, &["--device", &device]].concat());

    let (code, text) = ask(&["status"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("relay board on /dev/shm/"), "{text}");
    assert_eq!(text.matches("tells that it believes it off").count(), 7, "{text}");
    assert!(text.contains("7  tells that it believes it on"), "the firmware pressed the boss's own: {text}");

    let (code, text) = ask(&["on", "1"]);
    assert_eq!(code, 3, "{text}");
    assert!(text.contains("say `--seen on` or `--seen off`"), "{text}");
    assert_eq!(doing(&adapter, 0), Doing::Off, "nothing was pressed on a guess");
    let (code, text) = ask(&["on", "1", "--seen", "off"]);
    assert_eq!(code, 0, "{text}");
    assert!(matches!(doing(&adapter, 0), Doing::Post(_) | Doing::Runs));
    let (code, text) = ask(&["on", "1", "--seen", "on"]);
    assert_eq!(code, 0, "it is so already: {text}");
    assert_ne!(doing(&adapter, 0), Doing::Off);
    let (code, text) = ask(&["off", "1", "--seen", "on", "--json"]);
    assert_eq!(code, 0, "{text}");
    assert_eq!(doing(&adapter, 0), Doing::Off);
    let seen: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(seen.pointer("/ports/0/port").unwrap(), "1");
    assert_eq!(seen.pointer("/ports/0/reading/sense/on").unwrap(), false, "{text}");

    let (code, text) = ask(&["press", "2"]);
    assert_eq!(code, 0, "{text}");
    assert_ne!(doing(&adapter, 1), Doing::Off);
    let (code, text) = ask(&["press", "3", "--with", "protect=[3]"]);
    assert_eq!((code, doing(&adapter, 2)), (3, Doing::Off), "{text}");
    let (code, text) = ask(&["press", "9"]);
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("its ports are 1 to 8"), "{text}");

    adapter.unplug();
    let (code, text) = ask(&["status", "1"]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("is it plugged in?"), "{text}");
}

#[test]
fn programs_of_the_owner_are_driven_by_their_words_alone() {
    let folder = std::env::temp_dir().join(format!("by-hand-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let mark = folder.join("mark");
    let on = format!("on=[touch, \"{}-{{port}}\"]", mark.display());
    let rest = ["--device", "command", "--with", &on, "--with", "off=[\"false\"]"];
    let (code, text) = said(&[&["on", "left"], &rest[..]].concat());
    assert_eq!(code, 0, "{text}");
    assert!(folder.join("mark-left").is_file());
    let (code, text) = said(&[&["status", "left"], &rest[..]].concat());
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("left  tells nothing"), "{text}");
    let (code, text) = said(&[&["off", "left"], &rest[..]].concat());
    assert_eq!(code, 1, "a program that fails is no success: {text}");
    let (code, text) = said(&[&["status"], &rest[..]].concat());
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("which port?"), "{text}");
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn what_is_typed_wrongly_is_named_as_in_a_lab_file() {
    let (code, text) = said(&["status", "1", "--device", "tasmota=10.0.0.33"]);
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("`10.0.0.33` is not an address"), "{text}");
    let (code, text) = said(&["status", "1", "--device", "tasmata=http://10.0.0.33"]);
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("did you mean `tasmota`?"), "{text}");
}
