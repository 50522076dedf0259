//! Real firmware and real clients against the counter, each inside a network namespace of its own. Slow: run by name.
#![expect(clippy::unwrap_used, reason = "a test may stop")]

mod stand;

use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::{BootAnswer, FileRole, Image, MacAddr, ScriptAnswer, Sight, Sighting};
use netboot::{Bench, BindConfig, Counter, Settings, Sockets, Up};
use stand::{Folder, entry, network, put};
use store::shelf::Shelf;

const BOSS: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
const NODE: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 11);
const MAC: MacAddr = MacAddr([0x52, 0x54, 0, 0x77, 0, 0x11]);
/// Software emulation on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);

fn run(line: &str) -> bool {
    let (program, arguments) = line.split_once(' ').unwrap();
    Command::new(program).args(arguments.split(' ')).status().is_ok_and(|status| status.success())
}

fn inside(test: &str) {
    let me = std::env::current_exe().unwrap();
    let me = me.to_str().unwrap();
    let line = format!("unshare --user --map-root-user --net env {INSIDE}=1 {me}");
    assert!(run(&format!("{line} --exact {test} --ignored --nocapture")));
}

/// Set for the second half of a test, which must never touch the interfaces of a real machine.
const INSIDE: &str = "LABINATOR_INSIDE";

fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

struct Qemu(Child);

impl Qemu {
    fn start(line: &str) -> Self {
        let words = line.split_whitespace();
        let child = Command::new("qemu-system-x86_64").args(words).stdin(Stdio::null()).spawn();
        Self(child.unwrap())
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A counter on a bridge with one tap, with the distribution's loaders and a kernel that is none.
fn counter_on_a_bridge(folder: &Folder) -> Arc<Counter> {
    for line in [
        "ip link add lab0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0",
        "ip tuntap add tap0 mode tap",
        "ip link set tap0 master lab0",
        "ip address add 10.77.0.1/24 dev lab0",
        "ip link set lab0 up",
        "ip link set tap0 up",
        "ip link set lo up",
    ] {
        assert!(run(line), "{line}");
    }
    let loaders = folder.0.join("loaders");
    std::fs::create_dir_all(&loaders).unwrap();
    for name in ["snponly.efi", "undionly.kpxe"] {
        std::fs::copy(format!("/usr/lib/ipxe/{name}"), loaders.join(name)).unwrap();
    }
    let sockets = Sockets::bind(&BindConfig::on("lab0", BOSS)).unwrap();
    let store = folder.0.join("store");
    let settings = Settings { state: folder.0.join("state"), loaders, shelf: store.clone(), transfers: 1 };
    let (bench, _) = Bench::open(sockets, &settings).unwrap();
    let counter = Arc::clone(bench.counter());
    let kernel = put(&Shelf::new(store), "vmlinuz", b"no kernel");
    let image = Arc::new(Image { kernel: Some(kernel), ..Image::default() });
    let node = entry("node1", MAC, NODE, BootAnswer::Run { image, args: String::new() });
    let network =
        model::NetworkSpec { subnet: Ipv4Addr::new(10, 77, 0, 0), boss: BOSS, pool: None, ..network() };
    let lab = "real".parse().unwrap();
    counter.publish(model::BootTable { number: 1, lab, network, nodes: vec![node] }).unwrap();
    tokio::spawn(async move { bench.run().await.unwrap() });
    counter
}

/// Waits for a sight and returns what was seen so far, in milliseconds from the first DISCOVER.
async fn see(counter: &Counter, wanted: fn(&Sight) -> bool) -> Vec<(u64, Sight)> {
    let began = Instant::now();
    let mut seen: Vec<(u64, Sight)> = Vec::new();
    while began.elapsed() < PATIENCE {
        for up in counter.sights().take() {
            if let Up::Sighting(Sighting { mac: MAC, boottime_ms, sight }) = up {
                seen.push((boottime_ms, sight));
            }
        }
        if seen.iter().any(|(_, sight)| wanted(sight)) {
            let first =
                seen.iter().find(|(_, sight)| matches!(sight, Sight::Discover { .. })).map_or(0, |s| s.0);
            seen.iter_mut().for_each(|seen| seen.0 = seen.0.saturating_sub(first));
            return seen;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(began.elapsed() < PATIENCE, "not seen in {PATIENCE:?}: {seen:#?}");
    seen
}

fn asks_for_kernel(sight: &Sight) -> bool {
    matches!(sight, Sight::FileAsked { role: FileRole::Kernel, .. })
}

const MACHINE: &str = "-accel tcg,thread=single -m 512 -nodefaults -no-reboot -display none -device virtio-rng-pci \
     -netdev tap,id=n0,ifname=tap0,script=no,downscript=no";

#[test]
#[ignore = "starts real firmware"]
fn a_bios_machine_with_the_ipxe_of_2019_asks_for_its_kernel() {
    inside("inside_bios");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs inside the namespace that its sister makes"]
async fn inside_bios() {
    if !is_inside() {
        return;
    }
    let folder = Folder::new();
    let counter = counter_on_a_bridge(&folder);
    let _machine = Qemu::start(&format!("{MACHINE} -device virtio-net-pci,netdev=n0,mac={MAC}"));
    let seen = see(&counter, asks_for_kernel).await;
    println!("{seen:#?}");
    assert!(seen.iter().any(|(_, sight)| *sight == Sight::RouterAsked { answered: true }));
    assert!(seen.iter().any(|(_, sight)| *sight == Sight::ScriptAsked { answer: ScriptAnswer::Boot }));
}

#[test]
#[ignore = "starts real firmware"]
fn a_uefi_machine_takes_snponly_over_tftp_and_asks_for_its_kernel() {
    inside("inside_uefi");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs inside the namespace that its sister makes"]
async fn inside_uefi() {
    if !is_inside() {
        return;
    }
    let folder = Folder::new();
    let counter = counter_on_a_bridge(&folder);
    let _machine = Qemu::start(&format!(
        "{MACHINE} -drive if=pflash,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE.fd \
         -device virtio-net-pci,netdev=n0,mac={MAC},romfile="
    ));
    let seen = see(&counter, asks_for_kernel).await;
    let loader = |sight: &Sight| matches!(sight, Sight::FileServed { name, .. } if name == "snponly.efi");
    assert!(seen.iter().any(|(_, sight)| loader(sight)));
}

#[test]
#[ignore = "starts real firmware"]
fn a_uefi_http_machine_takes_a_loader_over_http_and_asks_for_its_kernel() {
    inside("inside_uefi_http");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs inside the namespace that its sister makes"]
async fn inside_uefi_http() {
    if !is_inside() {
        return;
    }
    let folder = Folder::new();
    let counter = counter_on_a_bridge(&folder);
    let _machine = Qemu::start(&format!(
        "{MACHINE} -drive if=pflash,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE.fd \
         -fw_cfg name=opt/org.tianocore/IPv4PXESupport,string=n \
         -fw_cfg name=opt/org.tianocore/IPv6PXESupport,string=n \
         -device virtio-net-pci,netdev=n0,mac={MAC},romfile="
    ));
    see(&counter, asks_for_kernel).await;
}

#[test]
#[ignore = "starts programs of the distribution"]
fn udhcpc_atftp_and_curl_are_served() {
    inside("inside_clients");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs inside the namespace that its sister makes"]
async fn inside_clients() {
    if !is_inside() {
        return;
    }
    let folder = Folder::new();
    let _counter = counter_on_a_bridge(&folder);
    assert!(run("ip link add m0 type veth peer name m1"));
    assert!(run(&format!("ip link set m0 address {MAC}")));
    assert!(run("ip link set m1 master lab0") && run("ip link set m1 up") && run("ip link set m0 up"));
    let away = |line: &str| {
        tokio::task::spawn_blocking({
            let line = line.to_owned();
            move || run(&line)
        })
    };
    assert!(away("udhcpc -i m0 -n -q -f -t 5 -T 2 -s /bin/true").await.unwrap());
    let to = folder.0.join("got");
    let to = to.to_str().unwrap();
    for options in ["", "--option windowsize\u{20}8 ", "--option blksize\u{20}1428 "] {
        let mut words: Vec<String> =
            vec!["--get".into(), "-r".into(), "snponly.efi".into(), "-l".into(), to.into()];
        if let Some((flag, value)) = options.trim().split_once(' ') {
            words.splice(0..0, [flag.to_owned(), value.to_owned()]);
        }
        words.push("10.77.0.1".into());
        drop(std::fs::remove_file(to));
        let status = tokio::task::spawn_blocking(move || Command::new("atftp").args(words).status());
        assert!(status.await.unwrap().unwrap().success(), "{options}");
        assert!(
            std::fs::read(to).unwrap() == std::fs::read("/usr/lib/ipxe/snponly.efi").unwrap(),
            "{options}"
        );
    }
    std::fs::write(to, &std::fs::read("/usr/lib/ipxe/snponly.efi").unwrap()[..1000]).unwrap();
    assert!(away(&format!("curl -fsS -C - -o {to} http://10.77.0.1/snponly.efi")).await.unwrap());
    assert!(std::fs::read(to).unwrap() == std::fs::read("/usr/lib/ipxe/snponly.efi").unwrap());
    assert!(away("curl -fsS -I http://10.77.0.1/boot/52-54-00-77-00-11.ipxe").await.unwrap());
}
