//! `boot import`: a capture from any wire, as boot traces, or as tests.

use std::path::Path;

use model::MacAddr;
use wire::capture::CaptureError;

use super::failure::Failure;
use super::out::{self, Look};
use super::render::render_trace;
use crate::import::{Import, import as read};

impl From<CaptureError> for Failure {
    fn from(error: CaptureError) -> Self {
        Self::with_advice(error.to_string(), error.advice())
    }
}

/// Reads a capture and shows its boots; with a folder, writes what each machine asked there.
pub(super) fn import(
    file: &Path,
    mac: Option<MacAddr>,
    as_test: Option<&Path>,
    (json, look): (bool, Look),
) -> Result<(), Failure> {
    let named = |why: &dyn std::fmt::Display| format!("{}: {why}", file.display());
    let bytes = std::fs::read(file).map_err(|why| Failure::failed(named(&why)))?;
    let mut found = read(&bytes).map_err(|why| Failure::with_advice(named(&why), why.advice()))?;
    found.boots.retain(|(of, _)| mac.is_none_or(|only| only == *of));
    if let Some(fault) = found.fault {
        out::complain(&format!("{}\n{}", named(&fault), fault.advice()));
    }
    if let Some(folder) = as_test {
        for (name, text) in crate::import::tests_of(&bytes, &file.display().to_string(), mac)? {
            let path = folder.join(name);
            std::fs::create_dir_all(folder)
                .and_then(|()| std::fs::write(&path, text))
                .map_err(|why| Failure::failed(format!("{}: {why}", path.display())))?;
            if !look.quiet {
                out::line(&path.display().to_string())?;
            }
        }
        return Ok(());
    }
    if found.boots.is_empty() {
        let why = format!("{}: {} frames, and no machine that boots", file.display(), found.frames);
        let advice =
            "capture on the boss's side: `tcpdump -i IF -w FILE`, and switch the machine on meanwhile";
        return Err(Failure::with_advice(why, advice));
    }
    for (_, trace) in &found.boots {
        if json {
            out::json(trace, false)?;
        } else {
            out::line(&render_trace(trace, look.width, look.color))?;
        }
    }
    if json || look.quiet { Ok(()) } else { out::line(&summary(&found)) }
}

fn summary(found: &Import) -> String {
    let mut words = vec![format!("{} frames", found.frames)];
    let mut some = |count: u64, what: &str| {
        if count > 0 {
            words.push(format!("{count} {what}"));
        }
    };
    some(found.cut, "of them cut after their head");
    some(found.strange, "of them not Ethernet");
    some(u64::try_from(found.left_out).unwrap_or(u64::MAX), "machines left out");
    words.join(", ")
}
