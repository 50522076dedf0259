//! Is a program an agent that works here? It is run once, and shows what it needs to take over.

use std::io::{ErrorKind, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use model::{AGENT_HELLO_PATH, AgentKey, AgentWelcome};
use serde::{Deserialize, Serialize};

use super::handover::FORM;
use crate::channel;
use crate::key::BootKey;

/// The word that asks for it.
pub(crate) const WORD: &str = "check";
/// How long it may take on a machine that is busy with its guests.
const LIMIT: Duration = Duration::from_secs(60);
/// The answer is one short line.
const LONGEST: u64 = 4096;
/// Pauses while the kernel says that somebody still writes the file: a child that was just started holds it for a moment.
const BUSY: (u32, Duration) = (50, Duration::from_millis(100));

/// What a build says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Says {
    version: String,
    /// The newest form of handover that it takes.
    handover: u32,
}

/// What this build can do, as `agent check` prints it.
///
/// # Errors
/// A sentence: something it needs does not work here.
pub(crate) fn own() -> Result<String, String> {
    let key = BootKey::make().map_err(|_| "the kernel gives no randomness".to_owned())?;
    let seal = key.seal(AGENT_HELLO_PATH, "boot", b"body");
    seal.parse::<model::Seal>().map_err(|why| why.to_string())?;
    channel::try_config(&key, AgentKey([0; 32]))?;
    let welcome = r#"{"node":"node1","order":"stay","report_again":false}"#;
    serde_json::from_str::<AgentWelcome>(welcome).map_err(|why| why.to_string())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|why| format!("no task can be run: {why}"))?;
    let says = Says { version: env!("CARGO_PKG_VERSION").to_owned(), handover: FORM };
    serde_json::to_string(&says).map(|line| line + "\n").map_err(|why| why.to_string())
}

/// Runs another build and asks it. Gives the form of handover that it takes. Waits: run it where that is allowed.
///
/// # Errors
/// A sentence for a person.
pub(super) fn other(program: &Path) -> Result<u32, String> {
    let mut child = start(program).map_err(|why| format!("it does not start: {why}"))?;
    let (tell, told) = mpsc::channel();
    let answer = child.stdout.take();
    std::thread::spawn(move || {
        let mut text = String::new();
        let read = answer.map(|answer| answer.take(LONGEST).read_to_string(&mut text));
        // Nobody waits any more when it took too long.
        drop(tell.send(read.is_some_and(|read| read.is_ok()).then_some(text)));
    });
    let text = told.recv_timeout(LIMIT).ok().flatten();
    // Where this is process 1 it is buried elsewhere, so what it said counts and not how it ended.
    drop(child.kill());
    drop(child.wait());
    let text = text.ok_or_else(|| format!("it did not say within {} s what it can do", LIMIT.as_secs()))?;
    let says: Says = serde_json::from_str(text.trim())
        .map_err(|_| "it was run once and did not say what it can do".to_owned())?;
    match says.handover {
        0 => Err("it takes over from nobody".to_owned()),
        form => Ok(form),
    }
}

fn start(program: &Path) -> std::io::Result<Child> {
    let mut tries = 0;
    loop {
        let mut command = Command::new(program);
        command.arg(WORD).env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        match command.spawn() {
            Err(why) if why.kind() == ErrorKind::ExecutableFileBusy && tries < BUSY.0 => {
                tries += 1;
                std::thread::park_timeout(BUSY.1);
            }
            outcome => return outcome,
        }
    }
}
