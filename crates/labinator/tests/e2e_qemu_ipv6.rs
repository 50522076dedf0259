//! Real firmware boots the node image in a lab without IPv4: OVMF over TFTP and over HTTP.
#![expect(clippy::unwrap_used, reason = "a test may stop")]
#![expect(clippy::panic, reason = "a test may stop")]
#![expect(clippy::print_stdout, reason = "what a failed test heard")]

mod e2e;

use std::time::Duration;

use e2e::controller::Controller;
use e2e::ground::{self, until};
use e2e::house::House;
use e2e::processes::told;
use model::{Carrier, ClientKind, MarkKind, NodeWord, Phase, Stage, Trace};

/// A machine that insists on HTTP asks for a minute over IPv4 first; all of it takes many times longer on a busy machine.
const LIMIT: Duration = Duration::from_secs(600);

const BOSS: &str = "fd00:79::1";

/// Name, firmware as the lab file writes it, last byte of the Ethernet address.
const NODES: [(&str, &str, u8); 2] = [("pxe6", "uefi-pxe6", 4), ("http", "uefi-http", 5)];

fn lab() -> (Controller, House) {
    let house = House::new();
    house.shell(&format!("ip addr add {BOSS}/64 dev br0 nodad"));
    let mut text = format!(
        "lab: six\n\
         network:\n\
         \x20 {{ interface: br0, subnet: 10.79.0.0/20, boss: 10.79.0.1, dhcp: off,\n\
         \x20   ipv6: {{ prefix: \"fd00:79::/64\", boss: \"{BOSS}\" }} }}\n\
         power: {{ qemu: {{ driver: virtual, memory: 512MiB, stagger: 100ms }} }}\n\
         board:\n  columns: 2\n  nodes:\n"
    );
    for (number, (name, firmware, last)) in NODES.into_iter().enumerate() {
        let mac = model::MacAddr([0x52, 0x54, 0, 0x4c, 0x42, last]);
        let column = number + 1;
        text.push_str(&format!(
            "    {name}: {{ at: [{column}, 1], mac: {mac}, ip: 10.79.0.1{last}, power: qemu/{column}, firmware: {firmware} }}\n"
        ));
        let tap = drivers::power::tap_name(mac);
        house.shell(&format!("ip tuntap add {tap} mode tap && ip link set {tap} master br0 up"));
    }
    text.push_str("scenarios:\n  all: { image: node, nodes: all }\n");
    text.push_str("limits: { first-ask: 8m, fetch: 8m, start: 5m }\n");
    let file = house.write("lab.yaml", text);
    ground::given("LABINATOR_IMAGES");
    let controller = Controller::start(&house, &file);
    controller.wait(LIMIT, "the images are read", |picture| {
        picture.lab.scenarios.iter().all(|scenario| scenario.missing.is_empty() && !scenario.image.is_empty())
    });
    (controller, house)
}

fn trace(controller: &Controller, node: &str) -> Trace {
    println!("{}", told(&mut controller.verb(&format!("boot trace {node}"))));
    serde_json::from_str(&told(&mut controller.verb(&format!("boot trace {node} --json")))).unwrap()
}

/// Who asked over IPv6, in order, each once; OVMF's own stack, which asks beside its boot client, is left out.
fn askers(trace: &Trace) -> Vec<ClientKind> {
    let mut all: Vec<ClientKind> = Vec::new();
    for mark in &trace.boot.marks {
        match mark.what {
            MarkKind::Solicit { client: ClientKind::UnknownFirmware, .. } => {}
            MarkKind::Solicit { client, .. } if all.last() != Some(&client) => all.push(client),
            MarkKind::Discover { .. } | MarkKind::Ack { .. } => panic!("IPv4 is off here: {trace:?}"),
            _ => {}
        }
    }
    all
}

fn fetched(trace: &Trace, name: &str, carrier: Carrier) -> bool {
    trace
        .boot
        .transfers
        .iter()
        .any(|file| file.name == name && file.carrier == carrier && file.ended.is_some())
}

#[test]
#[ignore = "stage e2e-qemu"]
fn a_lab_without_ipv4_gets_ready() {
    let (mut controller, _house) = lab();
    until(Duration::from_secs(120), "the start is not refused any more", || {
        let plan = controller.verb("start all --plan --json").output().unwrap();
        let plan: api::Plan = serde_json::from_slice(&plan.stdout).ok()?;
        plan.refused.is_none().then_some(())
    });
    told(&mut controller.verb("start all --wait --timeout 9m"));
    let ready = controller.look().unwrap();
    assert_eq!(ready.lab.phase, Phase::Ready);
    for machine in &ready.machines {
        assert_eq!(machine.word, NodeWord::Ready, "{}", machine.node);
        let address = machine.agent.as_ref().unwrap().report.address;
        assert!(
            address.is_some_and(|a| a.is_ipv6() && a.to_string().starts_with("fd00:79::1")),
            "{address:?}"
        );
    }
    let pxe = trace(&controller, "pxe6");
    assert_eq!(askers(&pxe), [ClientKind::UefiPxe, ClientKind::Ipxe, ClientKind::Agent]);
    assert!(fetched(&pxe, "snponly.efi", Carrier::Tftp) && fetched(&pxe, "vmlinuz", Carrier::Http));
    let http = trace(&controller, "http");
    assert_eq!(askers(&http), [ClientKind::UefiHttp, ClientKind::Agent]);
    assert!(fetched(&http, "node.efi", Carrier::Http));
    for trace in [pxe, http] {
        for stage in [Stage::Dhcp, Stage::Image, Stage::Kernel, Stage::Agent] {
            assert!(trace.waterfall.bars.iter().any(|bar| bar.stage == stage), "no {stage}: {trace:?}");
        }
    }
    told(&mut controller.verb("stop --wait --timeout 3m"));
    assert_eq!(controller.stop().code(), Some(0));
}
