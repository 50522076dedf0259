//! Simulated Talos in the agent's place: where the image carries it and the kernel line is one of Talos.
//!
//! The agent stays process 1: it mounts, loads modules and keeps the lease. It reports nothing: what runs here is no
//! agent, as on a machine with genuine Talos.

use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::console::Console;
use crate::kernel_line::KernelLine;
use crate::lease::Held;

/// Where the image builder puts it.
const PROGRAM: &str = "/bin/talosd";
/// Its exit code when it wants the machine to start again.
const AGAIN: i32 = 3;
/// Pause after it could not be started.
const PAUSE: Duration = Duration::from_secs(5);

/// What shall become of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It is switched off.
    Off,
    /// It starts again.
    Again,
}

/// True where simulated Talos shall run.
pub(crate) fn wanted(line: &KernelLine) -> bool {
    line.talos && Path::new(PROGRAM).exists()
}

/// Runs it with whatever address there is, and anew with another one.
pub(crate) async fn run(
    console: &Console,
    line: &KernelLine,
    held: &mut watch::Receiver<Option<Held>>,
) -> End {
    loop {
        let Ok(now) = held.wait_for(Option::is_some).await.map(|held| held.clone()) else { return End::Off };
        let Some(now) = now else { continue };
        held.mark_unchanged();
        let Some(mut child) = start(console, line, &now) else {
            sleep(PAUSE).await;
            continue;
        };
        tokio::select! {
            ended = child.wait() => return ended.map_or(End::Again, |status| end(console, status)),
            _ = held.changed() => {
                // It is bound to an address that is no more.
                drop(child.kill().await);
            }
        }
    }
}

fn start(console: &Console, line: &KernelLine, held: &Held) -> Option<Child> {
    let boss = line.boss.or(held.boss).map(|boss| boss.ip());
    let Some(resolver) = held.resolver.or(boss) else {
        console.say("simulated Talos needs a name server, and DHCP names none");
        return None;
    };
    let mut command = Command::new(PROGRAM);
    command.arg(held.address.to_string()).arg(resolver.to_string()).kill_on_drop(true);
    command.spawn().map_err(|why| console.say(&format!("{PROGRAM}: {why}"))).ok()
}

fn end(console: &Console, status: ExitStatus) -> End {
    match status.code() {
        Some(0) => End::Off,
        Some(AGAIN) => End::Again,
        _ => {
            console.say(&format!("simulated Talos ended: {status}"));
            End::Again
        }
    }
}
