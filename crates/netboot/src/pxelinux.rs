//! The boot table as PXELINUX, U-Boot and a Raspberry Pi see it: configuration files and paths below them.

use std::net::IpAddr;

use model::{Asset, BootAnswer, BootEntry, Image, MacAddr, ScriptAnswer, Sight};
use wire::pxelinux::{Asked, Config, DeviceTree, asked, disk};

use crate::board::Board;
use crate::counter::{Counter, Over};
use crate::ledger::LedgerError;
use crate::script::{asset_url, dashed, plain_name, pull_argument, pull_word};

/// How the files of a configuration are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Links {
    /// By whole addresses, over the protocol that the machine came with.
    Http(Over),
    /// By paths from the root of the TFTP server, which both programs leave as they are. What is fetched over HTTP later
    /// is fetched over the same protocol.
    Tftp(Over),
}

impl Links {
    const fn over(self) -> Over {
        match self {
            Self::Http(over) | Self::Tftp(over) => over,
        }
    }
}

/// The configuration file a path asks for, told to the core. `None` where there is nothing to boot: both programs
/// go on to their next boot device then, and cannot be told to wait. So do they when the ledger cannot take the word by
/// which Talos fetches its config: without it nobody would ever come for one.
pub(crate) async fn answer(
    counter: &Counter,
    path: &str,
    peer: Option<MacAddr>,
    links: Links,
) -> Option<String> {
    let board = counter.board()?;
    let mac = match asked(path)? {
        Asked::Mac(mac) => Some(mac),
        Asked::Address(address) => counter.who_has(IpAddr::V4(address)),
        Asked::Anyone => peer,
        Asked::Nobody => None,
    }?;
    let entry = board.entry(mac)?;
    let title = format!("{}: {}", entry.node, entry.because);
    let pulled = pulled(counter, &board, entry, links.over()).await;
    let now = counter.answer_for(entry);
    let (told, text) = match (now.as_ref(), pulled) {
        (BootAnswer::Run { image, args }, Ok(pulled)) if image.kernel.is_some() => {
            let line = kernel_line(image, &[args, &pulled]);
            (ScriptAnswer::Boot, Some(config(&title, entry, (image, &line), &base(counter, &board, links))))
        }
        (BootAnswer::Disk { .. }, _) => (ScriptAnswer::Disk, Some(disk(&title))),
        (BootAnswer::Run { .. } | BootAnswer::Wait { .. }, _) => (ScriptAnswer::Wait, None),
    };
    counter.sights.see(mac, Sight::ScriptAsked { answer: told });
    text
}

/// The kernel argument by which this machine's Talos fetches its config; empty where it does not.
async fn pulled(
    counter: &Counter,
    board: &Board,
    entry: &BootEntry,
    over: Over,
) -> Result<String, LedgerError> {
    let word = pull_word(counter, entry).await?;
    Ok(word.map(|word| pull_argument(&counter.base_url_over(board, over), &word)).unwrap_or_default())
}

fn base(counter: &Counter, board: &Board, links: Links) -> String {
    match links {
        Links::Http(over) => counter.base_url_over(board, over),
        Links::Tftp(_) => String::new(),
    }
}

fn config(title: &str, entry: &BootEntry, (image, line): (&Image, &str), base: &str) -> String {
    let kernel = image.kernel.as_ref().map(|kernel| asset_url(base, kernel)).unwrap_or_default();
    let initrds: Vec<String> = image.initrd.iter().map(|asset| asset_url(base, asset)).collect();
    let initrds: Vec<&str> = initrds.iter().map(String::as_str).collect();
    let own = format!("{base}/n/{}/", dashed(entry.mac));
    let mut trees = entry.files.keys().filter(|name| name.ends_with(".dtb"));
    let one = trees.next().map(|name| format!("{own}{name}"));
    let device_tree = match (&one, trees.next()) {
        (None, _) => None,
        (Some(file), None) => Some(DeviceTree::File(file)),
        (Some(_), Some(_)) => Some(DeviceTree::Folder(&own)),
    };
    Config { title, kernel: &kernel, initrds: &initrds, args: line, device_tree }.text()
}

fn kernel_line(image: &Image, more: &[&str]) -> String {
    let all = [image.args.as_str()].into_iter().chain(more.iter().copied());
    all.filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

/// What a TFTP path names besides loaders, scripts and contents.
#[derive(Debug)]
pub(crate) enum View {
    /// A text made for this machine, and its name.
    Text(String, String),
    /// A file of the shelf.
    File(Asset),
}

/// Looks a TFTP path up in the boot table: `n/<mac>/<name>`, `pxelinux.cfg/..`, and the files a Raspberry Pi
/// looks for, in the root or below its serial number or Ethernet address.
pub(crate) async fn find(
    counter: &Counter,
    path: &str,
    (peer, over): (Option<MacAddr>, Over),
) -> Option<View> {
    if asked(path).is_some() {
        let name = path.rsplit('/').next().unwrap_or(path).to_owned();
        return answer(counter, path, peer, Links::Tftp(over)).await.map(|text| View::Text(name, text));
    }
    let board = counter.board()?;
    if let Some(rest) = path.strip_prefix("n/") {
        let (who, name) = rest.split_once('/')?;
        let mac = if who == "me" { peer? } else { who.parse().ok()? };
        return board.entry(mac)?.files.get(name).cloned().map(View::File);
    }
    pi(counter, (&board, over), board.entry(peer?)?, path).await
}

/// The files a Raspberry Pi's boot program asks for, from the scenario's `folder`; `config.txt` and `cmdline.txt`
/// are made where the folder has none. It looks below its serial number (eight hexadecimal digits), below its
/// Ethernet address with `TFTP_PREFIX=2`, or in the root with `TFTP_PREFIX=1` (Raspberry Pi documentation,
/// bootloader configuration).
async fn pi(counter: &Counter, (board, over): (&Board, Over), entry: &BootEntry, path: &str) -> Option<View> {
    let name = match path.split_once('/') {
        Some((first, rest)) if is_serial(first) || first.parse::<MacAddr>().is_ok() => rest,
        Some(_) | None => path,
    };
    // Only an image that brings the boot files of a Raspberry Pi has these paths.
    let has = |name: &str| entry.files.contains_key(name);
    if !has("bootcode.bin") && !has("start4.elf") && !has("start.elf") && !has("config.txt") {
        return None;
    }
    let answer = counter.answer_for(entry);
    let BootAnswer::Run { image, args } = answer.as_ref() else { return None };
    if let Some(asset) = entry.files.get(name) {
        return Some(View::File(asset.clone()));
    }
    let text = |text: String| Some(View::Text(name.to_owned(), text));
    match name {
        "config.txt" => text(pi_config(image)),
        "cmdline.txt" => {
            let pulled = pulled(counter, board, entry, over).await.ok()?;
            text(format!("{}\n", kernel_line(image, &[args, &pulled])))
        }
        name => {
            let files = || image.kernel.iter().chain(&image.initrd);
            files().find(|asset| plain_name(&asset.name) == name).map(|asset| View::File(asset.clone()))
        }
    }
}

fn is_serial(text: &str) -> bool {
    text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Keys of `config.txt` (Raspberry Pi documentation): the kernel, the initramfs behind it, and 64 bits.
fn pi_config(image: &Image) -> String {
    let mut text =
        String::from("# made by labinator; a config.txt in the folder takes its place\narm_64bit=1\n");
    if let Some(kernel) = &image.kernel {
        text.push_str(&format!("kernel={}\n", plain_name(&kernel.name)));
    }
    let initrds: Vec<String> = image.initrd.iter().map(|asset| plain_name(&asset.name)).collect();
    if !initrds.is_empty() {
        text.push_str(&format!("initramfs {} followkernel\n", initrds.join(",")));
    }
    text.push_str("enable_uart=1\n");
    text
}
