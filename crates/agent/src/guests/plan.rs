//! The words that QEMU is started with for one guest, and which of them a running guest cannot do without.

use std::path::Path;

use model::{GuestBoot, GuestNic, GuestWish, MacAddr};

// Files of one guest, relative to its folder, which is QEMU's working folder: a Unix socket's path may have 107 bytes
// only.
pub(super) const CONSOLE: &str = "console.log";
pub(super) const DISK: &str = "disk.img";
pub(super) const LOG: &str = "qemu.log";
pub(super) const PID: &str = "qemu.pid";
pub(super) const QMP: &str = "qmp.sock";
pub(super) const SERIAL: &str = "serial.sock";
pub(super) const VARS: &str = "vars.fd";
pub(super) const VNC: &str = "vnc.sock";

/// UEFI from Debian's `ovmf`, and its variables for a machine that never ran.
pub(super) const OVMF_CODE: &str = "/usr/share/OVMF/OVMF_CODE_4M.fd";
pub(super) const OVMF_VARS: &str = "/usr/share/OVMF/OVMF_VARS_4M.fd";

/// Milliseconds after which firmware that found nothing to boot tries again; without it, it halts for ever.
pub(super) const FIRMWARE_RETRY_MS: u32 = 10_000;

/// What runs a guest's processors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Accel {
    /// The processor itself.
    Kvm,
    /// Software emulation.
    Tcg,
}

impl Accel {
    /// For people.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Kvm => "KVM",
            Self::Tcg => "software emulation",
        }
    }
}

/// A kernel that QEMU loads itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kernel<'a> {
    pub(super) kernel: &'a Path,
    pub(super) initrd: Option<&'a Path>,
    pub(super) line: &'a str,
}

/// What a guest is made of: a running one with another definition is not the one that is wished.
///
/// Image and arguments are not in it. They matter at the next start only: the boss changes them while a system runs,
/// as when Talos has its config.
pub(super) fn definition(wish: &GuestWish) -> String {
    let spec = &wish.spec;
    let disk = spec.disk.map_or(0, |disk| disk.0);
    let nic = match spec.nic {
        GuestNic::Virtio => "virtio",
        GuestNic::E1000e => "e1000e",
    };
    let boot = match spec.boot {
        GuestBoot::Kernel => "kernel",
        GuestBoot::Network => "network",
        GuestBoot::NetworkUefi => "network-uefi",
    };
    format!(
        "{} {} {} MiB {} cpus disk {disk} MiB {nic} {boot} watchdog {}",
        wish.uuid, wish.mac, spec.memory.0, spec.cpus, spec.watchdog
    )
}

/// Name of the tap port of a guest with this address: at most 15 characters (`IFNAMSIZ`).
pub(super) fn tap_name(mac: MacAddr) -> String {
    let [_, _, c, d, e, f] = mac.0;
    format!("vm-{c:02x}{d:02x}{e:02x}{f:02x}")
}

/// The kernel line of a guest: the image's words, the boss's for this boot, and what our agent reads.
pub(super) fn kernel_line(wish: &GuestWish, boss: Option<&str>) -> String {
    let image = wish.image.as_ref().map_or("", |image| image.args.as_str());
    let mut words: Vec<&str> = [image, &wish.args].into_iter().filter(|part| !part.is_empty()).collect();
    let ours = boss.map(|boss| format!("labinator.boss={boss} labinator.node={}", wish.node));
    words.extend(ours.as_deref());
    words.join(" ")
}

/// What QEMU does when its guest wants to end, as `-action` takes it.
pub(super) fn on_end(boot: GuestBoot) -> String {
    let reboot = if boot == GuestBoot::Kernel { "shutdown" } else { "reset" };
    format!("reboot={reboot},shutdown=poweroff,panic=shutdown,watchdog=poweroff")
}

/// The command line of a guest; `kernel` is none for one that boots over the network.
///
/// It starts stopped (`-S`): its port joins the bridge before its first instruction. A guest booted by kernel ends
/// instead of restarting, so that its next boot has the kernel and the words of then; QEMU would load the old ones.
pub(super) fn arguments(wish: &GuestWish, accel: Accel, kernel: Option<Kernel<'_>>) -> Vec<String> {
    let spec = &wish.spec;
    let mut line = Line::default();
    line.flags(&["-no-user-config", "-nodefaults", "-S"]);
    line.pair("-name", format!("guest={}", wish.node));
    // Without graphics of the machine's own, SeaBIOS writes to the serial console what it shows on the screen.
    line.pair("-machine", "pc,graphics=off");
    match accel {
        Accel::Kvm => line.pair("-accel", "kvm").pair("-cpu", "host"),
        // One thread: a thread per virtual processor only makes them wait for each other on a small machine. 57-bit
        // page tables only cost an emulated processor time.
        Accel::Tcg => line.pair("-accel", "tcg,thread=single,tb-size=64").pair("-cpu", "max,la57=off"),
    };
    line.pair("-m", spec.memory.0.to_string()).pair("-smp", spec.cpus.max(1).to_string());
    line.pair("-uuid", wish.uuid.to_string());
    line.pair("-smbios", format!("type=1,manufacturer=Labinator,product=guest,serial={}", wish.node));
    line.pair("-pidfile", PID)
        .pair("-rtc", "base=utc")
        .pair("-vga", "std")
        .pair("-vnc", format!("unix:{VNC}"));
    // The log is the console from its first byte on, whoever listens; appended, so that its head can be given back to
    // the disk while QEMU writes on.
    let console = format!("path={SERIAL},server=on,wait=off,logfile={CONSOLE},logappend=on");
    line.pair("-chardev", format!("socket,id=serial,{console}")).pair("-serial", "chardev:serial");
    line.pair("-chardev", format!("socket,id=qmp,path={QMP},server=on,wait=off"));
    line.pair("-mon", "chardev=qmp,mode=control");
    line.pair("-object", "rng-random,id=entropy,filename=/dev/urandom");
    line.pair("-device", "virtio-rng-pci,rng=entropy").pair("-device", "pvpanic");
    if spec.watchdog {
        line.pair("-device", "i6300esb");
    }
    line.pair("-action", on_end(spec.boot));
    if spec.disk.is_some() {
        // A full disk stops the guest instead of giving it errors to eat.
        line.pair("-drive", format!("if=none,id=disk,format=raw,discard=unmap,werror=enospc,file={DISK}"));
        line.pair("-device", format!("virtio-blk-pci,drive=disk,serial={},bootindex=2", wish.node));
    }
    let tap = tap_name(wish.mac);
    line.pair("-netdev", format!("tap,id=lab,ifname={tap},script=no,downscript=no"));
    let card = match spec.nic {
        GuestNic::Virtio => "virtio-net-pci",
        GuestNic::E1000e => "e1000e",
    };
    // SeaBIOS starts the card's own ROM; without one, OVMF uses its own clients and a kernel starts sooner.
    let rom = if spec.boot == GuestBoot::Network { "" } else { ",romfile=" };
    line.pair("-device", format!("{card},netdev=lab,mac={},bootindex=1{rom}", wish.mac));
    match spec.boot {
        GuestBoot::Kernel => {
            if let Some(kernel) = kernel {
                line.pair("-kernel", kernel.kernel.display().to_string());
                if let Some(initrd) = kernel.initrd {
                    line.pair("-initrd", initrd.display().to_string());
                }
                line.pair("-append", kernel.line);
            }
        }
        GuestBoot::Network => {
            line.pair("-boot", format!("strict=on,reboot-timeout={FIRMWARE_RETRY_MS}"));
        }
        GuestBoot::NetworkUefi => {
            line.pair("-drive", format!("if=pflash,unit=0,format=raw,readonly=on,file={OVMF_CODE}"));
            line.pair("-drive", format!("if=pflash,unit=1,format=raw,file={VARS}"));
        }
    }
    line.0
}

#[derive(Debug, Default)]
struct Line(Vec<String>);

impl Line {
    fn flags(&mut self, flags: &[&str]) {
        self.0.extend(flags.iter().map(|&flag| flag.to_owned()));
    }

    fn pair(&mut self, name: &str, value: impl Into<String>) -> &mut Self {
        self.0.extend([name.to_owned(), value.into()]);
        self
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use model::{GuestSpec, Image, MachineUuid, Mebibytes, PowerOrder};

    use super::*;

    /// A guest that boots by kernel.
    pub(in super::super) fn wish(name: &str) -> GuestWish {
        let last = name.bytes().last().unwrap_or_default();
        GuestWish {
            node: name.parse().unwrap(),
            uuid: MachineUuid([last; 16]),
            mac: MacAddr([0x52, 0x54, 0, 0, 0, last]),
            spec: GuestSpec {
                host: "hv1".parse().unwrap(),
                memory: Mebibytes(1024),
                cpus: 2,
                disk: Some(Mebibytes(4096)),
                nic: GuestNic::Virtio,
                boot: GuestBoot::Kernel,
                watchdog: false,
            },
            power: PowerOrder::On,
            order: 1,
            image: Some(Arc::new(Image { args: "console=ttyS0".to_owned(), ..Image::default() })),
            args: "wipe=system".to_owned(),
        }
    }

    fn line(wish: &GuestWish, accel: Accel) -> String {
        let words = kernel_line(wish, Some("http://10.0.0.1"));
        let kernel =
            Kernel { kernel: Path::new("/store/aa"), initrd: Some(Path::new("/store/bb")), line: &words };
        let kernel = Some(kernel).filter(|_| wish.spec.boot == GuestBoot::Kernel);
        arguments(wish, accel, kernel).join(" ")
    }

    #[test]
    fn a_guest_booted_by_kernel_has_the_whole_line_of_this_golden_text() {
        let wished = line(&wish("vm1"), Accel::Kvm);
        assert_eq!(
            wished,
            "-no-user-config -nodefaults -S -name guest=vm1 -machine pc,graphics=off -accel kvm -cpu host \
             -m 1024 -smp 2 -uuid 31313131-3131-3131-3131-313131313131 \
             -smbios type=1,manufacturer=Labinator,product=guest,serial=vm1 -pidfile qemu.pid -rtc base=utc \
             -vga std -vnc unix:vnc.sock \
             -chardev socket,id=serial,path=serial.sock,server=on,wait=off,logfile=console.log,logappend=on \
             -serial chardev:serial -chardev socket,id=qmp,path=qmp.sock,server=on,wait=off \
             -mon chardev=qmp,mode=control -object rng-random,id=entropy,filename=/dev/urandom \
             -device virtio-rng-pci,rng=entropy -device pvpanic \
             -action reboot=shutdown,shutdown=poweroff,panic=shutdown,watchdog=poweroff \
             -drive if=none,id=disk,format=raw,discard=unmap,werror=enospc,file=disk.img \
             -device virtio-blk-pci,drive=disk,serial=vm1,bootindex=2 \
             -netdev tap,id=lab,ifname=vm-00000031,script=no,downscript=no \
             -device virtio-net-pci,netdev=lab,mac=52:54:00:00:00:31,bootindex=1,romfile= \
             -kernel /store/aa -initrd /store/bb \
             -append console=ttyS0 wipe=system labinator.boss=http://10.0.0.1 labinator.node=vm1"
        );
    }

    #[test]
    fn firmware_that_finds_nothing_tries_again_and_no_guest_has_a_port_open() {
        let mut wish = wish("vm1");
        wish.spec.boot = GuestBoot::Network;
        wish.spec.nic = GuestNic::E1000e;
        wish.spec.watchdog = true;
        let bios = line(&wish, Accel::Tcg);
        for part in [
            "-boot strict=on,reboot-timeout=10000",
            "reboot=reset",
            "-device i6300esb",
            "-device e1000e,netdev=lab,mac=52:54:00:00:00:31,bootindex=1",
            "-accel tcg,thread=single,tb-size=64 -cpu max,la57=off",
        ] {
            assert!(bios.contains(part), "{part} is missing in {bios}");
        }
        assert!(!bios.contains("romfile") && !bios.contains("-kernel"), "{bios}");
        wish.spec.boot = GuestBoot::NetworkUefi;
        let uefi = line(&wish, Accel::Tcg);
        assert!(uefi.contains("unit=1,format=raw,file=vars.fd") && uefi.contains("romfile="), "{uefi}");
        for line in [bios, uefi] {
            assert!(line.contains("-vnc unix:vnc.sock") && !line.contains("0.0.0.0"), "{line}");
        }
    }

    #[test]
    fn what_a_guest_boots_next_is_no_part_of_its_definition_and_what_it_is_made_of_is() {
        let one = wish("vm1");
        let mut other = one.clone();
        (other.image, other.args, other.order) = (None, String::new(), 7);
        assert_eq!(definition(&one), definition(&other));
        let changes: [fn(&mut GuestWish); 7] = [
            |w| w.uuid = MachineUuid([0; 16]),
            |w| w.mac = MacAddr([2; 6]),
            |w| w.spec.memory = Mebibytes(1),
            |w| w.spec.cpus = 9,
            |w| w.spec.disk = None,
            |w| w.spec.nic = GuestNic::E1000e,
            |w| w.spec.watchdog = true,
        ];
        for change in changes {
            let mut other = one.clone();
            change(&mut other);
            assert_ne!(definition(&one), definition(&other));
        }
    }
}
