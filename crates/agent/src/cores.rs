//! Who shares a processor with the frames of a network port: finds a program that spins beside the soft interrupts.
//!
//! Frames are taken in soft interrupts on the processor that serves the card's interrupt. Under load they are handed to
//! `ksoftirqd`, a thread like any other, and a program that spins there gets half of its time: the queue of frames runs
//! over, and every machine that boots loses some at once.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Instant;

use crate::health::tables::{self, Interrupt, SoftnetLine};
use crate::health::{entries, irqs_of, text, word};

/// Ticks in a second of the times in `/proc/PID/stat`: `USER_HZ`, 100 wherever Linux runs today.
const TICKS: u64 = 100;
/// A thread spins that has so much of a processor, in percent.
const SPINS: u64 = 80;
/// The kernel's own thread is busy from so much on, in percent.
const BUSY: u64 = 10;
/// So many rounds cut short within one look are too many: ten a minute are normal.
const ROUNDS: u64 = 2;
/// A processor takes frames if it takes so much of all, in percent.
const SHARE: u64 = 10;
/// Threads looked at.
const THREADS: usize = 20_000;

/// A thread at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thread {
    /// Its name.
    pub name: String,
    /// Id of its process.
    pub process: u32,
    /// The processor it ran on last.
    pub cpu: u32,
    /// Time it had so far, in hundredths of a second.
    pub ticks: u64,
}

/// What is read at one moment.
#[derive(Debug, Clone)]
pub struct Reading {
    /// When.
    pub at: Instant,
    /// A line for each processor.
    pub softnet: Vec<SoftnetLine>,
    /// All interrupts.
    pub interrupts: Vec<Interrupt>,
    /// All threads, by id.
    pub threads: BTreeMap<u32, Thread>,
}

impl Reading {
    /// Reads the machine whose `/proc` lies under `root`.
    #[must_use]
    pub fn take(root: &Path) -> Self {
        Self {
            at: Instant::now(),
            softnet: tables::softnet(&text(&root.join("proc/net/softnet_stat"))),
            interrupts: tables::interrupts(&text(&root.join("proc/interrupts"))),
            threads: threads(root),
        }
    }
}

fn numbers(folder: &Path) -> impl Iterator<Item = u32> + use<> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn threads(root: &Path) -> BTreeMap<u32, Thread> {
    let proc = root.join("proc");
    let all = numbers(&proc).flat_map(|process| {
        let tasks = proc.join(process.to_string()).join("task");
        numbers(&tasks).map(move |thread| (process, thread, tasks.join(thread.to_string()).join("stat")))
    });
    let read = |(process, id, path): (u32, u32, std::path::PathBuf)| {
        let (name, cpu, ticks) = stat(&text(&path))?;
        Some((id, Thread { name, process, cpu, ticks }))
    };
    all.take(THREADS).filter_map(read).collect()
}

/// Name, processor and time of `/proc/PID/task/TID/stat` (proc(5)): a name may hold anything, so what follows is counted
/// from the last bracket.
#[must_use]
pub fn stat(line: &str) -> Option<(String, u32, u64)> {
    let (before, after) = line.rsplit_once(')')?;
    let (_, name) = before.split_once('(')?;
    let mut cells = after.split_ascii_whitespace();
    let user: u64 = cells.nth(11)?.parse().ok()?;
    let system: u64 = cells.next()?.parse().ok()?;
    // `processor` is field 39; 14 and 15 were just read.
    let cpu = cells.nth(23)?.parse().ok()?;
    Some((name.to_owned(), cpu, user.saturating_add(system)))
}

/// Who takes the frames of a port.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Port {
    /// Its kernel name.
    pub name: String,
    /// Its interrupts, each with the processors that may serve it now.
    pub irqs: BTreeMap<u32, Vec<u32>>,
    /// Its receive queues and those of its members, as folders below `/sys/class/net`.
    pub queues: Vec<String>,
    /// Processors that its frames are steered to; none when that is off.
    pub steered: BTreeSet<u32>,
}

impl Port {
    /// Looks at a port of the machine whose files lie under `root`. A bridge takes frames by its members.
    #[must_use]
    pub fn look(root: &Path, name: &str) -> Self {
        let folder = root.join("sys/class/net").join(name);
        let table = tables::interrupts(&text(&root.join("proc/interrupts")));
        let members: Vec<String> =
            entries(&folder.join("brif")).into_iter().map(|(member, _)| member).collect();
        let own = [name.to_owned()];
        let ports = if members.is_empty() { own.as_slice() } else { &members };
        let irqs =
            ports.iter().flat_map(|port| irqs_of(&root.join("sys/class/net").join(port), port, &table));
        let irqs = irqs.map(|irq| (irq, tables::cpu_list(&affinity(root, irq)))).collect();
        let net = root.join("sys/class/net");
        let queues = ports.iter().flat_map(|port| {
            let all = entries(&net.join(port).join("queues")).into_iter().map(|(queue, _)| queue);
            all.filter(|queue| queue.starts_with("rx-")).map(move |queue| format!("{port}/queues/{queue}"))
        });
        let queues: Vec<String> = queues.collect();
        let steered = queues.iter().flat_map(|queue| tables::cpu_mask(&word(&net.join(queue), "rps_cpus")));
        let steered = steered.collect();
        Self { name: name.to_owned(), irqs, queues, steered }
    }
}

fn affinity(root: &Path, irq: u32) -> String {
    let folder = root.join(format!("proc/irq/{irq}"));
    let told = ["effective_affinity_list", "smp_affinity_list"].into_iter().map(|file| word(&folder, file));
    told.into_iter().find(|list| !list.is_empty()).unwrap_or_default()
}

/// A program that spins on a processor that takes frames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hog {
    /// Name of the thread that spins.
    pub name: String,
    /// Id of its process.
    pub process: u32,
    /// The processor.
    pub cpu: u32,
    /// How much of it the program had, in percent.
    pub percent: u64,
    /// Interrupts of the port that this processor serves.
    pub irqs: Vec<u32>,
    /// Frames dropped there meanwhile.
    pub dropped: u64,
    /// Rounds cut short there meanwhile.
    pub squeezed: u64,
    /// How much of the processor the kernel's own thread for frames had, in percent.
    pub ksoftirqd: u64,
}

/// Finds them in readings that follow one another over a second or two: processors that take the port's frames, lose
/// some of them or fall behind, and have a thread that spins. `lost_lately` says that frames were lost shortly before,
/// so that a hog is found between two bursts, too.
#[must_use]
pub fn hogs(readings: &[Reading], port: &Port, lost_lately: bool) -> Vec<Hog> {
    let (Some(first), Some(last)) = (readings.first(), readings.last()) else { return Vec::new() };
    let grown = Grown::between(first, last);
    let times = times(readings);
    let hundredths = u64::try_from(last.at.saturating_duration_since(first.at).as_millis() / 10).unwrap_or(0);
    let percent = |ticks: u64| (ticks * TICKS).checked_div(hundredths).unwrap_or(0).min(100);
    let mut found = Vec::new();
    for line in &last.softnet {
        let cpu = line.cpu;
        let irqs = served(port, cpu, first, last);
        // Who has neither, as ports without hardware, is served where frames are taken at all.
        let anywhere = port.irqs.is_empty() && port.steered.is_empty();
        if irqs.is_empty() && !port.steered.contains(&cpu) && !(anywhere && grown.takes(cpu)) {
            continue;
        }
        let (dropped, squeezed) = grown.lost(cpu);
        let of = |wanted: &dyn Fn(&str) -> bool| {
            let here = times.iter().filter(|((_, on), _)| *on == cpu);
            here.filter_map(|((id, _), ticks)| Some((last.threads.get(id)?, *ticks)))
                .filter(|(thread, _)| wanted(&thread.name))
                .max_by_key(|(_, ticks)| *ticks)
        };
        let own = format!("ksoftirqd/{cpu}");
        let ksoftirqd = of(&|name| name == own).map_or(0, |(_, ticks)| percent(ticks));
        if dropped == 0 && squeezed < ROUNDS && ksoftirqd < BUSY && !lost_lately {
            continue;
        }
        if let Some((thread, ticks)) = of(&|name| name != own).filter(|(_, ticks)| percent(*ticks) >= SPINS) {
            let (name, process) = (thread.name.clone(), thread.process);
            found.push(Hog {
                name,
                process,
                cpu,
                percent: percent(ticks),
                irqs,
                dropped,
                squeezed,
                ksoftirqd,
            });
        }
    }
    found
}

/// Time that each thread had on each processor, by where it was seen at the end of each step.
fn times(readings: &[Reading]) -> BTreeMap<(u32, u32), u64> {
    let mut times: BTreeMap<(u32, u32), u64> = BTreeMap::new();
    for (before, after) in readings.iter().zip(readings.iter().skip(1)) {
        for (id, thread) in &after.threads {
            // One that began meanwhile had all of its time here.
            let old = before.threads.get(id).filter(|old| old.process == thread.process);
            let had = thread.ticks.saturating_sub(old.map_or(0, |old| old.ticks));
            if had > 0 {
                let sum = times.entry((*id, thread.cpu)).or_default();
                *sum = sum.saturating_add(had);
            }
        }
    }
    times
}

/// Interrupts of the port that this processor served meanwhile, or would serve: those that nobody else may.
fn served(port: &Port, cpu: u32, first: &Reading, last: &Reading) -> Vec<u32> {
    let count = |reading: &Reading, irq: u32| {
        let found = reading.interrupts.iter().find(|interrupt| interrupt.irq == irq)?;
        found.served.iter().find(|(on, _)| *on == cpu).map(|(_, count)| *count)
    };
    let serves = |irq: &u32| {
        let grew = count(last, *irq) > count(first, *irq);
        grew || port.irqs.get(irq).is_some_and(|cpus| cpus.as_slice() == [cpu])
    };
    port.irqs.keys().copied().filter(serves).collect()
}

/// What grew from one reading to another, by processor: frames taken, dropped, rounds cut short.
struct Grown(BTreeMap<u32, (u64, u64, u64)>);

impl Grown {
    fn between(first: &Reading, last: &Reading) -> Self {
        let grown = |line: &SoftnetLine| {
            let old = first.softnet.iter().find(|old| old.cpu == line.cpu).copied().unwrap_or_default();
            let taken = line.processed.saturating_sub(old.processed);
            let lost = (line.dropped.saturating_sub(old.dropped), line.squeezed.saturating_sub(old.squeezed));
            (line.cpu, (taken, lost.0, lost.1))
        };
        Self(last.softnet.iter().map(grown).collect())
    }

    fn takes(&self, cpu: u32) -> bool {
        let all: u64 = self.0.values().map(|(taken, ..)| *taken).fold(0, u64::saturating_add);
        let own = self.0.get(&cpu).map_or(0, |(taken, ..)| *taken);
        own > 0 && own.saturating_mul(100) >= all.saturating_mul(SHARE)
    }

    fn lost(&self, cpu: u32) -> (u64, u64) {
        self.0.get(&cpu).map_or((0, 0), |(_, dropped, squeezed)| (*dropped, *squeezed))
    }
}

/// The processor that is least busy in these readings, of those that are online and not to be avoided.
#[must_use]
pub fn quietest(readings: &[Reading], avoid: &BTreeSet<u32>) -> Option<u32> {
    let times = times(readings);
    let busy = |cpu: u32| {
        let here = times.iter().filter(|((_, on), _)| *on == cpu);
        here.map(|(_, ticks)| *ticks).fold(0, u64::saturating_add)
    };
    let online = readings.last()?.softnet.iter().map(|line| line.cpu);
    online.filter(|cpu| !avoid.contains(cpu)).min_by_key(|cpu| busy(*cpu))
}

#[cfg(test)]
mod tests;
