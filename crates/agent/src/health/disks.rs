//! What disks say of themselves, by `smartctl` or `nvme` where an image has one. A disk may take seconds to answer, and
//! one that is broken minutes: a thread asks, and whoever wants to know gets what was told last.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use model::{DiskHealth, HEALTH_EACH};
use serde_json::Value;

use super::entries;

/// How often disks are asked.
const EVERY: Duration = Duration::from_secs(600);
/// Disks asked at most.
const DISKS: usize = 64;
/// Longest answer of a program, in bytes.
const LONGEST: u64 = 1 << 20;
/// Where the programs lie; process 1 of an image has no search path.
const FOLDERS: [&str; 3] = ["usr/sbin", "usr/bin", "sbin"];
/// Block devices that a disk stands behind.
const KINDS: [&str; 4] = ["sd", "nvme", "hd", "mmcblk"];

/// Attributes of ATA disks (by use; the standard leaves them to the maker): sectors replaced, and waiting for it.
const REPLACED: u64 = 5;
const WAITING: u64 = 197;

/// Asks disks now and then.
#[derive(Debug)]
pub(super) struct Disks {
    root: PathBuf,
    asked: Option<Instant>,
    told: Arc<Mutex<Told>>,
}

#[derive(Debug, Default)]
struct Told {
    disks: Vec<DiskHealth>,
    busy: bool,
}

impl Disks {
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), asked: None, told: Arc::default() }
    }

    /// What was told last: those that fail first.
    pub(super) fn told(&self) -> Vec<DiskHealth> {
        let mut disks = self.told.lock().unwrap_or_else(PoisonError::into_inner).disks.clone();
        disks.sort_by_key(|disk| (!disk.failing, disk.bad_sectors.is_none_or(|bad| bad == 0)));
        disks.truncate(HEALTH_EACH);
        disks
    }

    /// Has the disks asked, if it is time and nobody is at it.
    pub(super) fn refresh(&mut self, now: Instant) {
        if self.asked.is_some_and(|asked| now.saturating_duration_since(asked) < EVERY) {
            return;
        }
        self.asked = Some(now);
        let Some(program) = Program::find(&self.root) else { return };
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::replace(&mut told.busy, true) {
            return;
        }
        drop(told);
        let (root, told) = (self.root.clone(), Arc::clone(&self.told));
        let asking = move || {
            let names = names(&root);
            let new: Vec<DiskHealth> = names.iter().filter_map(|name| program.ask(name)).collect();
            let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
            // A disk that sleeps is left asleep, and stays as it was.
            let mut kept = std::mem::take(&mut told.disks);
            kept.retain(|old| names.contains(&old.name) && new.iter().all(|disk| disk.name != old.name));
            *told = Told { disks: new.into_iter().chain(kept).collect(), busy: false };
        };
        if thread::Builder::new().name("disks".to_owned()).spawn(asking).is_err() {
            // Next time, then.
            self.told.lock().unwrap_or_else(PoisonError::into_inner).busy = false;
        }
    }
}

fn names(root: &Path) -> Vec<String> {
    let named = entries(&root.join("sys/block")).into_iter().map(|(name, _)| name);
    let disks = named.filter(|name| KINDS.iter().any(|kind| name.starts_with(kind)));
    // Boot partitions of an eMMC are no disks of their own.
    disks.filter(|name| !name.contains("boot") && !name.contains("rpmb")).take(DISKS).collect()
}

/// Who asks disks.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Program {
    Smartctl(PathBuf),
    Nvme(PathBuf),
}

impl Program {
    fn find(root: &Path) -> Option<Self> {
        let find = |name: &str| FOLDERS.iter().map(|f| root.join(f).join(name)).find(|path| path.exists());
        find("smartctl").map(Self::Smartctl).or_else(|| find("nvme").map(Self::Nvme))
    }

    /// Asks one disk. `None` where it does not tell, as virtual ones do not.
    fn ask(&self, name: &str) -> Option<DiskHealth> {
        let device = format!("/dev/{name}");
        match self {
            // Its exit status is a set of bits about the disk; what counts is what it printed.
            Self::Smartctl(path) => {
                by_smartctl(name, &run(path, &["--json=c", "-n", "standby", "-H", "-A", &device])?)
            }
            Self::Nvme(path) if name.starts_with("nvme") => {
                by_nvme(name, &run(path, &["smart-log", "-o", "json", &device])?)
            }
            Self::Nvme(_) => None,
        }
    }
}

/// Runs a program to its end. Process 1 may bury the child before it is waited for here, so only its output counts.
fn run(path: &Path, words: &[&str]) -> Option<Vec<u8>> {
    let mut command = Command::new(path);
    command.args(words).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().ok()?;
    let mut text = Vec::new();
    let read = child.stdout.take()?.take(LONGEST).read_to_end(&mut text);
    drop(child.wait());
    read.ok().map(|_| text)
}

fn number(value: &Value, path: &[&str]) -> Option<u64> {
    path.iter().try_fold(value, |value, name| value.get(name))?.as_u64()
}

/// Reads `smartctl --json -H -A` (smartmontools since 7.0). `None` where the disk did not say how it is.
fn by_smartctl(name: &str, text: &[u8]) -> Option<DiskHealth> {
    let told: Value = serde_json::from_slice(text).ok()?;
    let passed = told.get("smart_status")?.get("passed")?.as_bool()?;
    let attributes =
        told.get("ata_smart_attributes").and_then(|all| all.get("table")).and_then(Value::as_array);
    let raw = |wanted: u64| {
        let found = attributes?.iter().find(|one| number(one, &["id"]) == Some(wanted))?;
        number(found, &["raw", "value"])
    };
    let nvme = told.get("nvme_smart_health_information_log").unwrap_or(&Value::Null);
    let bad_sectors = match (raw(REPLACED), raw(WAITING)) {
        (None, None) => number(nvme, &["media_errors"]),
        (replaced, waiting) => Some(replaced.unwrap_or(0).saturating_add(waiting.unwrap_or(0))),
    };
    let failed: Vec<&str> = attributes
        .into_iter()
        .flatten()
        .filter(|one| one.get("when_failed").and_then(Value::as_str) == Some("now"))
        .filter_map(|one| one.get("name")?.as_str())
        .collect();
    let warning = number(nvme, &["critical_warning"]).unwrap_or(0);
    let used =
        number(nvme, &["percentage_used"]).or_else(|| number(&told, &["endurance_used", "current_percent"]));
    Some(disk(
        name,
        !passed || warning != 0,
        why(warning, &failed, passed),
        bad_sectors,
        Rest {
            used,
            celsius: number(&told, &["temperature", "current"]),
            hours: number(&told, &["power_on_time", "hours"]),
        },
    ))
}

/// Reads `nvme smart-log -o json`, whose temperature is in kelvin.
fn by_nvme(name: &str, text: &[u8]) -> Option<DiskHealth> {
    let told: Value = serde_json::from_slice(text).ok()?;
    let warning =
        number(&told, &["critical_warning"]).or_else(|| number(&told, &["critical_warning", "value"]))?;
    Some(disk(
        name,
        warning != 0,
        why(warning, &[], true),
        number(&told, &["media_errors"]),
        Rest {
            used: number(&told, &["percent_used"]),
            celsius: number(&told, &["temperature"]).and_then(|kelvin| kelvin.checked_sub(273)),
            hours: number(&told, &["power_on_hours"]),
        },
    ))
}

#[derive(Clone, Copy)]
struct Rest {
    used: Option<u64>,
    celsius: Option<u64>,
    hours: Option<u64>,
}

fn disk(name: &str, failing: bool, why: String, bad_sectors: Option<u64>, rest: Rest) -> DiskHealth {
    DiskHealth {
        name: name.to_owned(),
        failing,
        why,
        bad_sectors,
        used_percent: rest.used.and_then(|used| u16::try_from(used).ok()),
        celsius: rest.celsius.and_then(|celsius| i16::try_from(celsius).ok()),
        hours: rest.hours,
    }
}

/// Bits of an `NVMe`'s critical warning (NVM Express base specification, SMART / health information log, byte 0).
const WARNINGS: [&str; 6] = [
    "its spare blocks run out",
    "its temperature is out of bounds",
    "it is no longer reliable",
    "it takes no more writes",
    "its backup of volatile memory failed",
    "its persistent memory takes no more writes",
];

fn why(warning: u64, failed: &[&str], passed: bool) -> String {
    let bits =
        WARNINGS.iter().enumerate().filter(|(bit, _)| warning >> bit & 1 == 1).map(|(_, words)| *words);
    let mut words: Vec<String> = bits.map(str::to_owned).collect();
    words.extend(failed.iter().map(|name| format!("{name} is past its limit")));
    if words.is_empty() && !passed {
        words.push("its own test of itself says so".to_owned());
    }
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_disk_with_bad_sectors_that_expects_to_fail_is_read() {
        let text = br#"{"smart_status":{"passed":false},"temperature":{"current":41},"power_on_time":{"hours":31000},
            "ata_smart_attributes":{"table":[
                {"id":5,"name":"Reallocated_Sector_Ct","when_failed":"now","raw":{"value":2000}},
                {"id":197,"name":"Current_Pending_Sector","when_failed":"","raw":{"value":8}}]}}"#;
        let disk = by_smartctl("sda", text).unwrap();
        assert!(disk.failing);
        assert_eq!(disk.why, "Reallocated_Sector_Ct is past its limit");
        assert_eq!((disk.bad_sectors, disk.celsius, disk.hours), (Some(2008), Some(41), Some(31_000)));
    }

    #[test]
    fn an_nvme_tells_by_either_program() {
        let smartctl = br#"{"smart_status":{"passed":true},"temperature":{"current":35},
            "nvme_smart_health_information_log":{"critical_warning":9,"percentage_used":104,"media_errors":3}}"#;
        let disk = by_smartctl("nvme0n1", smartctl).unwrap();
        assert!(disk.failing, "a warning counts, whatever the test says");
        assert_eq!(disk.why, "its spare blocks run out, it takes no more writes");
        assert_eq!((disk.bad_sectors, disk.used_percent), (Some(3), Some(104)));
        let nvme = br#"{"critical_warning":0,"temperature":308,"percent_used":1,"media_errors":0,"power_on_hours":12}"#;
        let disk = by_nvme("nvme0n1", nvme).unwrap();
        assert_eq!(
            (disk.failing, disk.celsius, disk.hours, disk.why.as_str()),
            (false, Some(35), Some(12), "")
        );
    }

    #[test]
    fn a_disk_that_does_not_tell_is_left_out() {
        assert_eq!(by_smartctl("vda", br#"{"smartctl":{"exit_status":1}}"#), None);
        assert_eq!(by_smartctl("vda", b"Smartctl open device: /dev/vda failed"), None);
        assert_eq!(by_nvme("nvme0n1", b"{}"), None);
    }

    #[test]
    fn disks_are_asked_by_a_thread_at_most_every_ten_minutes() {
        use std::os::unix::fs::PermissionsExt as _;
        let root = crate::health::tests::tree("disks");
        std::fs::create_dir_all(root.join("sys/block/sda")).unwrap();
        std::fs::create_dir_all(root.join("usr/sbin")).unwrap();
        let program = root.join("usr/sbin/smartctl");
        let calls = root.join("calls");
        let script = format!(
            "#!/bin/sh\necho \"$@\" >>{}\necho '{{\"smart_status\":{{\"passed\":false}}}}'\n",
            calls.display()
        );
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let mut disks = Disks::new(&root);
        let start = Instant::now();
        disks.refresh(start);
        disks.refresh(start + Duration::from_secs(599));
        let mut told = disks.told();
        while told.is_empty() && start.elapsed() < Duration::from_secs(20) {
            thread::yield_now();
            told = disks.told();
        }
        assert!(told[0].failing);
        assert_eq!(std::fs::read_to_string(&calls).unwrap(), "--json=c -n standby -H -A /dev/sda\n");
        disks.refresh(start + Duration::from_secs(601));
        while disks.told.lock().unwrap().busy && start.elapsed() < Duration::from_secs(20) {
            thread::yield_now();
        }
        assert_eq!(std::fs::read_to_string(&calls).unwrap().lines().count(), 2);
        std::fs::remove_dir_all(&root).unwrap();
    }

    proptest! {
        #[test]
        fn no_answer_is_too_strange(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            drop((by_smartctl("sda", &text), by_nvme("nvme0n1", &text)));
        }
    }
}
