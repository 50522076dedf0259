//! Guests of the first machine: what its agent tells of them, truly or not.

use std::net::Ipv4Addr;

use model::{
    DriverName, Fact, GUESTS_DRIVER, GuestBoot, GuestCause, GuestEnd, GuestNic, GuestSeen, GuestSpec,
    GuestState, ImageRef, MachineUuid, Mebibytes, NodeSpec, PortRef, PowerDriver, ScenarioName, Sight,
};
use proptest::prelude::*;

use crate::fate::name;
use crate::world::{Board, World, mac};

/// The machine that runs them, in `demo`.
pub(crate) const HOST: u8 = 1;
/// They are called as machines are.
pub(crate) const GUESTS: [u8; 2] = [5, 6];

/// Makes the first machine a hypervisor of `demo`, with two guests.
pub(crate) fn add(board: &mut Board) {
    let driver: DriverName = GUESTS_DRIVER.parse().unwrap();
    board.spec.power.insert(driver.clone(), PowerDriver::Guests);
    let at = board.spec.board.nodes[&name(HOST)].at;
    let demo = board.spec.scenarios.get_mut(&"demo".parse::<ScenarioName>().unwrap()).unwrap();
    demo.hypervisors.push(name(HOST));
    demo.hypervisor_image = Some(ImageRef::Named("hypervisor".to_owned()));
    for guest in GUESTS {
        let node = NodeSpec {
            at,
            zone: None,
            mac: mac(guest),
            ip: Ipv4Addr::new(10, 0, 0, 10 + guest),
            ip6: None,
            power: PortRef { driver: driver.clone(), port: name(guest).to_string() },
            port: None,
            loader: model::LoaderChoice::Ipxe,
            guest: Some(MachineUuid([guest; 16])),
            memory: None,
            firmware: None,
            disk: None,
        };
        board.spec.board.nodes.insert(name(guest), node);
        demo.nodes.push(name(guest));
        demo.enough += 1;
        let made = GuestSpec {
            host: name(HOST),
            memory: Mebibytes(1024),
            cpus: 1,
            disk: None,
            nic: GuestNic::Virtio,
            boot: if guest == GUESTS[0] { GuestBoot::Kernel } else { GuestBoot::Network },
            watchdog: false,
        };
        demo.guests.insert(name(guest), made);
    }
}

/// What is told of a guest, beside who it is.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) state: GuestState,
    /// In which boot of the hypervisor.
    pub(crate) boot: String,
    /// The order it follows.
    pub(crate) order: u64,
    /// Starts more than were told before.
    pub(crate) more: u32,
    pub(crate) ended: Option<GuestCause>,
}

/// An agent tells of a guest.
pub(crate) fn tells(world: &mut World, guest: u8, told: Told) -> Result<(), String> {
    let before = world.lab.machines[&name(guest)].guest.clone();
    let before = before.filter(|before| before.host_boot == told.boot);
    let ended =
        told.ended.map(|cause| GuestEnd { cause, evidence: format!("seen after {} starts", told.more) });
    let seen = GuestSeen {
        node: name(guest),
        mac: mac(guest),
        host: name(HOST),
        host_boot: told.boot,
        state: told.state,
        order: told.order,
        starts: before.as_ref().map_or(0, |before| before.starts) + told.more,
        ended: ended.or_else(|| before.as_ref().and_then(|before| before.ended.clone())),
        evidence: "looked".to_owned(),
    };
    if before.as_ref() == Some(&seen) {
        // Nobody says the same again.
        return Ok(());
    }
    world.happens(Fact::Sighted { mac: mac(guest), sight: Sight::Guest { guest: seen } })
}

/// What an agent may tell, truly or not: boots of the hypervisor count from 1, and orders back from the last.
#[derive(Debug, Clone)]
pub(crate) struct Rumour {
    state: GuestState,
    boot: u8,
    back: u64,
    more: u32,
    ended: Option<GuestCause>,
}

pub(crate) fn rumour() -> impl Strategy<Value = Rumour> {
    let state = prop_oneof![
        6 => Just(GuestState::Running),
        4 => Just(GuestState::Off),
        1 => Just(GuestState::Fetching),
        1 => Just(GuestState::Starting),
        1 => Just(GuestState::Refused),
        1 => Just(GuestState::CrashLooping),
    ];
    let cause = prop_oneof![
        Just(GuestCause::QemuDied),
        Just(GuestCause::PoweredOff),
        Just(GuestCause::OutOfMemory),
        Just(GuestCause::NoRoom),
        Just(GuestCause::Ordered),
    ];
    let ended = prop::option::weighted(0.4, cause);
    (state, 1..=3_u8, prop_oneof![4 => Just(0), 1 => Just(1)], 0..2_u32, ended)
        .prop_map(|(state, boot, back, more, ended)| Rumour { state, boot, back, more, ended })
}

impl Rumour {
    /// That it runs, in the hypervisor's first boot.
    pub(crate) const RUNS: Self = Self { state: GuestState::Running, boot: 1, back: 0, more: 0, ended: None };

    /// It is told, where there are guests.
    pub(crate) fn spreads(&self, world: &mut World, guest: u8) -> Result<(), String> {
        let Some(machine) = world.lab.machines.get(&name(guest)) else { return Ok(()) };
        let order = machine.ordered.map_or(0, |(id, _)| id.0).saturating_sub(self.back);
        let boot = format!("b{}", self.boot);
        let told = Told { state: self.state, boot, order, more: self.more, ended: self.ended };
        tells(world, guest, told)
    }
}
