//! Parts that die, are told to end, or run out of disk, while others go on.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::e2e::client::Client;
use crate::e2e::controller::Controller;
use crate::e2e::ground::{said, until};
use crate::e2e::house::House;
use crate::e2e::lab::BOSS;
use crate::e2e::processes::{lives, signal, skip, told};
use crate::{LIMIT, kernel_url, lab, nothing_lost, perfdhcp, started};

/// How soon a part that died is back on a machine that has nothing else to do.
const SOON: Duration = Duration::from_secs(2);

#[test]
#[ignore = "stage e2e-clients"]
fn killing_the_core_loses_no_exchange_and_the_lab_comes_back_as_it_was() {
    let (controller, house) = started();
    let node = Client::with_address(&house, "node1", &lab::mac(1), "10.79.0.11");
    kernel_url(&controller, &node);
    let relay = Client::with_address(&house, "relay", "02:4c:41:00:02:01", "10.79.8.1");
    let before = controller.look().unwrap();
    assert_eq!(before.lab.run, 1);

    let mut exchanges = perfdhcp(&relay, "02:4c:44:00:00:00", 50, (200, 6));
    let exchanges = exchanges.stdout(std::process::Stdio::piped()).spawn().unwrap();
    until(LIMIT, "exchanges go on", || (controller.leases().len() > 10).then_some(()));
    controller.replace("core");
    let after = controller.wait(LIMIT, "the lab is back", |picture| picture.lab.counter_up);
    let report = exchanges.wait_with_output().unwrap();
    nothing_lost(&String::from_utf8_lossy(&report.stdout), 200);

    assert_ne!(after.epoch, before.epoch);
    assert!(after.through > before.through);
    assert_eq!(after.lab.run, before.lab.run);
    assert_eq!(after.lab.scenario, before.lab.scenario);
    assert_eq!(after.lab.phase, before.lab.phase);
    let goals = |picture: &model::Snapshot| {
        picture.machines.iter().map(|m| (m.node.clone(), m.goal, m.rung)).collect::<Vec<_>>()
    };
    assert_eq!(goals(&after), goals(&before));
    let copy = house.path("journal");
    std::fs::copy(controller.state.join("journal"), &copy).unwrap();
    let replayed = told(controller.verb("replay").arg(&copy));
    assert!(replayed.contains("scenario all"), "{replayed}");
    // What was being served goes on by the same table.
    assert!(kernel_url(&controller, &node).ends_with("/vmlinuz"));
}

#[test]
#[ignore = "stage e2e-clients"]
fn a_counter_that_is_killed_is_back_soon_and_no_request_is_lost() {
    let (controller, house) = started();
    let node = Client::with_address(&house, "node2", &lab::mac(2), "10.79.0.12");
    let ping = || {
        let mut ping = node.command(60, "dhcping");
        told(ping.args(["-t", "30", "-c", "10.79.0.12", "-s", BOSS, "-h", &node.mac]));
    };
    ping();
    let mut best = Duration::MAX;
    for _ in 0..3 {
        let old = controller.part("counter").unwrap();
        let began = Instant::now();
        signal(old, Signal::KILL);
        // One datagram: it waits in the socket, which the supervisor holds.
        ping();
        best = best.min(began.elapsed());
        controller.wait(LIMIT, "the new counter is connected", |picture| picture.lab.counter_up);
        assert_ne!(controller.part("counter"), Some(old));
    }
    println!("a killed counter answers again after {best:?}");
    assert!(best < SOON, "{best:?}");
}

#[test]
#[ignore = "stage e2e-clients"]
fn nothing_outlives_a_supervisor_that_is_killed() {
    let (controller, house) = started();
    let parts = [controller.part("core").unwrap(), controller.part("counter").unwrap()];
    signal(controller.pid, Signal::KILL);
    until(LIMIT, "both parts end", || parts.iter().all(|pid| !lives(*pid)).then_some(()));
    drop(controller);
    // Its socket lies there still, and its ports are free.
    assert!(house.path("api.sock").exists());
    let again = Controller::start(&house, &house.path("lab.yaml"));
    assert_eq!(again.look().unwrap().lab.name.as_str(), "bench");
}

#[test]
#[ignore = "stage e2e-clients"]
fn a_controller_that_is_told_to_end_ends_well_and_frees_its_ports() {
    let (mut controller, house) = started();
    let parts = [controller.part("core").unwrap(), controller.part("counter").unwrap()];
    assert_eq!(controller.stop().code(), Some(0), "{}", controller.log());
    assert!(parts.iter().all(|pid| !lives(*pid)));
    assert!(!controller.socket.exists());
    let sockets = house.shell("cat /proc/net/udp; grep ' 0A ' /proc/net/tcp || true");
    for port in [":0043 ", ":0045 ", ":0050 ", ":1F90 "] {
        assert!(!sockets.contains(port), "{port}: {sockets}");
    }
    Controller::start(&house, &house.path("lab.yaml"));
}

#[test]
#[ignore = "stage e2e-clients"]
fn a_full_disk_stops_new_leases_only_and_only_while_it_is_full() {
    let house = House::new();
    let lab = lab::written(&house);
    let state = house.path("small");
    let small = state.display();
    house.shell(&format!("mkdir {small} && mount -t tmpfs -o size=12m tmpfs {small}"));
    let controller = Controller::start_in(&house, &lab, &state, &[]);
    let node = Client::with_address(&house, "node1", &lab::mac(1), "10.79.0.11");
    kernel_url(&controller, &node);
    let relay = Client::with_address(&house, "relay", "02:4c:41:00:02:01", "10.79.8.1");
    nothing_lost(&told(&mut perfdhcp(&relay, "02:4c:45:00:00:00", 50, (20, 2))), 50);
    let guest = Client::new(&house, "guest", "02:4c:41:00:01:03");
    let udhcpc = || {
        let mut command = guest.command(60, "busybox");
        command
            .args(["udhcpc", "-n", "-q", "-t", "4", "-T", "1", "-i", "eth0", "-s", "/bin/true"])
            .output()
            .unwrap()
    };

    house.shell(&format!("dd if=/dev/zero of={small}/ballast bs=4096 2>/dev/null || true"));
    // What is left of the last block still takes a few records; then it is over.
    let filled = perfdhcp(&relay, "02:4c:46:00:00:00", 50, (200, 4)).output().unwrap();
    let full = controller.wait(LIMIT, "it is told that the ledger is full", |picture| {
        picture.lab.notices.iter().any(|notice| matches!(notice, model::Notice::LedgerFull { .. }))
    });
    assert!(!filled.status.success(), "{}", said(&filled));
    assert!(full.lab.counter_up);
    let refused = udhcpc();
    assert!(!refused.status.success(), "{}", said(&refused));
    assert!(controller.leases().iter().all(|(mac, _)| mac.to_string() != guest.mac));
    let doctor = said(&controller.verb("doctor").output().unwrap());
    assert!(doctor.contains("leases cannot be written"), "{doctor}");
    // Those who hold an address keep it.
    nothing_lost(&told(&mut perfdhcp(&relay, "02:4c:45:00:00:00", 50, (20, 2))), 50);

    house.shell(&format!("rm {small}/ballast"));
    let given = udhcpc();
    assert!(given.status.success(), "{}", said(&given));
    controller.wait(LIMIT, "it is told that the ledger is well", |picture| {
        !picture.lab.notices.iter().any(|notice| matches!(notice, model::Notice::LedgerFull { .. }))
    });
    told(&mut controller.verb("stop"));
    let through = controller.look().unwrap().through;
    controller.replace("core");
    let back = controller.wait(LIMIT, "the lab is back", |picture| picture.lab.counter_up);
    assert!(back.through >= through && back.lab.run == 1);
}

/// Where Debian's `libfaketime` puts the library that lies to one program about the date.
const FALSE_CLOCK: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";
/// A month, in milliseconds.
const MONTH: u64 = 30 * 24 * 3_600_000;

#[test]
#[ignore = "stage e2e-clients"]
fn a_jump_of_the_date_ends_no_wait_and_no_lease() {
    if !std::path::Path::new(FALSE_CLOCK).is_file() {
        return skip(&format!(
            "a jump of the date: {FALSE_CLOCK} is missing: apt-get install -y libfaketime"
        ));
    }
    let house = House::new();
    let lab = lab::written(&house);
    let date = house.write("date", "+0\n");
    let lies = [
        ("LD_PRELOAD", FALSE_CLOCK),
        ("FAKETIME_TIMESTAMP_FILE", date.to_str().unwrap()),
        ("FAKETIME_NO_CACHE", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ("NO_FAKE_STAT", "1"),
    ];
    let controller = Controller::start_in(&house, &lab, &house.path("state"), &lies);
    let node = Client::with_address(&house, "node1", &lab::mac(1), "10.79.0.11");
    kernel_url(&controller, &node);
    let relay = Client::with_address(&house, "relay", "02:4c:41:00:02:01", "10.79.8.1");
    let exchange = || nothing_lost(&told(&mut perfdhcp(&relay, "02:4c:47:00:00:00", 50, (20, 1))), 20);
    exchange();
    let leases = || std::fs::read_to_string(controller.state.join("ledger")).unwrap();
    let (before, ledger) = (controller.look().unwrap(), leases());
    for (jump, far) in [("+30d", true), ("-30d", false)] {
        house.write("date", format!("{jump}\n"));
        let after = controller.wait(LIMIT, "the date is another", |picture| {
            let (then, now) = (before.at.wall.0, picture.at.wall.0);
            if far { now > then + MONTH / 2 } else { now + MONTH / 2 < then }
        });
        exchange();
        assert_eq!(leases(), ledger, "the same clients hold the same addresses");
        let went_by = after.at.since_start.since(before.at.since_start);
        assert!(went_by.0 < MONTH / 2, "{jump}: {went_by}");
        assert_eq!((after.lab.phase, after.lab.run), (before.lab.phase, before.lab.run), "{jump}");
        assert!(after.machines.iter().all(|machine| machine.fault.is_none()), "{jump}");
    }
    // A core that begins under another date than the last one ended repairs nothing that is not broken.
    house.write("date", "+30d\n");
    controller.replace("core");
    let after = controller.wait(LIMIT, "the lab is back and has looked around", |picture| {
        picture.lab.counter_up && picture.machines.iter().all(|machine| machine.waiting.is_some())
    });
    assert_eq!((after.lab.phase, after.lab.run), (before.lab.phase, before.lab.run));
    assert!(after.machines.iter().all(|machine| machine.fault.is_none()));
    exchange();
}
