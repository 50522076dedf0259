//! The agent: process 1 of our live images, and the same eyes as a command elsewhere.
//!
//! As process 1 it mounts, loads modules, gets an address, reports what the machine is, and then beats
//! until the boss orders the machine off. Elsewhere `agent inventory --json` prints what it would report, and
//! `agent modules` loads what the devices ask for.

mod allegiance;
mod channel;
mod console;
mod door;
mod guests;
mod init;
mod inventory;
mod kernel_line;
mod key;
mod lease;
mod link;
mod live;
mod loader;
mod park;
mod renew;
mod report;
mod stick;
mod talosd;
mod wipe;

use std::io::Write as _;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::process::ExitCode;

use agent::health::Eye;
use renew::Resumed;

const USAGE: &str = "usage: agent inventory [--json] | agent health | agent modules | agent guests OPTIONS | agent check | agent --version\n";

fn main() -> ExitCode {
    let resumed = Resumed::take();
    let trial = resumed.trial.clone();
    // A panic on trial is caught, and the build before comes back.
    let ended = std::panic::catch_unwind(AssertUnwindSafe(|| run(resumed)));
    if let Some(trial) = trial {
        trial.ended(if ended.is_ok() { "it ended" } else { "it panicked" });
    }
    ended.unwrap_or(ExitCode::FAILURE)
}

fn run(resumed: Resumed) -> ExitCode {
    if std::process::id() == 1 {
        // Coming back is a kernel panic; `panic=` on the kernel line makes it a restart.
        return init::run(resumed).map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS);
    }
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (text, code) = match words.as_slice() {
        ["inventory", "--json"] => (inventory_json(), ExitCode::SUCCESS),
        ["health"] => (health_json(), ExitCode::SUCCESS),
        ["inventory"] => (inventory_text(), ExitCode::SUCCESS),
        ["modules"] => match live::load_for_devices() {
            Ok(()) => (String::new(), ExitCode::SUCCESS),
            Err(why) => (why + "\n", ExitCode::FAILURE),
        },
        ["guests", options @ ..] => match guests::run_alone(options, resumed) {
            Ok(()) => (String::new(), ExitCode::SUCCESS),
            Err(why) => (why + "\n", ExitCode::FAILURE),
        },
        [renew::CHECK_WORD] => match renew::check_own() {
            Ok(line) => (line, ExitCode::SUCCESS),
            Err(why) => (why + "\n", ExitCode::FAILURE),
        },
        ["--version"] => (format!("agent {}\n", env!("CARGO_PKG_VERSION")), ExitCode::SUCCESS),
        _ => (USAGE.to_owned(), ExitCode::from(2)),
    };
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => code,
        Err(_) => ExitCode::FAILURE,
    }
}

fn inventory_json() -> String {
    let mut text = serde_json::to_string_pretty(&inventory::read(Path::new("/"))).unwrap_or_default();
    text.push('\n');
    text
}

/// What a heartbeat would tell. Disks are asked by a thread, and are not waited for.
fn health_json() -> String {
    let mut text = serde_json::to_string_pretty(&Eye::new(Path::new("/")).look()).unwrap_or_default();
    text.push('\n');
    text
}

fn inventory_text() -> String {
    let seen = inventory::read(Path::new("/"));
    let mut lines = vec![
        format!("{} · {} · serial {}", seen.product, seen.firmware, seen.serial),
        format!("{} · {} processors · {} MiB", seen.cpu, seen.cpus, seen.memory_mib),
    ];
    lines.extend(seen.disks.iter().map(|d| format!("{} {} · {} MB", d.name, d.model, d.bytes / 1_000_000)));
    lines.extend(seen.nics.iter().map(|n| format!("{} {} · {}", n.name, n.mac, n.driver)));
    lines.join("\n") + "\n"
}
