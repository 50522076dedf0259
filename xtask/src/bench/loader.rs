//! Our own loader on the way from power to its image, against a full iPXE from a plain set-up: a part of `boot`.
//!
//! Addresses given and kernels asked for are read from the packets on the bridge, for both sides alike.

use std::fs;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use serde_json::{Value, json};

use super::boot::{LIMIT, Ours, Peer, UEFI_IPXE, samples, seconds};
use super::report::{Report, Row};
use super::segment::{Firmware, Inside, lab_file, wait, wall_ms};
use super::watch::Watch;
use crate::workspace::{Outcome, printed};

/// The machine that gets our loader, and the one that gets iPXE.
const OWN: u8 = 3;
const IPXE: u8 = 2;
/// Bytes of kernel and initramfs together: a Talos release.
const BIG: u64 = 95_000_000;
/// The initramfs that makes an image so large.
const FILLED: &str = "filled.img";
/// A stick whose cache holds it.
const STICK: &str = "320MiB";
/// Programs that a controller of this bench hands out; ours is laid beside them.
const IPXES: [&str; 2] = ["snponly.efi", "undionly.kpxe"];

/// What was measured, in seconds.
#[derive(Debug, Default)]
struct Found {
    own: Way,
    peer: Way,
    released: Vec<f64>,
    transfer_own: Vec<f64>,
    hashing: Vec<f64>,
    transfer_ipxe: Vec<f64>,
    transfer_peer: Vec<f64>,
    firmware_tcp: Vec<f64>,
    warm: Vec<f64>,
    entry_peer: Vec<f64>,
}

/// From the firmware's address, and from power on, to the question for the kernel.
#[derive(Debug, Default)]
struct Way {
    from_ack: Vec<f64>,
    from_on: Vec<f64>,
}

/// Measures so many pairs.
///
/// # Errors
/// Something does not start, or a machine never asked for its kernel.
pub(super) fn measure(inside: &Inside, pairs: usize, arguments: &[String]) -> Outcome<Value> {
    let [_, _, own, tcp4] = arguments else {
        return Err("the loader's path and the measuring program's".into());
    };
    let loaders = inside.folder.join("loaders");
    fs::create_dir_all(&loaders)?;
    for name in IPXES {
        fs::copy(Path::new("/usr/lib/ipxe").join(name), loaders.join(name))?;
    }
    fs::copy(own, loaders.join("labinator-x64.efi"))?;
    fill(inside)?;
    let watch = Watch::start()?;
    let mut found = Found::default();
    for pair in 1..=pairs {
        found.ours(inside, &watch)?;
        found.peer(inside, &watch, tcp4)?;
        eprintln!("pair {pair} of {pairs} of the loader");
    }
    // What comes after it in the same run boots as without our loader.
    fs::remove_dir_all(loaders)?;
    let way = |way: &Way| json!({ "from_ack": way.from_ack, "from_on": way.from_on });
    Ok(json!({
        "own": way(&found.own), "peer": way(&found.peer), "released": found.released,
        "transfer_own": found.transfer_own, "hashing": found.hashing,
        "transfer_ipxe": found.transfer_ipxe, "transfer_peer": found.transfer_peer,
        "firmware_tcp": found.firmware_tcp, "warm": found.warm, "entry_peer": found.entry_peer,
    }))
}

/// Rows and lines.
///
/// # Errors
/// Samples are missing.
pub(super) fn rows(found: &Value, report: &mut Report) -> Outcome<()> {
    let rows = [
        ("firmware's DHCPACK to kernel request", "from_ack", 0.10),
        ("power on to kernel request", "from_on", 0.35),
    ];
    for (name, key, line) in rows {
        let peer = format!("dnsmasq + nginx + full iPXE: {name}");
        report.push(Row::new(peer.clone(), "s", samples(found, &format!("/peer/{key}"))?));
        let own = Row::new(format!("our loader: {name}"), "s", samples(found, &format!("/own/{key}"))?);
        report.push(own.at_most(line, peer));
    }
    let second = "the line: one second";
    report.push(Row::new(second, "s", vec![1.0]));
    let released = Row::new("our loader: released to kernel request", "s", samples(found, "/released")?);
    report.push(released.at_most(1.0, second));
    let peer = "nginx to full iPXE: 95 MB";
    report.push(Row::new(peer, "s", samples(found, "/transfer_peer")?));
    report.push(Row::new("labinator to iPXE over firmware: 95 MB", "s", samples(found, "/transfer_ipxe")?));
    report.push(Row::new("our loader: 95 MB", "s", samples(found, "/transfer_own")?).at_most(1.2, peer));
    report.push(Row::new("our loader: hashing of it", "s", samples(found, "/hashing")?));
    let name = "nginx to the firmware's own TCP, 2 MiB window, no hashing: 95 MB";
    report.push(Row::new(name, "s", samples(found, "/firmware_tcp")?));
    let peer = "dnsmasq + nginx + full iPXE: power on to kernel entry, 95 MB";
    report.push(Row::new(peer, "s", samples(found, "/entry_peer")?));
    let warm = Row::new("our loader on a stick, cache warm: the same", "s", samples(found, "/warm")?);
    report.push(warm.at_most(0.25, peer));
    Ok(())
}

/// The lab: one machine gets our loader, and a second scenario has the large image.
fn lab(inside: &Inside) -> String {
    let plain = format!("power: p/{OWN} }}");
    let lab = lab_file("manual").replace(&plain, &format!("power: p/{OWN}, loader: labinator }}"));
    let (kernel, filled) = (inside.images.join("node").join("vmlinuz"), inside.folder.join(FILLED));
    let image = format!("{{ kernel: {}, initrd: [{}] }}", kernel.display(), filled.display());
    format!("{lab}  big: {{ image: {image}, nodes: all }}\n")
}

/// Writes what an image lacks to [`BIG`]: bytes that no file system or wire makes smaller.
fn fill(inside: &Inside) -> Outcome<()> {
    let kernel = fs::metadata(inside.images.join("node").join("vmlinuz"))?.len();
    let mut file = BufWriter::new(fs::File::create(inside.folder.join(FILLED))?);
    let mut state = 1_u64;
    for _ in 0..BIG.saturating_sub(kernel) / 8 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        file.write_all(&state.to_be_bytes())?;
    }
    Ok(file.flush()?)
}

impl Found {
    fn ours(&mut self, inside: &Inside, watch: &Watch) -> Outcome<()> {
        let side = Ours::start(inside, &lab(inside), None)?;
        let waiting = inside.machine(OWN, Firmware::UefiPxe)?;
        let told = || {
            side.event(OWN, waiting.on, |fact, _| {
                (fact["sight"] == "script-asked" && fact["answer"] == "wait").then_some(())
            })
        };
        wait(LIMIT, "a machine that waits in our loader", told)?;
        let released = wall_ms();
        side.controller.start("all")?;
        let asked = wait(LIMIT, "the kernel request of a released machine", || watch.kernel(OWN, released))?;
        self.released.push(seconds(asked.saturating_sub(released)));
        drop(waiting);
        self.own.take(inside, watch, OWN)?;
        drop(side);

        let side = Ours::start(inside, &lab(inside), Some("big"))?;
        for (number, took) in [(OWN, &mut self.transfer_own), (IPXE, &mut self.transfer_ipxe)] {
            let machine = inside.machine(number, Firmware::UefiPxe)?;
            let asked = wait(LIMIT, "a question for the large image", || watch.kernel(number, machine.on))?;
            let served = |fact: &Value, at: u64| {
                (fact["sight"] == "file-served" && fact["name"] == FILLED).then_some(at)
            };
            let ended = wait(LIMIT, "95 MB", || side.event(number, asked, served))?;
            took.push(seconds(ended.saturating_sub(asked)));
            if number == OWN {
                let ms = wait(LIMIT, "what the loader says", || said(&side, hashing))?;
                self.hashing.push(seconds(ms));
            }
        }
        self.stick(inside, &side)
    }

    /// From a stick that has the large image since the boot before.
    fn stick(&mut self, inside: &Inside, side: &Ours) -> Outcome<()> {
        let stick = inside.folder.join("stick.img");
        drop(fs::remove_file(&stick));
        let mut build = side.controller.verb(&["media", "build", "--size", STICK]);
        build.arg(&stick).arg("--lab").arg(inside.folder.join("lab.yaml"));
        build
            .arg("--state")
            .arg(inside.folder.join("state"))
            .arg("--loaders")
            .arg(inside.folder.join("loaders"));
        printed(&mut build)?;
        let usb = "-device qemu-xhci -device usb-storage,drive=stick,bootindex=0,removable=on";
        let mut more =
            vec!["-drive".to_owned(), format!("if=none,id=stick,format=raw,file={}", stick.display())];
        more.extend(usb.split(' ').map(str::to_owned));
        // The first time it is fetched and kept.
        entry(inside, OWN, &more)?;
        self.warm.push(entry(inside, OWN, &more)?);
        let words = wait(LIMIT, "what the loader says of it", || {
            said(side, |text| text.contains("from the cache").then(|| text.to_owned()))
        })?;
        eprintln!("{words}");
        Ok(())
    }

    fn peer(&mut self, inside: &Inside, watch: &Watch, tcp4: &str) -> Outcome<()> {
        let side = Peer::start(inside, None, UEFI_IPXE)?;
        self.peer.take(inside, watch, IPXE)?;
        drop(side);
        let side = Peer::start(inside, Some(FILLED), UEFI_IPXE)?;
        let machine = inside.machine(IPXE, Firmware::UefiPxe)?;
        let path = format!("/{FILLED}");
        let asked = wait(LIMIT, "a question for the large image", || watch.kernel(IPXE, machine.on))?;
        let (_, ended) = wait(LIMIT, "95 MB", || side.answered(IPXE, &path, asked))?;
        self.transfer_peer.push(seconds(ended.saturating_sub(asked)));
        drop(machine);
        self.entry_peer.push(entry(inside, IPXE, &[])?);
        drop(side);
        let side = Peer::start(inside, Some(FILLED), tcp4)?;
        let machine = inside.machine(IPXE, Firmware::UefiPxe)?;
        let (begun, ended) =
            wait(LIMIT, "95 MB over the firmware's own TCP", || side.answered(IPXE, &path, machine.on))?;
        self.firmware_tcp.push(seconds(ended.saturating_sub(begun)));
        Ok(())
    }
}

/// Seconds from power on to the kernel's own first words: its EFI stub prints them once it has its initramfs.
fn entry(inside: &Inside, number: u8, more: &[String]) -> Outcome<f64> {
    let console = inside.folder.join("console.log");
    // QEMU empties it too late for who looks at once.
    fs::write(&console, [])?;
    let serial = ["-serial".to_owned(), format!("file:{}", console.display())];
    let machine = inside.machine_with(number, Firmware::UefiPxe, &[&serial, more].concat())?;
    let shows = |words: &str| -> Outcome<f64> {
        let at = wait(LIMIT, &format!("`{words}` on a console"), || {
            String::from_utf8_lossy(&fs::read(&console).ok()?).contains(words).then(wall_ms)
        })?;
        Ok(seconds(at.saturating_sub(machine.on)))
    };
    let began =
        if more.is_empty() { None } else { Some((shows("Labinator's loader")?, shows("  starts    ")?)) };
    let entered = shows("EFI stub: ")?;
    if let Some((began, starts)) = began {
        eprintln!(
            "the loader began after {began:.2} s, starts the kernel after {starts:.2}, it enters after {entered:.2}"
        );
    }
    Ok(entered)
}

impl Way {
    fn take(&mut self, inside: &Inside, watch: &Watch, number: u8) -> Outcome<()> {
        let machine = inside.machine(number, Firmware::UefiPxe)?;
        let asked = wait(LIMIT, "a kernel request", || watch.kernel(number, machine.on))?;
        let acked = watch.acked(number, machine.on).ok_or("it had its address from nobody")?;
        self.from_ack.push(seconds(asked.saturating_sub(acked)));
        self.from_on.push(seconds(asked.saturating_sub(machine.on)));
        Ok(())
    }
}

/// What a line of our loader in its machine's boot trace tells.
fn said<T>(side: &Ours, what: impl Fn(&str) -> Option<T>) -> Option<T> {
    let told = side.controller.verb(&["boot", "trace", &format!("n{OWN}"), "--json"]).output().ok()?;
    let trace: Value = serde_json::from_slice(&told.stdout).ok()?;
    let lines = trace.pointer("/boot/log")?.as_array()?;
    lines.iter().find_map(|line| what(line.get("text")?.as_str()?))
}

/// Milliseconds that hashing took, of the loader's last line.
fn hashing(line: &str) -> Option<u64> {
    let (before, _) = line.split_once(" ms of it hashing")?;
    before.rsplit('(').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loaders_line_tells_how_long_hashing_took() {
        let line = "loader 0.1.0 by pxe: asked after 40 ms, 95000 kB fetched and checked 5120 ms later (2100 ms of it \
                    hashing), starts vmlinuz";
        assert_eq!(hashing(line), Some(2100));
        assert_eq!(hashing("loader 0.1.0: it waited"), None);
    }
}
