//! Machines recorded as trees of files, old and odd kernels among them, and the one under the test.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use model::{SoftnetCpu, Stall};
use proptest::prelude::*;

use super::*;

/// An empty folder of this test.
pub(super) fn tree(name: &str) -> PathBuf {
    let root = std::env::temp_dir().join(format!("agent-health-{name}-{}", std::process::id()));
    drop(fs::remove_dir_all(&root));
    fs::create_dir_all(&root).unwrap();
    root
}

fn write(root: &Path, path: &str, content: &[u8]) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// A small box with a Realtek card, a 6.1 kernel, and a quiet life.
fn box_on_disk(name: &str) -> PathBuf {
    let root = tree(name);
    write(&root, "proc/net/softnet_stat", SOFTNET_6_1.as_bytes());
    write(&root, "proc/net/snmp", b"Ip: Forwarding\nIp: 1\nUdp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors\nUdp: 9 8 7 6 5 4\n");
    write(&root, "proc/vmstat", b"nr_free_pages 1\noom_kill_x 9\noom_kill 0\n");
    write(
        &root,
        "proc/pressure/cpu",
        b"some avg10=0.25 avg60=0 avg300=0 total=1\nfull avg10=0.00 avg60=0 avg300=0 total=0\n",
    );
    write(
        &root,
        "proc/pressure/memory",
        b"some avg10=12.30 avg60=0 avg300=0 total=1\nfull avg10=4.05 avg60=0 avg300=0 total=0\n",
    );
    write(&root, "proc/interrupts", b"           CPU0       CPU1\n  1:   5  0  IO-APIC   1-edge      i8042\n125:   10   7  PCI-MSI 524288-edge  enp1s0\nERR:          0\n");
    write(&root, "proc/irq/125/effective_affinity_list", b"1\n");
    write(&root, "dev/kmsg", b"6,1,1,-;usb 2-1: new device\n");
    let device = "sys/devices/pci0000:00/0000:01:00.0";
    write(&root, &format!("{device}/msi_irqs/125"), b"msi\n");
    write(&root, &format!("{device}/irq"), b"16\n");
    fs::create_dir_all(root.join("sys/bus/pci/drivers/r8169")).unwrap();
    symlink(root.join("sys/bus/pci/drivers/r8169"), root.join(device).join("driver")).unwrap();
    let port = "sys/class/net/enp1s0";
    for (file, text) in [
        ("carrier", "1\n"),
        ("speed", "100\n"),
        ("duplex", "half\n"),
        ("statistics/rx_errors", "3\n"),
        ("statistics/tx_errors", "2\n"),
        ("queues/rx-0/rps_cpus", "0000000d\n"),
        ("queues/tx-0/xps_cpus", "ff\n"),
    ] {
        write(&root, &format!("{port}/{file}"), text.as_bytes());
    }
    symlink(root.join(device), root.join(port).join("device")).unwrap();
    write(&root, "sys/class/net/lo/carrier", b"1\n");
    let chip = "sys/class/hwmon/hwmon0";
    for (file, text) in [
        ("name", "coretemp\n"),
        ("temp1_input", "61000\n"),
        ("temp1_label", "Package id 0\n"),
        ("temp1_crit", "105000\n"),
        ("temp2_input", "990000\n"),
        ("temp3_input", "40500\n"),
        ("temp3_crit", "0\n"),
    ] {
        write(&root, &format!("{chip}/{file}"), text.as_bytes());
    }
    root
}

const SOFTNET_6_1: &str = "\
0000a1f2 00000000 00000032 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000\n\
0000b000 00000010 0000000a 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000003 00000000 00000000\n";
const SOFTNET_3_2: &str = "00000010 00000002 0000000a 00000000 00000000 00000000 00000000 00000000 00000000\n\
00000011 00000001 00000001 00000000 00000000 00000000 00000000 00000000 00000000\n";

#[test]
fn a_machine_is_read_as_its_kernel_tells() {
    let root = box_on_disk("whole");
    let health = Eye::new(&root).look();
    fs::remove_dir_all(&root).unwrap();
    let cpus =
        [SoftnetCpu { cpu: 3, dropped: 16, squeezed: 10 }, SoftnetCpu { cpu: 0, dropped: 0, squeezed: 50 }];
    assert_eq!((health.softnet.dropped, health.softnet.squeezed), (16, 60));
    assert_eq!(health.softnet.cpus, cpus, "the line says which processor it is of");
    assert_eq!((health.udp.errors, health.udp.buffer_errors), (7, 5));
    let pressure = health.pressure.unwrap();
    assert_eq!((pressure.cpu.some, pressure.memory), (25, Stall { some: 1230, full: 405 }));
    assert_eq!((health.oom.count, health.oom.victim), (0, None));
    let [nic] = health.nics.as_slice() else { panic!("{:?}", health.nics) };
    assert_eq!((nic.name.as_str(), nic.driver.as_str(), nic.link), ("enp1s0", "r8169", true));
    assert_eq!((nic.speed_mbps, nic.full_duplex, nic.errors), (Some(100), Some(false), 5));
    assert_eq!(nic.irqs.iter().map(|i| (i.irq, i.cpus.as_str())).collect::<Vec<_>>(), [(125, "1")]);
    assert_eq!(nic.rps, "0,2-3");
    let sensors: Vec<_> = health.sensors.iter().map(|s| (s.name.as_str(), s.celsius, s.critical)).collect();
    assert_eq!(sensors, [("coretemp Package id 0", 61, Some(105)), ("coretemp 3", 40, None)]);
}

#[test]
fn a_kernel_that_tells_nothing_has_no_health_to_tell() {
    assert_eq!(Eye::new(Path::new("/nonexistent")).look(), Health::default());
}

#[test]
fn kernels_with_fewer_columns_count_their_processors_by_line() {
    let lines = tables::softnet(SOFTNET_3_2);
    assert_eq!(
        lines.iter().map(|l| (l.cpu, l.dropped, l.squeezed)).collect::<Vec<_>>(),
        [(0, 2, 10), (1, 1, 1)]
    );
    assert!(tables::softnet("not a table\n\n12 zz 7\n").is_empty());
}

#[test]
fn before_5_13_the_processors_pressure_has_one_line() {
    let old = "some avg10=1.50 avg60=0.00 avg300=0.00 total=9\n";
    assert_eq!(tables::stall(old), Some(Stall { some: 150, full: 0 }));
    assert_eq!(tables::stall("full avg10=1.00\n"), None);
}

#[test]
fn the_last_killed_program_is_named_whatever_the_kernels_words() {
    let new = "4,9,9,-;Out of memory: Killed process 77 (qemu-system-x86) total-vm:9kB, anon-rss:1kB\n6,10,9,-;other\n";
    assert_eq!(log::killed(new).unwrap(), "qemu-system-x86 (77)");
    let group = "3,9,9,-;Memory cgroup out of memory: Killed process 5 (a (b)) total-vm:9kB\n";
    assert_eq!(log::killed(group).unwrap(), "a (b) (5)");
    let old = "3,9,9,-;Out of memory: Kill process 12 (loki) score 900 or sacrifice child\n";
    assert_eq!(log::killed(old).unwrap(), "loki (12)");
    assert_eq!(log::killed("nothing was killed"), None);
}

#[test]
fn a_heartbeat_tells_of_health_every_fifteen_seconds_and_at_once_when_something_is_lost() {
    let root = box_on_disk("news");
    let mut eye = Eye::new(&root);
    let start = Instant::now();
    let after = |seconds| start + Duration::from_secs(seconds);
    assert!(eye.news(start).is_some());
    assert!(eye.news(after(3)).is_none());
    write(&root, "proc/vmstat", b"oom_kill 1\n");
    let mut log = OpenOptions::new().append(true).open(root.join("dev/kmsg")).unwrap();
    log.write_all(b"3,2,9,-;Out of memory: Killed process 77 (qemu) total-vm:9kB\n").unwrap();
    let worse = eye.news(after(6)).unwrap();
    assert_eq!((worse.oom.count, worse.oom.victim.as_deref()), (1, Some("qemu (77)")));
    assert!(eye.news(after(9)).is_none());
    let later = eye.news(after(21)).unwrap();
    assert_eq!(later.oom.victim.as_deref(), Some("qemu (77)"), "it is remembered");
    fs::remove_dir_all(&root).unwrap();
}

#[test]
fn interrupts_of_a_chips_own_port_are_found_by_name() {
    let root = tree("soc");
    let table = "           CPU0       CPU1\n 38:  9  0  GICv2 189 Level     eth0\n 39: 0 4 GICv2 190 Level fe300000.ethernet-rx\n 40: 1 1 GICv2 1 Level eth01\n";
    fs::create_dir_all(root.join("sys/devices/platform/fe300000.ethernet")).unwrap();
    fs::create_dir_all(root.join("sys/class/net/eth0")).unwrap();
    let port = root.join("sys/class/net/eth0");
    symlink(root.join("sys/devices/platform/fe300000.ethernet"), port.join("device")).unwrap();
    let found = irqs_of(&port, "eth0", &tables::interrupts(table));
    fs::remove_dir_all(&root).unwrap();
    assert_eq!(found.into_iter().collect::<Vec<_>>(), [38, 39]);
}

#[test]
fn interrupts_of_a_usb_adapter_are_those_of_its_host_controller() {
    let root = tree("usb");
    write(&root, "sys/devices/pci0000:00/0000:00:14.0/msi_irqs/130", b"msi\n");
    fs::create_dir_all(root.join("sys/devices/pci0000:00/0000:00:14.0/usb2/2-1/2-1:1.0")).unwrap();
    fs::create_dir_all(root.join("sys/class/net/enx0")).unwrap();
    let port = root.join("sys/class/net/enx0");
    symlink(root.join("sys/devices/pci0000:00/0000:00:14.0/usb2/2-1/2-1:1.0"), port.join("device")).unwrap();
    let found = irqs_of(&port, "enx0", &[]);
    fs::remove_dir_all(&root).unwrap();
    assert_eq!(found.into_iter().collect::<Vec<_>>(), [130]);
}

#[test]
fn the_machine_under_this_test_tells_within_the_bounds_of_a_heartbeat() {
    let health = Eye::new(Path::new("/")).look();
    let bytes = serde_json::to_vec(&health).unwrap().len();
    assert!(bytes < 8 << 10, "{bytes} bytes: {health:?}");
    let table = fs::read_to_string("/proc/net/softnet_stat").unwrap();
    let read = tables::softnet(&table);
    assert_eq!(read.len(), table.lines().count(), "{table}");
    let present = tables::cpu_list(&fs::read_to_string("/sys/devices/system/cpu/present").unwrap());
    assert!(read.iter().all(|line| present.contains(&line.cpu)), "{read:?}");
}

proptest! {
    #[test]
    fn no_table_is_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..400), cut in 0..SOFTNET_6_1.len()) {
        let text = String::from_utf8_lossy(&bytes);
        for text in [text.as_ref(), &SOFTNET_6_1[cut..], &format!("CPU0 CPU1\n 1: {text}"), &format!("Udp:{text}\nUdp:{text}")] {
            drop((tables::softnet_summary(&tables::softnet(text)), tables::udp(text), tables::stall(text)));
            drop((tables::interrupts(text), tables::cpu_list(text), tables::cpu_mask(text), log::killed(text), tables::named(text, "oom_kill")));
        }
    }

    #[test]
    fn a_mask_names_the_processors_that_it_was_made_of(cpus in proptest::collection::btree_set(0_u32..200, 1..20)) {
        let cpus: Vec<u32> = cpus.into_iter().collect();
        let (mask, list) = (tables::mask_of(&cpus), tables::list_of(&cpus));
        prop_assert_eq!((tables::cpu_mask(&mask), tables::cpu_list(&list)), (cpus.clone(), cpus));
    }

    #[test]
    fn a_tree_of_any_bytes_is_read(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let root = box_on_disk("odd");
        for file in ["proc/net/softnet_stat", "proc/net/snmp", "proc/pressure/cpu", "proc/interrupts", "dev/kmsg",
            "sys/class/net/enp1s0/speed", "sys/class/net/enp1s0/queues/rx-0/rps_cpus", "sys/class/hwmon/hwmon0/temp1_input"] {
            write(&root, file, &bytes);
        }
        let health = Eye::new(&root).look();
        fs::remove_dir_all(&root).unwrap();
        prop_assert_eq!(health.clone().bounded(), health);
    }
}
