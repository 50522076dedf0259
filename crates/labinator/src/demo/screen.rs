//! Showing snapshots as they come: drawn over on a terminal, told as changes in a pipe.

use std::collections::BTreeMap;
use std::io::{self, Write};

use model::{NodeName, NodeWord, Phase, Snapshot};
use serde::{Deserialize, Serialize};

use super::progress::rows;

/// How progress is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Manner {
    /// A table that is drawn over, of this many characters a line.
    Table {
        /// Characters.
        width: usize,
    },
    /// A line for each change.
    Lines,
    /// The same as JSON, one object a line.
    Json,
    /// Nothing.
    Silent,
}

/// A place where progress is shown.
#[derive(Debug)]
pub struct Screen<W> {
    out: W,
    manner: Manner,
    /// Lines drawn last, to be drawn over.
    drawn: Vec<String>,
    words: BTreeMap<NodeName, NodeWord>,
    phase: Option<Phase>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Change<'a> {
    Node { at_ms: u64, node: &'a NodeName, word: NodeWord },
    Phase { at_ms: u64, phase: Phase, because: &'a str },
}

impl<W: Write> Screen<W> {
    /// An empty screen.
    pub const fn new(out: W, manner: Manner) -> Self {
        Self { out, manner, drawn: Vec::new(), words: BTreeMap::new(), phase: None }
    }

    /// Writes a line that stays above the table. Nothing in JSON and when silent.
    ///
    /// # Errors
    /// When nobody reads any more.
    pub fn say(&mut self, line: &str) -> io::Result<()> {
        match self.manner {
            Manner::Table { .. } => {
                self.lift()?;
                writeln!(self.out, "{line}")?;
                self.out.flush()
            }
            Manner::Lines => writeln!(self.out, "{line}"),
            Manner::Json | Manner::Silent => Ok(()),
        }
    }

    /// Shows a snapshot.
    ///
    /// # Errors
    /// When nobody reads any more.
    pub fn show(&mut self, snapshot: &Snapshot) -> io::Result<()> {
        match self.manner {
            Manner::Table { width } => self.draw(rows(snapshot, width)),
            Manner::Lines | Manner::Json => self.tell(snapshot),
            Manner::Silent => Ok(()),
        }
    }

    fn draw(&mut self, lines: Vec<String>) -> io::Result<()> {
        if lines == self.drawn {
            return Ok(());
        }
        self.lift()?;
        for line in &lines {
            writeln!(self.out, "{line}\x1b[K")?;
        }
        self.drawn = lines;
        self.out.flush()
    }

    /// Goes back to the table's first line and clears from there on (ECMA-48: CUU and ED).
    fn lift(&mut self) -> io::Result<()> {
        match self.drawn.len() {
            0 => Ok(()),
            lines => {
                self.drawn.clear();
                write!(self.out, "\x1b[{lines}A\x1b[J")
            }
        }
    }

    fn tell(&mut self, snapshot: &Snapshot) -> io::Result<()> {
        let lab = &snapshot.lab;
        let began = lab.run_since.unwrap_or(snapshot.at).since_start;
        let at_ms = snapshot.at.since_start.since(began).0;
        for machine in &snapshot.machines {
            if self.words.insert(machine.node.clone(), machine.word) != Some(machine.word) {
                let change = Change::Node { at_ms, node: &machine.node, word: machine.word };
                self.write(&change)?;
            }
        }
        if self.phase.replace(lab.phase) != Some(lab.phase) {
            self.write(&Change::Phase { at_ms, phase: lab.phase, because: &lab.phase_because })?;
        }
        self.out.flush()
    }

    fn write(&mut self, change: &Change<'_>) -> io::Result<()> {
        if self.manner == Manner::Json {
            serde_json::to_writer(&mut self.out, change)?;
            return writeln!(self.out);
        }
        let seconds = |ms: u64| format!("{:>5}.{}", ms / 1000, ms % 1000 / 100);
        match change {
            Change::Node { at_ms, node, word } => {
                writeln!(self.out, "{} s  {node:<10} {word}", seconds(*at_ms))
            }
            Change::Phase { at_ms, phase, because } => {
                writeln!(self.out, "{} s  {:<10} {phase}: {because}", seconds(*at_ms), "lab")
            }
        }
    }
}
