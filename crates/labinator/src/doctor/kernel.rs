//! What the kernel counted that costs boots: frames and datagrams lost, errors of the network card, USB ports reset.
//!
//! Counters run from the start of the machine. What decides is what they grew by lately, never their totals.

use std::collections::VecDeque;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::time::{Duration, Instant};

use agent::health::tables;
use api::{Check, Finding};
use model::NetworkSpec;
use rustix::fs::OFlags;

use super::{check, well_or};

/// Readings kept: growth is told over this many minutes.
const READINGS: usize = 11;
/// Rounds of the receive loop cut short that are still normal in a minute.
const SQUEEZES_A_MINUTE: u64 = 10;
/// Longest kernel log read, in bytes.
const LOG: usize = 4 << 20;
/// UDP ports of a boot, and what they are for.
const BOOT_PORTS: [(u16, &str); 4] = [(67, "DHCP"), (69, "TFTP"), (4011, "PXE"), (547, "DHCPv6")];
/// Words of the kernel log that tell of a port or card that was lost for a moment.
const RESETS: [&str; 4] = ["reset SuperSpeed USB", "reset high-speed USB", "NETDEV WATCHDOG", "Tx timeout"];

/// Machines from which on the kernel's table of neighbours is looked at: it holds 1024 unless told.
const MANY_NEIGHBOURS: usize = 800;

/// Room for every machine of a large lab in the kernel's tables of neighbours: a full one drops packets to machines
/// that asked, and says so only in the kernel's log (`ip-sysctl.rst`, `neigh/default/gc_thresh3`).
pub(super) fn neighbours(network: &NetworkSpec, machines: usize) -> Vec<Check> {
    let families = [Some("ipv4"), network.ipv6.is_some().then_some("ipv6")];
    let read = |family| fs::read_to_string(format!("/proc/sys/net/{family}/neigh/default/gc_thresh3")).ok();
    let tables = families
        .into_iter()
        .flatten()
        .filter_map(|family| Some((family, read(family)?.trim().parse().ok()?)));
    tables.filter_map(|(family, room)| room_for(machines, family, room)).collect()
}

/// A quarter more than the machines: the boss has other neighbours too.
fn room_for(machines: usize, family: &str, room: usize) -> Option<Check> {
    if machines <= MANY_NEIGHBOURS {
        return None;
    }
    let wanted = machines.saturating_add(machines / 4);
    let seen = format!(
        "the kernel remembers up to {room} neighbours over {family}, and the lab has {machines} machines"
    );
    let (most, some) = (wanted.next_power_of_two(), wanted.next_power_of_two() / 2);
    let help = format!(
        "sysctl -w net.{family}.neigh.default.gc_thresh3={most} net.{family}.neigh.default.gc_thresh2={some}"
    );
    Some(check("neighbours", well_or(room >= wanted, Finding::Warning), seen, &help))
}

/// One reading of the counters. `None` where a table cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    at: Instant,
    /// Columns 2 and 3 of `/proc/net/softnet_stat`: frames dropped, rounds cut short.
    softnet: Option<(u64, u64)>,
    /// `RcvbufErrors` of `/proc/net/snmp`.
    udp: Option<u64>,
    /// Datagrams that found the socket of one of [`BOOT_PORTS`] full, in their order.
    sockets: Option<[u64; BOOT_PORTS.len()]>,
    /// Errors of the interface: received (errs, fifo, frame) and sent (errs, fifo, carrier).
    card: Option<(u64, u64)>,
    /// Microseconds of the kernel's log clock, and the resets that stand in the log.
    resets: Option<u64>,
}

impl Counts {
    /// Reads them now.
    pub(super) fn read(interface: &str) -> Self {
        let table = |path| fs::read_to_string(path).ok();
        Self {
            at: Instant::now(),
            softnet: table("/proc/net/softnet_stat").map(|table| {
                let all = tables::softnet_summary(&tables::softnet(&table));
                (all.dropped, all.squeezed)
            }),
            udp: table("/proc/net/snmp").and_then(|table| Some(tables::udp(&table)?.1)),
            sockets: table("/proc/net/udp")
                .map(|four| drops(&[four, table("/proc/net/udp6").unwrap_or_default()].join("\n"))),
            card: table("/proc/net/dev").and_then(|table| card(&table, interface)),
            resets: kernel_log().map(|log| resets(&log)),
        }
    }
}

/// The last column of `/proc/net/udp` and `udp6` (proc(5)), by the local port in the second.
fn drops(table: &str) -> [u64; BOOT_PORTS.len()] {
    let mut lost = [0_u64; BOOT_PORTS.len()];
    for line in table.lines() {
        let mut cells = line.split_whitespace();
        let port = cells.nth(1).and_then(|local| u16::from_str_radix(local.rsplit(':').next()?, 16).ok());
        let place = port.and_then(|port| BOOT_PORTS.iter().position(|(known, _)| *known == port));
        let count = cells.last().and_then(|cell| cell.parse::<u64>().ok());
        if let (Some(sum), Some(count)) = (place.and_then(|place| lost.get_mut(place)), count) {
            *sum = sum.saturating_add(count);
        }
    }
    lost
}

fn card(table: &str, interface: &str) -> Option<(u64, u64)> {
    let line = table.lines().find_map(|line| line.trim().strip_prefix(interface)?.strip_prefix(':'))?;
    let cells: Vec<u64> = line.split_whitespace().filter_map(|cell| cell.parse().ok()).collect();
    let sum = |places: [usize; 3]| places.iter().filter_map(|place| cells.get(*place)).sum();
    Some((sum([2, 4, 5]), sum([10, 12, 14])))
}

/// The kernel's log, as far as this process may read it.
fn kernel_log() -> Option<String> {
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).ok()?;
    let mut file = fs::OpenOptions::new().read(true).custom_flags(flags).open("/dev/kmsg").ok()?;
    let mut log = Vec::new();
    let mut record = [0; 8192];
    // One read gives one record; the end is that the next one would have to be waited for.
    while log.len() < LOG {
        match file.read(&mut record) {
            Ok(0) | Err(_) => break,
            Ok(count) => log.extend_from_slice(record.get(..count).unwrap_or_default()),
        }
    }
    Some(String::from_utf8_lossy(&log).into_owned())
}

fn resets(log: &str) -> u64 {
    let lost = log.lines().filter(|line| RESETS.iter().any(|words| line.contains(words))).count();
    u64::try_from(lost).unwrap_or(u64::MAX)
}

/// Readings of the last minutes.
#[derive(Debug, Default)]
pub(super) struct Readings(VecDeque<Counts>);

impl Readings {
    /// Keeps a reading.
    pub(super) fn keep(&mut self, counts: Counts) {
        if self.0.len() >= READINGS {
            self.0.pop_front();
        }
        self.0.push_back(counts);
    }

    /// What grew from the oldest reading to this one.
    pub(super) fn checks(&self, now: Counts) -> Vec<Check> {
        let before = self.0.front().copied().unwrap_or(now);
        let window = now.at.saturating_duration_since(before.at);
        let lately = lately(window);
        vec![
            grown_softnet(before, now, window, &lately),
            grown_udp(before, now, &lately),
            grown_sockets(before, now, &lately),
            grown_card(before, now, &lately),
            grown_resets(before, now, &lately),
        ]
    }
}

fn lately(window: Duration) -> String {
    match window.as_secs() {
        0..90 => format!("in the last {} s", window.as_secs()),
        seconds => format!("in the last {} minutes", (seconds + 30) / 60),
    }
}

fn skipped(code: &str, why: &str) -> Check {
    check(code, Finding::Skipped, why.to_owned(), "")
}

fn grown_softnet(before: Counts, now: Counts, window: Duration, lately: &str) -> Check {
    let (Some((drops, squeezes)), Some(old)) = (now.softnet, before.softnet) else {
        return skipped("softnet", "/proc/net/softnet_stat cannot be read");
    };
    let (dropped, squeezed) = (drops.saturating_sub(old.0), squeezes.saturating_sub(old.1));
    let seen = format!(
        "{dropped} frames dropped and {squeezed} rounds cut short by the kernel {lately} ({drops} and {squeezes} in all)"
    );
    let normal = SQUEEZES_A_MINUTE.saturating_mul(window.as_secs().div_ceil(60).max(1));
    let finding = well_or(dropped == 0 && squeezed <= normal, Finding::Warning);
    let help = "see `hog` below for who holds up the processor that takes frames; else: sudo labinator doctor --fix sockets";
    check("softnet", finding, seen, help)
}

fn grown_udp(before: Counts, now: Counts, lately: &str) -> Check {
    let (Some(all), Some(old)) = (now.udp, before.udp) else {
        return skipped("udp_buffers", "/proc/net/snmp cannot be read");
    };
    let lost = all.saturating_sub(old);
    let seen = format!("{lost} datagrams lost to full sockets {lately} ({all} in all)");
    let help = "sudo labinator doctor --fix sockets";
    check("udp_buffers", well_or(lost == 0, Finding::Warning), seen, help)
}

fn grown_sockets(before: Counts, now: Counts, lately: &str) -> Check {
    let (Some(all), Some(old)) = (now.sockets, before.sockets) else {
        return skipped("boot_sockets", "/proc/net/udp cannot be read");
    };
    let lost = BOOT_PORTS.iter().zip(all.iter().zip(old)).filter_map(|((port, what), (all, old))| {
        // A counter that started anew has new sockets, whose counts begin again.
        let lost = if *all >= old { all - old } else { *all };
        (lost > 0).then(|| format!("{lost} on port {port} ({what})"))
    });
    let lost: Vec<String> = lost.collect();
    if lost.is_empty() {
        let seen = format!("no datagram found the sockets of the boot counter full {lately}");
        return check("boot_sockets", Finding::Well, seen, "");
    }
    let seen = format!("datagrams found the sockets of the boot counter full {lately}: {}", lost.join(", "));
    let help = "sudo labinator doctor --fix sockets, then start `labinator serve` again: sockets get their room as they open";
    check("boot_sockets", Finding::Warning, seen, help)
}

fn grown_card(before: Counts, now: Counts, lately: &str) -> Check {
    let (Some((received, sent)), Some(old)) = (now.card, before.card) else {
        return skipped("card_errors", "/proc/net/dev does not list the lab's interface");
    };
    let (bad_in, bad_out) = (received.saturating_sub(old.0), sent.saturating_sub(old.1));
    let seen = format!(
        "{bad_in} bad frames received and {bad_out} not sent {lately} ({received} and {sent} in all)"
    );
    let help = "change the cable or the switch port; on a USB adapter try `ethtool -K INTERFACE tso off gso off rx off`";
    check("card_errors", well_or(bad_in == 0 && bad_out == 0, Finding::Warning), seen, help)
}

fn grown_resets(before: Counts, now: Counts, lately: &str) -> Check {
    let (Some(all), Some(old)) = (now.resets, before.resets) else {
        let why = "the kernel's log cannot be read, so resets of USB adapters stay unseen: that needs root or CAP_SYSLOG";
        return skipped("usb_resets", why);
    };
    let lost = all.saturating_sub(old);
    let seen =
        format!("{lost} resets of network adapters or USB ports in the kernel's log {lately} ({all} in all)");
    let help =
        "plug the adapter into another port, without a hub; `dmesg | grep -i reset` tells which one it is";
    check("usb_resets", well_or(lost == 0, Finding::Warning), seen, help)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(at: Instant, softnet: (u64, u64), udp: u64) -> Counts {
        Counts {
            at,
            softnet: Some(softnet),
            udp: Some(udp),
            sockets: Some([udp, 0, 0, 0]),
            card: Some((7, 7)),
            resets: Some(1),
        }
    }

    #[test]
    fn a_large_lab_needs_room_for_its_neighbours() {
        assert!(room_for(800, "ipv4", 1024).is_none());
        let full = room_for(900, "ipv4", 1024).unwrap();
        assert_eq!(full.finding, Finding::Warning);
        assert!(full.help.contains("net.ipv4.neigh.default.gc_thresh3=2048"), "{}", full.help);
        assert_eq!(room_for(900, "ipv6", 2048).unwrap().finding, Finding::Well);
    }

    #[test]
    fn the_tables_of_the_kernel_are_read() {
        let udp = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n\
            2: 00000000:0043 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 12345 2 0 9\n\
            3: 0100007F:0045 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 12346 2 0 4\n\
            3: 0100007F:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 12347 2 0 7\n\
            4: 00000000000000000000000000000000:0045 00000000000000000000000000000000:0000 07 0:0 0:0 0 0 0 5 2 0 1\n";
        assert_eq!(drops(udp), [9, 5, 0, 0]);
        let dev = "Inter-| Receive\n face |bytes\n  eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n";
        assert_eq!((card(dev, "eth0"), card(dev, "eth")), (Some((14, 39)), None));
        let log = "6,1,2,-;usb 2-1: reset SuperSpeed USB device number 2 using xhci_hcd\n4,2,3,-;r8152 2-1:1.0 enx0: Tx timeout\n6,3,4,-;usb 2-1: new device\n";
        assert_eq!(resets(log), 2);
    }

    #[test]
    fn what_was_lost_long_ago_does_not_light_the_lamp_and_what_is_lost_now_does() {
        let mut readings = Readings::default();
        let start = Instant::now();
        let finding = |checks: &[Check], code: &str| checks.iter().find(|c| c.code == code).unwrap().finding;
        readings.keep(counts(start, (1000, 1000), 1000));
        let same = readings.checks(counts(start + Duration::from_secs(60), (1000, 1010), 1000));
        assert!(same.iter().all(|check| check.finding == Finding::Well), "{same:?}");
        let worse = readings.checks(counts(start + Duration::from_secs(60), (1001, 1000), 1002));
        assert_eq!(finding(&worse, "softnet"), Finding::Warning);
        assert_eq!(finding(&worse, "udp_buffers"), Finding::Warning);
        assert_eq!(finding(&worse, "boot_sockets"), Finding::Warning);
        assert!(worse[2].seen.ends_with("in the last 60 s: 2 on port 67 (DHCP)"), "{}", worse[2].seen);
        assert!(worse[1].seen.starts_with("2 datagrams lost to full sockets in the last 60 s (1002 in all)"));
        let squeezed = readings.checks(counts(start + Duration::from_secs(60), (1000, 1011), 1000));
        assert_eq!(finding(&squeezed, "softnet"), Finding::Warning);
        // Ten minutes later the reading from before the trouble is gone.
        for minute in 1..=11 {
            readings.keep(counts(start + Duration::from_secs(60 * minute), (1001, 1011), 1002));
        }
        let over = readings.checks(counts(start + Duration::from_secs(720), (1001, 1011), 1002));
        assert!(over.iter().all(|check| check.finding == Finding::Well), "{over:?}");
    }
}
