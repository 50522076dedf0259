//! Which machine a path means, and the text that boots it.

use std::net::Ipv4Addr;

use model::MacAddr;
use wire::pxelinux::{Asked, Config, DeviceTree, asked, disk};

#[test]
fn the_paths_pxelinux_and_u_boot_ask_for_are_understood() {
    let mac = MacAddr([0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd]);
    for path in [
        "pxelinux.cfg/01-88-99-aa-bb-cc-dd",
        "/boot/pxelinux.cfg/01-88-99-AA-BB-CC-DD",
        "\\pxelinux.cfg\\01-88-99-aa-bb-cc-dd",
    ] {
        assert_eq!(asked(path), Some(Asked::Mac(mac)), "{path}");
    }
    let address = Asked::Address(Ipv4Addr::new(192, 168, 2, 91));
    assert_eq!(asked("pxelinux.cfg/C0A8025B"), Some(address));
    for path in ["default", "default-arm", "default-arm-bcm283x-rpi", "default-arm-sunxi"] {
        assert_eq!(asked(&format!("pxelinux.cfg/{path}")), Some(Asked::Anyone), "{path}");
    }
    for path in [
        "C0A8025",
        "C",
        "b8945908-d6a6-41a9-611d-74a6ab80b83d",
        "01-xx",
        "02-88-99-aa-bb-cc-dd",
        "",
        "C0A8025+",
    ] {
        assert_eq!(asked(&format!("pxelinux.cfg/{path}")), Some(Asked::Nobody), "{path}");
    }
    for path in ["pxelinux.0", "01-88-99-aa-bb-cc-dd", "pxelinux.cfg", "x/pxelinux.cfg/a/default"] {
        assert_eq!(asked(path), None, "{path}");
    }
}

#[test]
fn a_configuration_boots_at_once_and_has_no_line_that_was_not_meant() {
    let config = Config {
        title: "n1: live\nLABEL evil",
        kernel: "/f/00/Image",
        initrds: &["/f/01/initrd", "/f/02/more"],
        args: "console=ttyS0 ip=dhcp",
        device_tree: Some(DeviceTree::File("/n/a/board.dtb")),
    };
    assert_eq!(
        config.text(),
        "DEFAULT labinator\nPROMPT 0\nLABEL labinator\n  MENU LABEL n1: live LABEL evil\n  KERNEL /f/00/Image\n  \
         INITRD /f/01/initrd,/f/02/more\n  FDT /n/a/board.dtb\n  APPEND console=ttyS0 ip=dhcp\n"
    );
    let bare = Config { initrds: &[], args: "", device_tree: None, ..config };
    assert!(!bare.text().contains("INITRD") && !bare.text().contains("APPEND"));
    assert!(disk("n1").ends_with("LOCALBOOT -1\n"));
}
