//! Our own loader for 64-bit Arm, in EDK2's firmware for QEMU's machine: over PXE, then from a stick that has the loaders of
//! both processors. What it starts is Debian's installer, which says that it is there.
#![expect(clippy::unwrap_used, reason = "a test may stop")]
#![expect(clippy::print_stdout, reason = "what a failed test heard, and what was measured")]

mod e2e;
#[expect(dead_code, reason = "other tests do more with a stick")]
mod sticks;

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use e2e::controller::Controller;
use e2e::ground::given;
use e2e::house::House;
use e2e::processes::told;
use model::{Carrier, FileRole, NodeWord, Trace};
use sticks::{LIMIT, MAC, Machine, PORT, admitted, fetched, lab_card, word};
use wire::loader::Processor;

const INSTALLER: &str = "/usr/lib/debian-installer/images/12/arm64/text/debian-installer/arm64";
const CODE: &str = "/usr/share/AAVMF/AAVMF_CODE.fd";
const VARS: &str = "/usr/share/AAVMF/AAVMF_VARS.fd";

/// A lab of one Arm machine that a person switches.
struct Lab {
    house: House,
    file: PathBuf,
    stick: PathBuf,
}

impl Lab {
    /// A router is named though nobody is there: without one the installer asks whether to go on.
    fn new() -> Self {
        let house = House::new();
        house.write(
            "preseed.cfg",
            "d-i preseed/early_command string wget -q -O /dev/null {{ seed_url }}/done\n\
             d-i debian-installer/locale string en_US.UTF-8\n\
             d-i mirror/country string manual\n",
        );
        let file = house.write(
            "lab.yaml",
            format!(
                "lab: arms\n\
                 network: {{ interface: br0, subnet: 10.79.0.0/20, boss: 10.79.0.1, gateway: 10.79.0.2, dns: [10.79.0.2], dhcp: authoritative }}\n\
                 power: {{ hand: {{ driver: manual }} }}\n\
                 board:\n  columns: 1\n  nodes:\n    \
                   one: {{ at: [1, 1], mac: '{MAC}', ip: 10.79.0.12, power: hand/1, loader: labinator }}\n\
                 scenarios:\n  all: {{ nodes: all, ready: done, within: 20m, \
                 image: {{ kernel: {INSTALLER}/linux, initrd: {INSTALLER}/initrd.gz, args: \"console=ttyAMA0\" }}, \
                 args: \"auto=true priority=critical hostname={{{{ node }}}} domain=lab url={{{{ seed_url }}}}/preseed.cfg\", \
                 seed: {{ preseed.cfg: preseed.cfg }} }}\n\
                 limits: {{ first-ask: 9m, fetch: 9m, start: 20m }}\n"
            ),
        );
        house.shell(&format!("ip tuntap add {PORT} mode tap && ip link set {PORT} master br0 up"));
        let stick = house.path("stick.img");
        Self { house, file, stick }
    }

    fn start(&self) -> Controller {
        let folder = given("LABINATOR_LOADER").parent().unwrap().to_owned();
        let loaders = [("LABINATOR_LOADERS", folder.to_str().unwrap())];
        Controller::start_in(&self.house, &self.file, &self.house.path("state"), &loaders)
    }

    /// Makes the stick, with the key of this lab.
    fn build(&self) -> String {
        let mut command = Command::new(given("LABINATOR_BIN"));
        command.args(["media", "build"]).arg(&self.stick).arg("--lab").arg(&self.file);
        command.arg("--state").arg(self.house.path("state")).arg("--loaders");
        told(command.arg(given("LABINATOR_LOADER").parent().unwrap()).args(["--size", "256MiB"]))
    }

    /// Switches the machine on; with the stick, or with nothing but its network card.
    fn boot(&self, name: &str, has_stick: bool) -> Machine {
        let folder = self.house.path(name);
        fs::create_dir(&folder).unwrap();
        let path = |name: &str| folder.join(name).display().to_string();
        fs::copy(VARS, path("vars.fd")).unwrap();
        let mut words = vec![
            "-machine virt -cpu cortex-a57 -smp 2 -m 1024 -display none -nodefaults -no-reboot -monitor stdio".to_owned(),
            format!("-serial file:{}", path("console.log")),
            "-object rng-random,id=entropy,filename=/dev/urandom -device virtio-rng-pci,rng=entropy".to_owned(),
            format!("-drive if=pflash,unit=0,format=raw,readonly=on,file={CODE}"),
            format!("-drive if=pflash,unit=1,format=raw,file={}", path("vars.fd")),
            format!("-netdev {},id=net0", lab_card()),
            format!("-device virtio-net-pci,id=card0,netdev=net0,mac={MAC},romfile=,bootindex=1"),
        ];
        if has_stick {
            words.push(format!("-drive if=none,id=stick,format=raw,file={}", self.stick.display()));
            words.push(
                "-device qemu-xhci -device usb-storage,drive=stick,bootindex=0,removable=on".to_owned(),
            );
        }
        let mut command = self.house.staying("qemu-system-aarch64");
        command.args(words.iter().flat_map(|words| words.split_whitespace()));
        let complaints = File::create(path("qemu.log")).unwrap();
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(complaints);
        let mut qemu = command.spawn().unwrap();
        let monitor = qemu.stdin.take().unwrap();
        Machine { qemu, monitor, console: folder.join("console.log"), began: Instant::now() }
    }
}

/// The installer of this boot said that it is there: its kernel, its initramfs, and the arguments that name its seed.
fn installs(controller: &Controller, machine: Machine, boot: u32) -> Trace {
    let done = controller.wait(LIMIT, "the installer says that it is there", |picture| {
        let machine = picture.machines.first().unwrap();
        machine.word == NodeWord::Ready && machine.boot.as_ref().is_some_and(|seen| seen.number >= boot)
    });
    assert_eq!(done.machines.len(), 1);
    println!("{}", told(&mut controller.verb("boot trace one")));
    let shown = machine.console();
    assert!(shown.contains("EFI stub: Loaded initrd from LINUX_EFI_INITRD_MEDIA_GUID"), "{shown}");
    assert!(shown.lines().any(|line| line.contains("Linux version") && line.contains("arm64")), "{shown}");
    machine.off();
    sticks::trace(controller)
}

#[test]
#[ignore = "stage e2e-qemu"]
fn our_loader_starts_an_arm_machine_over_pxe_and_from_a_stick() {
    let lab = Lab::new();
    let mut controller = lab.start();
    admitted(&controller);
    told(&mut controller.verb("start all"));

    let first = installs(&controller, lab.boot("pxe", false), 1);
    let loader = first.boot.transfers.iter().find(|file| file.role == FileRole::Loader).unwrap();
    assert_eq!((loader.name.as_str(), loader.carrier), (Processor::Arm64.file(), Carrier::Tftp));
    assert_eq!(fetched(&first), ["linux", "initrd.gz"]);
    assert!(word(&first).contains("starts linux"), "{}", word(&first));

    // A stick has the loaders of both processors, and its firmware takes the right one; the second time from its cache.
    let built = lab.build();
    assert!(built.contains("boots x86-64 and arm64 machines"), "{built}");
    let second = installs(&controller, lab.boot("stick", true), first.boot.number + 1);
    assert!(!second.boot.transfers.iter().any(|file| file.role == FileRole::Loader), "no PXE");
    assert_eq!(fetched(&second), ["linux", "initrd.gz"]);
    let third = installs(&controller, lab.boot("cached", true), second.boot.number + 1);
    assert_eq!(fetched(&third), Vec::<&str>::new());
    assert!(word(&third).contains("from the cache"), "{}", word(&third));
    assert_eq!(controller.stop().code(), Some(0));
}
