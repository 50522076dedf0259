//! What loaders tell: which iPXE it is, whether that is too old, and the lines that it or our own loader logs in a boot.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use model::{Boot, ClientKind, IpxeView, LogLine, LogSource, MarkKind, OldIpxe};

use crate::lab::Machine;

/// The day on which iPXE stopped waiting for a router that never answers (its commit 6ccd5239b): builds from before
/// that wait 16 s for one, and believe only the last name server that any router named.
const FLOOR: u32 = 20_201_014;
/// That day as people write it.
const FLOOR_DAY: &str = "2020-10-14";
/// The release after it; what carries no date is judged by its number.
const FLOOR_RELEASE: (u32, u32) = (1, 21);

/// iPXE said which one it is.
pub(crate) fn told(machine: &mut Machine, version: &str, features: &[String]) {
    let live = machine.running;
    if let Some(boot) = machine.boot.as_mut().filter(|_| live)
        && !boot.ipxe.starts_with(version)
    {
        boot.ipxe = version.to_owned();
    }
    let rom = machine.live_boot().and_then(|boot| boot.firmware) == Some(ClientKind::Ipxe);
    let view = machine.ipxe.get_or_insert_default();
    // The number alone comes with every DISCOVER and says less than what is known of the same build.
    if !view.version.starts_with(version) {
        view.version = version.to_owned();
    }
    if !features.is_empty() {
        view.features = features.to_vec();
    }
    view.old = old(view, rom);
}

fn old(view: &IpxeView, rom: bool) -> Option<OldIpxe> {
    is_old(&view.version).then(|| OldIpxe {
        why: format!(
            "built before {FLOOR_DAY}: it waits 16 s for an IPv6 router where none answers, and its look-ups fail for good \
             when a router names a name server that does not answer"
        ),
        cure: String::from(if rom {
            "the ROM of its network card: use a newer one (Debian 13 has it in ipxe-qemu), or let its firmware boot by itself"
        } else {
            "the boss serves it: install the package ipxe of Debian 13 or later on the boss"
        }),
    })
}

/// True for a build from before the floor, by the date in its version where it has one. Distributions write
/// `1.0.0+git-20190125.36a4c85-5.1` and `1.21.1+git20250501.dad20602`; a release is `1.21.1`. Nothing told is not old.
fn is_old(version: &str) -> bool {
    if let Some(date) = date(version) {
        return date < FLOOR;
    }
    let mut numbers = version.split(['.', '+', '-', ' ']).map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) < FLOOR_RELEASE,
        _ => false,
    }
}

/// The eight digits behind `git` in a version.
fn date(version: &str) -> Option<u32> {
    let (_, tail) = version.split_once("git")?;
    let digits = tail.trim_start_matches(['-', '+', '.']).get(..8)?;
    let date: u32 = digits.parse().ok()?;
    (20_050_101..21_000_101).contains(&date).then_some(date)
}

/// A line of a log belongs to the boot that goes on, until the machine is ready. Of each source at `most` so many are
/// kept, so that a system that talks does not push out what its loader said.
pub(crate) fn logged(machine: &mut Machine, line: LogLine, most: usize) {
    let Some(boot) = machine.boot.as_mut().filter(|_| machine.running) else { return };
    if boot.marks.iter().any(|mark| matches!(mark.what, MarkKind::Ready)) {
        return;
    }
    let same = |known: &LogLine| known.source == line.source;
    if boot.log.iter().filter(|known| same(known)).count() >= most {
        boot.unrecorded = boot.unrecorded.saturating_add(1);
        // The beginning tells which build it is, the end what went wrong; an error outlives what says less.
        let mut late = boot.log.iter().enumerate().filter(|(_, known)| same(known)).skip(most / 4);
        let oldest = late.clone().next();
        if let Some((at, _)) = late.find(|(_, known)| known.error.is_none()).or(oldest) {
            boot.log.remove(at);
        }
    }
    boot.log.push(line);
}

/// The last error of a boot in its loader's log, and who said it, if it came after everything it did right.
pub(crate) fn complaint(boot: &Boot) -> Option<String> {
    let line = boot.log.iter().rev().find(|line| line.error.is_some())?;
    let took = boot.transfers.iter().filter_map(|transfer| transfer.ended).max();
    let went_on = took.is_some_and(|at| at > line.at);
    let who = match line.source {
        LogSource::Loader => "its loader refused",
        LogSource::Ipxe | LogSource::Talos | LogSource::Host => "its iPXE said",
    };
    line.error.as_deref().filter(|_| !went_on).map(|error| format!("{who}: {error}"))
}

/// What is known of a machine's iPXE, as lines of an explanation.
pub(crate) fn seen(machine: &Machine) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(ipxe) = &machine.ipxe {
        let version = &ipxe.version;
        lines.push(match &ipxe.old {
            Some(old) => format!("iPXE {version}, too old: {}", old.why),
            None => format!("iPXE {version}"),
        });
    }
    if let Some(error) = machine.live_boot().and_then(complaint) {
        lines.push(error);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builds_are_judged_by_their_date_and_releases_by_their_number() {
        for old in
            ["1.0.0+git-20190125.36a4c85-5.1", "1.0.0", "1.20.1", "1.20.1+git20201013.abc", "1.0.0+ (3fe6)"]
        {
            assert!(is_old(old), "{old}");
        }
        for new in [
            "1.21.1",
            "1.21.1+git20250501.dad20602+dfsg-1",
            "2.0.0",
            "1.20.1+git20201014.x",
            "2.0.0+dfsg-5",
            "",
        ] {
            assert!(!is_old(new), "{new}");
        }
        assert!(!is_old("git"), "nothing can be said of it");
    }
}
