//! What may happen to a lab: facts true, late, repeated or wrong, people, restarts, and time.

use std::net::Ipv4Addr;
use std::sync::Arc;

use lifecycle::{Request, boot_entry};
use model::{
    AgentBeat, AgentReport, Carrier, ClientKind, CommandId, Digest, Disk, Fact, FileRole, Inventory, Kexec,
    LoaderStep, MacAddr, Membership, NodeName, Origin, Outcome, PowerOrder, PowerState, Proof, ScriptAnswer,
    Sight, Span, TalosSight, TalosStage, WipeMethod, WipeOrder, WipeReport, WipeState, WipeTold,
};
use proptest::prelude::*;

use crate::guests::{GUESTS, Rumour, rumour};
use crate::world::{Built, World};

/// One thing that happens. Machines count from 1.
#[derive(Debug, Clone)]
pub(crate) enum Fate {
    /// Nothing, for so many milliseconds.
    Time(u64),
    /// The core is started again.
    Restart,
    /// The counter comes or goes.
    Counter(bool),
    /// Somebody starts a scenario.
    Start(&'static str),
    /// Somebody stops the lab.
    Stop,
    /// Somebody switches a machine.
    Switch(u8, PowerOrder),
    /// A driver answers the last command, or the one so many before it.
    Answer(u64, bool),
    /// Power is seen, truly or not.
    Power(u8, PowerState),
    /// A packet or request.
    Wire(u8, Sight),
    /// An agent reports, in its first, second or third boot.
    Report(u8, u8),
    /// An agent is heard.
    Beat(u8, u8),
    /// All the files of an image are taken.
    Image(u8),
    /// A look at a machine's Talos tells something, truly or not.
    Talos(u8, TalosSight),
    /// The cluster says something of a machine, truly or not.
    Member(u8, Membership),
    /// The secrets of the run are kept.
    Secrets,
    /// A later generation of the image is built, given up, or in use.
    Candidate(Built),
    /// Somebody wants the disk of a machine wiped.
    Wipe(u8),
    /// The counter hands out the order to wipe that its table holds for a machine.
    Give(u8),
    /// The boot that was given an order tells how it goes, or that it ended well or not.
    Tell(u8, Option<bool>),
    /// A loader that waits asks for its script so many times.
    Polls(u8, u8),
    /// An agent tells of a guest.
    Guest(u8, Rumour),
}

fn order() -> impl Strategy<Value = PowerOrder> {
    prop_oneof![Just(PowerOrder::On), Just(PowerOrder::Off)]
}

fn sight() -> impl Strategy<Value = Sight> {
    let client = prop_oneof![
        Just(ClientKind::BiosPxe),
        Just(ClientKind::UefiHttp),
        Just(ClientKind::Ipxe),
        Just(ClientKind::Agent),
        Just(ClientKind::Other),
    ];
    prop_oneof![
        4 => client.prop_map(discover),
        1 => Just(Sight::Frame),
        1 => Just(Sight::Nak),
        1 => Just(Sight::Request { client: ClientKind::Other }),
        2 => Just(Sight::Ack { address: Ipv4Addr::new(10, 0, 0, 11), client: ClientKind::Other }),
        1 => Just(Sight::ScriptAsked { answer: ScriptAnswer::Wait }),
        2 => Just(said(LoaderStep::Parks)),
        1 => prop_oneof![Just(LoaderStep::Asks), Just(LoaderStep::Starts), Just(LoaderStep::Fails)].prop_map(said),
        1 => Just(asked(FileRole::Loader, "undionly.kpxe")),
        1 => Just(asked(FileRole::Kernel, "vmlinuz")),
        1 => Just(served("vmlinuz")),
        1 => Just(Sight::FileBroken { name: "vmlinuz".to_owned(), bytes: 1, why: "gone".to_owned() }),
    ]
}

fn talos() -> impl Strategy<Value = TalosSight> {
    let waits =
        |key: &str| Just(TalosSight::Maintenance { fingerprint: key.to_owned(), proof: Proof::Address });
    prop_oneof![
        4 => waits("aaa"),
        1 => waits("bbb"),
        2 => Just(TalosSight::Silent),
        1 => Just(TalosSight::Locked),
        1 => Just(TalosSight::Foreign),
        4 => (any::<(bool, bool)>(), any::<bool>()).prop_map(|(well, runs)| {
            known(if runs { TalosStage::Running } else { TalosStage::Booting }, well)
        }),
    ]
}

/// A machine that is known by its identity.
pub(crate) fn known(stage: TalosStage, (ready, etcd): (bool, bool)) -> TalosSight {
    TalosSight::Known { version: "1.12.11".to_owned(), stage, ready, unmet: Vec::new(), etcd }
}

fn member() -> impl Strategy<Value = Membership> {
    prop_oneof![
        Just(Membership::Absent),
        Just(Membership::NotReady { why: "no network".to_owned() }),
        Just(Membership::Ready),
    ]
}

/// Up to sixty things in a row.
pub(crate) fn fates() -> impl Strategy<Value = Vec<Fate>> {
    // Labs without guests pass over what happens to them.
    let node = || prop_oneof![5 => 1..=4_u8, 2 => 5..=6_u8];
    let guest = prop_oneof![Just(GUESTS[0]), Just(GUESTS[1])];
    let power = prop_oneof![
        4 => Just(PowerState::On), 4 => Just(PowerState::Off), 1 => Just(PowerState::Unknown)
    ];
    let time = prop_oneof![
        Just(1),
        Just(900),
        Just(3_100),
        Just(10_000),
        Just(15_001),
        Just(31_000),
        Just(90_000),
        Just(260_000)
    ];
    let fate = prop_oneof![
        6 => time.prop_map(Fate::Time),
        1 => Just(Fate::Restart),
        2 => prop_oneof![4 => Just(true), 1 => Just(false)].prop_map(Fate::Counter),
        3 => prop_oneof![Just("demo"), Just("pair")].prop_map(Fate::Start),
        1 => Just(Fate::Stop),
        2 => (node(), order()).prop_map(|(n, order)| Fate::Switch(n, order)),
        6 => (0..4_u64, prop::bool::weighted(0.8)).prop_map(|(back, well)| Fate::Answer(back, well)),
        6 => (node(), power).prop_map(|(n, state)| Fate::Power(n, state)),
        5 => (node(), sight()).prop_map(|(n, sight)| Fate::Wire(n, sight)),
        4 => (node(), 1..=3_u8).prop_map(|(n, boot)| Fate::Report(n, boot)),
        3 => (node(), 1..=3_u8).prop_map(|(n, boot)| Fate::Beat(n, boot)),
        3 => node().prop_map(Fate::Image),
        3 => (node(), 1..6_u8).prop_map(|(n, times)| Fate::Polls(n, times)),
        2 => node().prop_map(Fate::Wipe),
        3 => node().prop_map(Fate::Give),
        3 => (node(), any::<Option<bool>>()).prop_map(|(n, end)| Fate::Tell(n, end)),
        4 => (node(), talos()).prop_map(|(n, sight)| Fate::Talos(n, sight)),
        2 => (node(), member()).prop_map(|(n, member)| Fate::Member(n, member)),
        2 => Just(Fate::Secrets),
        5 => (guest, rumour()).prop_map(|(n, rumour)| Fate::Guest(n, rumour)),
        1 => prop_oneof![6 => Just(Built::ToBeTried), 2 => Just(Built::No), 1 => Just(Built::InUse)].prop_map(Fate::Candidate),
    ];
    prop::collection::vec(fate, 0..60)
}

/// A DISCOVER.
pub(crate) const fn discover(client: ClientKind) -> Sight {
    Sight::Discover { client, arch: None, secs: 0, uuid: None, version: String::new() }
}

/// A loader, or an agent in its place, tells a step.
pub(crate) const fn said(step: LoaderStep) -> Sight {
    Sight::LoaderSaid { severity: 6, text: String::new(), error: None, step: Some(step) }
}

fn asked(role: FileRole, name: &str) -> Sight {
    Sight::FileAsked { role, name: name.to_owned(), carrier: Carrier::Http, size: 1_000_000 }
}

fn served(name: &str) -> Sight {
    Sight::FileServed { name: name.to_owned(), bytes: 1_000_000, repeats: 0 }
}

/// The name of a machine.
pub(crate) fn name(machine: u8) -> NodeName {
    format!("n{machine}").parse().unwrap()
}

fn saw(world: &mut World, machine: u8, sight: Sight) -> Result<(), String> {
    world.happens(Fact::Sighted { mac: MacAddr([2, 0, 0, 0, 0, machine]), sight })
}

/// A machine takes a whole image.
pub(crate) fn takes_image(world: &mut World, machine: u8) -> Result<(), String> {
    for (role, file) in [(FileRole::Kernel, "vmlinuz"), (FileRole::Initrd, "initrd")] {
        saw(world, machine, asked(role, file))?;
        saw(world, machine, served(file))?;
    }
    Ok(())
}

/// An agent reports.
pub(crate) fn reports(world: &mut World, machine: u8, boot: &str) -> Result<(), String> {
    let report = AgentReport {
        mac: MacAddr([2, 0, 0, 0, 0, machine]),
        boot_id: boot.to_owned(),
        nonce: Some("word".to_owned()),
        address: None,
        version: "0.1.0".to_owned(),
        kernel: "6.12.0".to_owned(),
        uptime_ms: 900,
        inventory: Inventory { disks: vec![disk()], ..Inventory::default() },
        key: None,
        build: None,
        kexec: Some(Kexec::Possible),
    };
    saw(world, machine, Sight::Agent { report: Arc::new(report) })
}

/// An agent is heard.
pub(crate) fn beats(world: &mut World, machine: u8, boot: &str) -> Result<(), String> {
    let mac = MacAddr([2, 0, 0, 0, 0, machine]);
    let beat = AgentBeat {
        mac,
        boot_id: boot.to_owned(),
        uptime_ms: 0,
        load_milli: 0,
        memory_available_mib: 400,
        ..AgentBeat::default()
    };
    saw(world, machine, Sight::Beat { beat })
}

fn disk() -> Disk {
    Disk {
        name: "sda".to_owned(),
        model: String::new(),
        serial: "S1".to_owned(),
        bytes: 256_000_000_000,
        digest: Some(Digest([1; 32])),
        label: None,
        used: None,
    }
}

/// What the table holds for this machine's agent.
fn offered(world: &World, machine: u8) -> Option<WipeOrder> {
    boot_entry(&world.lab, world.lab.machines.get(&name(machine))?)?.wipe
}

/// The boot that has its order tells how it goes.
fn tells(world: &mut World, machine: u8, end: Option<bool>) -> Result<(), String> {
    let wipe = world.lab.machines.get(&name(machine)).and_then(|machine| machine.wipe.clone());
    let Some((number, (boot_id, _))) = wipe.and_then(|wipe| Some((wipe.number, wipe.given?))) else {
        return Ok(());
    };
    let report = WipeReport {
        method: WipeMethod::Overwrite,
        passed_over: Vec::new(),
        overwritten: 1,
        places: 1,
        samples: 0,
        took_ms: 1,
    };
    let state = match end {
        None => WipeState::Wiping { step: "overwriting".to_owned(), done: 1, of: 2 },
        Some(true) => WipeState::Wiped { report },
        Some(false) => WipeState::Failed { touched: true, why: "byte 7".to_owned() },
    };
    let (mac, wipe) = (MacAddr([2, 0, 0, 0, 0, machine]), Some(WipeTold { number, state }));
    let beat = AgentBeat {
        mac,
        boot_id,
        uptime_ms: 0,
        load_milli: 0,
        memory_available_mib: 400,
        wipe,
        ..AgentBeat::default()
    };
    saw(world, machine, Sight::Beat { beat })
}

/// Power is seen.
pub(crate) fn sees(world: &mut World, machine: u8, state: PowerState) -> Result<(), String> {
    world.happens(Fact::PowerSeen { node: name(machine), state, evidence: "looked".to_owned() })
}

impl Fate {
    /// The machine it happens to, where it is one.
    const fn whom(&self) -> Option<u8> {
        match self {
            Self::Switch(n, _)
            | Self::Power(n, _)
            | Self::Wire(n, _)
            | Self::Report(n, _)
            | Self::Beat(n, _)
            | Self::Image(n)
            | Self::Talos(n, _)
            | Self::Member(n, _)
            | Self::Wipe(n)
            | Self::Give(n)
            | Self::Tell(n, _)
            | Self::Polls(n, _)
            | Self::Guest(n, _) => Some(*n),
            Self::Time(_)
            | Self::Restart
            | Self::Counter(_)
            | Self::Start(_)
            | Self::Stop
            | Self::Answer(..)
            | Self::Secrets
            | Self::Candidate(_) => None,
        }
    }

    /// Makes it happen.
    pub(crate) fn befalls(&self, world: &mut World) -> Result<(), String> {
        if self.whom().is_some_and(|whom| !world.lab.machines.contains_key(&name(whom))) {
            return Ok(());
        }
        let by = Origin::Cli;
        match self {
            Self::Time(millis) => world.pass(world.now.after(Span(*millis))),
            Self::Restart => world.restart(),
            Self::Candidate(built) => world.candidate(*built),
            Self::Counter(up) => world.happens(Fact::CounterSeen { up: *up }),
            Self::Start(scenario) => {
                world.request(&Request::Start { scenario: (*scenario).to_owned(), by }).map(drop)
            }
            Self::Stop => world.request(&Request::Stop { by }).map(drop),
            Self::Switch(machine, order) => {
                world.request(&Request::Power { node: format!("n{machine}"), order: *order, by }).map(drop)
            }
            Self::Answer(back, well) => {
                let id = CommandId(world.lab.commands.saturating_sub(*back));
                let failed = || Outcome::Failed { code: "refused".to_owned(), why: "no".to_owned() };
                let outcome = if *well { Outcome::Done } else { failed() };
                world.happens(Fact::Finished { id, outcome })
            }
            // Nobody looks at the power of a guest but its hypervisor.
            Self::Power(machine, _) if GUESTS.contains(machine) => Ok(()),
            Self::Power(machine, state) => sees(world, *machine, *state),
            Self::Guest(guest, rumour) => rumour.spreads(world, *guest),
            Self::Wire(machine, sight) => saw(world, *machine, sight.clone()),
            Self::Report(machine, boot) => reports(world, *machine, &format!("b{boot}")),
            Self::Beat(machine, boot) => beats(world, *machine, &format!("b{boot}")),
            Self::Wipe(machine) => {
                let confirm = Some("S1".to_owned());
                let request = Request::Wipe { node: format!("n{machine}"), disk: None, confirm, by };
                world.request(&request).map(drop)
            }
            Self::Give(machine) => match offered(world, *machine) {
                Some(order) => {
                    let WipeOrder { number, boot_id, .. } = order;
                    saw(world, *machine, Sight::WipeGiven { number, boot_id })
                }
                None => Ok(()),
            },
            Self::Tell(machine, end) => tells(world, *machine, *end),
            Self::Image(machine) => takes_image(world, *machine),
            Self::Talos(machine, sight) => {
                world.happens(Fact::TalosSeen { node: name(*machine), sight: sight.clone() })
            }
            Self::Member(machine, membership) => {
                world.happens(Fact::MemberSeen { node: name(*machine), membership: membership.clone() })
            }
            Self::Secrets => {
                let run = world.lab.runs;
                world.happens(Fact::SecretsReady { run, fingerprint: "5ec7e7".to_owned() })
            }
            Self::Polls(machine, times) => (0..*times).try_for_each(|_| {
                saw(world, *machine, asked(FileRole::Script, "again.cfg"))?;
                saw(world, *machine, Sight::ScriptAsked { answer: ScriptAnswer::Wait })?;
                saw(world, *machine, served("again.cfg"))
            }),
        }
    }
}
