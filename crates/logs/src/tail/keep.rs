//! All files that the lab file names, followed on a thread of its own, and how far each is read.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{Found, Position, Tail};
use crate::store::{Stage, Who};
use crate::stream::Stream;

/// Time between two looks.
const PERIOD: Duration = Duration::from_millis(250);
/// Time between two writes of positions: each wears the disk.
const SAVED: Duration = Duration::from_secs(60);

/// Follows files from now on. The thread ends with the process. How far they are read is kept in the file `positions`.
///
/// # Errors
/// A thread cannot be had.
pub fn follow(stream: Stream, files: Vec<PathBuf>, positions: PathBuf) -> io::Result<()> {
    let kept = read(&positions);
    let mut tails: Vec<Tail> = files
        .into_iter()
        .map(|path| {
            let kept = kept.get(&path).cloned().unwrap_or_default();
            Tail::new(path, kept)
        })
        .collect();
    std::thread::Builder::new().name("logs-files".to_owned()).spawn(move || {
        let begun = Instant::now();
        let mut saved = (String::new(), None::<Instant>);
        loop {
            let now = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
            let more = tails.iter_mut().fold(false, |more, tail| look_once(&stream, tail, now) | more);
            if saved.1.is_none_or(|at| at.elapsed() >= SAVED) {
                let text = written(&tails);
                if text != saved.0
                    && let Err(why) = save(&positions, &text)
                {
                    tracing::debug!("positions of files are not kept: {why}");
                }
                saved = (text, Some(Instant::now()));
            }
            if !more {
                std::thread::park_timeout(PERIOD);
            }
        }
    })?;
    Ok(())
}

/// Reads first and gives then: nobody waits for this disk.
fn look_once(stream: &Stream, tail: &mut Tail, now: u64) -> bool {
    let mut found: Vec<(u8, Vec<u8>)> = Vec::new();
    let more = tail.look(now, |one| {
        found.push(match one {
            Found::Line(line) => (0, line.to_vec()),
            Found::Cut(line) => (1, line.to_vec()),
            Found::Gap => (2, Vec::new()),
        });
    });
    if found.is_empty() {
        return more;
    }
    let program = tail.path().file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    stream.give(|intake, now| {
        for (kind, line) in &found {
            match kind {
                2 => intake.store.lose(Stage::File, Who::default(), 1, now),
                kind => {
                    intake.file_line(&program, line, now);
                    intake.store.lose(Stage::Cut, Who::default(), u64::from(*kind), now);
                }
            }
        }
    });
    more
}

fn written(tails: &[Tail]) -> String {
    let lines = tails.iter().filter_map(|tail| {
        let path = tail.path().to_str().filter(|path| !path.contains(['\n', '\t']))?;
        let positions: Vec<String> = tail.positions().iter().map(Position::text).collect();
        Some(format!("{path}\t{}\n", positions.join(" ")))
    });
    lines.collect()
}

/// Whole by rename; not synced: a power cut costs a minute's lines read twice.
fn save(path: &Path, text: &str) -> io::Result<()> {
    let beside = path.with_extension("new");
    fs::write(&beside, text)?;
    fs::rename(beside, path)
}

fn read(path: &Path) -> HashMap<PathBuf, Vec<Position>> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let lines = text.lines().filter_map(|line| {
        let (path, positions) = line.split_once('\t')?;
        let positions = positions.split(' ').filter(|text| !text.is_empty()).map(Position::read);
        Some((PathBuf::from(path), positions.collect::<Option<Vec<_>>>()?))
    });
    lines.collect()
}
