//! Which iPXE script a machine is answered: boot this, wait, or "you are not on the board".

use std::fmt::Write as _;
use std::sync::Arc;

use model::{Asset, BootAnswer, BootEntry, Image, MacAddr, ScriptAnswer, Sight};
use wire::ipxe::{BootScript, ScriptError, disk_script, unknown_machine_script, waiting_script};

use crate::board::Board;
use crate::counter::{Counter, Over};
use crate::ledger::{ClaimKey, ClaimKind, LedgerError};
use crate::pull::{self, is_pulled};

/// Seconds after which a machine that is not on the board asks again.
const STRANGER_RETRY: u16 = 15;
/// Seconds after which a machine asks again when the ledger could not take its claim.
const FULL_RETRY: u16 = 5;
/// As long as a real nonce.
const NO_NONCE: &str = "00000000000000000000000000000000";

/// The script for a machine, told to the core. A nonce on its kernel line is synced before this returns.
/// `None` while no boot table was ever published: there is no address to come back to.
pub(crate) async fn answer(counter: &Arc<Counter>, mac: Option<MacAddr>, over: Over) -> Option<String> {
    let board = counter.board()?;
    let Some(mac) = mac else { return Some(who_are_you(counter, &board, over)) };
    let entry = board.entry(mac);
    let words = match entry {
        Some(entry) => words_for(counter, entry).await,
        None => Ok(Words::none()),
    };
    let (told, text) = match words {
        Ok(words) => compose(counter, &board, (mac, over), &words),
        Err(error) => {
            let why = format!("The boss cannot write its ledger: {error}.");
            let again = script_url(counter, &board, mac, over);
            (ScriptAnswer::Wait, waiting_script(&[&why], FULL_RETRY, &again))
        }
    };
    counter.sights.see(mac, Sight::ScriptAsked { answer: told });
    text.map_err(|error| tracing::error!(%mac, "no script for this machine: {error}")).ok()
}

/// One-time words on a kernel line.
#[derive(Debug)]
pub(crate) struct Words {
    /// By which an agent's report is known to belong to this boot.
    nonce: String,
    /// By which Talos fetches its config, where it does.
    pull: Option<String>,
}

impl Words {
    /// Words that open nothing, as long as real ones.
    fn none() -> Self {
        Self { nonce: NO_NONCE.to_owned(), pull: None }
    }
}

/// The words of this machine's boot, synced before this returns; they open nothing where it boots nothing that would
/// tell them.
pub(crate) async fn words_for(counter: &Counter, entry: &BootEntry) -> Result<Words, LedgerError> {
    if !wants_words(counter, entry) {
        return Ok(Words::none());
    }
    let claimed = claim(counter, entry).await;
    counter.note_ledger(&claimed);
    claimed
}

/// The script as it would be, of the same length, without handing anything out.
pub(crate) fn preview(counter: &Counter, mac: Option<MacAddr>, over: Over) -> Option<String> {
    let board = counter.board()?;
    match mac {
        Some(mac) => {
            let pulls = board.entry(mac).is_some_and(is_pulled);
            let words = Words { pull: pulls.then(|| NO_NONCE.to_owned()), ..Words::none() };
            compose(counter, &board, (mac, over), &words).1.ok()
        }
        None => Some(who_are_you(counter, &board, over)),
    }
}

/// For a script that iPXE fetched by itself (`autoexec.ipxe`): old builds come there with their network still closed
/// and without an address, new ones with both.
pub(crate) fn with_network(script: &str, over: Over) -> String {
    let rest = script.strip_prefix("#!ipxe\n").unwrap_or(script);
    match over {
        Over::Four => format!("#!ipxe\nifopen ||\nisset ${{ip}} || dhcp ||\n{rest}"),
        Over::Six => format!("#!ipxe\nifopen ||\nisset ${{ip6}} || ifconf --configurator ipv6 ||\n{rest}"),
    }
}

/// Where a machine's script is.
pub(crate) fn script_url(counter: &Counter, board: &Board, mac: MacAddr, over: Over) -> String {
    format!("{}/boot/{}.ipxe", counter.base_url_over(board, over), dashed(mac))
}

/// An Ethernet address as paths have it.
pub(crate) fn dashed(mac: MacAddr) -> String {
    mac.to_string().replace(':', "-")
}

/// A file name as paths have it.
pub(crate) fn plain_name(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '_' };
    name.chars().map(plain).collect()
}

/// Where a content is.
pub(crate) fn asset_url(base: &str, asset: &Asset) -> String {
    format!("{base}/f/{}/{}", asset.digest, plain_name(&asset.name))
}

/// For one whose address we do not know: it fills in its own name.
fn who_are_you(counter: &Counter, board: &Board, over: Over) -> String {
    let base = counter.base_url_over(board, over);
    format!("#!ipxe\nchain --replace --autofree {base}/boot/${{mac:hexhyp}}.ipxe\n")
}

fn wants_words(counter: &Counter, entry: &BootEntry) -> bool {
    matches!(counter.answer_for(entry).as_ref(), BootAnswer::Run { image, .. } if image.kernel.is_some())
}

async fn claim(counter: &Counter, entry: &BootEntry) -> Result<Words, LedgerError> {
    // Whose agent reported already has started again, which the core may not have seen yet: its new agent has another
    // key, and gets another nonce.
    let started = counter.ledger.last_start(&entry.node, entry.run, entry.boot);
    let again = started.map_or(0, |last| last.saturating_add(1));
    let nonce = counter.ledger.claim(ClaimKey { again, kind: ClaimKind::Nonce, ..pull::key(entry) }).await?;
    Ok(Words { nonce, pull: pull_word(counter, entry).await? })
}

/// The word by which this machine's Talos fetches its config, where it does; synced before this returns.
pub(crate) async fn pull_word(counter: &Counter, entry: &BootEntry) -> Result<Option<String>, LedgerError> {
    if !is_pulled(entry) {
        return Ok(None);
    }
    let claimed = counter.ledger.claim(pull::key(entry)).await;
    counter.note_ledger(&claimed);
    claimed.map(Some)
}

/// The kernel argument that says where Talos fetches its config; always over HTTP.
pub(crate) fn pull_argument(base: &str, word: &str) -> String {
    format!("talos.config={base}/c/{word}")
}

fn compose(
    counter: &Counter,
    board: &Board,
    (mac, over): (MacAddr, Over),
    words: &Words,
) -> (ScriptAnswer, Result<String, ScriptError>) {
    let again = script_url(counter, board, mac, over);
    let Some(entry) = board.entry(mac) else {
        return (ScriptAnswer::Stranger, unknown_machine_script(mac, STRANGER_RETRY, &again));
    };
    let base = counter.base_url_over(board, over);
    let who = format!("This is {} of the lab {}.", entry.node, board.table().lab);
    match counter.answer_for(entry).as_ref() {
        BootAnswer::Disk { how } => (ScriptAnswer::Disk, Ok(disk_script(&[&who, &entry.because], *how))),
        BootAnswer::Wait { retry_seconds } => {
            (ScriptAnswer::Wait, waiting_script(&[&who, &entry.because], *retry_seconds, &again))
        }
        BootAnswer::Run { image, args } => match run(&base, entry, image, args, words) {
            Some(script) => (ScriptAnswer::Boot, script),
            None => {
                let lines = [who.as_str(), "Its image has neither kernel nor UKI."];
                (ScriptAnswer::Wait, waiting_script(&lines, FULL_RETRY, &again))
            }
        },
    }
}

/// The script that boots an image; `None` when there is nothing to boot in it.
fn run(
    base: &str,
    entry: &BootEntry,
    image: &Image,
    args: &str,
    words: &Words,
) -> Option<Result<String, ScriptError>> {
    let title = format!("{}: {}", entry.node, entry.because);
    let Some(kernel) = &image.kernel else {
        // A UKI has its command line inside and takes none from here.
        let kernel = asset_url(base, image.uki.as_ref()?);
        return Some(BootScript { title: &title, kernel: &kernel, args: "", initrds: &[], efi: None }.text());
    };
    let line = kernel_line(base, entry, image, args, words);
    let initrds: Vec<_> = image.initrd.iter().map(|asset| asset_url(base, asset)).collect();
    let initrds: Vec<_> = initrds.iter().map(String::as_str).collect();
    // iPXE's own form of a BIOS program (its `.lkrn` targets) is no EFI program: what is, is booted under UEFI.
    let efi = image.uki.as_ref().filter(|_| kernel.name.ends_with(".lkrn")).map(|uki| asset_url(base, uki));
    let kernel = asset_url(base, kernel);
    let (kernel, efi) = (kernel.as_str(), efi.as_deref());
    Some(BootScript { title: &title, kernel, args: &line, initrds: &initrds, efi }.text())
}

/// A machine's kernel arguments: the image's, its own, and what our agent reads.
pub(crate) fn kernel_line(base: &str, entry: &BootEntry, image: &Image, args: &str, words: &Words) -> String {
    let mut line = String::new();
    for part in [image.args.as_str(), args] {
        if !part.is_empty() {
            line.push_str(part);
            line.push(' ');
        }
    }
    if let Some(word) = &words.pull {
        let _infallible = write!(line, "{} ", pull_argument(base, word));
    }
    let _infallible =
        write!(line, "labinator.boss={base} labinator.node={} labinator.nonce={}", entry.node, words.nonce);
    line
}
