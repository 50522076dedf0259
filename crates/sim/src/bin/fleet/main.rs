//! Thousands of booting machines in one process: real sockets, the engines of `wire`, next to no cost of their own.
//!
//! ```text
//! fleet --interface IF --loaders FOLDER --image FILE --clients N --first N --at-once N [--ask]
//! ```
//! Waits for a line on its standard input, then boots the machines `first..first + clients`, so many at once, and
//! prints one JSON object. Needs an interface on which every address of the subnet is its own
//! (`ip route add local SUBNET dev lo`).
#![expect(clippy::print_stdout, reason = "its one line of output is what it is for")]

mod boot;
mod dhcp;
mod file;
mod http;
mod tftp;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use boot::{Fault, Machine};
use dhcp::Port;
use file::Files;

/// What the command line says.
#[derive(Debug)]
struct Words {
    interface: String,
    loaders: PathBuf,
    image: PathBuf,
    clients: u16,
    first: u16,
    at_once: usize,
    /// Only lease and script: what a decision costs without the bytes it is about.
    ask: bool,
}

impl Words {
    fn read() -> Result<Self, Fault> {
        let mut ask = false;
        let mut named = BTreeMap::new();
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            if word == "--ask" {
                ask = true;
            } else {
                let value = words.next().ok_or_else(|| Fault::Words(format!("{word} needs a value")))?;
                named.insert(word, value);
            }
        }
        let mut take =
            |name: &str| named.remove(name).ok_or_else(|| Fault::Words(format!("{name} is missing")));
        let number = |text: String| text.parse().map_err(|_| Fault::Words(format!("`{text}` is no number")));
        let words = Self {
            interface: take("--interface")?,
            loaders: take("--loaders")?.into(),
            image: take("--image")?.into(),
            clients: number(take("--clients")?)?,
            first: number(take("--first")?)?,
            at_once: usize::from(number(take("--at-once")?)?),
            ask,
        };
        match named.keys().next() {
            Some(word) => Err(Fault::Words(format!("there is no word {word}"))),
            None => Ok(words),
        }
    }
}

fn main() -> Result<(), Fault> {
    let words = Words::read()?;
    let files = Arc::new(Files::read(&words.loaders, &words.image)?);
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(run(words, files))
}

/// What became of the fleet.
#[derive(Debug, Default)]
struct Tally {
    took: Vec<Duration>,
    unanswered: BTreeMap<String, u32>,
}

async fn run(words: Words, files: Arc<Files>) -> Result<(), Fault> {
    let port = Port::open(&words.interface)?;
    let places = Arc::new(Semaphore::new(words.at_once));
    let began = Instant::now();
    let mut boots = JoinSet::new();
    let mut tally = Tally::default();
    let last = words.first.saturating_add(words.clients);
    for number in words.first..last {
        let place = Arc::clone(&places).acquire_owned().await.map_err(std::io::Error::other)?;
        let machine = Machine::new(number, Arc::clone(&port), Arc::clone(&files));
        let ask = words.ask;
        boots.spawn(async move {
            let began = Instant::now();
            let outcome = if ask { machine.ask().await } else { machine.boot().await };
            drop(place);
            outcome.map(|()| began.elapsed())
        });
        while let Some(ended) = boots.try_join_next() {
            tally.count(ended.map_err(std::io::Error::other)?);
        }
    }
    while let Some(ended) = boots.join_next().await {
        tally.count(ended.map_err(std::io::Error::other)?);
    }
    println!("{}", tally.line(began.elapsed()));
    Ok(())
}

impl Tally {
    fn count(&mut self, outcome: Result<Duration, Fault>) {
        match outcome {
            Ok(took) => self.took.push(took),
            Err(why) => *self.unanswered.entry(why.to_string()).or_default() += 1,
        }
    }

    fn line(mut self, elapsed: Duration) -> serde_json::Value {
        self.took.sort_unstable();
        let at = |part: usize| {
            let index = self.took.len().saturating_sub(1) * part / 100;
            self.took.get(index).map_or(0.0, |took| took.as_secs_f64() * 1000.0)
        };
        serde_json::json!({
            "seconds": elapsed.as_secs_f64(),
            "answered": self.took.len(),
            "median_ms": at(50),
            "p99_ms": at(99),
            "most_ms": at(100),
            "unanswered": self.unanswered,
        })
    }
}
