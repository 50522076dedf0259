//! What a machine's Talos says without proof. It is kept for people to see, and nothing here or elsewhere is judged by it:
//! each of these facts is fleeting, and every story is decided again without them.

use alloc::borrow::ToOwned as _;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use model::{LabTime, LogLine, TalosHeard, TalosSaid, TalosStage};

use crate::lab::Machine;
use crate::loader;
use crate::past::Room;

/// Takes in what it said it is doing, if a boot goes on that it can belong to.
pub(crate) fn said(machine: &mut Machine, at: LabTime, said: &TalosSaid) {
    if !machine.running {
        return;
    }
    let known = machine.talos.heard.take().unwrap_or_default();
    let stage_since = if known.said.stage == said.stage { known.stage_since } else { at };
    machine.talos.heard = Some(TalosHeard { said: said.clone(), stage_since, at, line: known.line });
}

/// Takes in a line: of a service, or of its kernel.
pub(crate) fn logged(machine: &mut Machine, mut line: LogLine, service: Option<&str>, room: Room) {
    if !machine.running {
        return;
    }
    if let Some(service) = service {
        line.text = format!("{service}: {}", line.text);
    } else {
        let heard = machine.talos.heard.get_or_insert_default();
        (heard.line, heard.at) = (line.text.clone(), line.at);
    }
    loader::logged(machine, line, room.lines / 2);
}

/// As lines of an explanation.
pub(crate) fn told(heard: &TalosHeard, now: LabTime) -> Vec<String> {
    let TalosHeard { said, stage_since, line, .. } = heard;
    let mut lines = Vec::new();
    if *said != TalosSaid::default() {
        lines.push(format!("it says of itself, without proof: {}", sentence(said, now.since(*stage_since))));
    }
    if let Some(trouble) = &said.trouble {
        lines.push(format!("it says that something went wrong: {trouble}"));
    }
    if !line.is_empty() {
        lines.push(format!("its kernel wrote last: {line}"));
    }
    if said.unread > 0 || said.left_out > 0 {
        lines.push(format!(
            "{} of its events could not be read and {} of its lines were left out",
            said.unread, said.left_out
        ));
    }
    lines
}

/// What it says it is doing, for the bar that grows. Nothing where it said nothing.
pub(crate) fn in_short(heard: &TalosHeard) -> Option<String> {
    let said = &heard.said;
    if said.stage == TalosStage::Unknown && said.phase.is_empty() {
        return None;
    }
    let phase = if said.phase.is_empty() { String::new() } else { format!(", phase {}", said.phase) };
    Some(format!("it says: {}{phase}", said.stage))
}

fn sentence(said: &TalosSaid, age: model::Span) -> String {
    let mut text = format!("{} for {age}", said.stage);
    let doing = match (said.sequence.as_str(), said.phase.as_str()) {
        ("", _) => String::new(),
        (sequence, "") => format!(", in sequence {sequence}"),
        (sequence, phase) => format!(", in phase {phase} of {sequence}"),
    };
    text.push_str(&doing);
    if matches!(said.stage, TalosStage::Booting | TalosStage::Running) {
        let well = match (said.ready, said.unmet.is_empty()) {
            (true, _) => ", ready".to_owned(),
            (false, true) => String::new(),
            (false, false) => format!(", not ready: {}", said.unmet.join("; ")),
        };
        text.push_str(&well);
    }
    text
}
