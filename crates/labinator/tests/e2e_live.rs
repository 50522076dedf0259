//! Live images: built again to the same bytes, and started in real firmware by the real servers and looked into.
//!
//! A build fetches some 150 packages and packs them, which takes minutes: so this is no stage of the test run but of
//! `cargo xtask soak`.
#![expect(clippy::unwrap_used, reason = "a test may stop")]

mod e2e;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use e2e::controller::Controller;
use e2e::ground;
use e2e::house::House;
use e2e::processes::told;
use model::{FileRole, MacAddr};

fn mac(number: u8) -> MacAddr {
    MacAddr([0x52, 0x54, 0, 0x4c, 0x56, number])
}

/// The description of the generation in use of an image.
fn manifest(images: &Path, name: &str) -> serde_json::Value {
    let folder = labinator::image::life::in_use(images, name);
    serde_json::from_slice(&std::fs::read(folder.join("image.json")).unwrap()).unwrap()
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

/// What a command says on a machine, as root, by the key that was built in.
fn there(house: &House, address: &str, line: &str) -> String {
    let key = ground::given("LABINATOR_LIVE_KEY").display().to_string();
    house.shell(&format!(
        "timeout 60 ssh -q -i {key} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
         -o ConnectTimeout=30 root@{address} '{line}'"
    ))
}

fn until_there(house: &House, address: &str) {
    ground::until(Duration::from_secs(180), "its ssh server answers", || {
        let probe = format!("timeout 5 bash -c \"</dev/tcp/{address}/22\" 2>/dev/null && echo open || true");
        (house.shell(&probe).trim() == "open").then_some(())
    });
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
