//! A world that plays along: drivers obey, machines boot what they are answered, people press buttons.

use std::collections::BTreeMap;

use lifecycle::{Lab, Request};
use model::{
    AgentOrder, BootAnswer, ClientKind, Command, Fact, MacAddr, Membership, Origin, Outcome, PowerOrder,
    PowerState, Proof, Rung, Span, TalosSight, TalosStage,
};

use crate::fate::{Fate, beats, discover, known, name, reports, sees, takes_image};
use crate::world::World;

/// True for the boot that has an order to wipe, or is offered one.
fn wipes(world: &World, machine: u8, boot: &str) -> bool {
    let wipe = world.lab.machines.get(&name(machine)).and_then(|machine| machine.may_be_wiping());
    wipe.is_some_and(|wipe| wipe.given.as_ref().is_none_or(|(given, _)| given == boot))
}

/// A machine as it really is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Real {
    Off,
    /// On, with nothing that listens.
    On,
    /// On, with an agent in this boot.
    Agent(String),
    /// On, with Talos, which has its config or waits for it.
    Talos(bool),
}

/// The world, a second at a time.
#[derive(Debug)]
pub(crate) struct Cooperation {
    machines: BTreeMap<u8, Real>,
    boots: u32,
}

impl Cooperation {
    /// Begins where the lab believes the world to be; what nobody has seen is off.
    pub(crate) fn with(world: &World) -> Self {
        let real = |machine: &u8| {
            let known = &world.lab.machines[&name(*machine)];
            match (&known.agent, known.power) {
                (_, PowerState::Off) => Real::Off,
                // What was told of a machine that took no image was not true.
                _ if known.talos.known.is_some() && known.rung >= Rung::Configured => Real::Talos(true),
                (Some(agent), _) if known.live_boot().is_some() => Real::Agent(agent.report.boot_id.clone()),
                (_, PowerState::On) => Real::On,
                (_, PowerState::Unknown) => Real::Off,
            }
        };
        Self { machines: (1..=4).map(|m| (m, real(&m))).collect(), boots: 0 }
    }

    /// Somebody asks for `stop` or for a scenario, once the counter is there.
    pub(crate) fn asks(&mut self, world: &mut World, what: &str) -> Result<(), String> {
        let by = Origin::Cli;
        let request = match what {
            "stop" => Request::Stop { by },
            scenario => Request::Start { scenario: scenario.to_owned(), by },
        };
        world.request(&request)?.map(drop).map_err(|refusal| refusal.to_string())
    }

    /// Goes on until the lab is `there`, for `limit` at most.
    pub(crate) fn goes_on(
        &mut self,
        world: &mut World,
        limit: Span,
        there: impl Fn(&Lab) -> bool,
    ) -> Result<(), String> {
        let until = world.now.after(limit);
        world.happens(Fact::CounterSeen { up: true })?;
        while world.now < until {
            self.obeys(world)?;
            for machine in 1..=4 {
                self.lives(world, machine)?;
            }
            if there(&world.lab) {
                return Ok(());
            }
            world.pass(world.now.after(Span::secs(1)))?;
        }
        Err(format!(
            "after {limit} it is {} ({}): {:#?}",
            world.lab.phase, world.lab.phase_because, world.decision.waits
        ))
    }

    /// Drivers do what was asked of them, and what they are asked while they do.
    fn obeys(&mut self, world: &mut World) -> Result<(), String> {
        while let Some((id, command)) = world.asked.pop() {
            let (node, order) = match command {
                Command::Power { node, order, .. } => (node, order),
                Command::Mint { run } => {
                    world.happens(Fact::SecretsReady { run, fingerprint: "5ec7e7".to_owned() })?;
                    world.happens(Fact::Finished { id, outcome: Outcome::Done })?;
                    continue;
                }
                Command::Push { node, .. } => {
                    let machine = (1..=4).find(|m| name(*m) == node).unwrap();
                    if self.machines[&machine] == Real::Talos(false) {
                        self.machines.insert(machine, Real::Talos(true));
                    }
                    world.happens(Fact::Finished { id, outcome: Outcome::Done })?;
                    continue;
                }
                Command::Offer { .. } => unreachable!("no scenario here lets machines fetch their configs"),
                Command::Bootstrap { .. } | Command::Apply { .. } => {
                    world.happens(Fact::Finished { id, outcome: Outcome::Done })?;
                    continue;
                }
            };
            if world.lab.machines[&node].in_flight.is_none_or(|(flying, ..)| flying != id) {
                continue;
            }
            let machine = (1..=4).find(|m| name(*m) == node).unwrap();
            world.happens(Fact::Finished { id, outcome: Outcome::Done })?;
            self.switches(world, machine, order)?;
        }
        Ok(())
    }

    /// What whoever looks at a machine's Talos and at the cluster tells, where that is news.
    fn is_looked_at(&self, world: &mut World, machine: u8, configured: bool) -> Result<(), String> {
        sees(world, machine, PowerState::On)?;
        let node = name(machine);
        let sight = if configured {
            known(TalosStage::Running, (true, true))
        } else {
            TalosSight::Maintenance { fingerprint: format!("key of {node}"), proof: Proof::Address }
        };
        if world.lab.machines[&node].talos.sight != sight {
            world.happens(Fact::TalosSeen { node: node.clone(), sight })?;
        }
        let membership = if configured { Membership::Ready } else { Membership::Absent };
        if world.lab.machines[&node].talos.member != membership {
            world.happens(Fact::MemberSeen { node, membership })?;
        }
        Ok(())
    }

    fn switches(&mut self, world: &mut World, machine: u8, order: PowerOrder) -> Result<(), String> {
        let real = self.machines.get_mut(&machine).unwrap();
        match order {
            PowerOrder::On if *real == Real::Off => *real = Real::On,
            PowerOrder::On => {}
            PowerOrder::Off => *real = Real::Off,
        }
        sees(world, machine, if *real == Real::Off { PowerState::Off } else { PowerState::On })
    }

    /// One second of a machine.
    fn lives(&mut self, world: &mut World, machine: u8) -> Result<(), String> {
        let entry = world.answer(&name(machine)).ok_or("the boot table does not know it")?;
        let real = self.machines[&machine].clone();
        match &real {
            Real::Off => sees(world, machine, PowerState::Off)?,
            Real::On => {
                sees(world, machine, PowerState::On)?;
                let mac = MacAddr([2, 0, 0, 0, 0, machine]);
                world.happens(Fact::Sighted { mac, sight: discover(ClientKind::Ipxe) })?;
                if matches!(entry.answer, BootAnswer::Run { .. }) {
                    takes_image(world, machine)?;
                    let known = &world.lab.machines[&name(machine)];
                    if world.lab.cluster_of(known).is_some() {
                        let kept = known.talos.push.is_some();
                        self.machines.insert(machine, Real::Talos(kept));
                        return Ok(());
                    }
                    self.boots += 1;
                    let boot = format!("c{}", self.boots);
                    reports(world, machine, &boot)?;
                    self.machines.insert(machine, Real::Agent(boot));
                }
            }
            Real::Talos(configured) => self.is_looked_at(world, machine, *configured)?,
            Real::Agent(_) if entry.order == AgentOrder::PowerOff => {
                self.switches(world, machine, PowerOrder::Off)?;
            }
            Real::Agent(boot) if wipes(world, machine, boot) => {
                Fate::Give(machine).befalls(world)?;
                Fate::Tell(machine, Some(true)).befalls(world)?;
            }
            Real::Agent(boot) => beats(world, machine, boot)?,
        }
        // Whoever is asked to press a button does it.
        let wait = world.decision.waits.get(&name(machine)).map(|w| w.what.clone()).unwrap_or_default();
        match (wait.as_str(), &self.machines[&machine]) {
            ("somebody to switch it on", Real::Off) => self.switches(world, machine, PowerOrder::On),
            ("somebody to switch it off" | "somebody to switch it off and on again", _) => {
                self.switches(world, machine, PowerOrder::Off)
            }
            _ => Ok(()),
        }
    }
}
