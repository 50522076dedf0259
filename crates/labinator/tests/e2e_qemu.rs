//! Real firmware boots the node image: SeaBIOS with iPXE, OVMF over TFTP and over HTTP; and the demo.
#![expect(clippy::unwrap_used, reason = "a test may stop")]
#![expect(clippy::print_stdout, reason = "what a failed test heard, and what was not tested")]

#[path = "e2e/demo.rs"]
mod demo;
mod e2e;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::Duration;

use e2e::controller::Controller;
use e2e::ground::{self, until};
use e2e::house::House;
use e2e::lab::of_firmware;
use e2e::machines::machines_below;
use e2e::processes::{signal, told};
use model::{Carrier, ClientKind, Fact, NodeWord, Phase, PowerState, Snapshot, Stage, Trace};
use rustix::process::Signal;

/// Three cold machines take half a minute on an idle machine with two processors, and many times that on a
/// busy one.
const LIMIT: Duration = Duration::from_secs(600);

/// Name, firmware as the lab file writes it, last byte of the Ethernet address.
const NODES: [(&str, &str, u8); 3] = [("bios", "bios", 1), ("pxe", "uefi-pxe", 2), ("http", "uefi-http", 3)];

/// A lab of one machine of each kind, all cold.
fn lab() -> (Controller, House) {
    let house = House::new();
    let mut text = of_firmware(&house, 0x42, &NODES, "");
    text.push_str("scenarios:\n  all: { image: node, nodes: all }\n");
    text.push_str("limits: { first-ask: 5m, fetch: 5m, start: 5m }\n");
    let file = house.write("lab.yaml", text);
    ground::given("LABINATOR_IMAGES");
    let controller = Controller::start(&house, &file);
    controller.wait(LIMIT, "the images are read", |picture| {
        picture.lab.scenarios.iter().all(|scenario| scenario.missing.is_empty() && !scenario.image.is_empty())
    });
    (controller, house)
}

fn pids(controller: &Controller) -> BTreeMap<String, u32> {
    machines_below(&controller.state).into_iter().map(|(pid, name)| (name, pid)).collect()
}

fn start(controller: &Controller) {
    until(Duration::from_secs(120), "the start is not refused any more", || {
        let plan = controller.verb("start all --plan --json").output().unwrap();
        let plan: api::Plan = serde_json::from_slice(&plan.stdout).ok()?;
        plan.refused.is_none().then_some(())
    });
    told(&mut controller.verb("start all --wait --timeout 9m"));
}

/// Off means seen off; then the controller ends, too.
fn stop(mut controller: Controller) {
    told(&mut controller.verb("stop --wait --timeout 3m"));
    assert_eq!(pids(&controller), BTreeMap::new());
    let picture = controller.look().unwrap();
    assert_eq!(picture.lab.phase, Phase::Idle);
    for machine in &picture.machines {
        assert_eq!((machine.power.state, machine.word), (PowerState::Off, NodeWord::Off), "{}", machine.node);
        assert!(machine.power.evidence.starts_with("QEMU "), "seen, not ordered: {}", machine.power.evidence);
    }
    assert_eq!(controller.stop().code(), Some(0));
}

fn trace(controller: &Controller, node: &str) -> Trace {
    let text = told(&mut controller.verb(&format!("boot trace {node} --json")));
    serde_json::from_str(&text).unwrap()
}

/// A boot that went from its firmware to the agent's report, each part once, in order, without a break.
fn whole(controller: &Controller, node: &str) -> Trace {
    let drawn = told(&mut controller.verb(&format!("boot trace {node}")));
    let trace = trace(controller, node);
    println!("{drawn}");
    assert!(!drawn.lines().any(|line| line.trim_start().starts_with('!')), "{drawn}");
    assert!(trace.boot.transfers.iter().all(|transfer| transfer.broken.is_none()), "{drawn}");
    let bars = &trace.waterfall.bars;
    assert!(!trace.waterfall.open && bars.iter().all(|bar| !bar.open), "{drawn}");
    assert!(
        bars.windows(2).all(|pair| matches!(pair, [a, b] if a.from_ms + a.took_ms <= b.from_ms)),
        "{drawn}"
    );
    let stages: Vec<Stage> = bars.iter().map(|bar| bar.stage).collect();
    let mut in_order = stages.clone();
    in_order.sort();
    in_order.dedup();
    assert_eq!(stages, in_order, "{drawn}");
    for stage in [Stage::Firmware, Stage::Dhcp, Stage::Image, Stage::Kernel, Stage::Agent] {
        assert!(stages.contains(&stage), "no {stage}: {drawn}");
    }
    trace
}

fn fetched(trace: &Trace, name: &str, carrier: Carrier) -> bool {
    trace.boot.transfers.iter().any(|file| file.name == name && file.carrier == carrier)
}

/// The first words of a screen, up to its name (RFC 6143 sections 7.1 to 7.3).
fn shake(at: &str) -> String {
    let mut screen = TcpStream::connect(at).unwrap();
    screen.set_read_timeout(Some(LIMIT)).unwrap();
    let mut take = |count: usize, answer: &[u8]| {
        let mut bytes = vec![0; count];
        screen.read_exact(&mut bytes).unwrap();
        screen.write_all(answer).unwrap();
        bytes
    };
    assert_eq!(take(12, b"RFB 003.008\n"), b"RFB 003.008\n");
    // One kind of security, none: whoever comes as far has shown the token.
    assert_eq!(take(2, &[1]), [1, 1]);
    assert_eq!(take(4, &[1]), [0; 4]);
    let length = take(24, &[]).split_off(20);
    let name = take(u32::from_be_bytes(length.try_into().unwrap()).try_into().unwrap(), &[]);
    String::from_utf8(name).unwrap()
}

#[test]
#[ignore = "stage e2e-qemu"]
fn a_machine_shows_its_console_and_its_screen_before_it_has_booted() {
    let (mut controller, _house) = lab();
    let refused = controller.verb("vnc bios").output().unwrap();
    assert_eq!(refused.status.code(), Some(3));
    assert!(ground::said(&refused).contains("bios: it is not running"), "{}", ground::said(&refused));
    let power = |state: PowerState| {
        move |picture: &Snapshot| {
            picture.machines.iter().any(|m| m.node.as_str() == "bios" && m.power.state == state)
        }
    };
    told(&mut controller.verb("power on bios"));
    controller.wait(LIMIT, "it runs", power(PowerState::On));

    let mut vnc = controller.verb("vnc bios").stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(vnc.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let at = line.trim().strip_prefix("vnc://").unwrap();
    assert!(shake(at).contains("bios"));
    assert!(shake(at).contains("bios"), "one after the other");
    until(LIMIT, "its firmware is heard", || {
        let told = ground::said(&controller.verb("console bios --log").output().unwrap());
        told.contains("SeaBIOS").then_some(())
    });
    signal(vnc.id(), Signal::TERM);
    vnc.wait().unwrap();
    let sockets = controller.state.join("power/bios");
    assert!(sockets.join("vnc.sock").exists() && sockets.join("console.log").exists());
    told(&mut controller.verb("power off bios"));
    controller.wait(LIMIT, "it is off", power(PowerState::Off));
    assert_eq!(controller.stop().code(), Some(0));
}

fn all(picture: &Snapshot, word: NodeWord) -> bool {
    picture.machines.iter().all(|machine| machine.word == word)
}

#[test]
#[ignore = "stage e2e-qemu"]
fn machines_switched_on_too_early_wait_politely_and_boot_without_being_switched_again() {
    let (controller, _house) = lab();
    told(&mut controller.verb("power on all"));
    controller.wait(LIMIT, "every machine waits", |picture| all(picture, NodeWord::Waiting));
    let early = pids(&controller);
    assert_eq!(early.len(), NODES.len());
    assert_eq!(controller.look().unwrap().lab.phase, Phase::Idle);
    assert!(fetched(&trace(&controller, "http"), "snponly.efi", Carrier::Http));
    start(&controller);
    assert_eq!(pids(&controller), early, "the same processes: nobody switched them");
    let fetched_by = |node: &str| {
        let trace = trace(&controller, node);
        assert!(trace.boot.transfers.iter().all(|file| file.broken.is_none()), "{node}: {trace:?}");
        assert!(trace.waterfall.bars.iter().any(|bar| bar.stage == Stage::Wait), "{node}: {trace:?}");
        trace
    };
    for (node, _, _) in NODES {
        assert!(fetched(&fetched_by(node), "vmlinuz", Carrier::Http), "{node}");
    }
    stop(controller);
}

#[test]
#[ignore = "stage e2e-qemu"]
fn cold_machines_of_every_firmware_get_ready_and_a_ready_lab_repairs_itself() {
    let (controller, _house) = lab();
    start(&controller);
    let ready = controller.look().unwrap();
    assert!(ready.lab.phase == Phase::Ready && all(&ready, NodeWord::Ready));
    assert_eq!(whole(&controller, "bios").boot.firmware, Some(ClientKind::Ipxe));
    let pxe = whole(&controller, "pxe");
    assert_eq!(pxe.boot.firmware, Some(ClientKind::UefiPxe));
    assert!(fetched(&pxe, "snponly.efi", Carrier::Tftp) && fetched(&pxe, "vmlinuz", Carrier::Http));
    let http = whole(&controller, "http");
    assert_eq!(http.boot.firmware, Some(ClientKind::UefiHttp));
    assert!(!fetched(&http, "snponly.efi", Carrier::Http), "it went to its image directly");
    for machine in &ready.machines {
        let agent = machine.agent.as_ref().unwrap();
        assert_eq!(agent.report.address, Some(machine.ip.into()), "{}", machine.node);
        assert_eq!(agent.report.inventory.serial, machine.node.as_str());
    }

    let before = pids(&controller);
    signal(before["bios"], Signal::KILL);
    let told_of = |phase: Phase, after: u64| {
        let events = controller.events(after).into_iter();
        events
            .filter(|event| matches!(event.fact, Fact::PhaseEntered { phase: of, .. } if of == phase))
            .count()
    };
    until(LIMIT, "the lab says that it is degraded", || {
        (told_of(Phase::Degraded, ready.through) > 0).then_some(())
    });
    controller.wait(LIMIT, "it is ready again", |picture| {
        picture.lab.phase == Phase::Ready && all(picture, NodeWord::Ready) && picture.through > ready.through
    });
    let after = pids(&controller);
    assert_ne!(after["bios"], before["bios"]);
    assert_eq!((after["pxe"], after["http"]), (before["pxe"], before["http"]), "the others were left alone");
    whole(&controller, "bios");

    let through = controller.look().unwrap().through;
    controller.replace("core");
    let found = controller.wait(LIMIT, "the new core sees them all", |picture| {
        picture.lab.phase == Phase::Ready
            && picture.machines.iter().all(|machine| machine.power.evidence.ends_with("found again"))
    });
    assert!(all(&found, NodeWord::Ready));
    assert_eq!(pids(&controller), after, "found, not started again");
    let orders =
        controller.events(through).into_iter().filter(|event| matches!(event.fact, Fact::Issued { .. }));
    assert_eq!(orders.count(), 0);
    // Their agents are heard by the new core, too.
    controller.wait(LIMIT, "each heart beats on", |picture| {
        let heard =
            |machine: &model::MachineView| machine.agent.as_ref().map(|agent| agent.heard.since_start);
        picture.lab.phase == Phase::Ready
            && picture.machines.iter().all(|machine| heard(machine) > Some(found.at.since_start))
    });
    stop(controller);
}
