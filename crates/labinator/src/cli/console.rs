//! `console`: a machine's serial console, from its first byte, and typing into it.

use std::io::{IsTerminal as _, Read as _, Write as _};
use std::time::Duration;

use api::{ConsolePart, TypeAsk, Typed};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::NodeName;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::sync::mpsc;

use super::client::Client;
use super::failure::Failure;
use super::out::{self, Look};

/// Ctrl and `]`: back to the shell.
const ESCAPE: u8 = 0x1d;
/// Pause before a controller that went away is asked again.
const PAUSE: Duration = Duration::from_secs(1);

/// Shows a console until `Ctrl-]` is typed; with `log` shows what is kept and ends.
pub(super) async fn console(client: &Client, node: &NodeName, log: bool, look: Look) -> Result<(), Failure> {
    if log {
        return show_kept(client, node).await;
    }
    let raw = Raw::enter();
    if raw.is_some() && !look.quiet {
        out::complain(&format!("console of {node}; Ctrl-] ends it\r"));
    }
    let (typed, mut keys) = mpsc::channel(16);
    if raw.is_some() {
        // Reading a terminal cannot be broken off: the thread ends with the program.
        std::thread::spawn(move || read_keys(&typed));
    }
    tokio::select! {
        ended = follow(client, node) => ended,
        ended = type_all(client, node, &mut keys), if raw.is_some() => ended,
    }
}

/// What is kept of it, in pieces, and no more.
async fn show_kept(client: &Client, node: &NodeName) -> Result<(), Failure> {
    let mut from = 0;
    loop {
        let part: ConsolePart = client.get(&format!("/v1/nodes/{node}/console?from={from}")).await?;
        if part.bytes.is_empty() {
            return Ok(());
        }
        from = part.next;
        show(&part)?;
    }
}

async fn follow(client: &Client, node: &NodeName) -> Result<(), Failure> {
    let (mut from, mut lost) = (0, None);
    loop {
        let part =
            match client.get::<ConsolePart>(&format!("/v1/nodes/{node}/console?from={from}&wait=true")).await
            {
                Ok(part) => part,
                Err(refused @ Failure::Refused(_)) => return Err(refused),
                // A controller that starts again has the consoles again shortly.
                Err(_) => {
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
        if lost.is_some_and(|before| before != part.lost) || (from != 0 && part.from > from) {
            out::complain("\r\n(some of it was lost)\r");
        }
        (from, lost) = (part.next, Some(part.lost));
        show(&part)?;
    }
}

fn show(part: &ConsolePart) -> Result<(), Failure> {
    let bytes = STANDARD.decode(&part.bytes).map_err(|why| Failure::failed(format!("not base64: {why}")))?;
    let mut to = std::io::stdout().lock();
    to.write_all(&bytes).and_then(|()| to.flush()).map_err(|why| Failure::failed(format!("output: {why}")))
}

fn read_keys(to: &mpsc::Sender<Vec<u8>>) {
    let mut buffer = [0; 1024];
    while let Ok(count) = std::io::stdin().lock().read(&mut buffer) {
        let keys = buffer.get(..count).unwrap_or_default().to_vec();
        if count == 0 || to.blocking_send(keys).is_err() {
            return;
        }
    }
}

async fn type_all(
    client: &Client,
    node: &NodeName,
    keys: &mut mpsc::Receiver<Vec<u8>>,
) -> Result<(), Failure> {
    while let Some(text) = keys.recv().await {
        let end = text.iter().position(|key| *key == ESCAPE);
        let text = text.get(..end.unwrap_or(text.len())).unwrap_or_default();
        if !text.is_empty() {
            let ask = TypeAsk { bytes: STANDARD.encode(text) };
            let _typed: Typed = client.post(&format!("/v1/nodes/{node}/console"), &ask).await?;
        }
        if end.is_some() {
            return Ok(());
        }
    }
    Ok(())
}

/// A terminal that hands on every key as it is pressed, until this is dropped.
struct Raw(Termios);

impl Raw {
    /// `None` where a terminal is missing at either end.
    fn enter() -> Option<Self> {
        if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
            return None;
        }
        let before = tcgetattr(std::io::stdin()).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(std::io::stdin(), OptionalActions::Now, &raw).ok()?;
        Some(Self(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        if let Err(why) = tcsetattr(std::io::stdin(), OptionalActions::Now, &self.0) {
            tracing::debug!("the terminal could not be put back: {why}");
        }
    }
}
