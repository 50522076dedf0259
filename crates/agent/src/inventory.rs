//! What is in the box, read from `/proc` and `/sys`.

use std::fs;
use std::path::Path;

use agent::health::entries;
use model::{Disk, Inventory, MacAddr, Nic};

use crate::wipe;

/// Block devices that are no disks of the box: made by the kernel, or with media that comes and goes.
const NO_DISKS: [&str; 8] = ["loop", "ram", "zram", "dm-", "md", "sr", "fd", "nbd"];

/// Reads the inventory of the machine whose file system starts at `root` (`/` outside tests).
///
/// What a kernel or maker leaves out is empty; nothing here fails.
pub(crate) fn read(root: &Path) -> Inventory {
    let dmi = root.join("sys/class/dmi/id");
    let cpuinfo = text(&root.join("proc/cpuinfo"));
    let firmware = if root.join("sys/firmware/efi").exists() { "uefi" } else { "bios" };
    let product = format!("{} {}", word(&dmi, "sys_vendor"), word(&dmi, "product_name"));
    Inventory {
        firmware: firmware.to_owned(),
        product: product.trim().to_owned(),
        serial: word(&dmi, "product_serial"),
        uuid: word(&dmi, "product_uuid"),
        cpu: field(&cpuinfo, "model name").unwrap_or_default().to_owned(),
        cpus: u16::try_from(cpuinfo.lines().filter(|l| key_of(l) == "processor").count()).unwrap_or(u16::MAX),
        memory_mib: memory_mib(root, "MemTotal"),
        disks: disks(root),
        nics: nics(root),
    }
}

/// A line of `/proc/meminfo` in MiB; 0 where the kernel has no such line.
pub(crate) fn memory_mib(root: &Path, name: &str) -> u32 {
    let meminfo = text(&root.join("proc/meminfo"));
    let kib = field(&meminfo, name).and_then(|v| v.split(' ').next()?.parse::<u64>().ok()).unwrap_or(0);
    u32::try_from(kib / 1024).unwrap_or(u32::MAX)
}

/// Load average of one minute in thousandths, from `/proc/loadavg`.
pub(crate) fn load_milli(root: &Path) -> u32 {
    parse_load(&text(&root.join("proc/loadavg"))).unwrap_or(0)
}

fn parse_load(loadavg: &str) -> Option<u32> {
    let (whole, hundredths) = loadavg.split_ascii_whitespace().next()?.split_once('.')?;
    whole
        .parse::<u32>()
        .ok()?
        .checked_mul(1000)?
        .checked_add(hundredths.parse::<u32>().ok()?.checked_mul(10)?)
}

fn text(path: &Path) -> String {
    // DMI strings are bytes of the maker's choice.
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

fn word(folder: &Path, name: &str) -> String {
    text(&folder.join(name)).trim().to_owned()
}

fn key_of(line: &str) -> &str {
    line.split(':').next().unwrap_or_default().trim()
}

fn field<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let line = text.lines().find(|line| key_of(line) == key)?;
    line.split_once(':').map(|(_, value)| value.trim())
}

/// The disks of the box, by name.
pub(crate) fn disks(root: &Path) -> Vec<Disk> {
    entries(&root.join("sys/block"))
        .into_iter()
        .filter(|(name, _)| !NO_DISKS.iter().any(|prefix| name.starts_with(prefix)))
        .filter_map(|(name, path)| disk(root, name, &path))
        .collect()
}

fn disk(root: &Path, name: String, path: &Path) -> Option<Disk> {
    let (model, serial) = (word(path, "device/model"), disk_serial(path));
    // The kernel counts sectors of 512 bytes here, whatever the disk's own are.
    let bytes = word(path, "size").parse::<u64>().unwrap_or(0).saturating_mul(512);
    let digest = wipe::digest_of(&serial, &model, bytes);
    let (label, used) = (wipe::label_of(root, &name, digest), wipe::why_not(root, &name));
    (bytes > 0).then_some(Disk { name, model, serial, bytes, digest: Some(digest), label, used })
}

/// `NVMe` and MMC have `device/serial`, virtio has `serial`, SCSI and SATA have page 0x80 of the device's
/// vital product data: a header of four bytes, then text (SPC-4 section 7.8.15).
fn disk_serial(path: &Path) -> String {
    let page = || {
        let bytes = fs::read(path.join("device/vpd_pg80")).ok()?;
        Some(String::from_utf8_lossy(bytes.get(4..)?).trim().to_owned())
    };
    let plain = ["device/serial", "serial"].into_iter().map(|name| word(path, name));
    plain.into_iter().find(|serial| !serial.is_empty()).or_else(page).unwrap_or_default()
}

fn nics(root: &Path) -> Vec<Nic> {
    entries(&root.join("sys/class/net")).into_iter().filter_map(|(name, path)| nic(name, &path)).collect()
}

/// `None` for ports without hardware behind them (loopback, bridges) and without an Ethernet address.
fn nic(name: String, path: &Path) -> Option<Nic> {
    if !path.join("device").exists() {
        return None;
    }
    let mac: MacAddr = word(path, "address").parse().ok()?;
    let driver = fs::read_link(path.join("device/driver")).ok();
    let driver = driver.as_deref().and_then(Path::file_name).and_then(|n| n.to_str()).unwrap_or_default();
    // Without a link the kernel says -1 or refuses to read.
    let speed_mbps = word(path, "speed").parse().ok();
    Some(Nic { name, mac, driver: driver.to_owned(), speed_mbps })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn write(root: &Path, path: &str, content: &[u8]) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn box_on_disk(name: &str) -> std::path::PathBuf {
        let root = std::env::temp_dir().join(format!("agent-inventory-{name}-{}", std::process::id()));
        drop(fs::remove_dir_all(&root));
        write(&root, "sys/firmware/efi/x", b"");
        write(&root, "sys/class/dmi/id/sys_vendor", b"Acme\n");
        write(&root, "sys/class/dmi/id/product_name", b"N5105 \xff\n");
        write(
            &root,
            "proc/cpuinfo",
            b"processor\t: 0\nmodel name\t: Fast: one\n\nprocessor\t: 1\nmodel name\t: x\n",
        );
        write(&root, "proc/meminfo", b"MemTotal:        8010244 kB\nMemAvailable:    1024 kB\n");
        write(&root, "sys/block/sda/size", b"2048\n");
        write(&root, "sys/block/sda/device/vpd_pg80", b"\0\x80\0\x04 S1 ");
        write(&root, "sys/block/loop0/size", b"2048\n");
        write(&root, "sys/class/net/lo/address", b"00:00:00:00:00:00\n");
        write(&root, "sys/class/net/eth0/address", b"52:54:00:00:00:01\n");
        write(&root, "sys/class/net/eth0/speed", b"-1\n");
        write(&root, "sys/class/net/eth0/device/x", b"");
        symlink("../../bus/virtio/drivers/virtio_net", root.join("sys/class/net/eth0/device/driver"))
            .unwrap();
        root
    }

    #[test]
    fn a_box_is_read_as_its_kernel_shows_it() {
        let root = box_on_disk("read");
        let seen = read(&root);
        fs::remove_dir_all(&root).unwrap();
        assert_eq!((seen.firmware.as_str(), seen.product.as_str()), ("uefi", "Acme N5105 \u{fffd}"));
        assert_eq!((seen.cpu.as_str(), seen.cpus, seen.memory_mib), ("Fast: one", 2, 7822));
        let disk = Disk {
            name: "sda".to_owned(),
            model: String::new(),
            serial: "S1".to_owned(),
            bytes: 1_048_576,
            digest: Some(wipe::digest_of("S1", "", 1_048_576)),
            label: None,
            used: None,
        };
        assert_eq!(seen.disks, [disk]);
        let port = Nic {
            name: "eth0".to_owned(),
            mac: MacAddr([0x52, 0x54, 0, 0, 0, 1]),
            driver: "virtio_net".to_owned(),
            speed_mbps: None,
        };
        assert_eq!(seen.nics, [port]);
    }

    #[test]
    fn a_box_that_shows_nothing_is_an_empty_inventory() {
        let seen = read(Path::new("/nonexistent"));
        assert_eq!(seen, Inventory { firmware: "bios".to_owned(), ..Inventory::default() });
    }

    #[test]
    fn load_is_read_in_thousandths() {
        assert_eq!(parse_load("1.25 0.50 0.10 1/99 7\n"), Some(1250));
        assert_eq!(parse_load(""), None);
    }
}
