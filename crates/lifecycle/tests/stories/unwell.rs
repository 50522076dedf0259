//! The words of stories about machines that are unwell: what the agent tells, and what the counter makes of it.

use std::sync::Arc;

use lifecycle::HealthWatch;
use model::{AgentBeat, DiskHealth, Health, NicHealth, NodeName, Sight};

use crate::telling::{Teller, number};

/// A machine's health, and who watches it in the counter.
#[derive(Debug, Default)]
pub(crate) struct Body {
    boot: String,
    health: Health,
    watch: HealthWatch,
}

impl Teller {
    /// A machine tells of its health.
    pub(crate) fn feels(&mut self, node: &NodeName, words: &[&str]) -> Result<(), String> {
        let boot = self.agents.get(node).ok_or("nobody knows what this machine does")?.clone();
        let body = self.bodies.entry(node.clone()).or_default();
        if body.boot != boot {
            *body = Body { boot: boot.clone(), ..Body::default() };
            body.watch.see(&Arc::default(), 0);
        }
        let health = &mut body.health;
        match words {
            ["drops", count, "frames"] => health.softnet.dropped += number(count)?,
            ["leaves", count, "rounds"] => health.softnet.squeezed += number(count)?,
            ["loses", count, "datagrams"] => health.udp.buffer_errors += number(count)?,
            ["kills", program @ ..] => {
                health.oom.count += 1;
                health.oom.victim = Some(program.join(" "));
            }
            ["links", "at", speed, "of", fastest] => {
                let mbps = |word| number(word).and_then(|n| u32::try_from(n).map_err(|why| why.to_string()));
                health.nics = vec![NicHealth {
                    name: "eth0".to_owned(),
                    driver: "r8169".to_owned(),
                    link: true,
                    speed_mbps: Some(mbps(speed)?),
                    fastest_mbps: Some(mbps(fastest)?),
                    ..NicHealth::default()
                }];
            }
            ["disk", name, "fails", why @ ..] => {
                let (name, why) = ((*name).to_owned(), why.join(" "));
                health.disks = vec![DiskHealth { name, failing: true, why, ..DiskHealth::default() }];
            }
            _ => return Err("nobody knows what this machine does".to_owned()),
        }
        let health = Arc::new(health.clone());
        let uptime_ms = self.world.now.0;
        let worse = body.watch.see(&health, uptime_ms);
        let mac = self.world.lab.node(node).ok_or("no such machine")?.mac;
        let health = Some(health);
        let boot_id = boot.clone();
        let beat = AgentBeat { mac, boot_id, uptime_ms, health, ..AgentBeat::default() };
        self.see(node, Sight::Beat { beat })?;
        for ailment in worse {
            self.see(node, Sight::Ailing { boot_id: boot.clone(), ailment })?;
        }
        Ok(())
    }
}
