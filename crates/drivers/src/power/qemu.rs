//! QEMU: what must be installed, and the words one virtual machine is started with.

use std::path::{Path, PathBuf};

use model::VirtualFirmware;

use super::machine::{Machine, tap_name};
use super::{CONSOLE_FILE, PowerError};
use crate::here::SCREEN;
use crate::process::Program;

const QEMU: Program = Program::new("qemu-system-x86_64", "qemu-system-x86");
const OVMF_CODE: &str = "/usr/share/OVMF/OVMF_CODE_4M.fd";
const OVMF_VARS: &str = "/usr/share/OVMF/OVMF_VARS_4M.fd";
/// The network card's boot ROM: iPXE as Debian builds it.
const BOOT_ROM: &str = "/usr/lib/ipxe/qemu/efi-virtio.rom";

// Files of one machine, relative to its folder, which is QEMU's working folder: a Unix socket's path may
// have 107 bytes only.
pub(super) const VARS: &str = "vars.fd";
pub(super) const DISK: &str = "disk.img";
pub(super) const QMP: &str = "qmp.sock";
pub(super) const SERIAL: &str = "serial.sock";
pub(super) const PID: &str = "qemu.pid";

/// What is installed.
#[derive(Debug, Clone)]
pub(super) struct Installed {
    /// The program.
    pub(super) qemu: PathBuf,
    /// UEFI variables of a machine that has never run.
    pub(super) vars: PathBuf,
}

impl Installed {
    /// Looks for what these firmwares need.
    pub(super) fn find(firmwares: impl IntoIterator<Item = VirtualFirmware>) -> Result<Self, PowerError> {
        match missing(firmwares).into_iter().next() {
            Some(error) => Err(error),
            None => Ok(Self { qemu: QEMU.find()?, vars: OVMF_VARS.into() }),
        }
    }
}

/// Everything that virtual machines with these firmwares need and this computer does not have, each with
/// the command that installs it.
pub fn missing(firmwares: impl IntoIterator<Item = VirtualFirmware>) -> Vec<PowerError> {
    let mut files: Vec<(&str, &'static str)> = Vec::new();
    for firmware in firmwares {
        match firmware {
            VirtualFirmware::Bios => files.push((BOOT_ROM, "ipxe-qemu")),
            VirtualFirmware::UefiPxe | VirtualFirmware::UefiHttp | VirtualFirmware::UefiPxe6 => {
                files.extend([(OVMF_CODE, "ovmf"), (OVMF_VARS, "ovmf")]);
            }
        }
    }
    files.sort_unstable();
    files.dedup();
    let program = QEMU.find().err().map(PowerError::Program);
    let absent = files.into_iter().filter(|(path, _)| !Path::new(path).is_file());
    program
        .into_iter()
        .chain(absent.map(|(path, package)| PowerError::NoFile { path: path.into(), package }))
        .collect()
}

/// The command line of a machine.
///
/// Software emulation with one thread: several nodes share few processors, and a thread per virtual
/// processor only makes them wait for each other. A machine that restarts itself ends instead
/// (`-no-reboot`), so that every boot is one the lab asked for.
pub(super) fn arguments(machine: &Machine) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut add = |text: &str| words.extend(text.split(' ').map(str::to_owned));
    // Without graphics of the machine's own, SeaBIOS and iPXE write to the serial console what they show on the screen.
    add("-no-user-config -nodefaults -display none -no-reboot -machine pc,graphics=off");
    add(&format!("-name {} -accel tcg,thread=single -m {}", machine.name, machine.memory.0));
    add(&format!("-uuid {} -smbios type=1,manufacturer=Labinator,product=node", machine.uuid()));
    add(&format!("-smbios type=1,serial={}", machine.name));
    add("-object rng-random,id=entropy,filename=/dev/urandom -device virtio-rng-pci,rng=entropy");
    add(&format!("-vga std -vnc unix:{SCREEN}"));
    // The log is the console from its first byte on, whoever listens; appended, so that its head can be given back to
    // the disk while QEMU writes on.
    let kept = format!("logfile={CONSOLE_FILE},logappend=on");
    add(&format!("-chardev socket,id=serial,path={SERIAL},server=on,wait=off,{kept} -serial chardev:serial"));
    add(&format!("-chardev socket,id=qmp,path={QMP},server=on,wait=off -mon chardev=qmp,mode=control"));
    add(&format!("-pidfile {PID}"));
    if machine.disk.is_some() {
        add(&format!("-drive if=none,id=disk,format=raw,discard=unmap,file={DISK}"));
        add(&format!("-device virtio-blk-pci,drive=disk,serial={}", machine.name));
    }
    let tap = tap_name(machine.mac);
    add(&format!("-netdev tap,id=lab,ifname={tap},script=no,downscript=no"));
    let port = format!("virtio-net-pci,netdev=lab,mac={},bootindex=1", machine.mac);
    match machine.firmware {
        // SeaBIOS starts the card's own ROM.
        VirtualFirmware::Bios => add(&format!("-device {port}")),
        VirtualFirmware::UefiPxe => {
            add(&format!("-device {port},romfile="));
            uefi(&mut add, &["IPv6PXESupport"]);
        }
        VirtualFirmware::UefiPxe6 => {
            add(&format!("-device {port},romfile="));
            uefi(&mut add, &["IPv4PXESupport"]);
        }
        // OVMF tries HTTP last; without PXE it tries it first.
        VirtualFirmware::UefiHttp => {
            add(&format!("-device {port},romfile="));
            uefi(&mut add, &["IPv4PXESupport", "IPv6PXESupport"]);
        }
    }
    words
}

/// OVMF from flash. An empty `romfile` keeps iPXE's ROM away, so that OVMF's own network clients are used.
/// The switches are EDK2's (`NetworkPkg`, read through `fw_cfg` since 2022).
fn uefi(add: &mut impl FnMut(&str), off: &[&str]) {
    add(&format!("-drive if=pflash,unit=0,format=raw,readonly=on,file={OVMF_CODE}"));
    add(&format!("-drive if=pflash,unit=1,format=raw,file={VARS}"));
    for switch in off {
        add(&format!("-fw_cfg name=opt/org.tianocore/{switch},string=n"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{MacAddr, Mebibytes};

    fn line(firmware: VirtualFirmware) -> String {
        let machine = Machine {
            name: "node1".parse().unwrap(),
            mac: MacAddr([0x52, 0x54, 0, 0x1a, 0xb1, 1]),
            firmware,
            memory: Mebibytes(512),
            disk: None,
        };
        arguments(&machine).join(" ")
    }

    #[test]
    fn a_node_has_the_disk_that_it_is_told_to_have() {
        assert!(!line(VirtualFirmware::Bios).contains("disk"));
        let machine = Machine {
            name: "node1".parse().unwrap(),
            mac: MacAddr([0x52, 0x54, 0, 0x1a, 0xb1, 1]),
            firmware: VirtualFirmware::Bios,
            memory: Mebibytes(512),
            disk: Some(Mebibytes(64)),
        };
        let line = arguments(&machine).join(" ");
        assert!(line.contains("-drive if=none,id=disk,format=raw,discard=unmap,file=disk.img "), "{line}");
        assert!(line.contains("-device virtio-blk-pci,drive=disk,serial=node1 "), "{line}");
    }

    #[test]
    fn a_bios_node_boots_by_the_rom_of_its_card() {
        let line = line(VirtualFirmware::Bios);
        assert!(
            line.contains("-device virtio-net-pci,netdev=lab,mac=52:54:00:1a:b1:01,bootindex=1"),
            "{line}"
        );
        assert!(!line.contains("romfile") && !line.contains("pflash") && !line.contains("fw_cfg"), "{line}");
    }

    #[test]
    fn a_uefi_pxe_node_keeps_only_its_first_client() {
        let line = line(VirtualFirmware::UefiPxe);
        assert!(line.contains("bootindex=1,romfile= "), "{line}");
        assert!(line.contains("opt/org.tianocore/IPv6PXESupport,string=n"), "{line}");
        assert!(!line.contains("IPv4PXESupport"), "{line}");
        assert!(
            line.contains("unit=0,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd"),
            "{line}"
        );
        assert!(line.contains("unit=1,format=raw,file=vars.fd"), "{line}");
    }

    #[test]
    fn a_uefi_pxe6_node_has_no_pxe_over_ipv4() {
        let line = line(VirtualFirmware::UefiPxe6);
        assert!(line.contains("opt/org.tianocore/IPv4PXESupport,string=n"), "{line}");
        assert!(!line.contains("IPv6PXESupport") && line.contains("romfile= "), "{line}");
    }

    #[test]
    fn a_uefi_http_node_has_no_pxe() {
        let line = line(VirtualFirmware::UefiHttp);
        assert!(line.contains("opt/org.tianocore/IPv4PXESupport,string=n"), "{line}");
        assert!(line.contains("opt/org.tianocore/IPv6PXESupport,string=n"), "{line}");
    }

    #[test]
    fn every_node_says_who_it_is_and_ends_when_it_restarts() {
        let line = line(VirtualFirmware::Bios);
        for part in [
            "-no-reboot",
            "-nodefaults",
            "-vga std -vnc unix:vnc.sock ",
            "path=serial.sock,server=on,wait=off,logfile=console.log,logappend=on ",
            "-accel tcg,thread=single",
            "-m 512 ",
            "-uuid 6c616269-6e61-8f72-8000-5254001ab101 ",
            "type=1,serial=node1 ",
            "ifname=tap-001ab101,script=no,downscript=no",
        ] {
            assert!(line.contains(part), "{part} is missing in {line}");
        }
    }

    #[test]
    fn a_tap_has_a_name_linux_takes() {
        assert!(tap_name(MacAddr([0xff; 6])).len() <= 15);
    }
}
