//! Which changes of a machine's health are for the worse, and worth to be kept and told.
//!
//! | kind | told |
//! |---|---|
//! | counters that should stand still: frames, datagrams | when they grow, and again after ten quiet minutes |
//! | programs killed | when one is, at most once a minute |
//! | states: a disk that fails, a slow link, heat | once, and again only after they were well in between |

use alloc::borrow::ToOwned as _;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use model::{AILMENTS_KEPT, Ailing, Ailment, Health, LabTime, Moment, Softnet, Stall};

use crate::lab::Machine;

/// Growth of one kind is not told again before it stood still for so long, in milliseconds.
const QUIET: u64 = 10 * 60 * 1000;
/// Kills for want of memory are told at most once in so many milliseconds.
const KILLS: u64 = 60 * 1000;
/// Things remembered as told.
const TOLD: usize = 128;
/// Rounds cut short that are still normal in a minute.
const ROUNDS_A_MINUTE: u64 = 10;
/// A sensor counts as cooled so many degrees below critical.
const COOLED: i16 = 5;
/// Pressure worth a word, in hundredths of a percent: a tenth of the time.
const PRESSED: u16 = 1000;

/// Remembers what one boot of a machine was like, and tells what became worse. Of no use to another boot.
#[derive(Debug, Default)]
pub struct HealthWatch {
    last: Option<(u64, Arc<Health>)>,
    /// What was told, and when it was last seen to be so: milliseconds since the machine's start.
    told: BTreeMap<String, u64>,
}

impl HealthWatch {
    /// Looks at what the machine says after so many milliseconds of being up.
    pub fn see(&mut self, health: &Arc<Health>, uptime_ms: u64) -> Vec<Ailment> {
        if self.told.len() > TOLD {
            // Only made-up names are so many.
            self.told.clear();
        }
        let mut worse = Vec::new();
        if let Some((before, old)) = self.last.take() {
            for ailment in grown(&old, health, uptime_ms.saturating_sub(before)) {
                let told = self.told.get(ailment.code()).copied();
                let quiet = told.map_or(u64::MAX, |at| uptime_ms.saturating_sub(at));
                // Each program killed may be the one that is missed, so those are told while they go on.
                let kill = matches!(ailment, Ailment::OomKill { .. });
                let due = quiet >= if kill { KILLS } else { QUIET };
                if due || !kill {
                    self.told.insert(ailment.code().to_owned(), uptime_ms);
                }
                if due {
                    worse.push(ailment);
                }
            }
        }
        for (key, state) in states(health) {
            match state {
                State::Bad(ailment) => {
                    if self.told.insert(key, uptime_ms).is_none() {
                        worse.push(ailment);
                    }
                }
                State::Well => {
                    self.told.remove(&key);
                }
                State::Between => {}
            }
        }
        self.last = Some((uptime_ms, Arc::clone(health)));
        worse
    }
}

/// What grew that should stand still.
fn grown(old: &Health, new: &Health, elapsed_ms: u64) -> Vec<Ailment> {
    let mut found = Vec::new();
    let dropped = new.softnet.dropped.saturating_sub(old.softnet.dropped);
    if dropped > 0 {
        let cpu = worst(&old.softnet, &new.softnet, |cpu| cpu.dropped);
        found.push(Ailment::FramesDropped { count: dropped, cpu });
    }
    let squeezed = new.softnet.squeezed.saturating_sub(old.softnet.squeezed);
    if squeezed > ROUNDS_A_MINUTE.saturating_mul(elapsed_ms.div_ceil(60_000).max(1)) {
        let cpu = worst(&old.softnet, &new.softnet, |cpu| cpu.squeezed);
        found.push(Ailment::RoundsCut { count: squeezed, cpu });
    }
    let lost = new.udp.buffer_errors.saturating_sub(old.udp.buffer_errors);
    if lost > 0 {
        found.push(Ailment::DatagramsLost { count: lost });
    }
    if new.oom.count > old.oom.count {
        found.push(Ailment::OomKill { count: new.oom.count, victim: new.oom.victim.clone() });
    }
    found
}

/// The processor on which most was added.
fn worst(old: &Softnet, new: &Softnet, count: impl Fn(&model::SoftnetCpu) -> u64) -> Option<u32> {
    let before = |cpu| old.cpus.iter().find(|known| known.cpu == cpu).map_or(0, &count);
    let added = new.cpus.iter().map(|cpu| (count(cpu).saturating_sub(before(cpu.cpu)), cpu.cpu));
    added.filter(|(added, _)| *added > 0).max_by_key(|(added, _)| *added).map(|(_, cpu)| cpu)
}

enum State {
    Bad(Ailment),
    Well,
    /// Neither: what was told stays told.
    Between,
}

fn states(health: &Health) -> Vec<(String, State)> {
    let disks = health.disks.iter().map(|disk| {
        let (disk_name, why) = (disk.name.clone(), disk.why.clone());
        let bad = Ailment::DiskFailing { disk: disk_name, why };
        (format!("disk {}", disk.name), if disk.failing { State::Bad(bad) } else { State::Well })
    });
    let links = health.nics.iter().map(|nic| {
        let state = match (nic.link, nic.speed_mbps, nic.fastest_mbps) {
            (true, Some(mbps), Some(fastest)) if mbps < fastest => {
                State::Bad(Ailment::LinkSlow { nic: nic.name.clone(), mbps, fastest, peer: nic.peer_mbps })
            }
            (true, Some(_), Some(_)) => State::Well,
            // A cable that is pulled and put back tells nothing new.
            (_, _, _) => State::Between,
        };
        (format!("link {}", nic.name), state)
    });
    let sensors = health.sensors.iter().filter_map(|sensor| {
        let critical = sensor.critical?;
        let state = if sensor.celsius >= critical {
            let (name, celsius) = (sensor.name.clone(), sensor.celsius);
            State::Bad(Ailment::Hot { sensor: name, celsius, critical })
        } else if sensor.celsius <= critical.saturating_sub(COOLED) {
            State::Well
        } else {
            State::Between
        };
        Some((format!("sensor {}", sensor.name), state))
    });
    disks.chain(links).chain(sensors).collect()
}

/// True when this was told in this boot already, or is of another boot.
pub(crate) fn is_known(machine: &Machine, boot_id: &str, ailment: &Ailment) -> bool {
    machine.agent.as_ref().is_none_or(|agent| {
        agent.report.boot_id != boot_id || agent.ailing.iter().any(|known| known.ailment == *ailment)
    })
}

/// Keeps a change for the worse of the present boot. Of too many the first and the latest stay.
pub(crate) fn ails(machine: &mut Machine, at: Moment, boot_id: &str, ailment: &Ailment) {
    if is_known(machine, boot_id, ailment) {
        return;
    }
    let Some(agent) = machine.agent.as_mut() else { return };
    if agent.ailing.len() >= AILMENTS_KEPT {
        agent.ailing.remove(AILMENTS_KEPT / 2);
    }
    agent.ailing.push(Ailing { at, ailment: ailment.clone() });
}

/// What is worth saying of a machine's health, in words.
pub(crate) fn seen(machine: &Machine, now: LabTime) -> Vec<String> {
    let Some(agent) = &machine.agent else { return Vec::new() };
    let mut lines: Vec<String> = agent
        .ailing
        .iter()
        .map(|ailing| format!("{}, {} ago", ailing.ailment, now.since(ailing.at.since_start)))
        .collect();
    if let Some(health) = agent.beat.as_ref().and_then(|beat| beat.health.as_ref()) {
        lines.extend(told_now(health));
    }
    lines
}

fn told_now(health: &Health) -> Vec<String> {
    let mut lines: Vec<String> = health.nics.iter().filter(|nic| nic.link).map(link).collect();
    let pressure = health.pressure.unwrap_or_default();
    let each = [("a processor", pressure.cpu), ("memory", pressure.memory), ("its disks", pressure.io)];
    lines.extend(each.into_iter().filter(|(_, stall)| stall.some >= PRESSED).map(stood_still));
    lines
}

fn link(nic: &model::NicHealth) -> String {
    let speed = nic.speed_mbps.map_or_else(String::new, |mbps| format!(" at {mbps} Mbit/s"));
    let duplex = if nic.full_duplex == Some(false) { ", one direction at a time" } else { "" };
    let errors = if nic.errors > 0 { format!(", {} errors", nic.errors) } else { String::new() };
    let driver = if nic.driver.is_empty() { "no driver" } else { &nic.driver };
    format!("its port {} ({driver}) has a link{speed}{duplex}{errors}", nic.name)
}

fn stood_still((what, stall): (&str, Stall)) -> String {
    format!(
        "work stood still for {what} {} % of the last 10 s, all of it {} %",
        stall.some / 100,
        stall.full / 100
    )
}

/// Pages that say more of what it ails from, each once.
pub(crate) fn pages(machine: &Machine) -> Vec<String> {
    let mut pages = Vec::new();
    for ailing in machine.agent.iter().flat_map(|agent| &agent.ailing) {
        let page = format!("read docs/operating/node-health.md#{}", ailing.ailment.code());
        if !pages.contains(&page) {
            pages.push(page);
        }
    }
    pages
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{DiskHealth, NicHealth, OomKills, Sensor, SoftnetCpu, UdpErrors};

    fn health() -> Health {
        Health {
            nics: alloc::vec![NicHealth {
                name: "eth0".to_owned(),
                link: true,
                speed_mbps: Some(1000),
                fastest_mbps: Some(1000),
                ..NicHealth::default()
            }],
            ..Health::default()
        }
    }

    fn dropping(dropped: u64, squeezed: u64) -> Arc<Health> {
        let cpus = alloc::vec![SoftnetCpu { cpu: 3, dropped, squeezed }];
        Arc::new(Health { softnet: Softnet { dropped, squeezed, cpus }, ..health() })
    }

    #[test]
    fn what_was_lost_before_the_first_look_is_not_told() {
        let mut watch = HealthWatch::default();
        assert!(watch.see(&dropping(100, 100), 0).is_empty());
        assert!(watch.see(&dropping(100, 110), 3_000).is_empty(), "ten rounds a minute are normal");
    }

    #[test]
    fn a_flood_of_drops_is_told_once_and_again_after_ten_quiet_minutes() {
        let mut watch = HealthWatch::default();
        watch.see(&dropping(0, 0), 0);
        let told = watch.see(&dropping(5, 20), 3_000);
        let expected = [
            Ailment::FramesDropped { count: 5, cpu: Some(3) },
            Ailment::RoundsCut { count: 20, cpu: Some(3) },
        ];
        assert_eq!(told, expected);
        for look in 2..300 {
            let told = watch.see(&dropping(5 * look, 20), 3_000 * look);
            assert!(told.is_empty(), "at look {look}: {told:?}");
        }
        let later = 300 * 3_000 + QUIET;
        watch.see(&dropping(5 * 299, 20), later - 3_000);
        let told = watch.see(&dropping(5 * 300, 20), later);
        assert_eq!(told, [Ailment::FramesDropped { count: 5, cpu: Some(3) }]);
    }

    #[test]
    fn lost_datagrams_and_killed_programs_are_told() {
        let mut watch = HealthWatch::default();
        watch.see(&Arc::new(health()), 0);
        let victim = Some("qemu-system-x86 (77)".to_owned());
        let worse = Health {
            udp: UdpErrors { errors: 9, buffer_errors: 4 },
            oom: OomKills { count: 1, victim: victim.clone() },
            ..health()
        };
        let told = watch.see(&Arc::new(worse), 3_000);
        assert_eq!(told, [Ailment::DatagramsLost { count: 4 }, Ailment::OomKill { count: 1, victim }]);
    }

    #[test]
    fn everything_a_machine_can_ail_from_has_its_place_on_the_page() {
        let page = include_str!("../../../docs/operating/node-health.md");
        let (text, disk) = (String::new, "sda".to_owned());
        let all = [
            Ailment::FramesDropped { count: 1, cpu: None },
            Ailment::RoundsCut { count: 1, cpu: None },
            Ailment::DatagramsLost { count: 1 },
            Ailment::OomKill { count: 1, victim: None },
            Ailment::DiskFailing { disk, why: text() },
            Ailment::LinkSlow { nic: text(), mbps: 1, fastest: 2, peer: None },
            Ailment::Hot { sensor: text(), celsius: 1, critical: 1 },
        ];
        for ailment in all {
            let heading = format!("\n## {}\n", ailment.code());
            assert!(page.contains(&heading), "docs/operating/node-health.md has no {heading}");
        }
    }

    #[test]
    fn a_state_is_told_when_it_begins_and_again_only_after_it_was_well() {
        let mut watch = HealthWatch::default();
        let bad = |celsius, mbps, failing| {
            let mut health = health();
            health.nics[0].speed_mbps = Some(mbps);
            health.nics[0].peer_mbps = Some(1000);
            health.sensors = alloc::vec![Sensor { name: "cpu".to_owned(), celsius, critical: Some(90) }];
            let why = "it says so".to_owned();
            health.disks =
                alloc::vec![DiskHealth { name: "sda".to_owned(), failing, why, ..DiskHealth::default() }];
            Arc::new(health)
        };
        let codes = |told: Vec<Ailment>| told.iter().map(Ailment::code).collect::<Vec<_>>();
        assert_eq!(codes(watch.see(&bad(91, 100, true), 0)), ["disk-failing", "link-slow", "hot"]);
        assert!(watch.see(&bad(88, 100, true), 3_000).is_empty());
        assert!(watch.see(&bad(90, 100, true), 6_000).is_empty(), "it never cooled");
        assert!(watch.see(&bad(60, 1000, false), 9_000).is_empty());
        assert_eq!(codes(watch.see(&bad(95, 100, true), 12_000)), ["disk-failing", "link-slow", "hot"]);
    }
}
