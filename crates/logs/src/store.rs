//! The store: every line that came, counted by template, with its share of the ring.

use crate::hash::Seed;
use crate::names::Names;
use crate::ring::{Kind, Record, Ring};
use crate::rules::Rules;
use crate::skew::Skew;
use crate::templates::{Counted, Quota, Template, Templates};

/// Nodes and other senders that have a name of their own.
const NODES: u16 = 4096;
/// Programs that have one.
const PROGRAMS: u16 = 4096;

/// Where a line came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Syslog, over UDP or TCP.
    Syslog,
    /// iPXE's syslog.
    Ipxe,
    /// JSON lines of Talos.
    Talos,
    /// The serial console of a guest or a virtual machine.
    Console,
    /// What happened in the lab, by the controller itself.
    Lab,
    /// A file on the boss.
    File,
}

impl Source {
    /// All there are, in the order of their numbers.
    pub const ALL: [Self; 6] = [Self::Syslog, Self::Ipxe, Self::Talos, Self::Console, Self::Lab, Self::File];

    /// Its word, as the API has it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Syslog => "syslog",
            Self::Ipxe => "ipxe",
            Self::Talos => "talos",
            Self::Console => "console",
            Self::Lab => "lab",
            Self::File => "file",
        }
    }

    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::Syslog => 0,
            Self::Ipxe => 1,
            Self::Talos => 2,
            Self::Console => 3,
            Self::Lab => 4,
            Self::File => 5,
        }
    }
}

/// Where lines, or parts of them, went missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Between the boot counter, which hears datagrams, and the core.
    HandOver,
    /// A message longer than 8 KiB was cut.
    Cut,
    /// Bytes of a console never came here.
    Console,
    /// What came was no line of its format.
    Unreadable,
    /// A viewer read too slowly.
    Viewer,
    /// More lines like others than one template may have: counted, not stored.
    Folded,
    /// Not written to disk: the day's share was used up, the disk was full, or too slow.
    Disk,
    /// A file was cut short, or rotated away and gone: times that this happened, not lines.
    File,
}

impl Stage {
    /// All there are, in the order of their numbers.
    pub const ALL: [Self; 8] = [
        Self::HandOver,
        Self::Cut,
        Self::Console,
        Self::Unreadable,
        Self::Viewer,
        Self::Folded,
        Self::Disk,
        Self::File,
    ];

    /// Its word, as the API and the metrics have it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::HandOver => "hand-over",
            Self::Cut => "cut",
            Self::Console => "console",
            Self::Unreadable => "unreadable",
            Self::Viewer => "viewer",
            Self::Folded => "folded",
            Self::Disk => "disk",
            Self::File => "file",
        }
    }

    pub(crate) fn number(self) -> u8 {
        Self::ALL.iter().position(|one| *one == self).and_then(|at| u8::try_from(at).ok()).unwrap_or_default()
    }
}

/// Whose line it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Who {
    pub(crate) node: u16,
    pub(crate) boot: u32,
}

/// A line on its way into the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// Whose.
    pub who: Who,
    /// Where it came in.
    pub source: Source,
    /// 0 emergency to 7 debug.
    pub severity: u8,
    /// The program that wrote it; empty unknown.
    pub program: &'a [u8],
    /// When, by its sender, in milliseconds since 1970.
    pub stamp: Option<u64>,
    /// What it says.
    pub text: &'a [u8],
}

/// How much memory and how much of it for one template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the ring.
    pub ring: usize,
    /// Share of one template.
    pub quota: Quota,
}

impl Default for Limits {
    /// 40 MiB of the 64 that logs may use in all; templates, names and 200 viewers have the rest.
    fn default() -> Self {
        Self { ring: 40 << 20, quota: Quota::default() }
    }
}

/// What was counted so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Lines that came.
    pub lines: u64,
    /// Bytes of their texts.
    pub bytes: u64,
    /// Lines missing, by stage, in the order of [`Stage::ALL`].
    pub lost: [u64; Stage::ALL.len()],
    /// Lines by source, in the order of [`Source::ALL`].
    pub sources: [u64; Source::ALL.len()],
    /// Lines by severity.
    pub severities: [u64; 8],
}

/// Lines, kept and counted.
#[derive(Debug)]
pub struct Store {
    pub(crate) nodes: Names,
    pub(crate) programs: Names,
    pub(crate) templates: Templates,
    pub(crate) ring: Ring,
    rules: Rules,
    ruled: [u64; 64],
    skews: Vec<Skew>,
    totals: Totals,
    folds_wait: bool,
}

impl Store {
    /// An empty one.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let seed = Seed::fresh();
        Self {
            nodes: Names::new(seed, NODES, "others"),
            programs: Names::new(seed, PROGRAMS, ""),
            templates: Templates::new(seed, limits.quota),
            ring: Ring::new(limits.ring),
            rules: Rules::default(),
            ruled: [0; 64],
            skews: Vec::new(),
            totals: Totals::default(),
            folds_wait: false,
        }
    }

    /// Whose lines are those of a node's boot; boot 0 is unknown.
    pub fn who(&mut self, node: &str, boot: u32) -> Who {
        Who { node: self.nodes.number(node.as_bytes()), boot }
    }

    /// Takes a line that came at `now`, in milliseconds since 1970.
    pub fn take(&mut self, line: &Line<'_>, now: u64) {
        let text = line.text.trim_ascii_end();
        if text.is_empty() {
            return;
        }
        let severity = line.severity.min(7);
        self.count(line.source, severity, text.len());
        let at = match line.stamp {
            Some(stamp) => self.skew(line.who.node).map_or(now, |skew| skew.corrected(stamp, now)),
            None => now,
        };
        let program = if line.program.is_empty() { 0 } else { self.programs.number(line.program) };
        let counted = Counted { program, node: line.who.node, severity, at: now, text };
        let verdict = self.templates.take(counted, &self.rules);
        let mut rules = verdict.rules;
        while rules != 0 {
            if let Some(count) =
                usize::try_from(rules.trailing_zeros()).ok().and_then(|r| self.ruled.get_mut(r))
            {
                *count += 1;
            }
            rules &= rules - 1;
        }
        if !verdict.stored {
            self.folds_wait = true;
            self.add_lost(Stage::Folded, 1);
            return;
        }
        self.ring.push(&Record {
            kind: Kind::Line,
            severity,
            source: line.source.number(),
            node: line.who.node,
            program,
            boot: line.who.boot,
            template: verdict.number,
            count: 1,
            at,
            text,
        });
    }

    fn count(&mut self, source: Source, severity: u8, bytes: usize) {
        self.totals.lines += 1;
        self.totals.bytes += u64::try_from(bytes).unwrap_or_default();
        if let Some(count) = self.totals.severities.get_mut(usize::from(severity)) {
            *count += 1;
        }
        if let Some(count) = self.totals.sources.get_mut(usize::from(source.number())) {
            *count += 1;
        }
    }

    fn skew(&mut self, node: u16) -> Option<&mut Skew> {
        let node = usize::from(node);
        if self.skews.len() <= node {
            self.skews.resize(node + 1, Skew::default());
        }
        self.skews.get_mut(node)
    }

    /// So many lines of somebody are missing here.
    pub fn lose(&mut self, stage: Stage, who: Who, count: u64, now: u64) {
        if count == 0 {
            return;
        }
        self.add_lost(stage, count);
        self.ring.push(&Record {
            kind: Kind::Lost,
            severity: 4,
            source: stage.number(),
            node: who.node,
            program: 0,
            boot: who.boot,
            template: 0,
            count: u32::try_from(count).unwrap_or(u32::MAX),
            at: now,
            text: &[],
        });
    }

    pub(crate) fn add_lost(&mut self, stage: Stage, count: u64) {
        if let Some(lost) = self.totals.lost.get_mut(usize::from(stage.number())) {
            *lost += count;
        }
    }

    /// True while lines were folded that the ring does not tell of: [`Store::tell_folds`] is due within a second.
    #[must_use]
    pub const fn folds_wait(&self) -> bool {
        self.folds_wait
    }

    /// Says in the ring how many lines were folded since the last time.
    pub fn tell_folds(&mut self, now: u64) {
        self.folds_wait = false;
        for (template, count) in self.templates.untold() {
            self.ring.push(&Record {
                kind: Kind::Folded,
                severity: template.severity,
                source: 0,
                node: template.node,
                program: template.program,
                boot: 0,
                template: template.number,
                count,
                at: now,
                text: template.pattern.as_bytes(),
            });
        }
    }

    /// Number that the next record will have.
    #[must_use]
    pub const fn next(&self) -> u64 {
        self.ring.next()
    }

    /// Number of the oldest record that is kept.
    #[must_use]
    pub fn oldest(&self) -> u64 {
        self.ring.oldest()
    }

    /// Number of the first record at or after a time, in milliseconds since 1970.
    #[must_use]
    pub fn at(&self, time: u64) -> u64 {
        self.ring.at(time)
    }

    /// Bytes of the ring that are used.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.ring.bytes()
    }

    /// What was counted.
    #[must_use]
    pub const fn totals(&self) -> &Totals {
        &self.totals
    }

    /// Lines by rule.
    pub fn ruled(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.rules.names().zip(self.ruled)
    }

    /// Templates with their programs, in no order.
    pub fn templates(&self) -> impl Iterator<Item = (&str, &Template)> {
        self.templates.all().map(|template| (self.programs.name(template.program), template))
    }

    /// Clocks that are off: how many milliseconds each node is behind.
    pub fn behind(&self) -> impl Iterator<Item = (&str, i64)> {
        let known = (0_u16..).zip(&self.skews).filter_map(|(node, skew)| Some((node, skew.behind()?)));
        known.map(|(node, behind)| (self.nodes.name(node), behind))
    }
}
