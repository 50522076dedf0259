//! The domain of a guest as text, and as libvirt itself reads it where it is installed.

use std::process::{Command, Stdio};

use model::{MachineUuid, Mebibytes};
use proptest::prelude::*;

use super::super::plan::kernel_line;
use super::super::plan::tests::wish;
use super::*;

fn of(wish: &GuestWish, accel: Accel) -> String {
    let words = kernel_line(wish, Some("http://10.0.0.1"));
    let kernel =
        Kernel { kernel: Path::new("/store/aa"), initrd: Some(Path::new("/store/bb")), line: &words };
    let here = Here {
        folder: Path::new("/run/labinator/guests/vm1"),
        bridge: "br0",
        qemu: Path::new("/usr/bin/qemu-system-x86_64"),
        accel,
    };
    xml(wish, here, Some(kernel).filter(|_| wish.spec.boot == GuestBoot::Kernel)).unwrap()
}

#[test]
fn a_guest_booted_by_kernel_is_the_domain_of_this_golden_text() {
    let mut wish = wish("vm1");
    wish.args = "a=\"<b> & 'c'\"".to_owned();
    assert_eq!(of(&wish, Accel::Kvm), include_str!("golden.xml"));
}

#[test]
fn each_way_to_boot_and_each_part_has_its_words() {
    let mut wish = wish("vm1");
    (wish.spec.boot, wish.spec.nic, wish.spec.watchdog) = (GuestBoot::Network, GuestNic::E1000e, true);
    let bios = of(&wish, Accel::Tcg);
    for part in [
        "<domain type='qemu' ",
        "<bios rebootTimeout='10000'/>",
        "<on_reboot>restart</on_reboot>",
        "reboot=reset,shutdown=poweroff",
        "<model type='e1000e'/>",
        "<watchdog model='i6300esb' action='poweroff'/>",
        "<cpu mode='maximum'>",
    ] {
        assert!(bios.contains(part), "{part} is missing in {bios}");
    }
    assert!(!bios.contains("<rom") && !bios.contains("<kernel>"), "{bios}");
    wish.spec.boot = GuestBoot::NetworkUefi;
    wish.spec.disk = None;
    let uefi = of(&wish, Accel::Tcg);
    assert!(uefi.contains("<nvram>/run/labinator/guests/vm1/vars.fd</nvram>"), "{uefi}");
    assert!(uefi.contains("<rom enabled='no'/>") && !uefi.contains("<disk"), "{uefi}");
    // No port is open: the screen is a socket of the machine.
    for xml in [bios, uefi] {
        assert!(xml.contains("<graphics type='vnc' socket='/run/") && !xml.contains("listen"), "{xml}");
    }
}

#[test]
fn what_xml_cannot_say_and_sockets_that_cannot_be_are_refused_with_the_reason() {
    let mut wish = wish("vm1");
    let kernel = |line| Kernel { kernel: Path::new("/k"), initrd: None, line };
    let here = |folder| Here { folder, bridge: "br0", qemu: Path::new("/q"), accel: Accel::Tcg };
    let bell = xml(&wish, here(Path::new("/g")), Some(kernel("a\u{7}"))).unwrap_err();
    assert!(bell.contains("U+0007"), "{bell}");
    let deep = format!("/{}", "x".repeat(97));
    let long = xml(&wish, here(Path::new(&deep)), Some(kernel(""))).unwrap_err();
    assert!(long.contains("serial.sock") && long.contains("has 110"), "{long}");
    wish.spec.boot = GuestBoot::Network;
    let comma = xml(&wish, here(Path::new("/a,b")), None).unwrap();
    assert!(comma.contains("path=/a,,b/qmp.sock,server=on"), "{comma}");
}

/// Reads back what [`escape`] wrote.
fn unescape(text: &str) -> String {
    let numbers = [("&#9;", "\t"), ("&#10;", "\n"), ("&#13;", "\r")];
    let names = [("&lt;", "<"), ("&gt;", ">"), ("&apos;", "'"), ("&quot;", "\""), ("&amp;", "&")];
    numbers.into_iter().chain(names).fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

proptest! {
    #[test]
    fn whatever_a_kernel_line_says_it_neither_leaves_its_element_nor_changes(line in "\\PC{0,60}|[<>&'\"\\t\\n\\r/ a-z]{0,40}") {
        let mut wish = wish("vm1");
        wish.spec.boot = GuestBoot::Kernel;
        let kernel = Kernel { kernel: Path::new("/k"), initrd: None, line: &line };
        let here = Here { folder: Path::new("/g"), bridge: "br0", qemu: Path::new("/q"), accel: Accel::Tcg };
        let xml = xml(&wish, here, Some(kernel)).unwrap();
        let inside = xml.split("<cmdline>").nth(1).unwrap().split("</cmdline>").next().unwrap();
        prop_assert!(!inside.contains(['<', '>', '\'', '"', '\n']));
        prop_assert_eq!(unescape(inside), line);
        prop_assert_eq!(xml.matches("</cmdline>").count(), 1);
    }
}

/// libvirt's own schema, where `libvirt-daemon` and `xmllint` are installed.
#[test]
fn libvirts_own_schema_takes_every_kind_of_guest() {
    let schema = Path::new("/usr/share/libvirt/schemas/domain.rng");
    let is_there = Command::new("xmllint").arg("--version").stderr(Stdio::null()).status().is_ok();
    if !schema.exists() || !is_there {
        println!("SKIPPED libvirt's schema: {} or xmllint is not installed", schema.display());
        return;
    }
    let folder = std::env::temp_dir().join(format!("agent-domain-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    for boot in [GuestBoot::Kernel, GuestBoot::Network, GuestBoot::NetworkUefi] {
        for (nic, accel) in [(GuestNic::Virtio, Accel::Kvm), (GuestNic::E1000e, Accel::Tcg)] {
            let mut wish = wish("vm1");
            (wish.spec.boot, wish.spec.nic, wish.spec.watchdog) = (boot, nic, true);
            (wish.spec.memory, wish.uuid) = (Mebibytes(512), MachineUuid([7; 16]));
            let file = folder.join("domain.xml");
            std::fs::write(&file, of(&wish, accel)).unwrap();
            let line = Command::new("xmllint").args(["--noout", "--relaxng"]).arg(schema).arg(&file).output();
            let done = line.unwrap();
            assert!(done.status.success(), "{boot:?}: {}", String::from_utf8_lossy(&done.stderr));
        }
    }
    std::fs::remove_dir_all(folder).unwrap();
}
