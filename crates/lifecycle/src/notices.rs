//! What the counter noticed: one notice of a kind and subject is kept.

use alloc::vec::Vec;

use model::Notice;

use crate::absorb::Touched;
use crate::lab::Lab;

/// The counter noticed something.
pub(crate) fn noticed(lab: &mut Lab, notice: &Notice) -> Touched {
    note(&mut lab.notices, notice);
    Touched::Lab
}

/// Keeps one notice of each kind and subject, the newest last.
fn note(notices: &mut Vec<Notice>, new: &Notice) {
    notices.retain(|old| match (old, new) {
        (Notice::ForeignDhcp { mac: a, .. }, Notice::ForeignDhcp { mac: b, .. })
        | (Notice::OtherController { mac: a, .. }, Notice::OtherController { mac: b, .. })
        | (Notice::ForeignDhcp { mac: a, .. }, Notice::OtherController { mac: b, .. })
        | (Notice::ForeignDhcp6 { mac: a, .. }, Notice::ForeignDhcp6 { mac: b, .. })
        | (Notice::Flooding { mac: a, .. }, Notice::Flooding { mac: b, .. })
        | (Notice::ForeignRouter { mac: a, .. }, Notice::ForeignRouter { mac: b, .. }) => a != b,
        (Notice::LedgerFull { .. }, Notice::LedgerFull { .. } | Notice::LedgerWell)
        | (Notice::ClockStepped { .. }, Notice::ClockStepped { .. })
        | (Notice::Merged { .. }, Notice::Merged { .. }) => false,
        (Notice::Malformed { protocol: a, .. }, Notice::Malformed { protocol: b, .. }) => a != b,
        (Notice::LoaderMissing { arch: a, .. }, Notice::LoaderMissing { arch: b, .. }) => a != b,
        // A server that was heard says more than a machine that named it.
        (
            Notice::ForeignChoice { server: a, .. },
            Notice::ForeignChoice { server: b, .. }
            | Notice::ForeignDhcp { server: b, .. }
            | Notice::OtherController { server: b, .. },
        ) => a != b,
        (
            Notice::ForeignChoice6 { duid: a, .. },
            Notice::ForeignChoice6 { duid: b, .. } | Notice::ForeignDhcp6 { duid: b, .. },
        ) => a != b,
        _ => true,
    });
    if !matches!(new, Notice::LedgerWell) {
        notices.push(new.clone());
    }
}
