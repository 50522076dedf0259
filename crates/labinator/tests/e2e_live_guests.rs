//! Guests inside the real image of hypervisors, emulated in what is emulated: in the demo, through libvirt, and while the
//! agent that runs them becomes another build.
//!
//! As `e2e_live.rs`, no stage of the test run but of `cargo xtask soak`.
#![expect(clippy::unwrap_used, reason = "a test may stop")]

mod e2e;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use e2e::controller::{Controller, picture, verb};
use e2e::ground::{Folder, given, limited, said, until};
use e2e::house::House;
use e2e::live::{there, until_there};
use e2e::machines::{in_folder, swept};
use e2e::processes::{signal, told};
use model::{
    ClientKind, Digest, GuestState, MacAddr, MachineView, MarkKind, NodeWord, Phase, Proof, Snapshot, Trace,
};
use rustix::process::Signal;
use sha2::{Digest as _, Sha256};

/// For a hypervisor and its guest, which take some minutes on two processors.
const LIMIT: Duration = Duration::from_secs(5400);
/// For what the hypervisor's agent does within seconds.
const SOON: Duration = Duration::from_secs(300);
const HYPERVISOR: MacAddr = MacAddr([0x52, 0x54, 0, 0x4c, 0x47, 1]);
const ADDRESS: &str = "10.79.0.11";

fn machine<'a>(picture: &'a Snapshot, node: &str) -> Option<&'a MachineView> {
    picture.machines.iter().find(|machine| machine.node.as_str() == node).map(AsRef::as_ref)
}

fn trace(mut command: Command) -> Trace {
    serde_json::from_str(&told(&mut command)).unwrap()
}

#[test]
#[ignore = "soak live"]
fn the_demo_boots_the_real_image_of_hypervisors_and_a_guest_in_it() {
    let folder = Folder::new();
    let socket = folder.0.join("api.sock");
    // Nobody else ends it where this test fails.
    let mut demo = in_folder(limited(6000, given("LABINATOR_BIN")), &folder.0);
    demo.args(["demo", "--scenario", "virtual", "--headless", "--json", "--images"]);
    let mut demo = demo.arg(given("LABINATOR_IMAGES")).stdout(Stdio::null()).spawn().unwrap();
    let ready = until(LIMIT, "hypervisor and guest are ready", || {
        assert_eq!(demo.try_wait().unwrap(), None, "the demo goes on");
        let picture = picture(&socket)?;
        assert_ne!(picture.lab.phase, Phase::Failed, "{}", picture.lab.phase_because);
        (picture.lab.phase == Phase::Ready).then_some(picture)
    });
    let (host, guest) = (machine(&ready, "node1").unwrap(), machine(&ready, "g1").unwrap());
    let boot = |machine: &MachineView| (machine.word, machine.boot.as_ref().map(|boot| boot.number));
    assert_eq!((boot(host), boot(guest)), ((NodeWord::Ready, Some(1)), (NodeWord::Ready, Some(1))));
    assert_eq!(guest.guest.as_ref().map(|seen| (seen.state, seen.starts)), Some((GuestState::Running, 1)));
    // What answered are the agents of both. A guest's kernel line has no word that would prove its boot.
    assert_eq!(host.agent.as_ref().unwrap().proof, Proof::Key);
    assert_eq!(guest.agent.as_ref().unwrap().report.inventory.product, "Labinator guest");
    let host = trace(verb(&socket, "boot trace node1 --json"));
    assert!(host.boot.transfers.iter().any(|file| file.name == "live.img" && file.ended.is_some()));
    let guest = trace(verb(&socket, "boot trace g1 --json"));
    let answered =
        guest.boot.marks.iter().any(|mark| mark.what == MarkKind::Ack { client: ClientKind::Agent });
    assert!(answered, "its DHCP request was answered by the counter: {:?}", guest.boot.marks);
    let console = told(&mut verb(&socket, "console g1 --log"));
    assert!(console.contains("asks for an address"), "its console: {console}");
    for trace in [host, guest] {
        println!("{}: {:?}", trace.node, trace.waterfall.bars);
    }
    signal(demo.id(), Signal::TERM);
    assert!(demo.wait().unwrap().success());
    swept(&folder.0, SOON);
}

#[test]
#[ignore = "soak live"]
fn a_demo_without_the_image_of_hypervisors_says_what_to_type() {
    let folder = Folder::new();
    let images = folder.0.join("images");
    let mut demo = in_folder(limited(60, given("LABINATOR_BIN")), &folder.0);
    let demo = demo.args(["demo", "--scenario", "virtual", "--headless", "--images"]).arg(&images);
    let output = demo.output().unwrap();
    let (text, out) = (said(&output), images.display());
    assert!(!output.status.success(), "{text}");
    for name in ["node", "hypervisor"] {
        assert!(text.contains(&format!("labinator image build {name} --out {out}\n")), "{text}");
    }
}

/// A boss whose program lies in the house, with `hv1`, which runs `g1`, on.
struct Lab {
    controller: Controller,
    house: House,
}

/// Where the boss's program is, and beside it the agent that it carries.
fn carried(house: &House) -> PathBuf {
    house.path("agent")
}

impl Lab {
    fn start(images: impl FnOnce(&House) -> PathBuf) -> Self {
        let house = House::new();
        let images = images(&house);
        let tap = drivers::power::tap_name(HYPERVISOR);
        house.shell(&format!("ip tuntap add {tap} mode tap && ip link set {tap} master br0 up"));
        let text = format!(
            "lab: live\n\
             network: {{ interface: br0, subnet: 10.79.0.0/20, boss: 10.79.0.1, dhcp: authoritative, \
             guests: 10.79.0.101-10.79.0.102 }}\n\
             power: {{ qemu: {{ driver: virtual, memory: 1536MiB }} }}\n\
             board:\n  columns: 1\n  nodes:\n    \
             hv1: {{ at: [1, 1], mac: {HYPERVISOR}, ip: {ADDRESS}, power: qemu/1, memory: 1536MiB }}\n\
             scenarios:\n  guests:\n    image: node\n    hypervisors: [hv1]\n    \
             hypervisor-args: \"console=ttyS0 no_timer_check\"\n    \
             guests: {{ count: 1, memory: 256MiB, cpus: 1 }}\n\
             limits: {{ power: 3m, first-ask: 5m, fetch: 10m, start: 30m, silence: 2m, lost: 5m, tries: 1 }}\n"
        );
        let file = house.write("lab.yaml", text);
        let program = house.path("labinator");
        fs::copy(given("LABINATOR_BIN"), &program).unwrap();
        fs::copy(given("LABINATOR_AGENT"), carried(&house)).unwrap();
        let images = images.display().to_string();
        let variables = [("LABINATOR_IMAGES", images.as_str())];
        let controller = Controller::start_as(&program, &house, (&file, &house.path("state")), &variables);
        until(SOON, "the start is accepted", || {
            controller.verb("start guests").output().unwrap().status.success().then_some(())
        });
        let lab = Self { controller, house };
        lab.running();
        until_there(&lab.house, ADDRESS);
        lab
    }

    /// Waits until the guest runs.
    fn running(&self) -> Snapshot {
        self.controller.wait(LIMIT, "g1 runs", |picture| {
            assert_ne!(picture.lab.phase, Phase::Failed, "{}", picture.lab.phase_because);
            let seen = machine(picture, "g1").and_then(|guest| guest.guest.as_ref());
            seen.is_some_and(|seen| seen.state == GuestState::Running)
        })
    }

    fn says(&self, line: &str) -> String {
        there(&self.house, ADDRESS, line)
    }
}

fn copied(from: &Path, to: &Path) {
    told(Command::new("cp").arg("-a").arg(from).arg(to));
}

#[test]
#[ignore = "soak live"]
fn through_libvirt_a_guest_is_a_domain_that_outlives_libvirtd() {
    let lab = Lab::start(|house| {
        let images = house.path("images");
        fs::create_dir(&images).unwrap();
        // What guests boot, and the key that signs both.
        for name in ["node", ".keys"] {
            copied(&given("LABINATOR_IMAGES").join(name), &images);
        }
        let mut build = Command::new(given("LABINATOR_BIN"));
        build.args(["image", "build", "hypervisor", "--with", "libvirt", "--ssh-keys"]);
        build.arg(given("LABINATOR_LIVE_KEY").with_extension("pub"));
        build.arg("--agent").arg(given("LABINATOR_AGENT")).arg("--out").arg(&images);
        println!("{}", told(&mut build));
        images
    });
    let virsh = |words: &str| lab.says(&format!("virsh -q -c qemu:///system {words}"));
    assert_eq!(virsh("list --name").trim(), "g1");
    assert_eq!(virsh("domstate g1").trim(), "running");
    let wished = lab.controller.look().unwrap();
    let mac = machine(&wished, "g1").unwrap().mac;
    assert!(virsh("domiflist g1").contains(&mac.to_string()), "{}", virsh("domiflist g1"));
    assert!(virsh("dominfo g1").contains("262144 KiB"), "{}", virsh("dominfo g1"));

    let (qemu, libvirtd) = (lab.says("pidof qemu-system-x86_64"), lab.says("pidof libvirtd"));
    lab.says("kill -9 $(pidof libvirtd)");
    until(SOON, "libvirtd runs again and answers", || {
        let line = "pidof libvirtd && timeout 30 virsh -q -c qemu:///system list --name || true";
        let now = lab.says(line);
        (!now.contains(libvirtd.trim()) && now.contains("g1")).then_some(())
    });
    assert_eq!(lab.says("pidof qemu-system-x86_64"), qemu, "the guest went on");
    let after = lab.running();
    assert_eq!(machine(&after, "g1").unwrap().guest.as_ref().unwrap().starts, 1);
    println!("{}", lab.says("grep -E \"MemTotal|MemAvailable\" /proc/meminfo"));
    told(&mut lab.controller.verb("stop --wait --timeout 5m"));
}

#[test]
#[ignore = "soak live"]
fn process_1_of_a_hypervisor_becomes_the_build_of_the_boss_and_guests_and_services_go_on() {
    let mut lab = Lab::start(|_| given("LABINATOR_IMAGES"));
    let digest = |program: &[u8]| Digest(Sha256::digest(program).into());
    let mut program = fs::read(given("LABINATOR_AGENT")).unwrap();
    let before = lab.running();
    let host = |picture: &Snapshot| machine(picture, "hv1").unwrap().agent.clone().unwrap();
    assert_eq!(host(&before).report.build, Some(digest(&program)), "it is the build of its image");
    let pids = "pidof qemu-system-x86_64 chronyd; cat /proc/sys/kernel/random/boot_id";
    let running = lab.says(pids);

    // The same program with another digest: what follows an ELF file is nobody's.
    program.extend_from_slice(b"another");
    let (place, build) = (carried(&lab.house), digest(&program));
    let draft = lab.house.write("agent.new", &program);
    fs::rename(draft, place).unwrap();
    let after = lab.controller.wait(SOON, "hv1 reports the build of the boss", |picture| {
        machine(picture, "hv1")
            .and_then(|hv1| hv1.agent.as_ref())
            .is_some_and(|agent| agent.report.build == Some(build))
    });
    assert_eq!(host(&after).report.boot_id, host(&before).report.boot_id, "it did not start again");
    assert_eq!(host(&after).report.key, host(&before).report.key, "it is the same one, by its key");
    // It stays: past its trial, nothing of it is left to be told.
    lab.controller.wait(SOON, "it is on trial no longer", |picture| {
        host(picture).beat.is_some_and(|beat| beat.renewal.is_none())
    });
    assert_eq!(lab.says("readlink /proc/1/exe").trim(), format!("/run/labinator/agent/{build}"));
    assert_eq!(lab.says(pids), running, "guest, service and boot are the same");
    let guest = machine(&lab.running(), "g1").unwrap().guest.clone().unwrap();
    assert_eq!((guest.state, guest.starts), (GuestState::Running, 1), "{guest:?}");
    // What it took over it looks after: a service that ends comes back.
    let clock = lab.says("pidof chronyd");
    lab.says("kill -9 $(pidof chronyd)");
    until(SOON, "the clock's keeper runs again", || {
        let now = lab.says("pidof chronyd || true");
        (!now.trim().is_empty() && now != clock).then_some(())
    });
    told(&mut lab.controller.verb("stop --wait --timeout 5m"));
    lab.controller.stop();
}
