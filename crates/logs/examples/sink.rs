//! What receives lines as the controller does, for `cargo xtask bench logs`. It says what it counted and what that cost.
//!
//! ```text
//! sink file FILE [all]               reads a file of syslog lines, as from a connection; `all`: every line is stored
//! sink LINES [all] [VIEWERS [stuck]] prints its port for syslog over TCP, and ends when so many lines have come
//! ```
//!
//! The first viewer follows everything, each other one with a filter of its own; `stuck` ones never read. Lines that hold
//! `sent=NUMBER`, microseconds since 1970, tell how late the first viewer has them.
#![expect(clippy::print_stdout, reason = "the bench reads it")]

use std::error::Error;
use std::io::Read as _;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use logs::{Asked, Filter, Frames, Intake, Limits, Quota, Store, Stream};
use tokio::net::TcpListener;
use tokio::sync::mpsc::Receiver;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let all = arguments.iter().any(|word| word == "all");
    let quota = if all { Quota::NONE } else { Quota::default() };
    let store = Store::new(Limits { quota, ..Limits::default() });
    let words: Vec<&str> = arguments.iter().map(String::as_str).filter(|word| *word != "all").collect();
    match words.as_slice() {
        ["file", file] => grind(store, file),
        [lines] => receive(store, lines.parse()?, (0, true)),
        [lines, viewers] => receive(store, lines.parse()?, (viewers.parse()?, true)),
        [lines, viewers, "stuck"] => receive(store, lines.parse()?, (viewers.parse()?, false)),
        _ => Err("sink file FILE [all] | LINES [all] [VIEWERS [stuck]]".into()),
    }
}

/// A file through everything but a socket.
fn grind(store: Store, file: &str) -> Outcome<()> {
    let mut intake = Intake::new(store);
    let mut frames = Frames::default();
    let mut file = std::fs::File::open(file)?;
    let mut piece = vec![0; 64 * 1024];
    let from = Ipv4Addr::LOCALHOST.into();
    loop {
        let count = file.read(&mut piece)?;
        let now = u64::try_from(since_1970().as_millis())?;
        frames.take(piece.get(..count).unwrap_or_default(), |message| intake.syslog(from, message, now));
        if intake.store.folds_wait() && count == 0 {
            intake.store.tell_folds(now);
        }
        if count == 0 {
            return report(&intake.store);
        }
    }
}

fn receive(store: Store, lines: u64, (viewers, reading): (usize, bool)) -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    runtime.block_on(async move {
        let stream = Stream::new(store, "bench".to_owned(), handle);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        println!("{}", listener.local_addr()?.port());
        tokio::spawn(logs::receive::connections(stream.clone(), listener));
        tokio::spawn(stream.clone().tell_folds());
        let late = Arc::new(Mutex::new(Vec::new()));
        let mut stuck = Vec::new();
        for number in 0..viewers {
            let pieces = stream.view(if reading { wish(number)? } else { everything() });
            if reading {
                let late = (number == 0).then(|| Arc::clone(&late));
                tokio::spawn(follow(pieces, late));
            } else {
                stuck.push(pieces);
            }
        }
        let mut turn = tokio::time::interval(Duration::from_millis(100));
        while stream.look(|store| store.totals().lines) < lines {
            turn.tick().await;
        }
        stream.give(|intake, now| intake.store.tell_folds(now));
        turn.tick().await;
        stream.look(report)?;
        let mut late = std::mem::take(&mut *late.lock().unwrap_or_else(PoisonError::into_inner));
        late.sort_unstable();
        let part = |of: usize| late.get(late.len() * of / 100).copied().unwrap_or_default();
        println!("late {} p50 {} us p99 {} us", late.len(), part(50), part(99));
        Ok(())
    })
}

fn everything() -> Asked {
    Asked { follow: true, ..Asked::default() }
}

/// What a viewer asks for.
fn wish(number: usize) -> Outcome<Asked> {
    let filter = match number % 4 {
        0 if number == 0 => return Ok(everything()),
        0 => Filter::new(Some(format!("node{}", 1 + number % 6)), None, None)?,
        1 => Filter::new(None, Some(4), None)?,
        2 => Filter::new(None, None, Some(&format!("DHCP(ACK|NAK).*node{number}")))?,
        _ => Filter::new(None, None, Some(&format!(r"(?i)error|failed|port {number}\b")))?,
    };
    Ok(Asked { filter, follow: true, ..Asked::default() })
}

async fn follow(mut pieces: Receiver<Bytes>, late: Option<Arc<Mutex<Vec<u64>>>>) {
    while let Some(piece) = pieces.recv().await {
        let Some(late) = &late else { continue };
        let now = u64::try_from(since_1970().as_micros()).unwrap_or_default();
        let mut late = late.lock().unwrap_or_else(PoisonError::into_inner);
        for at in memchr::memmem::find_iter(&piece, b"sent=") {
            let digits = piece.iter().skip(at + 5).take_while(|byte| byte.is_ascii_digit());
            let sent = digits.fold(0_u64, |sent, digit| sent * 10 + u64::from(digit - b'0'));
            late.push(now.saturating_sub(sent));
        }
    }
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn report(store: &Store) -> Outcome<()> {
    let (lines, kept) = (store.totals().lines, store.next() - store.oldest());
    println!("lines {lines} kept {kept} templates {} ring {}", store.templates().count(), store.bytes());
    let status = std::fs::read_to_string("/proc/self/status")?;
    println!("{}", status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default());
    // utime and stime (proc(5)), in ticks of 10 ms.
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let ticks: u64 =
        stat.split_whitespace().skip(13).take(2).filter_map(|word| word.parse::<u64>().ok()).sum();
    println!("cpu {} ms", ticks * 10);
    Ok(())
}
