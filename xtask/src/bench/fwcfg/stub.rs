//! The stub: a guest of our own that reads a content in one way, with nothing else running.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::count::{self, Trace};
use crate::workspace::{Outcome, succeeds};

/// Longest run of a stub, in seconds.
const LIMIT: &str = "300";
/// The program, as text.
const TEXT: &str = include_str!("stub.S");

/// How the stub reads; the number is its `WAY`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Nothing = 0,
    Byte = 1,
    Page = 2,
    Dma = 3,
    Again = 4,
}

impl Way {
    /// Those that read.
    pub(super) const ALL: [Self; 4] = [Self::Byte, Self::Page, Self::Dma, Self::Again];

    /// Its words in the table.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Byte => "a byte at a time (in)",
            Self::Page => "a page at a time (rep insb)",
            Self::Dma => "at once (DMA)",
            Self::Again => "each page again from byte 0",
        }
    }

    fn number(self) -> &'static str {
        match self {
            Self::Nothing => "0",
            Self::Byte => "1",
            Self::Page => "2",
            Self::Dma => "3",
            Self::Again => "4",
        }
    }
}

/// Who runs the guest's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Engine {
    /// The processor; each access to a port leaves the guest.
    Kvm,
    /// QEMU, in software.
    Tcg,
}

impl Engine {
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Tcg => "tcg",
        }
    }
}

/// One run.
#[derive(Debug)]
pub(super) struct Run {
    /// From the first access to the last.
    pub(super) took: Duration,
    /// Sum of the content's words, as the guest read them.
    pub(super) sum: u32,
    /// What was counted, if it was.
    pub(super) trace: Option<Trace>,
}

/// The stub in all its ways, assembled in a folder.
pub(super) struct Stub<'a>(&'a Path);

impl<'a> Stub<'a> {
    /// Assembles it.
    ///
    /// # Errors
    /// The assembler or the linker refuses.
    pub(super) fn assemble(folder: &'a Path) -> Outcome<Self> {
        let text = folder.join("stub.S");
        std::fs::write(&text, TEXT)?;
        let stub = Self(folder);
        for way in [Way::Nothing].into_iter().chain(Way::ALL) {
            let object = folder.join("stub.o");
            let mut assemble = Command::new("as");
            assemble
                .args(["--32", "--defsym", &format!("WAY={}", way.number()), "-o"])
                .args([&object, &text]);
            let mut link = Command::new("ld");
            link.args(["-m", "elf_i386", "-e", "0", "-Ttext", "0", "--oformat", "binary", "-o"]);
            link.arg(stub.rom(way)).arg(&object);
            if !succeeds(&mut assemble)? || !succeeds(&mut link)? {
                return Err("the stub cannot be assembled".into());
            }
        }
        Ok(stub)
    }

    fn rom(&self, way: Way) -> PathBuf {
        self.0.join(format!("stub{}.rom", way.number()))
    }

    /// Reads the content of a file in one way. Counting slows it down: times are told of runs without.
    ///
    /// # Errors
    /// QEMU does not start, or the stub did not come to its end.
    pub(super) fn run(&self, way: Way, engine: Engine, content: &Path, counted: bool) -> Outcome<Run> {
        // In the foreground: what ends this bench ends the guest.
        let mut command = Command::new("timeout");
        command
            .args(["--foreground", LIMIT, "qemu-system-x86_64", "-accel", engine.words(), "-m", "16"])
            .args(["-nodefaults", "-display", "none", "-no-reboot", "-bios"])
            .arg(self.rom(way))
            .args(["-device", "isa-debug-exit,iobase=0xf4", "-chardev", "stdio,id=out"])
            .args(["-device", "isa-debugcon,iobase=0xe9,chardev=out", "-fw_cfg"])
            .arg(format!("name=opt/labinator/bench,file={}", content.display()))
            .args(count::POINTS.iter().filter(|_| counted))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut guest = command.spawn().map_err(|error| format!("QEMU cannot start: {error}"))?;
        let (mut out, errors) = guest.stdout.take().zip(guest.stderr.take()).ok_or("no pipe")?;
        let reader = std::thread::spawn(move || count::read(errors).map_err(|error| error.to_string()));
        let told = hear(&mut out);
        let status = guest.wait()?;
        let trace = reader.join().map_err(|_| "the trace was not read")??;
        let (took, sum) = told.ok_or_else(|| {
            format!("the stub ({}, {}) did not come to its end: {status}", way.words(), engine.words())
        })?;
        Ok(Run { took, sum, trace: counted.then_some(trace) })
    }
}

/// The time between the two marks, and the sum after them.
fn hear(out: &mut impl std::io::Read) -> Option<(Duration, u32)> {
    let mut mark = [0; 1];
    let mut next = |wanted: u8| {
        out.read_exact(&mut mark).ok()?;
        (mark == [wanted]).then(Instant::now)
    };
    let (begun, ended) = (next(b'b')?, next(b'e')?);
    let mut sum = [0; 4];
    out.read_exact(&mut sum).ok()?;
    Some((ended.duration_since(begun), u32::from_le_bytes(sum)))
}

/// Writes a content of so many bytes, in which no page is like another, and returns the sum of its words.
///
/// # Errors
/// The file cannot be written.
pub(super) fn write_content(path: &Path, size: u64) -> Outcome<u32> {
    let (mut file, mut sum) = (std::io::BufWriter::new(std::fs::File::create(path)?), 0_u32);
    let words = u32::try_from(size / 4)?;
    for n in 1..=words {
        // Knuth's multiplicative hash.
        let word = n.wrapping_mul(2_654_435_761);
        sum = sum.wrapping_add(word);
        file.write_all(&word.to_le_bytes())?;
    }
    file.flush()?;
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stub_that_ends_early_tells_nothing() {
        let told = hear(&mut b"be\x01\x02\0\0rest".as_slice());
        assert_eq!(told.map(|(_, sum)| sum), Some(0x201));
        for short in [b"".as_slice(), b"b", b"be\x01\x02", b"eb\x01\x02\0\0"] {
            assert!(hear(&mut &*short).is_none());
        }
    }
}
