//! The scene as the original status display takes it.

use drivers::display::Shown;
use wire::display::{Boss, Count, LAMPS, Status};

use super::{Scene, Tone};
use model::{PowerState, Snapshot};

/// What the original status display shows of a scene. Its lamps are the power ports with the numbers 1 to 8 where every
/// machine hangs on one of them, else the first eight machines of the board; a lamp is green where a machine was seen on.
#[must_use]
pub fn shown(scene: &Scene, picture: Option<&Snapshot>) -> Shown {
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let is_host = |bay: &&super::Bay| !bay.guests.is_empty();
    let hosts = || scene.bays.iter().filter(is_host);
    let (ready, wanted) = scene.ready;
    let (done, all) = scene.pods.unwrap_or_default();
    let broken = scene.bays.iter().filter(|bay| bay.tone == Tone::Broken).count();
    let step = match (&scene.stale, scene.cut.is_safe()) {
        (Some(_), _) => "not live".to_owned(),
        (None, true) => "power may be cut".to_owned(),
        (None, false) => scene.doing(),
    };
    let status = Status {
        lab: scene.lab.clone(),
        step,
        hypervisors: Count {
            done: number(hosts().filter(|bay| bay.tone == Tone::Well).count()),
            all: number(hosts().count()),
        },
        nodes: Count { done: number(ready), all: number(wanted) },
        pods: Count { done, all },
        power: picture.map(lamps).unwrap_or_default(),
        errors: number(broken),
        warnings: number(scene.remarks.len().saturating_sub(broken)),
    };
    let boss = if scene.cut.is_safe() { Boss::Shutdown } else { Boss::Ready };
    Shown { status: status.line(), boss }
}

fn lamps(picture: &Snapshot) -> [bool; LAMPS] {
    let bays = || picture.machines.iter().filter(|machine| !machine.is_guest);
    let port = |machine: &model::MachineView| {
        let number: usize = machine.power.port.port.parse().ok()?;
        number.checked_sub(1).filter(|at| *at < LAMPS)
    };
    let mut ports: Vec<_> = bays().map(|machine| port(machine)).collect();
    let by_port = ports.iter().all(Option::is_some);
    ports.sort_unstable();
    ports.dedup();
    let by_port = by_port && ports.len() == bays().count();
    let mut lamps = [false; LAMPS];
    for (at, machine) in bays().enumerate() {
        let at = if by_port { port(machine) } else { Some(at) };
        if let Some(lamp) = at.and_then(|at| lamps.get_mut(at)) {
            *lamp = machine.power.state == PowerState::On;
        }
    }
    lamps
}
