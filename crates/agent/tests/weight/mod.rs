//! What the released agent weighs, as a file and in memory, while its guests run and their consoles are read.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use model::GuestState;

use crate::ground::core::Core;
use crate::ground::kernel::KERNEL;
use crate::ground::{Ground, guest};

const LIMIT: Duration = Duration::from_secs(300);
const GUESTS: u8 = 6;
/// What was promised, in KiB.
const FILE: u64 = 6 << 10;
const RESIDENT: u64 = 12 << 10;

/// A line `NAME: N kB` of a file of `/proc`.
fn kib(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
#[ignore = "stage e2e-qemu"]
fn an_agent_with_guests_and_consoles_weighs_what_was_promised() {
    let program = PathBuf::from(std::env::var_os("LABINATOR_AGENT").unwrap());
    let size = fs::metadata(&program).unwrap().len().div_ceil(1024);
    let mut ground = Ground::with_bridge();
    ground.program(&program);
    let core = Core::new(&ground.name);
    ground.told().besides = core.welcome();
    let kernel = ground.serve("kernel", &KERNEL);
    let list: Vec<_> = (1..=GUESTS).map(|number| guest(number, &kernel, "!wait")).collect();
    ground.option(&["--nonce", "word"]);
    ground.wish(&list);
    ground.start();
    ground.until(LIMIT, "all run", |told| {
        let runs = told.seen.iter().filter(|seen| seen.state == GuestState::Running).count();
        (runs == list.len()).then_some(())
    });
    let mut said = 0;
    for wish in &list {
        let first = core.follow(wish.node.as_str());
        assert!(first > 0, "{} has said something", wish.node);
        said += u64::try_from(first).unwrap();
    }
    assert!(core.came() >= said, "consoles are read while the agent is weighed");
    // Health goes along with each fifth heartbeat.
    let beats = ground.told().beats;
    ground.until(LIMIT, "heartbeats", |told| (told.beats >= beats + 6).then_some(()));
    let folder = PathBuf::from(format!("/proc/{}", ground.agent_process()));
    let resident = kib(&fs::read_to_string(folder.join("status")).unwrap(), "VmRSS");
    let own = kib(&fs::read_to_string(folder.join("smaps_rollup")).unwrap(), "Pss");
    println!(
        "agent: {size} KiB as a file, {resident} KiB resident, {own} KiB of them its own, {GUESTS} guests"
    );
    assert!(size <= FILE, "{size} KiB, and {FILE} were promised");
    assert!(resident <= RESIDENT, "{resident} KiB, and {RESIDENT} were promised");
}
