//! Files on their way to a machine: each transfer with its times, and what each file cost a boot in bytes.

use alloc::borrow::ToOwned as _;

use model::{Boot, FILES_KEPT, FileBytes, FileRole, LabTime, Sight, TRANSFERS_KEPT, Transfer};

use crate::lab::Machine;

/// Name of the line that all files after the first [`FILES_KEPT`] share.
const OTHERS: &str = "…";

/// Writes down one sight of a transfer.
pub(crate) fn file(machine: &mut Machine, now: LabTime, sight: &Sight) {
    let Some(boot) = machine.boot.as_mut().filter(|_| machine.running) else { return };
    match sight {
        Sight::FileAsked { role, name, carrier, size } => {
            if boot.transfers.len() >= TRANSFERS_KEPT {
                boot.unrecorded = boot.unrecorded.saturating_add(1);
                boot.transfers.remove(TRANSFERS_KEPT / 2);
            }
            boot.transfers.push(Transfer {
                name: name.clone(),
                role: *role,
                carrier: *carrier,
                asked: now,
                ended: None,
                bytes: 0,
                size: *size,
                repeats: 0,
                broken: None,
                terms: None,
            });
            begun(boot, name, *role, *size);
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
        | Sight::Done
        | Sight::IpxeTold { .. }
        | Sight::Logged { .. }
        | Sight::Agent { .. }
        | Sight::Beat { .. } => {}
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
