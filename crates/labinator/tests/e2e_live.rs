//! Live images in real firmware: built twice to the same bytes, started through the real servers, and looked into.
//!
//! A build fetches some 150 packages and packs them, which takes minutes: so this is no stage of the test run but of
//! `cargo xtask soak`.
#![expect(clippy::unwrap_used, reason = "a test may stop")]
#![expect(clippy::print_stdout, reason = "figures for people")]

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

/// Builds an image into a folder below the house and gives its description back.
fn build(house: &House, name: &str, into: &str) -> serde_json::Value {
    let mut command = Command::new(ground::given("LABINATOR_BIN"));
    command.args(["image", "build", name, "--ssh-keys"]).arg(house.path("key.pub"));
    command.arg("--agent").arg(ground::given("LABINATOR_AGENT")).arg("--out").arg(house.path(into));
    println!("{}", told(&mut command));
    let manifest = std::fs::read(house.path(into).join(name).join("image.json")).unwrap();
    serde_json::from_slice(&manifest).unwrap()
}

fn lab(house: &House) -> Controller {
    for number in [1, 2] {
        let tap = drivers::power::tap_name(mac(number));
        house.shell(&format!("ip tuntap add {tap} mode tap && ip link set {tap} master br0 up"));
    }
    let (bios, uefi) = (mac(1), mac(2));
    let images = |name: &str| house.path("images").join(name).display().to_string();
    for name in ["hypervisor", "rescue"] {
        assert!(Path::new(&images(name)).is_dir(), "{name}");
    }
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
    let images = house.path("images").display().to_string();
    let controller =
        Controller::start_in(house, &file, &house.path("state"), &[("LABINATOR_IMAGES", images.as_str())]);
    controller.wait(Duration::from_secs(60), "the images are read", |picture| {
        picture.lab.scenarios.iter().all(|scenario| scenario.missing.is_empty())
    });
    controller
}

/// What a command says on a machine, as root, by the key that was built in.
fn there(house: &House, address: &str, line: &str) -> String {
    let key = house.path("key").display().to_string();
    house.shell(&format!(
        "timeout 60 ssh -q -i {key} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
         -o ConnectTimeout=30 root@{address} '{line}'"
    ))
}

fn until_there(house: &House, address: &str) {
    ground::until(Duration::from_secs(180), "its ssh server answers", || {
        let probe = format!("timeout 5 nc -z {address} 22 && echo open || true");
        (house.shell(&probe).trim() == "open").then_some(())
    });
}

#[test]
#[ignore = "soak live"]
fn live_images_are_the_same_bytes_twice_and_carry_what_they_promise() {
    let house = House::new();
    let key = house.path("key").display().to_string();
    house.shell(&format!("ssh-keygen -q -t ed25519 -N '' -f {key}"));
    let first = build(&house, "hypervisor", "images");
    assert_eq!(first, build(&house, "hypervisor", "again"), "another build, other bytes");
    build(&house, "rescue", "images");
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
