//! Machines of the board that run others: their agents do what the boot table tells them, and tell what is.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use labinator::desk::Desk;
use model::{
    BootTable, Fact, GUESTS_DRIVER, GuestBoot, GuestCause, GuestEnd, GuestNic, GuestSeen, GuestSpec,
    GuestState, GuestWish, Image, ImageRef, LabSpec, MachineUuid, Mebibytes, NodeBoot, NodeName, PortRef,
    PowerDriver, PowerOrder, Sight,
};
use sim::talos::Node;
use tokio::sync::{oneshot, watch};
use tokio::time::sleep;

use crate::stand::{all, beat, node, report, sighted};

/// How often an agent looks at its guests and is heard.
const EVERY: Duration = Duration::from_secs(3);

/// Which machines run which: the hypervisors, and the guests of each.
pub(crate) type Runs = BTreeMap<u8, Vec<u8>>;

/// Makes guests of some machines of a lab.
pub(crate) fn make(spec: &mut LabSpec, runs: &Runs) {
    let driver: model::DriverName = GUESTS_DRIVER.parse().unwrap();
    for (host, guests) in runs {
        let scenario = spec.scenarios.get_mut(&all()).unwrap();
        scenario.hypervisors.push(node(*host));
        scenario.hypervisor_image = Some(ImageRef::Named("hypervisor".to_owned()));
        for guest in guests {
            let made = GuestSpec {
                host: node(*host),
                memory: Mebibytes(2048),
                cpus: 2,
                disk: None,
                nic: GuestNic::Virtio,
                boot: GuestBoot::Kernel,
                watchdog: false,
            };
            scenario.guests.insert(node(*guest), made);
            let known = spec.board.nodes.get_mut(&node(*guest)).unwrap();
            known.guest = Some(MachineUuid([*guest; 16]));
            known.power = PortRef { driver: driver.clone(), port: node(*guest).to_string() };
        }
        spec.power.insert(driver.clone(), PowerDriver::Guests);
    }
}

/// What hypervisors boot in place of what their guests do.
pub(crate) fn boots(runs: &Runs, like: &Image) -> BTreeMap<NodeName, NodeBoot> {
    let image = Image { agent: true, ..like.clone() };
    let boot = NodeBoot { image: Some(Arc::new(image)), args: Some(String::new()), ..NodeBoot::default() };
    runs.keys().map(|host| (node(*host), boot.clone())).collect()
}

/// Machines that run, with what ends them.
pub(crate) type Running = Arc<Mutex<BTreeMap<NodeName, oneshot::Sender<()>>>>;

/// The agents of all hypervisors of a board. They outlive a core, as the machines do.
#[derive(Clone)]
pub(crate) struct Agents {
    pub(crate) runs: Runs,
    pub(crate) talos: BTreeMap<NodeName, Node>,
    pub(crate) running: Running,
    /// Boots of each hypervisor so far.
    pub(crate) boots: Arc<Mutex<BTreeMap<u8, u64>>>,
    /// What each agent told of its guests last.
    pub(crate) told: Arc<Mutex<BTreeMap<u8, GuestSeen>>>,
}

impl Agents {
    /// Looks after the guests for as long as a core listens.
    pub(crate) async fn look_after(self, table: watch::Receiver<Arc<BootTable>>, desk: Desk) {
        loop {
            sleep(EVERY).await;
            for (host, guests) in &self.runs {
                let boot = self.boots.lock().unwrap_or_else(PoisonError::into_inner).get(host).copied();
                let up =
                    self.running.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&node(*host));
                let Some(boot) = boot.filter(|_| up) else { continue };
                let mut facts = vec![beat(*host, boot)];
                let table = Arc::clone(&table.borrow());
                let entry = table.nodes.iter().find(|entry| entry.node == node(*host));
                let wishes = entry.and_then(|entry| entry.guests.clone()).unwrap_or_default();
                for guest in guests {
                    let wish = wishes.iter().find(|wish| wish.node == node(*guest));
                    facts.extend(wish.and_then(|wish| self.tend(*host, boot, *guest, wish)));
                }
                for fact in facts {
                    if desk.tell(fact).await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// Makes one guest as it is wished, and tells what is new of it.
    fn tend(&self, host: u8, boot: u64, guest: u8, wish: &GuestWish) -> Option<Fact> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let host_boot = format!("boot-{boot}");
        let last = told.get(&guest).filter(|last| last.host_boot == host_boot).cloned();
        let name = node(guest);
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let runs = running.get(&name).is_some_and(|end| !end.is_closed());
        let mut starts = last.as_ref().map_or(0, |last| last.starts);
        let mut ended = last.as_ref().and_then(|last| last.ended.clone());
        if last.as_ref().is_some_and(|last| last.state.runs()) && !runs {
            let evidence = "its process is gone".to_owned();
            ended = Some(GuestEnd { cause: GuestCause::QemuDied, evidence });
        }
        match (wish.power, runs) {
            (PowerOrder::On, false) => {
                assert!(wish.image.is_some(), "{name} is to run and has nothing to boot");
                starts += 1;
                let (alive, dies) = oneshot::channel::<()>();
                running.insert(name.clone(), alive);
                let one = self.talos[&name].clone();
                tokio::spawn(async move {
                    tokio::select! {
                        () = one.run() => {}
                        _ = dies => {}
                    }
                });
            }
            (PowerOrder::Off | PowerOrder::Soft | PowerOrder::Press, true) => {
                running.remove(&name);
                ended =
                    Some(GuestEnd { cause: GuestCause::Ordered, evidence: "it was wished off".to_owned() });
            }
            (PowerOrder::On, true) | (PowerOrder::Off | PowerOrder::Soft | PowerOrder::Press, false) => {}
        }
        let state = if wish.power == PowerOrder::On { GuestState::Running } else { GuestState::Off };
        let seen = GuestSeen {
            node: name,
            mac: wish.mac,
            host: node(host),
            host_boot,
            state,
            order: wish.order,
            starts,
            ended,
            evidence: format!("QEMU of {guest}"),
        };
        let news = last.as_ref() != Some(&seen);
        told.insert(guest, seen.clone());
        news.then(|| sighted(guest, Sight::Guest { guest: seen }))
    }

    /// A hypervisor begins a boot: whatever ran in it is gone.
    pub(crate) fn boots(&self, host: u8) -> u64 {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        for guest in self.runs.get(&host).into_iter().flatten() {
            running.remove(&node(*guest));
        }
        // Its end is nobody's: it stands for the machine being on.
        running.insert(node(host), oneshot::channel().0);
        let mut boots = self.boots.lock().unwrap_or_else(PoisonError::into_inner);
        let boot = boots.entry(host).or_default();
        *boot += 1;
        *boot
    }

    /// A hypervisor is switched off, and what runs in it with it.
    pub(crate) fn goes_off(&self, host: u8) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        for gone in self.runs.get(&host).into_iter().flatten().chain([&host]) {
            running.remove(&node(*gone));
        }
    }

    /// What its agent says first in a boot.
    pub(crate) fn reports(host: u8, boot: u64) -> Fact {
        report(host, boot)
    }

    /// Somebody kills the process of a guest.
    pub(crate) fn kills(&self, guest: u8) {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&node(guest));
    }

    /// Guests that run.
    pub(crate) fn up(&self) -> usize {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        self.runs.values().flatten().filter(|guest| running.contains_key(&node(**guest))).count()
    }
}
