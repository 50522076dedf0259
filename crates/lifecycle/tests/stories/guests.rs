//! The words of stories about guests and the machines that run them.

use std::net::Ipv4Addr;

use model::{
    DriverName, Fact, GUESTS_DRIVER, GuestBoot, GuestCause, GuestEnd, GuestNic, GuestSeen, GuestSpec,
    GuestState, ImageRef, MachineUuid, Mebibytes, NodeName, NodeSpec, PortRef, PowerDriver, PowerOrder,
    ScenarioName, Sight,
};

use crate::telling::{Teller, text};
use crate::world::{Board, mac};

fn state(word: &str) -> Result<GuestState, String> {
    let all = [
        GuestState::Off,
        GuestState::Fetching,
        GuestState::Starting,
        GuestState::Running,
        GuestState::Refused,
        GuestState::CrashLooping,
    ];
    let found = all.into_iter().find(|state| state.to_string() == word);
    found.ok_or_else(|| format!("a guest is not `{word}`"))
}

fn cause(word: &str) -> Result<GuestCause, String> {
    serde_json::from_value(serde_json::Value::String(word.to_owned())).map_err(text)
}

impl Board {
    /// Makes one machine of `demo` a hypervisor that runs these guests.
    pub(crate) fn runs(&mut self, host: &NodeName, guests: &[NodeName]) {
        let driver: DriverName = GUESTS_DRIVER.parse().unwrap();
        self.spec.power.insert(driver.clone(), PowerDriver::Guests);
        let demo = self.spec.scenarios.get_mut(&"demo".parse::<ScenarioName>().unwrap()).unwrap();
        demo.hypervisors.push(host.clone());
        demo.hypervisor_image = Some(ImageRef::Named("hypervisor".to_owned()));
        let at = self.spec.board.nodes[host].at;
        for guest in guests {
            let number = 100 + u8::try_from(self.spec.board.nodes.len()).unwrap();
            let spec = NodeSpec {
                at,
                zone: None,
                mac: mac(number),
                ip: Ipv4Addr::new(10, 0, 0, number),
                ip6: None,
                power: PortRef { driver: driver.clone(), port: guest.to_string() },
                port: None,
                loader: model::LoaderChoice::Ipxe,
                guest: Some(MachineUuid([number; 16])),
                memory: None,
                firmware: None,
                disk: None,
            };
            self.spec.board.nodes.insert(guest.clone(), spec);
            demo.nodes.push(guest.clone());
            demo.enough += 1;
            let made = GuestSpec {
                host: host.clone(),
                memory: Mebibytes(1024),
                cpus: 1,
                disk: None,
                nic: GuestNic::Virtio,
                boot: GuestBoot::Kernel,
                watchdog: false,
            };
            demo.guests.insert(guest.clone(), made);
        }
    }
}

impl Teller {
    /// What a hypervisor's agent tells of a guest; `None` when the words are about something else.
    pub(crate) fn guest(&mut self, words: &[&str]) -> Option<Result<(), String>> {
        let (host, guest, told, why) = match words {
            [host, "has", guest, told] => (host, guest, told, None),
            [host, "has", guest, told, "because", cause, evidence @ ..] => {
                (host, guest, told, Some((*cause, evidence.join(" "))))
            }
            _ => return None,
        };
        let host = self.node(host).ok()?;
        let guest = self.node(guest).ok().filter(|guest| self.world.lab.host_of(guest).is_some())?;
        Some(self.tells(&host, &guest, told, why))
    }

    fn tells(
        &mut self,
        host: &NodeName,
        guest: &NodeName,
        told: &str,
        why: Option<(&str, String)>,
    ) -> Result<(), String> {
        let machine = self.world.lab.machines.get(guest).ok_or("no such machine")?;
        let spec = self.world.lab.node(guest).ok_or("no such machine")?;
        let host_boot = self.agents.get(host).cloned().ok_or("its hypervisor's agent is not there")?;
        let before = machine.guest.as_ref().filter(|before| before.host_boot == host_boot);
        let ended = match why {
            Some((word, evidence)) => Some(GuestEnd { cause: cause(word)?, evidence }),
            None => before.and_then(|before| before.ended.clone()),
        };
        let state = state(told)?;
        let starts = before.map_or(0, |before| before.starts);
        let again = state.runs() && before.is_none_or(|before| !before.state.runs() || ended != before.ended);
        let guest = GuestSeen {
            node: guest.clone(),
            mac: spec.mac,
            host: host.clone(),
            host_boot,
            state,
            order: machine.ordered.map_or(0, |(id, _)| id.0),
            starts: starts + u32::from(again),
            ended,
            evidence: format!("{host} says {told}"),
        };
        self.told(Fact::Sighted { mac: guest.mac, sight: Sight::Guest { guest } })
    }

    /// What the boot table makes a hypervisor's agent do with a guest.
    pub(crate) fn wish(&self, guest: &NodeName) -> Result<PowerOrder, String> {
        let host = self.world.lab.host_of(guest).ok_or("it is no guest of the scenario in hand")?;
        let entry = self.world.answer(host).ok_or("the boot table does not know its hypervisor")?;
        let wishes = entry.guests.as_ref().ok_or("its hypervisor is told of no guests")?;
        let wish = wishes.iter().find(|wish| wish.node == *guest);
        wish.map(|wish| wish.power).ok_or_else(|| "its hypervisor is not told of it".to_owned())
    }
}
