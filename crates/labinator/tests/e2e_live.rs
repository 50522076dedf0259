//! Live images: built again to the same bytes, and started in real firmware by the real servers and looked into.
//!
//! A build fetches some 150 packages and packs them, which takes minutes: so this is no stage of the test run but of
//! `cargo xtask soak`.
#![expect(clippy::unwrap_used, reason = "a test may stop")]

mod e2e;

use std::process::Command;
use std::time::Duration;

use e2e::controller::Controller;
use e2e::ground;
use e2e::house::House;
use e2e::live::{manifest, there, until_there};
use e2e::processes::told;
use model::{FileRole, MacAddr};

fn mac(number: u8) -> MacAddr {
    MacAddr([0x52, 0x54, 0, 0x4c, 0x56, number])
}

fn lab(house: &House) -> Controller {
    for number in [1, 2] {
        let tap = drivers::power::tap_name(mac(number));
        house.shell(&format!("ip tuntap add {tap} mode tap && ip link set {tap} master br0 up"));
    }
    let (bios, uefi) = (mac(1), mac(2));
    let text = format!(
        "lab: live\n\
         network: {{ interface: br0, subnet: 10.79.0.0/20, boss: 10.79.0.1, dhcp: authoritative }}\n\
         power: {{ qemu: {{ driver: virtual, memory: 1024MiB }} }}\n\
         board:\n  columns: 2\n  nodes:\n    \
         box1: {{ at: [1, 1], mac: {bios}, ip: 10.79.0.11, power: qemu/1, firmware: bios }}\n    \
         box2: {{ at: [2, 1], mac: {uefi}, ip: 10.79.0.12, power: qemu/2, firmware: uefi-http }}\n\
         scenarios:\n  hypervisor: {{ nodes: all, image: hypervisor, args: \"console=ttyS0 no_timer_check\" }}\n  \
         rescue: {{ nodes: [box1], image: rescue, args: \"console=ttyS0 no_timer_check\" }}\n\
         limits: {{ first-ask: 5m, fetch: 5m, start: 8m, tries: 1 }}\n"
    );
    let file = house.write("lab.yaml", text);
    told(Command::new(ground::given("LABINATOR_BIN")).arg("check").arg(&file));
    let controller = Controller::start(house, &file);
    ground::until(Duration::from_secs(60), "the start is not refused any more", || {
        let plan = controller.verb("start hypervisor --plan --json").output().unwrap();
        let plan: api::Plan = serde_json::from_slice(&plan.stdout).ok()?;
        plan.refused.is_none().then_some(())
    });
    controller
}

#[test]
#[ignore = "soak live"]
fn the_same_packages_make_the_same_bytes() {
    let house = House::new();
    let again = house.path("again");
    let mut command = Command::new(ground::given("LABINATOR_BIN"));
    command.args(["image", "build", "hypervisor", "--ssh-keys"]);
    command.arg(ground::given("LABINATOR_LIVE_KEY").with_extension("pub"));
    command.arg("--agent").arg(ground::given("LABINATOR_AGENT")).arg("--out").arg(&again);
    println!("{}", told(&mut command));
    assert_eq!(manifest(&again, "hypervisor"), manifest(&ground::given("LABINATOR_IMAGES"), "hypervisor"));
}

#[test]
#[ignore = "soak live"]
fn live_images_carry_what_they_promise() {
    let house = House::new();
    let mut controller = lab(&house);

    let output = controller.verb("start hypervisor --wait --timeout 9m").output().unwrap();
    assert!(output.status.success(), "{}\n{}", ground::said(&output), controller.log());
    for (node, address) in [("box1", "10.79.0.11"), ("box2", "10.79.0.12")] {
        until_there(&house, address);
        let says = |line: &str| there(&house, address, line);
        assert_eq!(says("hostname").trim(), node);
        assert!(says("qemu-system-x86_64 --version").contains("QEMU emulator"));
        // What runs once runs in order; the last of it is the modules of guests.
        ground::until(Duration::from_secs(60), "modules of guests are loaded", || {
            let modules = says("lsmod");
            ["tun", "vhost_net", "bridge"].iter().all(|name| modules.contains(name)).then_some(())
        });
        assert!(says("cat /proc/swaps").contains("/dev/zram0"));
        assert!(says("readlink -f /proc/1/fd/* || true").contains("/dev/watchdog"));
        assert!(says("pidof chronyd").trim().parse::<u32>().is_ok());
        println!("{node}: {}", says("grep -E \"MemTotal|MemAvailable\" /proc/meminfo"));
    }
    let trace = |node: &str| -> model::Trace {
        serde_json::from_str(&told(&mut controller.verb(&format!("boot trace {node} --json")))).unwrap()
    };
    let took = |node: &str, role| {
        trace(node).boot.transfers.iter().any(|file| file.role == role && file.ended.is_some())
    };
    assert!(took("box1", FileRole::Initrd) && took("box2", FileRole::Uki));

    // What is kept is started again.
    let before = there(&house, "10.79.0.11", "pidof chronyd");
    there(&house, "10.79.0.11", "kill -9 $(pidof chronyd)");
    ground::until(Duration::from_secs(60), "the clock's keeper runs again", || {
        let now = there(&house, "10.79.0.11", "pidof chronyd || true");
        (!now.trim().is_empty() && now != before).then_some(())
    });

    told(&mut controller.verb("stop --wait --timeout 3m"));
    let output = controller.verb("start rescue --wait --timeout 9m").output().unwrap();
    assert!(output.status.success(), "{}\n{}", ground::said(&output), controller.log());
    until_there(&house, "10.79.0.11");
    for tool in
        ["smartctl", "nvme", "sgdisk", "lspci", "cryptsetup", "rsync", "memtester", "tcpdump", "mkfs.ext4"]
    {
        let found = there(&house, "10.79.0.11", &format!("command -v {tool}"));
        assert!(found.contains(tool), "{tool}");
    }
    told(&mut controller.verb("stop --wait --timeout 3m"));
    controller.stop();
}

/// Every byte of the disks of a machine before they are wiped.
const FILL: u8 = 0xa7;
const DISK_MIB: usize = 256;

/// A machine with an `NVMe` drive and a virtio disk, both full, and nobody to switch it but this test.
fn two_disks(house: &House) -> std::process::Child {
    let tap = drivers::power::tap_name(mac(3));
    house.shell(&format!("ip tuntap add {tap} mode tap && ip link set {tap} master br0 up"));
    for name in ["nvme.raw", "virtio.raw"] {
        house.write(name, vec![FILL; DISK_MIB << 20]);
    }
    let drive = |id: &str| {
        let file = house.path(&format!("{id}.raw"));
        format!("if=none,id={id},format=raw,discard=unmap,file={}", file.display())
    };
    let mut machine = house.staying("qemu-system-x86_64");
    machine.args(
        "-no-user-config -nodefaults -display none -no-reboot -accel tcg,thread=single -m 1024".split(' '),
    );
    machine.args(
        "-object rng-random,id=entropy,filename=/dev/urandom -device virtio-rng-pci,rng=entropy".split(' '),
    );
    machine.arg("-serial").arg(format!("file:{}", house.path("serial").display()));
    machine.args(["-netdev", &format!("tap,id=lab,ifname={tap},script=no,downscript=no")]);
    machine.args(["-device", &format!("virtio-net-pci,netdev=lab,mac={},bootindex=1", mac(3))]);
    machine.args(["-drive", &drive("nvme"), "-device", "nvme,drive=nvme,serial=NVMESER1"]);
    machine.args(["-drive", &drive("virtio"), "-device", "virtio-blk-pci,drive=virtio,serial=VIRTSER1"]);
    machine.spawn().unwrap()
}

#[test]
#[ignore = "soak live"]
fn disks_are_wiped_by_what_they_offer_and_nothing_is_left_in_their_files() {
    let house = House::new();
    let text = format!(
        "lab: live\n\
         network: {{ interface: br0, subnet: 10.79.0.0/20, boss: 10.79.0.1, dhcp: authoritative }}\n\
         power: {{ hand: {{ driver: manual }} }}\n\
         board:\n  columns: 1\n  nodes:\n    \
         box3: {{ at: [1, 1], mac: {}, ip: 10.79.0.13, power: hand/3 }}\n\
         scenarios:\n  \
         rescue: {{ nodes: all, image: rescue, args: \"console=ttyS0 no_timer_check\" }}\n\
         limits: {{ first-ask: 5m, fetch: 5m, start: 8m, tries: 1 }}\n",
        mac(3)
    );
    let file = house.write("lab.yaml", text);
    let mut controller = Controller::start(&house, &file);
    ground::until(Duration::from_secs(60), "the start is not refused any more", || {
        let plan = controller.verb("start rescue --plan --json").output().unwrap();
        let plan: api::Plan = serde_json::from_slice(&plan.stdout).ok()?;
        plan.refused.is_none().then_some(())
    });
    told(&mut controller.verb("start rescue"));
    let mut machine = two_disks(&house);
    controller.wait(Duration::from_secs(540), "it is ready", |picture| {
        picture.machines.iter().all(|machine| machine.rung == model::Rung::Ready)
    });
    for (disk, serial, raw, method) in [
        ("nvme0n1", "NVMESER1", "nvme.raw", "NVMe format with secure erase"),
        ("vda", "VIRTSER1", "virtio.raw", "discard of every block"),
    ] {
        let refused = controller.verb(&format!("wipe box3 --disk {disk}")).output().unwrap();
        assert!(!refused.status.success(), "a disk of nobody was wiped without a word");
        let line = format!("wipe box3 --disk {disk} --confirm {serial} --wait --timeout 9m");
        let said = told(&mut controller.verb(&line));
        println!("{said}");
        let explained = told(&mut controller.verb("explain box3"));
        assert!(explained.contains(&format!("by {method};")), "{explained}");
        // What the host finds in the file of the disk: zeros, but for the label before the first mebibyte.
        let content = std::fs::read(house.path(raw)).unwrap();
        assert_eq!(content.len(), DISK_MIB << 20);
        let label = (1 << 20) - 4096..1 << 20;
        let left = content.iter().enumerate().position(|(at, byte)| *byte != 0 && !label.contains(&at));
        assert_eq!(left, None, "{disk}");
        assert!(content[label].starts_with(b"LABINATOR DISK LABEL 1\n"), "{disk}");
    }
    told(&mut controller.verb("stop"));
    let ended =
        ground::until(Duration::from_secs(180), "its agent switches it off", || machine.try_wait().unwrap());
    assert!(ended.success());
    controller.stop();
}
