//! What `labinator doctor --fix` changes on this machine: each change is told with the line that undoes it, until the
//! next start of the machine.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use agent::cores::{Hog, Port, Reading, hogs, quietest};
use agent::health::tables::{list_of, mask_of};

/// What the sockets of a boot and the rounds that fill them need at least, in the units of `sysctl`. A rack of machines
/// that asks in one second fits.
const ROOM: [(&str, u64); 5] = [
    ("net.core.rmem_max", 8 << 20),
    ("net.core.rmem_default", 1 << 20),
    ("net.core.netdev_max_backlog", 4000),
    ("net.core.netdev_budget", 600),
    ("net.core.netdev_budget_usecs", 8000),
];

/// Something that was changed.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Change {
    /// What, from what to what.
    pub what: String,
    /// The command that undoes it.
    pub undo: String,
}

/// Why nothing could be changed.
#[derive(Debug, thiserror::Error)]
pub enum FixError {
    /// Only root may.
    #[error("changing {path} needs root")]
    Forbidden {
        /// The file of the kernel.
        path: PathBuf,
    },
    /// The kernel did not take it.
    #[error("{path} cannot be changed: {source}")]
    Refused {
        /// The file of the kernel.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The machine has nothing to move the frames to.
    #[error("{name} (process {process}) spins on processor {cpu}, and there is no other to take the frames")]
    NoOther {
        /// The program.
        name: String,
        /// Its process.
        process: u32,
        /// The processor.
        cpu: u32,
    },
}

impl FixError {
    /// A stable word for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Forbidden { .. } => "fix_needs_root",
            Self::Refused { .. } => "fix_refused",
            Self::NoOther { .. } => "fix_no_processor",
        }
    }

    /// What a person can do about it.
    #[must_use]
    pub fn advice(&self) -> String {
        match self {
            Self::Forbidden { .. } => "run it with `sudo`".to_owned(),
            Self::Refused { .. } => {
                "some drivers place their interrupts themselves; `renice` the program".to_owned()
            }
            Self::NoOther { process, .. } => format!("renice -n 19 -p {process}"),
        }
    }
}

/// Gives the sockets and the rounds of the kernel more room. What has more already is left as it is.
///
/// # Errors
/// [`FixError`]; what was changed before it stays.
pub fn sockets(root: &Path) -> Result<Vec<Change>, FixError> {
    let mut changes = Vec::new();
    for (name, least) in ROOM {
        let path = root.join("proc/sys").join(name.replace('.', "/"));
        // A kernel without it needs none.
        let Some(old) = fs::read_to_string(&path).ok().and_then(|text| text.trim().parse::<u64>().ok())
        else {
            continue;
        };
        if old < least {
            write(&path, &least.to_string())?;
            let undo = format!("sysctl -w {name}={old}");
            changes.push(Change { what: format!("{name}: {old} → {least}"), undo });
        }
    }
    Ok(changes)
}

/// Takes the frames of a port away from processors on which a program spins: its interrupts move to the processor that
/// is least busy; frames of a port without any, or whose driver places them itself, are steered to the others. A port
/// beside which nothing spins is left as it is.
///
/// # Errors
/// [`FixError`]; what was changed before it stays.
pub fn irq(root: &Path, port: &Port, readings: &[Reading]) -> Result<Vec<Change>, FixError> {
    let found = hogs(readings, port, true);
    let Some(worst) = found.first() else { return Ok(Vec::new()) };
    let hogged: BTreeSet<u32> = found.iter().map(|hog| hog.cpu).collect();
    let Some(free) = quietest(readings, &hogged) else { return Err(no_other(worst)) };
    let mut changes = Vec::new();
    for irq in found.iter().flat_map(|hog| &hog.irqs).collect::<BTreeSet<_>>() {
        let path = root.join(format!("proc/irq/{irq}/smp_affinity_list"));
        let old = fs::read_to_string(&path).unwrap_or_default().trim().to_owned();
        match write(&path, &free.to_string()) {
            Ok(()) => changes.push(Change {
                what: format!("IRQ {irq} of {}: processor {old} → {free}", port.name),
                undo: format!("echo {old} > {}", path.display()),
            }),
            Err(error @ FixError::Forbidden { .. }) => return Err(error),
            // Drivers that place their interrupts themselves say EIO: its frames are steered, then.
            Err(_) => changes.clear(),
        }
    }
    if changes.is_empty() { steer(root, port, readings, &hogged) } else { Ok(changes) }
}

fn no_other(hog: &Hog) -> FixError {
    FixError::NoOther { name: hog.name.clone(), process: hog.process, cpu: hog.cpu }
}

fn steer(
    root: &Path,
    port: &Port,
    readings: &[Reading],
    hogged: &BTreeSet<u32>,
) -> Result<Vec<Change>, FixError> {
    let online = readings.last().map(|last| last.softnet.as_slice()).unwrap_or_default();
    let free: Vec<u32> = online.iter().map(|line| line.cpu).filter(|cpu| !hogged.contains(cpu)).collect();
    let mut changes = Vec::new();
    for queue in &port.queues {
        let path = root.join("sys/class/net").join(queue).join("rps_cpus");
        let old = fs::read_to_string(&path).unwrap_or_default().trim().to_owned();
        write(&path, &mask_of(&free))?;
        changes.push(Change {
            what: format!("frames of {queue}: steered to processor {}", list_of(&free)),
            undo: format!("echo {old} > {}", path.display()),
        });
    }
    Ok(changes)
}

fn write(path: &Path, text: &str) -> Result<(), FixError> {
    fs::write(path, text).map_err(|source| match source.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            FixError::Forbidden { path: path.to_owned() }
        }
        _ => FixError::Refused { path: path.to_owned(), source },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use agent::cores::Thread;
    use agent::health::tables::SoftnetLine;
    use std::collections::BTreeMap;
    use std::time::{Duration, Instant};

    fn tree(name: &str, files: &[(&str, &str)]) -> PathBuf {
        let root = std::env::temp_dir().join(format!("doctor-fix-{name}-{}", std::process::id()));
        drop(fs::remove_dir_all(&root));
        for (path, text) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    /// A second in which `labwatch` spins on processor 1, of two.
    fn readings() -> Vec<Reading> {
        let start = Instant::now();
        let at = |part: u64| Reading {
            at: start + Duration::from_secs(part),
            softnet: (0..2)
                .map(|cpu| SoftnetLine { cpu, processed: part * 100, ..SoftnetLine::default() })
                .collect(),
            interrupts: Vec::new(),
            threads: BTreeMap::from([(
                71,
                Thread { name: "labwatch".to_owned(), process: 71, cpu: 1, ticks: part * 99 },
            )]),
        };
        vec![at(0), at(1)]
    }

    fn port() -> Port {
        let (name, queues) = ("enp1s0".to_owned(), vec!["enp1s0/queues/rx-0".to_owned()]);
        Port { name, queues, irqs: BTreeMap::from([(125, vec![1])]), ..Port::default() }
    }

    #[test]
    fn interrupts_move_away_from_the_hog_and_back_by_the_undo_line() {
        let file = "proc/irq/125/smp_affinity_list";
        let root = tree("irq", &[(file, "0-1\n")]);
        let changes = irq(&root, &port(), &readings()).unwrap();
        assert_eq!(fs::read_to_string(root.join(file)).unwrap(), "0");
        let [change] = changes.as_slice() else { panic!("{changes:?}") };
        assert_eq!(change.what, "IRQ 125 of enp1s0: processor 0-1 → 0");
        let undone = std::process::Command::new("sh").args(["-c", &change.undo]).status().unwrap();
        assert!(undone.success());
        assert_eq!(fs::read_to_string(root.join(file)).unwrap(), "0-1\n");
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn frames_of_a_port_without_interrupts_are_steered_to_the_others() {
        let file = "sys/class/net/enp1s0/queues/rx-0/rps_cpus";
        let root = tree("rps", &[(file, "0\n")]);
        let without = Port { irqs: BTreeMap::new(), ..port() };
        let changes = irq(&root, &without, &readings()).unwrap();
        assert_eq!(fs::read_to_string(root.join(file)).unwrap(), "00000001");
        assert!(changes[0].undo.starts_with("echo 0 > "), "{changes:?}");
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn nothing_is_changed_beside_which_nothing_spins() {
        let root = tree("calm", &[("proc/irq/125/smp_affinity_list", "1\n")]);
        let mut calm = readings();
        calm[1].threads.clear();
        assert_eq!(irq(&root, &port(), &calm).unwrap(), []);
        assert_eq!(fs::read_to_string(root.join("proc/irq/125/smp_affinity_list")).unwrap(), "1\n");
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn a_machine_with_one_processor_is_told_to_renice() {
        let mut one = readings();
        one.iter_mut().for_each(|reading| reading.softnet.retain(|line| line.cpu == 1));
        let error = irq(Path::new("/nonexistent"), &port(), &one).unwrap_err();
        assert_eq!((error.code(), error.advice().as_str()), ("fix_no_processor", "renice -n 19 -p 71"));
    }

    #[test]
    fn a_kernel_that_does_not_take_it_is_quoted() {
        // A folder where a file should be: the kernel of the test refuses to write there.
        let root = tree(
            "refused",
            &[("proc/sys/net/core/rmem_max", "212992\n"), ("proc/irq/125/smp_affinity_list/x", "")],
        );
        let without = Port { queues: vec!["enp1s0/queues/rx-0".to_owned()], ..port() };
        let error = irq(&root, &without, &readings()).unwrap_err();
        assert_eq!(error.code(), "fix_refused");
        assert!(error.to_string().contains("rps_cpus"), "steering was tried next: {error}");
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn room_is_made_where_there_is_less_and_left_where_there_is_more() {
        let (little, much) = ("proc/sys/net/core/rmem_max", "proc/sys/net/core/netdev_budget");
        let root = tree("sockets", &[(little, "212992\n"), (much, "5000\n")]);
        let changes = sockets(&root).unwrap();
        let what = "net.core.rmem_max: 212992 → 8388608".to_owned();
        assert_eq!(changes, [Change { what, undo: "sysctl -w net.core.rmem_max=212992".to_owned() }]);
        assert_eq!(fs::read_to_string(root.join(much)).unwrap(), "5000\n");
        assert_eq!(sockets(&root).unwrap(), [], "and once is enough");
        fs::remove_dir_all(&root).unwrap();
    }
}
