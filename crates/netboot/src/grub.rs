//! The boot table as GRUB sees it: a configuration file for each machine.

use std::net::IpAddr;
use std::sync::Arc;

use model::{BootAnswer, MacAddr, ScriptAnswer, Sight};
use wire::grub::{Asked, BootConfig, asked, still_waiting, waiting};

use crate::counter::{Counter, Over};
use crate::script::{asset_url, kernel_line, words_for};

/// Folder of the files, in the root and in `boot`.
pub(crate) const FOLDER: &str = "grub";
/// Seconds after which a machine that is not on the board asks again.
const STRANGER_RETRY: u16 = 15;
/// Seconds after which a machine asks again when the ledger could not take its claim.
const FULL_RETRY: u16 = 5;

/// The file of this name, told to the core. A nonce on its kernel line is synced before this returns. `None` where there
/// is no such file: GRUB goes on to the next name.
pub(crate) async fn answer(
    counter: &Arc<Counter>,
    name: &str,
    (peer, over): (Option<MacAddr>, Over),
) -> Option<String> {
    let board = counter.board()?;
    let boss = board.boss_over(over);
    let asked = asked(name)?;
    let mac = match asked {
        Asked::Mac(mac) => Some(mac),
        Asked::Address(address) => counter.who_has(IpAddr::V4(address)),
        Asked::Own | Asked::Again => peer,
    };
    let wait = |lines: &[&str], seconds| {
        if asked == Asked::Again { still_waiting() } else { waiting(lines, seconds, boss) }
    };
    let Some(entry) = mac.and_then(|mac| board.entry(mac)) else {
        let who = mac.map_or_else(|| "This machine".to_owned(), |mac| format!("This machine, {mac},"));
        if let Some(mac) = mac {
            counter.sights.see(mac, Sight::ScriptAsked { answer: ScriptAnswer::Stranger });
        }
        return Some(wait(&[&format!("{who} is not on the board.")], STRANGER_RETRY));
    };
    let who = format!("This is {} of the lab {}.", entry.node, board.table().lab);
    let words = words_for(counter, entry).await;
    let now = counter.answer_for(entry);
    let (told, text) = match (now.as_ref(), words) {
        // It ends, and the firmware goes on to its next boot entry.
        (BootAnswer::Disk { .. }, _) => (ScriptAnswer::Disk, "exit\n".to_owned()),
        (BootAnswer::Wait { retry_seconds }, _) => {
            (ScriptAnswer::Wait, wait(&[&who, &entry.because], *retry_seconds))
        }
        (BootAnswer::Run { .. }, Err(error)) => {
            let why = format!("The boss cannot write its ledger: {error}.");
            (ScriptAnswer::Wait, wait(&[&who, &why], FULL_RETRY))
        }
        (BootAnswer::Run { image, args }, Ok(words)) => match image.kernel.as_ref() {
            Some(kernel) => {
                let base = counter.base_url_over(&board, over);
                let line = kernel_line(&base, entry, image, args, &words);
                let initrds: Vec<_> = image.initrd.iter().map(|asset| asset_url("", asset)).collect();
                let initrds: Vec<_> = initrds.iter().map(String::as_str).collect();
                let config = BootConfig {
                    title: &format!("{}: {}", entry.node, entry.because),
                    boss,
                    http: counter.serves_http_on_its_port(),
                    kernel: &asset_url("", kernel),
                    args: &line,
                    initrds: &initrds,
                };
                (ScriptAnswer::Boot, config.text())
            }
            None => {
                let why = "Its image has no kernel that GRUB could start.";
                (ScriptAnswer::Wait, wait(&[&who, why], FULL_RETRY))
            }
        },
    };
    counter.sights.see(entry.mac, Sight::ScriptAsked { answer: told });
    Some(text)
}
