//! A cluster of a machine on metal and guests of a hypervisor, all in real QEMU, up to Ready; and the hypervisor starts
//! again in the Ready lab.
#![expect(clippy::unwrap_used, reason = "a test may stop")]

mod e2e;
#[path = "e2e/hypervisor.rs"]
mod hypervisor;

use std::time::Duration;

use e2e::controller::Controller;
use e2e::ground::{given, until};
use e2e::house::House;
use e2e::processes::told;
use hypervisor::Hypervisor;
use model::{
    Command, CommandId, Fact, GuestCause, GuestState, MacAddr, NodeWord, Outcome, Phase, Proof, Sight,
    Snapshot, Trace,
};

/// All of it takes a minute and a half on an idle machine with two processors.
const LIMIT: Duration = Duration::from_secs(600);
const METAL: MacAddr = MacAddr([0x52, 0x54, 0, 0x4c, 0x48, 1]);
const HYPERVISOR: &str = "52:54:00:4c:48:02";

/// `m1` begins the cluster; `w1` and `w2` run in `hv1`, which a person switches.
fn lab() -> (House, Controller) {
    let house = House::new();
    let tap = drivers::power::tap_name(METAL);
    house.shell(&format!("ip tuntap add {tap} mode tap && ip link set {tap} master br0 up"));
    let file = house.write(
        "lab.yaml",
        format!(
            "lab: hybrid\n\
             network: {{ interface: br0, subnet: 10.79.0.0/20, boss: 10.79.0.1, dhcp: authoritative, \
             guests: 10.79.0.101-10.79.0.102 }}\n\
             power:\n  qemu: {{ driver: virtual, memory: 512MiB, disk: 64MiB }}\n  hand: {{ driver: manual }}\n\
             board:\n  columns: 2\n  nodes:\n    \
             m1: {{ at: [1, 1], mac: \"{METAL}\", ip: 10.79.0.11, power: qemu/1, disk: /dev/vda, firmware: bios }}\n    \
             hv1: {{ at: [2, 1], mac: \"{HYPERVISOR}\", ip: 10.79.0.12, power: hand/1, memory: 4GiB }}\n\
             scenarios:\n  hybrid:\n    talos: v1.13\n    image: simulated-talos\n    \
             args: simulated-talos.release=1.13\n    control-plane: [m1]\n    \
             hypervisors: [hv1]\n    hypervisor-image: node\n    \
             workers: {{ count: 2, memory: 512MiB, cpus: 1, disk: 64MiB }}\n\
             limits: {{ power: 2m, first-ask: 5m, fetch: 5m, start: 5m, join: 10m, tries: 5 }}\n"
        ),
    );
    given("LABINATOR_IMAGES");
    let controller = Controller::start(&house, &file);
    until(LIMIT, "the start is accepted", || {
        controller.verb("start hybrid").output().unwrap().status.success().then_some(())
    });
    (house, controller)
}

fn is_ready(picture: &Snapshot) -> bool {
    assert_ne!(picture.lab.phase, Phase::Failed, "{}", picture.lab.phase_because);
    picture.lab.phase == Phase::Ready && picture.machines.iter().all(|one| one.word == NodeWord::Ready)
}

fn number_of_the_boot(picture: &Snapshot, node: &str) -> Option<u32> {
    let machine = picture.machines.iter().find(|one| one.node.as_str() == node)?;
    machine.boot.as_ref().map(|boot| boot.number)
}

/// How often etcd was begun, and how often configs were pushed.
fn done(controller: &Controller) -> (usize, usize) {
    let events = controller.events(0);
    let is_done = |wanted: CommandId| {
        events.iter().any(
            |event| matches!(&event.fact, Fact::Finished { id, outcome: Outcome::Done } if *id == wanted),
        )
    };
    let count = |of: fn(&Command) -> bool| {
        let issued = events.iter().filter_map(|event| match &event.fact {
            Fact::Issued { id, command } if of(command) => Some(*id),
            _ => None,
        });
        issued.filter(|id| is_done(*id)).count()
    };
    (
        count(|command| matches!(command, Command::Bootstrap { .. })),
        count(|command| matches!(command, Command::Push { .. })),
    )
}

#[test]
#[ignore = "stage e2e-qemu"]
fn guests_climb_to_a_cluster_beside_metal_and_come_back_alone_when_their_hypervisor_starts_again() {
    // Dropped last is what the other runs in.
    let (house, controller) = lab();
    controller.wait(LIMIT, "somebody is asked to switch hv1 on", |picture| {
        let machines = picture.machines.iter();
        let hv1 = machines.filter(|one| one.node.as_str() == "hv1").find_map(|one| one.waiting.as_ref());
        hv1.is_some_and(|wait| wait.what == "somebody to switch it on")
    });
    let hypervisor = Hypervisor::boots(&house, "hv1", HYPERVISOR, "first");
    let ready = controller.wait(LIMIT, "the lab is ready", is_ready);
    assert_eq!(done(&controller), (1, 3));
    let names: Vec<String> = hypervisor.guests().into_iter().map(|(_, name)| name).collect();
    assert_eq!(names, ["w1", "w2"]);
    for machine in ready.machines.iter().filter(|one| names.iter().any(|name| name == one.node.as_str())) {
        let guest = machine.guest.as_ref().unwrap();
        assert_eq!((guest.state, guest.host_boot.as_str(), guest.starts), (GuestState::Running, "first", 1));
    }
    let agent = ready.machines.iter().find(|one| one.node.as_str() == "hv1").unwrap().agent.clone();
    assert_eq!(agent.unwrap().proof, Proof::Key);
    // The boss hears what they write, by the line that their hypervisor's agent opened.
    until(LIMIT, "the console of w1 is heard", || {
        let console = controller.verb("console w1 --log").output().unwrap();
        String::from_utf8_lossy(&console.stdout).contains("simulated Talos").then_some(())
    });

    hypervisor.loses_power();
    let hypervisor = Hypervisor::boots(&house, "hv1", HYPERVISOR, "second");
    let back = controller.wait(LIMIT, "the lab is ready again", |picture| {
        is_ready(picture)
            && ["hv1", "w1", "w2"].iter().all(|node| number_of_the_boot(picture, node) == Some(2))
    });
    assert_eq!((back.lab.run, number_of_the_boot(&back, "m1")), (1, Some(1)));
    // Their disks were in its memory: they are given their configs again, and etcd goes on where it is.
    assert_eq!(done(&controller), (1, 5));
    let first = told(&mut controller.verb("boot trace w2 --boot 1 --json"));
    let first: Trace = serde_json::from_str(&first).unwrap();
    let ends = format!("{}: hv1: started again", GuestCause::HostRestarted);
    assert!(first.boot.log.iter().any(|line| line.text == ends), "{ends}: {:?}", first.boot.log);

    told(&mut controller.verb("stop"));
    hypervisor.goes_off(LIMIT);
    let guests = controller.events(0).into_iter().filter_map(|event| match event.fact {
        Fact::Sighted { sight: Sight::Guest { guest }, .. } => Some(guest),
        _ => None,
    });
    let last = guests.filter(|guest| guest.node.as_str() == "w1").last().unwrap();
    assert_eq!(last.state, GuestState::Off, "{last:?}");
}
