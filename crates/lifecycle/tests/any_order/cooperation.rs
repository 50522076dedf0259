//! A world that plays along: drivers obey, machines boot what they are answered, people press buttons.

use std::collections::BTreeMap;

use lifecycle::{Lab, Request};
use model::{
    AgentOrder, BootAnswer, BootEntry, ClientKind, Command, Fact, GuestBoot, GuestCause, GuestState,
    GuestWish, LoaderStep, MacAddr, Membership, Origin, Outcome, PowerOrder, PowerState, Proof, Rung,
    ScriptAnswer, Sight, Span, TalosSight, TalosStage,
};

use crate::fate::{Fate, beats, discover, known, name, reports, said, sees, takes_image};
use crate::guests::{GUESTS, HOST, Told, tells};
use crate::world::World;

/// True for the boot that has an order to wipe, or is offered one.
fn wipes(world: &World, machine: u8, boot: &str) -> bool {
    let wipe = world.lab.machines.get(&name(machine)).and_then(|machine| machine.may_be_wiping());
    wipe.is_some_and(|wipe| wipe.given.as_ref().is_none_or(|(given, _)| given == boot))
}

/// Power is looked at; that of a guest is told by its hypervisor.
fn looks(world: &mut World, machine: u8, state: PowerState) -> Result<(), String> {
    if GUESTS.contains(&machine) { Ok(()) } else { sees(world, machine, state) }
}

/// A machine as it really is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Real {
    Off,
    /// On, with nothing that listens.
    On,
    /// On, with an agent in this boot.
    Agent(String),
    /// On, in memory, waiting for the next start.
    Parked,
    /// On, with a kernel that never speaks.
    Hung,
    /// On, with Talos, which has its config or waits for it.
    Talos(bool),
}

/// The world, a second at a time.
#[derive(Debug)]
pub(crate) struct Cooperation {
    machines: BTreeMap<u8, Real>,
    boots: u32,
    /// Starts by kexec so far; every second one hangs.
    jumps: u32,
}

/// Things that a lab may ask for in one moment: more are the same again and again.
const AT_ONCE: u32 = 100;

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
                (_, PowerState::Changing | PowerState::Unknown) => Real::Off,
            }
        };
        let all = (1..=6).filter(|m| world.lab.machines.contains_key(&name(*m)));
        let mut cooperation = Self { machines: all.map(|m| (m, real(&m))).collect(), boots: 0, jumps: 0 };
        // What runs in a machine is in the same boot of it.
        let boot = cooperation.boot_of_the_host();
        for guest in GUESTS {
            let told = world.lab.machines.get(&name(guest)).and_then(|machine| machine.guest.as_ref());
            if boot.is_none() || told.map(|told| &told.host_boot) != boot.as_ref() {
                cooperation.goes_off(guest);
            }
        }
        cooperation
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
            for machine in self.machines.keys().copied().collect::<Vec<_>>() {
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
        let mut asked = 0;
        while let Some((id, command)) = world.asked.pop() {
            asked += 1;
            if asked > AT_ONCE {
                return Err(format!(
                    "in one moment {asked} things are asked for, the last of them {command:?}"
                ));
            }
            let (node, order) = match command {
                Command::Power { node, order, .. } => (node, order),
                Command::Mint { run } => {
                    world.happens(Fact::SecretsReady { run, fingerprint: "5ec7e7".to_owned() })?;
                    world.happens(Fact::Finished { id, outcome: Outcome::Done })?;
                    continue;
                }
                Command::Push { node, .. } => {
                    let machine = (1..=6).find(|m| name(*m) == node).unwrap();
                    if self.machines[&machine] == Real::Talos(false) {
                        self.machines.insert(machine, Real::Talos(true));
                    }
                    world.happens(Fact::Finished { id, outcome: Outcome::Done })?;
                    continue;
                }
                Command::Reset { node } => {
                    let machine = (1..=6).find(|m| name(*m) == node).unwrap();
                    self.is_reset(machine);
                    world.happens(Fact::Finished { id, outcome: Outcome::Done })?;
                    continue;
                }
                Command::Offer { .. } => unreachable!("no scenario here lets machines fetch their configs"),
                Command::Switch { .. } | Command::Bootstrap { .. } | Command::Apply { .. } => {
                    world.happens(Fact::Finished { id, outcome: Outcome::Done })?;
                    continue;
                }
            };
            if world.lab.machines[&node].in_flight.is_none_or(|(flying, ..)| flying != id) {
                continue;
            }
            let machine = (1..=6).find(|m| name(*m) == node).unwrap();
            world.happens(Fact::Finished { id, outcome: Outcome::Done })?;
            // An order on a guest goes out with the boot table.
            if !GUESTS.contains(&machine) {
                self.switches(world, machine, order)?;
            }
        }
        Ok(())
    }

    /// The boot of the machine that runs guests, while its agent is there.
    fn boot_of_the_host(&self) -> Option<String> {
        match &self.machines[&HOST] {
            Real::Agent(boot) => Some(boot.clone()),
            Real::Off | Real::On | Real::Parked | Real::Hung | Real::Talos(_) => None,
        }
    }

    /// Its Talos wipes what it kept and starts again by kexec.
    fn is_reset(&mut self, machine: u8) {
        if self.machines[&machine] == Real::Talos(true) {
            self.jumps += 1;
            let comes_back = self.jumps.is_multiple_of(2);
            self.machines.insert(machine, if comes_back { Real::Talos(false) } else { Real::Hung });
        }
    }

    fn goes_off(&mut self, machine: u8) {
        if let Some(real) = self.machines.get_mut(&machine) {
            *real = Real::Off;
        }
    }

    /// The agent of the machine that runs guests makes each as it is wished, and tells what is new.
    fn tends(&mut self, world: &mut World, boot: &str, wishes: &[GuestWish]) -> Result<(), String> {
        for guest in GUESTS {
            let Some(wish) = wishes.iter().find(|wish| wish.node == name(guest)) else { continue };
            let (runs, mut more, mut ended) = (self.machines[&guest] != Real::Off, 0, None);
            match (wish.power, runs) {
                (PowerOrder::On, false) => {
                    if wish.image.is_none() && wish.spec.boot == GuestBoot::Kernel {
                        return Err(format!("{} is to run and has nothing to boot", wish.node));
                    }
                    self.machines.insert(guest, Real::On);
                    more = 1;
                }
                (PowerOrder::Off | PowerOrder::Soft | PowerOrder::Press, true) => {
                    self.goes_off(guest);
                    ended = Some(GuestCause::Ordered);
                }
                (PowerOrder::On, true) | (PowerOrder::Off | PowerOrder::Soft | PowerOrder::Press, false) => {}
            }
            let runs = self.machines[&guest] != Real::Off;
            let state = if runs { GuestState::Running } else { GuestState::Off };
            tells(world, guest, Told { state, boot: boot.to_owned(), order: wish.order, more, ended })?;
        }
        Ok(())
    }

    /// What whoever looks at a machine's Talos and at the cluster tells, where that is news.
    fn is_looked_at(&self, world: &mut World, machine: u8, configured: bool) -> Result<(), String> {
        looks(world, machine, PowerState::On)?;
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
        if machine == HOST && order == PowerOrder::Off {
            GUESTS.into_iter().for_each(|guest| self.goes_off(guest));
        }
        let real = self.machines.get_mut(&machine).unwrap();
        match order {
            PowerOrder::On if *real == Real::Off => *real = Real::On,
            PowerOrder::On => {}
            PowerOrder::Off | PowerOrder::Soft | PowerOrder::Press => *real = Real::Off,
        }
        sees(world, machine, if *real == Real::Off { PowerState::Off } else { PowerState::On })
    }

    /// It has its image, and starts it.
    fn starts(&mut self, world: &mut World, machine: u8) -> Result<(), String> {
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
        Ok(())
    }

    /// It waits in memory, and does what it is answered.
    fn waits(&mut self, world: &mut World, machine: u8, entry: &BootEntry) -> Result<(), String> {
        if entry.order == AgentOrder::PowerOff {
            return self.switches(world, machine, PowerOrder::Off);
        }
        looks(world, machine, PowerState::On)?;
        let mac = MacAddr([2, 0, 0, 0, 0, machine]);
        let answer = match entry.answer {
            BootAnswer::Run { .. } => ScriptAnswer::Boot,
            BootAnswer::Wait { .. } => ScriptAnswer::Wait,
            BootAnswer::Disk { .. } => ScriptAnswer::Disk,
        };
        world.happens(Fact::Sighted { mac, sight: Sight::ScriptAsked { answer } })?;
        match answer {
            ScriptAnswer::Wait | ScriptAnswer::Stranger => Ok(()),
            ScriptAnswer::Disk => {
                self.machines.insert(machine, Real::On);
                Ok(())
            }
            ScriptAnswer::Boot => {
                takes_image(world, machine)?;
                world.happens(Fact::Sighted { mac, sight: said(LoaderStep::Starts) })?;
                self.jumps += 1;
                if self.jumps.is_multiple_of(2) {
                    return self.starts(world, machine);
                }
                self.machines.insert(machine, Real::Hung);
                Ok(())
            }
        }
    }

    /// One second of a machine.
    fn lives(&mut self, world: &mut World, machine: u8) -> Result<(), String> {
        let entry = world.answer(&name(machine)).ok_or("the boot table does not know it")?;
        let real = self.machines[&machine].clone();
        match &real {
            Real::Off => looks(world, machine, PowerState::Off)?,
            Real::On => {
                looks(world, machine, PowerState::On)?;
                // Its hypervisor fetched for it, and it has no firmware that asks.
                let fetched = machine == GUESTS[0];
                if !fetched {
                    let mac = MacAddr([2, 0, 0, 0, 0, machine]);
                    world.happens(Fact::Sighted { mac, sight: discover(ClientKind::Ipxe) })?;
                }
                if matches!(entry.answer, BootAnswer::Run { .. }) {
                    if !fetched {
                        takes_image(world, machine)?;
                    }
                    self.starts(world, machine)?;
                }
            }
            Real::Hung => looks(world, machine, PowerState::On)?,
            Real::Parked => self.waits(world, machine, &entry)?,
            Real::Talos(configured) => self.is_looked_at(world, machine, *configured)?,
            Real::Agent(_) if entry.order == AgentOrder::PowerOff && GUESTS.contains(&machine) => {
                self.goes_off(machine);
            }
            Real::Agent(_) if entry.order == AgentOrder::PowerOff => {
                self.switches(world, machine, PowerOrder::Off)?;
            }
            Real::Agent(_) if entry.parks => {
                let mac = MacAddr([2, 0, 0, 0, 0, machine]);
                world.happens(Fact::Sighted { mac, sight: said(LoaderStep::Parks) })?;
                world.happens(Fact::Sighted {
                    mac,
                    sight: Sight::ScriptAsked { answer: ScriptAnswer::Wait },
                })?;
                self.machines.insert(machine, Real::Parked);
            }
            Real::Agent(boot) if wipes(world, machine, boot) => {
                Fate::Give(machine).befalls(world)?;
                Fate::Tell(machine, Some(true)).befalls(world)?;
            }
            Real::Agent(boot) => {
                beats(world, machine, boot)?;
                if let Some(wishes) = entry.guests.as_ref().filter(|_| machine == HOST) {
                    self.tends(world, boot, wishes)?;
                }
            }
        }
        // Whoever is asked to press a button does it, or to type a serial.
        let wait = world.decision.waits.get(&name(machine)).map(|w| w.what.clone()).unwrap_or_default();
        match (wait.as_str(), &self.machines[&machine]) {
            ("somebody to switch it on", Real::Off) => self.switches(world, machine, PowerOrder::On),
            ("somebody to switch it off" | "somebody to switch it off and on again", _) => {
                self.switches(world, machine, PowerOrder::Off)
            }
            (what, Real::Agent(_))
                if what.starts_with("a person's word") || what.starts_with("a wipe of") =>
            {
                Fate::Wipe(machine).befalls(world)
            }
            _ => Ok(()),
        }
    }
}
