//! The boss's own health, by the reader that the agents use: memory, disks, temperatures, and what its work waits for.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use agent::health::Eye;
use api::{Check, Finding};
use model::{Health, Pressure};

use super::{check, well_or};

/// Pressure that holds up boots, in hundredths of a percent: everything stood still for a twentieth of the time.
const PRESSED: u16 = 500;

/// Looks at this machine, and remembers how it was when the core started.
#[derive(Debug)]
pub(super) struct BossEye {
    eye: Mutex<Eye>,
    killed: u64,
}

impl BossEye {
    pub(super) fn new() -> Self {
        let mut eye = Eye::new(Path::new("/"));
        let killed = eye.look().oom.count;
        Self { eye: Mutex::new(eye), killed }
    }

    pub(super) fn checks(&self) -> Vec<Check> {
        let health = self.eye.lock().unwrap_or_else(PoisonError::into_inner).look();
        examine(&health, self.killed)
    }
}

fn examine(health: &Health, killed_before: u64) -> Vec<Check> {
    let mut checks = vec![memory(health, killed_before)];
    checks.extend(health.pressure.map(pressure));
    checks.extend(warmth(health));
    checks.extend(health.disks.iter().map(|disk| {
        let seen = match (disk.failing, disk.bad_sectors) {
            (true, _) => format!("disk {} expects to fail: {}", disk.name, disk.why),
            (false, Some(bad @ 1..)) => {
                format!("disk {} is well by its own word, with {bad} bad sectors", disk.name)
            }
            (false, _) => format!("disk {} is well by its own word", disk.name),
        };
        let help =
            format!("copy the state folder, replace the disk; `smartctl -a /dev/{}` tells more", disk.name);
        check("boss_disk", well_or(!disk.failing, Finding::Broken), seen, &help)
    }));
    checks
}

fn memory(health: &Health, before: u64) -> Check {
    let killed = health.oom.count.saturating_sub(before);
    let last = health.oom.victim.as_ref().map_or_else(String::new, |victim| format!(", last {victim}"));
    let seen = format!("{killed} programs killed for want of memory since the controller started{last}");
    let help = "fewer or smaller virtual machines on the boss, or more memory; `dmesg | grep -i 'killed process'` lists them";
    check("boss_memory", well_or(killed == 0, Finding::Warning), seen, help)
}

fn pressure(pressure: Pressure) -> Check {
    let all = [("memory", pressure.memory.full), ("disks", pressure.io.full)];
    let told: Vec<String> =
        all.iter().map(|(name, full)| format!("{name} {}.{:02} %", full / 100, full % 100)).collect();
    let seen = format!("all work stood still in the last 10 s for: {}", told.join(", "));
    let well = all.iter().all(|(_, full)| *full < PRESSED);
    let help = "see what uses memory and disk on the boss (`top`, `iotop`); boots wait while it does";
    check("boss_pressure", well_or(well, Finding::Warning), seen, help)
}

/// The sensor nearest to its limit, where one has a limit.
fn warmth(health: &Health) -> Option<Check> {
    let (sensor, critical) = health.sensors.iter().find_map(|sensor| Some((sensor, sensor.critical?)))?;
    let seen = format!("{} is at {} °C of {critical}", sensor.name, sensor.celsius);
    let help = "look at the boss's fan and at the dust: it slows down, or switches itself off";
    Some(check("boss_warmth", well_or(sensor.celsius < critical, Finding::Warning), seen, help))
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{DiskHealth, OomKills, Sensor, Stall};

    fn findings(health: &Health, before: u64) -> Vec<(String, Finding)> {
        examine(health, before).into_iter().map(|check| (check.code, check.finding)).collect()
    }

    #[test]
    fn a_boss_that_is_well_has_well_checks_and_one_that_is_not_does_not() {
        let disk = |failing| DiskHealth { name: "sda".to_owned(), failing, ..DiskHealth::default() };
        let health = |celsius, full, count, failing| Health {
            pressure: Some(Pressure { memory: Stall { some: full, full }, ..Pressure::default() }),
            oom: OomKills { count, victim: None },
            sensors: vec![Sensor { name: "cpu".to_owned(), celsius, critical: Some(100) }],
            disks: vec![disk(failing)],
            ..Health::default()
        };
        let codes = ["boss_memory", "boss_pressure", "boss_warmth", "boss_disk"];
        let all = |findings: [Finding; 4]| -> Vec<(String, Finding)> {
            codes.iter().map(|code| (*code).to_owned()).zip(findings).collect()
        };
        assert_eq!(findings(&health(99, 499, 3, false), 3), all([Finding::Well; 4]));
        let (care, broken) = (Finding::Warning, Finding::Broken);
        assert_eq!(findings(&health(100, 500, 4, true), 3), all([care, care, care, broken]));
        assert_eq!(findings(&Health::default(), 0), [("boss_memory".to_owned(), Finding::Well)]);
    }
}
