//! What goes into which live image: packages, what is left out of them, kernel modules, and what runs there.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// A live image: a whole small system in RAM, the agent as process 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Live {
    /// Runs virtual machines.
    Hypervisor,
    /// Mends and wipes machines: the usual tools.
    Rescue,
}

/// What can be added to a live image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Extra {
    /// libvirt, by which the agent then runs its guests.
    Libvirt,
}

/// Raised when the way of building changes, so that images built before are built again.
pub(super) const RECIPE: u32 = 4;

/// Modules that the initramfs needs to reach its own root; what these depend on is found.
pub(super) const EARLY_MODULES: [&str; 3] = ["loop", "overlay", "squashfs"];

/// No serial console: on metal without one it can stall a boot by minutes; a scenario's `args` may name one.
/// `panic=10`: a machine that cannot go on starts again.
pub(super) const ARGUMENTS: &str = "console=tty0 panic=10 quiet";

/// In every live image. Debian's cloud kernel lacks the drivers of metal, so this is the whole one; the firmware
/// is what Realtek's network chips of cheap boxes ask for.
const COMMON: [&str; 14] = [
    "busybox-static",
    "bash",
    "chrony",
    "ethtool",
    "firmware-realtek",
    "iproute2",
    "kexec-tools",
    "kmod",
    "linux-image-amd64",
    "nvme-cli",
    "openssh-server",
    "smartmontools",
    "tcpdump",
    "util-linux",
];
const HYPERVISOR: [&str; 5] = ["ipxe-qemu", "ovmf", "qemu-system-x86", "qemu-utils", "seabios"];
/// libvirtd with its driver for QEMU, and `virsh`, by which the agent asks it.
const LIBVIRT: [&str; 3] = ["libvirt-clients", "libvirt-daemon", "libvirt-daemon-driver-qemu"];
const RESCUE: [&str; 18] = [
    "cryptsetup-bin",
    "curl",
    "dmidecode",
    "dosfstools",
    "e2fsprogs",
    "efibootmgr",
    "gdisk",
    "hdparm",
    "lvm2",
    "mdadm",
    "memtester",
    "parted",
    "pciutils",
    "rsync",
    "socat",
    "stress-ng",
    "usbutils",
    "xfsprogs",
];

/// Paths below the root that no live image needs, by beginning. They are a third of what the packages hold.
pub(super) const LEFT_OUT: [&str; 40] = [
    "etc/apt",
    "etc/cron.daily",
    "etc/dpkg",
    "etc/init.d",
    "usr/bin/perl",
    "usr/bin/qemu-system-x86_64-microvm",
    "usr/lib/systemd",
    "usr/lib/udev/hwdb.bin",
    "usr/lib/udev/hwdb.d",
    "usr/lib/x86_64-linux-gnu/libvirt/connection-driver/libvirt_driver_interface",
    "usr/lib/x86_64-linux-gnu/libvirt/connection-driver/libvirt_driver_n",
    "usr/lib/x86_64-linux-gnu/libvirt/connection-driver/libvirt_driver_s",
    "usr/lib/x86_64-linux-gnu/libvirt/lock-driver",
    "usr/lib/x86_64-linux-gnu/perl",
    "usr/lib/x86_64-linux-gnu/libperl",
    "usr/libexec/qemu-system-i386",
    "usr/share/OVMF/OVMF_CODE.",
    "usr/share/OVMF/OVMF_CODE_4M.ms",
    "usr/share/OVMF/OVMF_CODE_4M.sec",
    "usr/share/OVMF/OVMF_CODE_4M.snake",
    "usr/sbin/virtlockd",
    "usr/sbin/virtlogd",
    "usr/share/doc",
    "usr/share/iso-codes",
    "usr/share/libvirt/schemas",
    "usr/share/libvirt/test-",
    "usr/share/locale",
    "usr/share/man",
    "usr/share/ovmf",
    "usr/share/perl",
    "usr/share/qemu/hppa",
    "usr/share/qemu/openbios",
    "usr/share/qemu/opensbi",
    "usr/share/qemu/palcode",
    "usr/share/qemu/s390",
    "usr/share/qemu/skiboot",
    "usr/share/qemu/slof",
    "usr/share/xml",
    "var/cache",
    "var/lib/dpkg",
];

/// Kernel modules by folder of `kernel/`. What these depend on comes along from wherever it lies.
pub(super) const MODULES: [&str; 38] = [
    "arch/x86/crypto",
    "arch/x86/kvm",
    "crypto",
    "drivers/acpi",
    "drivers/ata",
    "drivers/block/loop.ko",
    "drivers/block/virtio_blk.ko",
    "drivers/block/zram",
    "drivers/char/hw_random",
    "drivers/char/ipmi",
    "drivers/char/tpm",
    "drivers/cpufreq",
    "drivers/hid",
    "drivers/hwmon",
    "drivers/i2c/busses",
    "drivers/md",
    "drivers/mmc",
    "drivers/net/ethernet/amd",
    "drivers/net/ethernet/aquantia",
    "drivers/net/ethernet/atheros",
    "drivers/net/ethernet/broadcom",
    "drivers/net/ethernet/intel",
    "drivers/net/ethernet/marvell",
    "drivers/net/ethernet/realtek",
    "drivers/net/phy",
    "drivers/net/usb",
    "drivers/nvme/host",
    "drivers/scsi/sd_mod.ko",
    "drivers/scsi/virtio_scsi.ko",
    "drivers/thermal",
    "drivers/usb/host",
    "drivers/usb/storage",
    "drivers/vhost",
    "drivers/virtio",
    "drivers/watchdog",
    "fs",
    "net/bridge",
    "net/packet",
];
/// The same, single ones of folders that are left out.
pub(super) const SINGLE_MODULES: [&str; 9] = [
    "drivers/net/macvtap.ko",
    "drivers/net/net_failover.ko",
    "drivers/net/tap.ko",
    "drivers/net/tun.ko",
    "drivers/net/veth.ko",
    "drivers/net/virtio_net.ko",
    "drivers/powercap/intel_rapl_msr.ko",
    "net/8021q",
    "net/netfilter",
];
/// File systems of servers and of machines that are not ours.
pub(super) const MODULES_LEFT_OUT: [&str; 9] =
    ["fs/afs", "fs/ceph", "fs/cifs", "fs/gfs2", "fs/nfs", "fs/ocfs2", "fs/orangefs", "fs/smb", "fs/ubifs"];

impl Live {
    /// Every one.
    pub const ALL: [Self; 2] = [Self::Hypervisor, Self::Rescue];

    /// The live image of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|live| live.name() == name)
    }

    /// Name of the image and of its folder.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hypervisor => "hypervisor",
            Self::Rescue => "rescue",
        }
    }

    /// Whether it can have that.
    #[must_use]
    pub const fn takes(self, extra: Extra) -> bool {
        match (self, extra) {
            (Self::Hypervisor, Extra::Libvirt) => true,
            (Self::Rescue, Extra::Libvirt) => false,
        }
    }

    /// Debian packages, without what they depend on.
    pub(super) fn packages(self, with: &[Extra]) -> Vec<&'static str> {
        let own: &[&str] = match self {
            Self::Hypervisor => &HYPERVISOR,
            Self::Rescue => &RESCUE,
        };
        let more: &[&str] = if with.contains(&Extra::Libvirt) { &LIBVIRT } else { &[] };
        let mut all: Vec<&str> = COMMON.iter().chain(own).chain(more).copied().collect();
        all.sort_unstable();
        all
    }

    /// What the agent starts, one a line: `once` or `keep`, a name, and what the shell is given. `$BOSS` is the
    /// boss's address. In order; what is kept is started again when it ends.
    pub(super) fn services(self, with: &[Extra]) -> String {
        // The agent looks for a port meanwhile, and asks for an address as soon as there is one.
        let modules = "once modules exec /usr/lib/labinator/agent modules\n\
             once watchdog [ -e /dev/watchdog ] || modprobe softdog\n";
        // 1 GiB of RAM in zram holds some 3 GiB of guests' idle pages.
        let zram = "once zram modprobe zram && echo zstd >/sys/block/zram0/comp_algorithm && \
             awk '/^MemTotal/ { print int($2 / 2) \"K\" }' /proc/meminfo >/sys/block/zram0/disksize && \
             mkswap /dev/zram0 >/dev/null && swapon /dev/zram0\n";
        let time = "keep time exec chronyd -n -u root 'cmdport 0' 'port 0' 'makestep 1 -1' 'rtcsync' \
             \"server $BOSS iburst minpoll 4 maxpoll 6\"\n";
        let ssh = "keep ssh mkdir -p /run/sshd && { [ -s /etc/ssh/host_key ] || \
             ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/host_key; } && exec /usr/sbin/sshd -D -e\n";
        let own = match self {
            Self::Hypervisor => "once guests modprobe -aq tun vhost_net bridge\n",
            // Ctrl-Alt-F2 on the machine's own screen. Whoever stands there could boot anything anyway.
            Self::Rescue => "keep shell exec setsid -c sh -l </dev/tty2 >/dev/tty2 2>&1\n",
        };
        // The agent waits with its guests until it answers, and what runs does not need it.
        let more = if with.contains(&Extra::Libvirt) { "keep libvirt exec libvirtd\n" } else { "" };
        [modules, zram, time, ssh, own, more].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_service_says_when_it_runs_has_a_name_and_a_command() {
        for live in Live::ALL {
            for line in live.services(&[Extra::Libvirt]).lines() {
                let mut words = line.splitn(3, ' ');
                assert!(matches!(words.next(), Some("once" | "keep")), "{line}");
                assert!(
                    words.next().is_some_and(|name| name.chars().all(|c| c.is_ascii_lowercase())),
                    "{line}"
                );
                assert!(words.next().is_some_and(|rest| !rest.is_empty()), "{line}");
            }
        }
    }

    #[test]
    fn libvirt_is_there_where_it_was_asked_for_and_nowhere_else() {
        for with in [&[][..], &[Extra::Libvirt]] {
            let packages = Live::Hypervisor.packages(with);
            let there = LIBVIRT.iter().all(|package| packages.contains(package));
            assert_eq!(there, !with.is_empty());
            assert_eq!(packages.iter().any(|package| package.starts_with("libvirt")), there);
            assert_eq!(Live::Hypervisor.services(with).contains("exec libvirtd"), there);
        }
        assert!(Live::Hypervisor.takes(Extra::Libvirt) && !Live::Rescue.takes(Extra::Libvirt));
    }

    #[test]
    fn what_wipes_is_in_every_image_and_nothing_that_runs_there_uses_a_disk() {
        let all = Live::ALL.into_iter().map(|live| (live, &[][..]));
        for (live, with) in all.chain([(Live::Hypervisor, &[Extra::Libvirt][..])]) {
            let packages = live.packages(with);
            assert!(["nvme-cli", "util-linux"].iter().all(|tool| packages.contains(tool)), "{packages:?}");
            // A disk may be wiped as long as the machine runs: whoever used one would find it gone, or forbid it.
            for line in live.services(with).lines() {
                let uses = [
                    "mount ",
                    "/dev/sd",
                    "/dev/nvme",
                    "/dev/vd",
                    "/dev/md",
                    "/dev/mapper",
                    "fstab",
                    "swapon -a",
                ];
                let tools = ["mdadm", "vgchange", "lvm ", "pvscan", "dmsetup", "cryptsetup", "losetup"];
                let found = uses.iter().chain(&tools).find(|word| line.contains(**word));
                assert_eq!(found, None, "{line}");
                assert!(!line.contains("swapon") || line.contains("swapon /dev/zram0"), "{line}");
            }
        }
    }

    #[test]
    fn names_lead_back_to_their_images() {
        for live in Live::ALL {
            assert_eq!(Live::named(live.name()), Some(live));
        }
        assert_eq!(Live::named("node"), None);
    }
}
