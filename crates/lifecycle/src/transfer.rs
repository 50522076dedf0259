//! Files on their way to a machine: each transfer with its times, and what each file cost a boot in bytes.

use alloc::borrow::ToOwned as _;

use model::{Boot, Carrier, FILES_KEPT, FileBytes, FileRole, LabTime, Sight, TRANSFERS_KEPT, Transfer};

use crate::lab::Machine;

/// Name of the line that all files after the first [`FILES_KEPT`] share.
const OTHERS: &str = "…";

/// Writes down one sight of a transfer.
pub(crate) fn file(machine: &mut Machine, now: LabTime, sight: &Sight) {
    let Some(boot) = machine.boot.as_mut().filter(|_| machine.running) else { return };
    match sight {
        Sight::FileAsked { role, name, carrier, size } => {
            asked(boot, name, (*role, *carrier), (*size, now));
        }
        Sight::FileAgreed { name, terms } => {
            if let Some(transfer) = open(boot, name) {
                transfer.terms = Some(*terms);
            }
        }
        Sight::FileMoved { name, bytes } => moved(boot, name, *bytes, |_| {}),
        Sight::FileServed { name, bytes, repeats } => {
            moved(boot, name, *bytes, |transfer| {
                transfer.repeats = *repeats;
                transfer.ended = Some(now);
            });
            if let Some(line) = line_of(boot, name) {
                line.whole = line.whole.saturating_add(1);
            }
        }
        Sight::FileBroken { name, bytes, why } => {
            moved(boot, name, *bytes, |transfer| transfer.broken = Some(why.clone()));
        }
        Sight::FileRepeated { name, bytes } => count(boot, name, *bytes),
        Sight::Frame
        | Sight::Discover { .. }
        | Sight::Offer { .. }
        | Sight::Request { .. }
        | Sight::Ack { .. }
        | Sight::Nak
        | Sight::Solicit { .. }
        | Sight::Advertise { .. }
        | Sight::Request6 { .. }
        | Sight::Reply { .. }
        | Sight::RouterAsked { .. }
        | Sight::ScriptAsked { .. }
        | Sight::PacketsSaved { .. }
        | Sight::Deferred { .. }
        | Sight::ConfigAsked { .. }
        | Sight::Done
        | Sight::IpxeTold { .. }
        | Sight::Logged { .. }
        | Sight::LoaderSaid { .. }
        | Sight::Agent { .. }
        | Sight::TalosSaid { .. }
        | Sight::TalosLogged { .. }
        | Sight::AgentClash { .. }
        | Sight::Beat { .. }
        | Sight::Ailing { .. }
        | Sight::WipeGiven { .. }
        | Sight::Guest { .. } => {}
    }
}

fn asked(boot: &mut Boot, name: &str, (role, carrier): (FileRole, Carrier), (size, now): (u64, LabTime)) {
    begun(boot, name, role, size);
    if role == FileRole::Script && repeats_script(boot, name) {
        return asked_again(boot, name, (size, now));
    }
    if boot.transfers.len() >= TRANSFERS_KEPT {
        boot.unrecorded = boot.unrecorded.saturating_add(1);
        boot.transfers.remove(TRANSFERS_KEPT / 2);
    }
    boot.transfers.push(Transfer {
        name: name.to_owned(),
        role,
        carrier,
        asked: now,
        ended: None,
        bytes: 0,
        size,
        repeats: 0,
        broken: None,
        terms: None,
    });
}

fn scripts<'a>(boot: &'a Boot, name: &str) -> impl Iterator<Item = &'a Transfer> {
    boot.transfers.iter().filter(move |t| t.role == FileRole::Script && t.name == name)
}

/// True when this script was asked for twice already: a loader that waits asks for it again and again, and its first
/// and its latest transfer are kept.
pub(crate) fn repeats_script(boot: &Boot, name: &str) -> bool {
    scripts(boot, name).count() >= 2
}

/// True for a file that is such a script, and goes on for the third time or more.
pub(crate) fn is_repeated_script(boot: &Boot, name: &str) -> bool {
    repeats_script(boot, name) && line_at(boot, name).is_some_and(|line| line.begun > 2)
}

/// True when a file other than a script was asked for or ended after this time.
pub(crate) fn touched_since(boot: &Boot, at: LabTime) -> bool {
    let files = boot.transfers.iter().filter(|t| t.role != FileRole::Script);
    files.into_iter().any(|t| t.ended.unwrap_or(t.asked) > at)
}

/// The latest transfer of a script begins anew.
fn asked_again(boot: &mut Boot, name: &str, (size, now): (u64, LabTime)) {
    let latest = boot.transfers.iter_mut().rev().find(|t| t.role == FileRole::Script && t.name == name);
    if let Some(latest) = latest {
        (latest.asked, latest.ended, latest.bytes, latest.size) = (now, None, 0, size);
        (latest.repeats, latest.broken) = (0, None);
    }
}

/// The latest transfer of this file that goes on.
fn open<'a>(boot: &'a mut Boot, name: &str) -> Option<&'a mut Transfer> {
    let open = |t: &&mut Transfer| t.name == name && t.ended.is_none() && t.broken.is_none();
    boot.transfers.iter_mut().rev().find(open)
}

/// So many bytes of a transfer have been sent by now.
fn moved(boot: &mut Boot, name: &str, bytes: u64, change: impl FnOnce(&mut Transfer)) {
    let Some(transfer) = open(boot, name) else { return };
    let more = bytes.saturating_sub(transfer.bytes);
    transfer.bytes = transfer.bytes.max(bytes);
    change(transfer);
    count(boot, name, more);
}

fn begun(boot: &mut Boot, name: &str, role: FileRole, size: u64) {
    if line_of(boot, name).is_none() {
        let shared = boot.files.len() >= FILES_KEPT;
        let (name, role) = if shared { (OTHERS, FileRole::Other) } else { (name, role) };
        boot.files.push(FileBytes { name: name.to_owned(), role, size: 0, begun: 0, whole: 0, sent: 0 });
    }
    if let Some(line) = line_of(boot, name) {
        line.begun = line.begun.saturating_add(1);
        // The same name may stand for another content later; the shared line sums up.
        line.size = if line.name == OTHERS { line.size.saturating_add(size) } else { line.size.max(size) };
    }
}

/// The line of this file.
fn line_at<'a>(boot: &'a Boot, name: &str) -> Option<&'a FileBytes> {
    boot.files.iter().find(|line| line.name == name)
}

/// The line of this file, or the shared one.
fn line_of<'a>(boot: &'a mut Boot, name: &str) -> Option<&'a mut FileBytes> {
    let at = boot.files.iter().position(|line| line.name == name);
    let at = at.or_else(|| boot.files.iter().position(|line| line.name == OTHERS))?;
    boot.files.get_mut(at)
}

fn count(boot: &mut Boot, name: &str, bytes: u64) {
    if let Some(line) = line_of(boot, name) {
        line.sent = line.sent.saturating_add(bytes);
    }
}
