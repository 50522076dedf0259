//! The intake: formats are read, senders get their names.

use std::collections::HashMap;
use std::net::IpAddr;

use talos::feed;
use wire::heard::{Heard, HeardKind};
use wire::syslog::Parts;

use crate::stamp::rfc3339;
use crate::store::{Line, Source, Stage, Store, Who};

/// Longest line of a console, in bytes.
const LONGEST_CONSOLE: usize = 4096;

/// Machines by address: name and number of the boot, 0 unknown.
pub type Roster = HashMap<IpAddr, (String, u32)>;

/// Reads lines of every format into a store.
#[derive(Debug)]
pub struct Intake {
    /// What was taken so far.
    pub store: Store,
    roster: HashMap<IpAddr, Who>,
    /// Lines that the counter could not hand over, as it said last.
    handed_lost: Option<u64>,
    consoles: HashMap<String, Vec<u8>>,
}

impl Intake {
    /// Into this store.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store, roster: HashMap::new(), handed_lost: None, consoles: HashMap::new() }
    }

    /// These machines have these addresses now.
    pub fn know(&mut self, roster: &Roster) {
        let named = roster.iter().map(|(address, (node, boot))| (*address, self.store.who(node, *boot)));
        self.roster = named.collect();
    }

    /// Who sends from an address; nobody of the board has a name but the address.
    fn sender(&self, from: IpAddr) -> Option<Who> {
        self.roster.get(&from.to_canonical()).copied()
    }

    /// A syslog message, of a datagram or a frame of a connection.
    pub fn syslog(&mut self, from: IpAddr, message: &[u8], now: u64) {
        let parts = Parts::of(message);
        let who = match self.sender(from) {
            Some(who) => who,
            None => self.stranger(from, parts.host),
        };
        let source = if parts.program.eq_ignore_ascii_case(b"ipxe") { Source::Ipxe } else { Source::Syslog };
        let line = Line {
            who,
            source,
            severity: parts.severity,
            program: parts.program,
            stamp: rfc3339(parts.time),
            text: parts.text,
        };
        self.store.take(&line, now);
    }

    /// Who is not on the board has the name that it gives itself, as behind a relay, or its address.
    fn stranger(&mut self, from: IpAddr, host: &[u8]) -> Who {
        let node = match host {
            [] => self.store.nodes.number(from.to_canonical().to_string().as_bytes()),
            host => self.store.nodes.number(host),
        };
        Who { node, boot: 0 }
    }

    /// A JSON line of Talos.
    pub fn talos(&mut self, from: IpAddr, line: &[u8], now: u64) {
        let who = match self.sender(from) {
            Some(who) => who,
            None => self.stranger(from, &[]),
        };
        let Ok(read) = feed::Line::read(line) else {
            self.store.lose(Stage::Unreadable, who, 1, now);
            return;
        };
        let said = read.said();
        let line = Line {
            who,
            source: Source::Talos,
            severity: said.severity(),
            program: said.service.as_deref().unwrap_or("kernel").as_bytes(),
            stamp: rfc3339(said.time.as_bytes()),
            text: said.message.as_bytes(),
        };
        self.store.take(&line, now);
    }

    /// What the counter heard.
    pub fn heard(&mut self, datagram: &[u8], now: u64) {
        let Some(heard) = Heard::read(datagram) else {
            self.store.lose(Stage::Unreadable, Who::default(), 1, now);
            return;
        };
        // A counter that began anew counts anew; the first word of one that is older tells what this core missed.
        let before = self.handed_lost.replace(heard.lost).unwrap_or(0);
        let lost = heard.lost.checked_sub(before).unwrap_or(heard.lost);
        self.store.lose(Stage::HandOver, Who::default(), lost, now);
        match heard.kind {
            HeardKind::Syslog => self.syslog(heard.from, heard.line, now),
            HeardKind::Talos => self.talos(heard.from, heard.line, now),
        }
    }

    /// Bytes of a node's serial console, and how many before them never came.
    pub fn console(&mut self, node: &str, boot: u32, (bytes, lost): (&[u8], u64), now: u64) {
        let who = self.store.who(node, boot);
        self.store.lose(Stage::Console, who, lost, now);
        let mut kept = self.consoles.remove(node).unwrap_or_default();
        if lost > 0 {
            kept.clear();
        }
        let mut rest = bytes;
        while let Some(end) = memchr::memchr2(b'\n', b'\r', rest) {
            let (line, after) = rest.split_at(end);
            kept.extend_from_slice(line);
            self.console_line(who, &kept, now);
            kept.clear();
            rest = after.get(1..).unwrap_or_default();
        }
        kept.extend_from_slice(rest);
        if kept.len() > LONGEST_CONSOLE {
            self.console_line(who, &kept, now);
            kept.clear();
        }
        self.consoles.insert(node.to_owned(), kept);
    }

    fn console_line(&mut self, who: Who, line: &[u8], now: u64) {
        let text = plain(line);
        // A kernel that says how bad it is says it as a number in front (`<4>`), if at all.
        let (severity, text) = match text.as_slice() {
            [b'<', level @ b'0'..=b'7', b'>', rest @ ..] => (*level - b'0', rest),
            rest => (6, rest),
        };
        let line = Line { who, source: Source::Console, severity, program: b"console", stamp: None, text };
        self.store.take(&line, now);
    }

    /// A line of a file on the boss, as syslog daemons write it or any other way. `program` unless the line names one.
    pub fn file_line(&mut self, program: &str, line: &[u8], now: u64) {
        let parts = Parts::of(line);
        let node = if parts.host.is_empty() { b"boss" } else { parts.host };
        let who = Who { node: self.store.nodes.number(node), boot: 0 };
        let program = if parts.program.is_empty() { program.as_bytes() } else { parts.program };
        let line = Line {
            who,
            source: Source::File,
            severity: parts.severity,
            program,
            stamp: rfc3339(parts.time),
            text: parts.text,
        };
        self.store.take(&line, now);
    }

    /// Something that happened in the lab.
    pub fn lab(&mut self, node: Option<(&str, u32)>, severity: u8, text: &str, now: u64) {
        let who = match node {
            Some((node, boot)) => self.store.who(node, boot),
            None => self.store.who("lab", 0),
        };
        let line = Line {
            who,
            source: Source::Lab,
            severity,
            program: b"labinator",
            stamp: None,
            text: text.as_bytes(),
        };
        self.store.take(&line, now);
    }
}

/// Without the commands of a terminal (ECMA-48 section 5.4).
fn plain(line: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(line.len());
    let mut bytes = line.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            0x1b => {
                if bytes.next() == Some(b'[') {
                    let _end = bytes.by_ref().find(|byte| (0x40..=0x7e).contains(byte));
                }
            }
            b'\t' => out.push(b' '),
            byte if byte.is_ascii_control() => {}
            byte => out.push(byte),
        }
    }
    out
}
