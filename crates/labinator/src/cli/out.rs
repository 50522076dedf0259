//! The one door to the terminal. A reader that went away (`| head`) ends the program quietly.

use std::io::{IsTerminal, Write};

use super::args::{Color, Globals};
use super::failure::Failure;

/// Writes to standard output.
///
/// # Errors
/// [`Failure::Gone`] when nobody reads any more, else why it cannot be written.
pub fn print(text: &str) -> Result<(), Failure> {
    bytes(text.as_bytes())
}

/// Writes what may not be text to standard output.
///
/// # Errors
/// As [`print`].
pub fn bytes(piece: &[u8]) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    out.write_all(piece).and_then(|()| out.flush()).map_err(|e| match e.kind() {
        std::io::ErrorKind::BrokenPipe => Failure::Gone,
        _ => Failure::failed(format!("cannot write to standard output: {e}")),
    })
}

/// Writes a line to standard output.
///
/// # Errors
/// As [`print`].
pub fn line(text: &str) -> Result<(), Failure> {
    print(&format!("{text}\n"))
}

/// Writes a value as JSON: `pretty` over several lines, else on one.
///
/// # Errors
/// As [`print`].
pub fn json<T: serde::Serialize>(value: &T, pretty: bool) -> Result<(), Failure> {
    let text = if pretty { serde_json::to_string_pretty(value) } else { serde_json::to_string(value) };
    line(&text.map_err(|e| Failure::failed(format!("cannot write JSON: {e}")))?)
}

/// Writes a line to standard error. That nobody can read it changes nothing.
pub fn complain(text: &str) {
    let mut err = std::io::stderr().lock();
    drop(err.write_all(format!("{text}\n").as_bytes()));
}

/// What standard output is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paper {
    /// A terminal: what was drawn can be drawn over.
    Terminal,
    /// A pipe or a file.
    Pipe,
}

/// How to write on standard output.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// What it is.
    pub paper: Paper,
    /// True when colours are wanted.
    pub color: bool,
    /// Characters in a line.
    pub width: usize,
    /// True when only results are wanted.
    pub quiet: bool,
}

impl Look {
    /// Asks the environment once.
    #[must_use]
    pub fn new(globals: &Globals) -> Self {
        let terminal = std::io::stdout().is_terminal();
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let color = match globals.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && !set("NO_COLOR") && !dumb,
        };
        let paper = if terminal { Paper::Terminal } else { Paper::Pipe };
        Self { paper, color, width: columns(), quiet: globals.quiet }
    }
}

/// Characters in a line of standard output: `$COLUMNS` if it is set, else what the terminal says, else 120.
#[must_use]
pub fn columns() -> usize {
    let told = std::env::var("COLUMNS").ok().and_then(|c| c.parse().ok());
    let asked = || rustix::termios::tcgetwinsize(std::io::stdout()).ok().map(|size| usize::from(size.ws_col));
    told.or_else(asked).filter(|c| *c > 0).map_or(120, |c: usize| c.max(40))
}

/// Lines of standard output: `$LINES` if it is set, else what the terminal says, else 24.
#[must_use]
pub fn rows() -> usize {
    let told = std::env::var("LINES").ok().and_then(|lines| lines.parse().ok());
    let asked = || rustix::termios::tcgetwinsize(std::io::stdout()).ok().map(|size| usize::from(size.ws_row));
    told.or_else(asked).filter(|rows| *rows > 0).unwrap_or(24)
}
