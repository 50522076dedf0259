//! GRUB as the network boot program: Debian's signed image, started by OVMF's PXE client, boots the node image.
#![expect(clippy::unwrap_used, reason = "a test may stop")]
#![expect(clippy::indexing_slicing, reason = "a test may stop")]
#![expect(clippy::print_stdout, reason = "what a failed test heard, and what was not tested")]

mod e2e;

use std::fs;
use std::time::Duration;

use e2e::controller::Controller;
use e2e::ground::{self, until};
use e2e::house::House;
use e2e::processes::told;
use model::{Carrier, FileRole, NodeWord, PowerState, Trace};

/// One cold machine takes half a minute on an idle machine with two processors, and many times that on a busy one.
const LIMIT: Duration = Duration::from_secs(600);
/// Debian's GRUB for the network, signed for Secure Boot; it looks for its configuration in `/grub`.
const SIGNED: &str = "/usr/lib/grub/x86_64-efi-signed/grubnetx64.efi.signed";

/// A lab of one machine whose UEFI loader is GRUB.
fn lab() -> (Controller, House) {
    let house = House::new();
    let mac = model::MacAddr([0x52, 0x54, 0, 0x4c, 0x43, 1]);
    let file = house.write(
        "lab.yaml",
        format!(
            "lab: grub\n\
             network: {{ interface: br0, subnet: 10.79.0.0/20, boss: 10.79.0.1, dhcp: authoritative }}\n\
             power: {{ qemu: {{ driver: virtual, memory: 512MiB }} }}\n\
             board:\n  columns: 1\n  nodes:\n    \
             one: {{ at: [1, 1], mac: {mac}, ip: 10.79.0.11, power: qemu/1, firmware: uefi-pxe }}\n\
             scenarios:\n  all: {{ image: node, nodes: all }}\n\
             limits: {{ first-ask: 5m, fetch: 5m, start: 5m }}\n"
        ),
    );
    let tap = drivers::power::tap_name(mac);
    house.shell(&format!("ip tuntap add {tap} mode tap && ip link set {tap} master br0 up"));
    let loaders = house.path("loaders");
    fs::create_dir(&loaders).unwrap();
    // The name that UEFI machines are told.
    fs::copy(SIGNED, loaders.join("snponly.efi")).unwrap();
    fs::copy("/usr/lib/ipxe/undionly.kpxe", loaders.join("undionly.kpxe")).unwrap();
    ground::given("LABINATOR_IMAGES");
    let controller = Controller::start_in(
        &house,
        &file,
        &house.path("state"),
        &[("LABINATOR_LOADERS", loaders.to_str().unwrap())],
    );
    controller.wait(LIMIT, "the images are read", |picture| {
        picture.lab.scenarios.iter().all(|scenario| scenario.missing.is_empty() && !scenario.image.is_empty())
    });
    (controller, house)
}

fn trace(controller: &Controller) -> Trace {
    serde_json::from_str(&told(&mut controller.verb("boot trace one --json"))).unwrap()
}

fn started(controller: &Controller) {
    until(Duration::from_secs(120), "the start is not refused any more", || {
        let plan = controller.verb("start all --plan --json").output().unwrap();
        let plan: api::Plan = serde_json::from_slice(&plan.stdout).ok()?;
        plan.refused.is_none().then_some(())
    });
    told(&mut controller.verb("start all --wait --timeout 9m"));
}

/// Its files in order, without those that only said to wait, and who ended the boot.
fn ready(mut controller: Controller) -> Vec<(String, Carrier)> {
    println!("{}", told(&mut controller.verb("boot trace one")));
    let trace = trace(&controller);
    let machine = &controller.look().unwrap().machines[0];
    assert_eq!((machine.word, machine.power.state), (NodeWord::Ready, PowerState::On));
    told(&mut controller.verb("stop --wait --timeout 3m"));
    assert_eq!(controller.stop().code(), Some(0));
    assert!(trace.boot.transfers.iter().all(|file| file.broken.is_none()), "{trace:?}");
    let files = trace.boot.transfers.into_iter().filter(|file| file.role != FileRole::Script);
    files.map(|file| (file.name, file.carrier)).collect()
}

#[test]
#[ignore = "stage e2e-qemu"]
fn debians_signed_grub_waits_for_a_scenario_and_boots_it_without_being_switched_again() {
    let (controller, _house) = lab();
    told(&mut controller.verb("power on all"));
    controller.wait(LIMIT, "it waits", |picture| picture.machines[0].word == NodeWord::Waiting);
    started(&controller);
    let tftp = |name: &str| (name.to_owned(), Carrier::Tftp);
    assert_eq!(ready(controller), [tftp("snponly.efi"), tftp("vmlinuz"), tftp("initrd.img")]);
}
