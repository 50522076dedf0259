//! Live images that are parked: one starts the next image by kexec without firmware, one cannot and goes through its
//! firmware by itself, and one may not and goes off.
//!
//! As `e2e_live.rs`, no stage of the test run but of `cargo xtask soak`.
#![expect(clippy::unwrap_used, reason = "a test may stop")]
#![expect(clippy::print_stdout, reason = "what was measured")]

mod e2e;

use std::time::Duration;

use e2e::controller::Controller;
use e2e::ground::{said, until};
use e2e::house::House;
use e2e::lab::of_firmware;
use e2e::live::{there, until_there};
use e2e::machines::machines_below;
use e2e::processes::told;
use model::{
    ClientKind, Command, Event, Fact, FileRole, LoaderStep, MacAddr, NodeWord, PowerOrder, Sight, Snapshot,
    Trace,
};

/// Three live images and what follows them, on two processors with other work.
const LIMIT: Duration = Duration::from_secs(1500);

/// The last number of the addresses of each.
const NODES: [(&str, &str, u8); 3] =
    [("jumps", "uefi-http", 1), ("fails", "bios", 2), ("may-not", "bios", 3)];

fn lab(house: &House) -> Controller {
    let text = of_firmware(house, 0x4b, &NODES, "").replace("memory: 512MiB", "memory: 1024MiB");
    let args = "console=ttyS0 no_timer_check";
    let text = format!(
        "{text}scenarios:\n  rescue: {{ nodes: all, image: rescue, args: \"{args}\", park: 40m }}\n  \
         next: {{ nodes: all, image: node, args: \"{args}\" }}\n\
         limits: {{ first-ask: 10m, fetch: 10m, start: 20m, tries: 1 }}\n"
    );
    let file = house.write("lab.yaml", text);
    let controller = Controller::start(house, &file);
    until(Duration::from_secs(120), "the start is not refused any more", || {
        let plan = controller.verb("start rescue --plan --json").output().unwrap();
        let plan: api::Plan = serde_json::from_slice(&plan.stdout).ok()?;
        plan.refused.is_none().then_some(())
    });
    controller
}

fn starts(controller: &Controller, scenario: &str) {
    let output = controller.verb(&format!("start {scenario} --wait --timeout 25m")).output().unwrap();
    assert!(output.status.success(), "{}\n{}", said(&output), controller.log());
}

fn word(picture: &Snapshot, node: &str) -> NodeWord {
    picture.machines.iter().find(|machine| machine.node.as_str() == node).unwrap().word
}

fn trace(controller: &Controller, node: &str) -> Trace {
    serde_json::from_str(&told(&mut controller.verb(&format!("boot trace {node} --json")))).unwrap()
}

/// What was seen of a machine, in order.
fn seen<'a>(events: &'a [Event], node: &str) -> Vec<(u64, &'a Sight)> {
    let (.., number) = NODES.iter().find(|(name, ..)| *name == node).unwrap();
    let own = MacAddr([0x52, 0x54, 0, 0x4c, 0x4b, *number]);
    let of_it = |event: &'a Event| match &event.fact {
        Fact::Sighted { mac, sight } if *mac == own => Some((event.at.wall.0, sight)),
        _ => None,
    };
    events.iter().filter_map(of_it).collect()
}

fn by_firmware(sight: &Sight) -> bool {
    let client = match sight {
        Sight::Discover { client, .. } | Sight::Solicit { client, .. } => *client,
        Sight::Request { client } | Sight::Ack { client, .. } => *client,
        _ => return false,
    };
    client.is_firmware() || client == ClientKind::Ipxe
}

fn switched(events: &[Event], node: &str) -> Vec<PowerOrder> {
    let of_it = |event: &Event| match &event.fact {
        Fact::Issued { command: Command::Power { node: of, order, .. }, .. } if of.as_str() == node => {
            Some(*order)
        }
        _ => None,
    };
    events.iter().filter_map(of_it).collect()
}

#[test]
#[ignore = "soak live"]
fn a_parked_image_starts_the_next_by_kexec_and_what_cannot_starts_cold_by_itself() {
    let house = House::new();
    let mut controller = lab(&house);
    starts(&controller, "rescue");
    for (node, _, number) in NODES {
        until_there(&house, &format!("10.79.0.1{number}"));
        let explained = told(&mut controller.verb(&format!("explain {node}")));
        assert!(explained.contains("kexec: it can start the next kernel by itself"), "{explained}");
    }
    let forbid = "echo 1 > /proc/sys/kernel/kexec_load_disabled";
    there(&house, "10.79.0.13", forbid);

    told(&mut controller.verb("stop --wait --timeout 3m"));
    let parked = controller.wait(LIMIT, "two are parked, and one is off", |picture| {
        [("jumps", NodeWord::Parked), ("fails", NodeWord::Parked), ("may-not", NodeWord::Off)]
            .into_iter()
            .all(|(node, wanted)| word(picture, node) == wanted)
    });
    let explained = told(&mut controller.verb("explain jumps"));
    assert!(explained.contains("parked in its image"), "{explained}");
    // Who logs in finds the image as it was.
    there(&house, "10.79.0.12", forbid);
    let before = machines_below(&controller.state);

    starts(&controller, "next");
    let events = controller.events(parked.through);
    let after = machines_below(&controller.state);
    let is_the_same = |(pid, _): &&(u32, String)| before.iter().any(|(known, _)| known == pid);
    assert_eq!(
        (after.len(), after.iter().filter(is_the_same).count()),
        (3, 1),
        "one was never off: {after:?}"
    );
    without_firmware(&controller, &events);
    through_its_firmware(&controller, &events);
    assert_eq!(switched(&events, "may-not"), [PowerOrder::On]);
    assert!(seen(&events, "may-not").iter().any(|(_, sight)| by_firmware(sight)));

    told(&mut controller.verb("stop --wait --timeout 3m"));
    assert_eq!(controller.stop().code(), Some(0));
}

/// The one that could was neither switched nor did its firmware say a word.
fn without_firmware(controller: &Controller, events: &[Event]) {
    println!("{}", told(&mut controller.verb("boot trace jumps")));
    let sights = seen(events, "jumps");
    assert_eq!(switched(events, "jumps"), []);
    let frames = sights.iter().filter(|(_, sight)| by_firmware(sight)).count();
    assert_eq!(frames, 0, "{sights:?}");
    assert_eq!(trace(controller, "jumps").boot.firmware, Some(ClientKind::Kexec));

    let first = |is: &dyn Fn(&Sight) -> bool| sights.iter().find(|(_, sight)| is(sight)).unwrap();
    let accepted = events.iter().find(|event| matches!(event.fact, Fact::StartAccepted { .. })).unwrap();
    let released = accepted.at.wall.0;
    let (asked, _) = first(&|sight| matches!(sight, Sight::FileAsked { role: FileRole::Kernel, .. }));
    let (entered, _) =
        first(&|sight| matches!(sight, Sight::LoaderSaid { step: Some(LoaderStep::Starts), .. }));
    let (reported, report) = first(&|sight| matches!(sight, Sight::Agent { .. }));
    let Sight::Agent { report } = report else { unreachable!("it is one") };
    println!(
        "released to kernel request {} ms, to the word that it starts {} ms, to kernel entry {} ms by its own clock, to \
         its agent's report {} ms; DHCP and PXE frames of firmware: {frames}",
        asked - released,
        entered - released,
        (reported - report.uptime_ms).saturating_sub(released),
        reported - released,
    );
}

/// The one that was forbidden to while it waited said why, started again by itself, and is remembered.
fn through_its_firmware(controller: &Controller, events: &[Event]) {
    println!("{}", told(&mut controller.verb("boot trace fails")));
    let sights = seen(events, "fails");
    // A machine of QEMU that starts again by itself ends there, and is switched on by the lab.
    assert_eq!(switched(events, "fails"), [PowerOrder::On]);
    let said = sights.iter().find_map(|(_, sight)| match sight {
        Sight::LoaderSaid { step: Some(LoaderStep::Fails), text, .. } => Some(text.clone()),
        _ => None,
    });
    println!("{said:?}");
    assert!(said.unwrap().contains("goes through the firmware"));
    let explained = told(&mut controller.verb("explain fails"));
    assert!(explained.contains("kexec failed in boot 2"), "{explained}");
    assert!(sights.iter().any(|(_, sight)| by_firmware(sight)));
}
