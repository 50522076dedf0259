//! Tables of `/proc` that tell what a kernel lost and waited for. Kernels add columns and lines over the years; what is
//! not there is left out.

use std::path::Path;

use model::{HEALTH_EACH, Pressure, Softnet, SoftnetCpu, Stall};

use super::text;

/// One line of `/proc/net/softnet_stat` (net/core/net-procfs.c, `softnet_seq_show`): columns in hexadecimal. Kernels
/// from 5.10 on say the processor's number in column 13; before, and when all are online, it is the line's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SoftnetLine {
    /// The processor.
    pub cpu: u32,
    /// Frames taken.
    pub processed: u64,
    /// Frames dropped.
    pub dropped: u64,
    /// Rounds cut short.
    pub squeezed: u64,
}

/// Reads `/proc/net/softnet_stat`.
#[must_use]
pub fn softnet(table: &str) -> Vec<SoftnetLine> {
    let line = |(number, line): (u32, &str)| {
        let mut cells = line.split_ascii_whitespace().map(|cell| u64::from_str_radix(cell, 16));
        let mut next = || cells.next().and_then(Result::ok);
        let (processed, dropped, squeezed) = (next()?, next()?, next()?);
        let told = cells.nth(9).and_then(Result::ok).and_then(|cpu| u32::try_from(cpu).ok());
        Some(SoftnetLine { cpu: told.unwrap_or(number), processed, dropped, squeezed })
    };
    (0..).zip(table.lines()).filter_map(line).collect()
}

/// The sums, and the processors that lost most.
#[must_use]
pub fn softnet_summary(lines: &[SoftnetLine]) -> Softnet {
    let sum = |count: fn(&SoftnetLine) -> u64| lines.iter().map(count).fold(0, u64::saturating_add);
    let mut cpus: Vec<SoftnetCpu> = lines
        .iter()
        .filter(|line| line.dropped > 0 || line.squeezed > 0)
        .map(|line| SoftnetCpu { cpu: line.cpu, dropped: line.dropped, squeezed: line.squeezed })
        .collect();
    cpus.sort_by_key(|cpu| std::cmp::Reverse((cpu.dropped, cpu.squeezed)));
    cpus.truncate(HEALTH_EACH);
    Softnet { dropped: sum(|line| line.dropped), squeezed: sum(|line| line.squeezed), cpus }
}

/// `InErrors` and `RcvbufErrors` of the group `Udp` in `/proc/net/snmp`: a line of names, then one of values.
#[must_use]
pub fn udp(table: &str) -> Option<(u64, u64)> {
    let mut lines = table.lines().filter_map(|line| line.strip_prefix("Udp:"));
    let (names, values) = lines.next().zip(lines.next())?;
    let value = |wanted: &str| {
        let at = names.split_ascii_whitespace().position(|name| name == wanted)?;
        values.split_ascii_whitespace().nth(at)?.parse().ok()
    };
    Some((value("InErrors")?, value("RcvbufErrors")?))
}

/// The number in the line `NAME NUMBER`, as `/proc/vmstat` has them.
#[must_use]
pub fn named(table: &str, name: &str) -> Option<u64> {
    let line = table.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    line.trim().parse().ok()
}

/// The three files of `/proc/pressure` (Documentation/accounting/psi.rst); `None` where there are none.
pub(super) fn pressure(root: &Path) -> Option<Pressure> {
    let read = |name: &str| stall(&text(&root.join("proc/pressure").join(name)));
    let (cpu, memory, io) = (read("cpu"), read("memory"), read("io"));
    cpu.or(memory).or(io)?;
    Some(Pressure {
        cpu: cpu.unwrap_or_default(),
        memory: memory.unwrap_or_default(),
        io: io.unwrap_or_default(),
    })
}

/// `avg10` of the lines `some` and `full`; before 5.13 the processors had only the first.
#[must_use]
pub fn stall(table: &str) -> Option<Stall> {
    let average = |kind: &str| {
        let line = table.lines().find_map(|line| line.strip_prefix(kind))?;
        hundredths(line.split_ascii_whitespace().find_map(|cell| cell.strip_prefix("avg10="))?)
    };
    Some(Stall { some: average("some ")?, full: average("full ").unwrap_or(0) })
}

/// `12.34` as 1234.
fn hundredths(text: &str) -> Option<u16> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let mut digits = part.chars().chain("00".chars());
    let (tens, ones) = (digits.next()?.to_digit(10)?, digits.next()?.to_digit(10)?);
    let part = u16::try_from(tens * 10 + ones).ok()?;
    whole.parse::<u16>().ok()?.checked_mul(100)?.checked_add(part)
}

/// One interrupt of `/proc/interrupts`: how often each processor served it, and who it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interrupt {
    /// Its number.
    pub irq: u32,
    /// Times served, by processor.
    pub served: Vec<(u32, u64)>,
    /// Chip, kind and the names of its drivers' queues, such as `PCI-MSIX-0000:01:00.0 1-edge eth0-rx-0`.
    pub names: String,
}

/// Reads `/proc/interrupts`: the head names the processors that are online, each line has a count for each.
#[must_use]
pub fn interrupts(table: &str) -> Vec<Interrupt> {
    let mut lines = table.lines();
    let head = lines.next().unwrap_or_default().split_ascii_whitespace();
    let cpus: Vec<u32> = head.filter_map(|cell| cell.strip_prefix("CPU")?.parse().ok()).collect();
    let line = |line: &str| {
        let (irq, rest) = line.split_once(':')?;
        let irq = irq.trim().parse().ok()?;
        let mut rest = rest.trim_start();
        let mut served = Vec::new();
        for cpu in &cpus {
            let (cell, after) = rest.split_once(' ').unwrap_or((rest, ""));
            // Lines such as `ERR` have fewer counts than there are processors.
            let Ok(count) = cell.parse() else { break };
            served.push((*cpu, count));
            rest = after.trim_start();
        }
        let names = rest.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
        Some(Interrupt { irq, served, names })
    };
    lines.filter_map(line).collect()
}

/// Processors of a list such as `0-2,5`. What is no list is empty; one that is too long is cut.
#[must_use]
pub fn cpu_list(list: &str) -> Vec<u32> {
    let mut cpus = Vec::new();
    for part in list.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        if let (Ok(first), Ok(last)) = (first.trim().parse::<u32>(), last.trim().parse::<u32>()) {
            cpus.extend((first..=last).take(MOST_CPUS));
        }
    }
    cpus.truncate(MOST_CPUS);
    cpus
}

/// `CONFIG_NR_CPUS` of the largest kernels.
const MOST_CPUS: usize = 8192;

/// Processors of a mask such as `00000000,0000000f`, as `rps_cpus` has it: groups of 32, the lowest last.
#[must_use]
pub fn cpu_mask(mask: &str) -> Vec<u32> {
    let mut cpus = Vec::new();
    for (group, word) in (0_u32..).zip(mask.trim().rsplit(',').take(MOST_CPUS / 32)) {
        let bits = u32::from_str_radix(word.trim(), 16).unwrap_or(0);
        cpus.extend((0..32).filter(|bit| bits >> bit & 1 == 1).map(|bit| group * 32 + bit));
    }
    cpus
}

/// The mask of these processors, as [`cpu_mask`] reads it.
#[must_use]
pub fn mask_of(cpus: &[u32]) -> String {
    let groups = cpus.iter().max().map_or(1, |last| last / 32 + 1);
    let group = |group: u32| {
        cpus.iter().filter(|cpu| **cpu / 32 == group).fold(0_u32, |bits, cpu| bits | 1 << (cpu % 32))
    };
    (0..groups).rev().map(|n| format!("{:08x}", group(n))).collect::<Vec<_>>().join(",")
}

/// These processors as a list such as `0-2,5`.
#[must_use]
pub fn list_of(cpus: &[u32]) -> String {
    let mut sorted = cpus.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for cpu in sorted {
        match ranges.last_mut() {
            Some((_, last)) if last.saturating_add(1) == cpu => *last = cpu,
            _ => ranges.push((cpu, cpu)),
        }
    }
    let range = |(first, last): (u32, u32)| {
        if first == last { first.to_string() } else { format!("{first}-{last}") }
    };
    ranges.into_iter().map(range).collect::<Vec<_>>().join(",")
}
