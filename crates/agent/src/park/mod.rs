//! Parked: a live image that has left its run stays in memory, and starts the next one by kexec.
//!
//! ```text
//! ordered to park ─▶ asks as our loader does, and is believed as it is (wire::loader) ─┬─ wait: asks again, held
//!                                                                                      ├─ boot: fetched, checked, kexec
//!                                                                                      ├─ disk: through the firmware
//!                                  limit over, also while nobody answers ─▶ off        └─ cannot: through the firmware
//! ```
//! Whose answer is followed is decided by the same code as in the loader. The lab's key came with the order, so it is
//! worth what the segment is, as with a loader that came over it.

mod image;
mod jump;
mod line;
mod probe;

use std::net::SocketAddrV4;
use std::path::Path;
use std::time::Duration;

use model::{Asset, Inventory, MacAddr, ParkOrder};
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{ED25519, UnparsedPublicKey};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use wire::loader::{
    ASK_PATH, Answer, Ask, Asked, Judged, Medium, Nonce, Order, PORTS, Plan, Refusal, Trust, WORD_PATH, Word,
    judge,
};

use crate::console::Console;
use crate::guests::{FetchTrouble, fetch_once};
use crate::inventory;
use crate::lease::Held;
pub(crate) use jump::leave;
use line::{Line, LineError};
pub(crate) use probe::probe;

/// Where what is started next lies until then: in memory, as everything of a live image.
const FOLDER: &str = "/run/labinator/kexec";
/// After something went wrong.
const PAUSE: Duration = Duration::from_secs(2);
/// A question that may wait is held so long at most.
const HOLD: Duration = Duration::from_secs(20);
/// An answer that came sooner was not held.
const AT_ONCE: Duration = Duration::from_secs(1);
/// A word that nobody takes holds nothing up for longer.
const SAYING: Duration = Duration::from_secs(5);
/// So often something is tried that was ordered, before the firmware has its turn.
const TRIES: u32 = 30;

/// What becomes of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It is switched off.
    Off,
    /// It starts again through its firmware.
    Cold,
    /// A kernel is loaded, and is entered.
    Jump,
}

/// An order to park, and for whom.
#[derive(Debug, Clone)]
pub(crate) struct Parking {
    pub(crate) order: ParkOrder,
    pub(crate) boss: SocketAddrV4,
    pub(crate) held: Held,
}

/// Waits for the next start, and prepares it.
pub(crate) async fn wait(console: &Console, parking: Parking) -> End {
    let inventory = inventory::read(Path::new("/"));
    let seconds = parking.order.seconds;
    console.say(&format!("parked: waits in memory for the next start, {seconds} s at most"));
    let mut session = Session::new(console, parking, inventory, FOLDER.as_ref());
    session.run().await
}

/// Why there is nothing to follow.
#[derive(Debug)]
enum Lost {
    Line(LineError),
    Status(u16),
    Refused(Refusal),
    Fetch(FetchTrouble),
    /// It will not do, however often it is tried.
    Cannot(String),
}

struct Session<'a> {
    console: &'a Console,
    parking: Parking,
    inventory: Inventory,
    folder: &'a Path,
    /// When the machine is switched off; none once something is to be started.
    off: Option<Instant>,
    /// The least number of a delegation that is followed.
    least: u64,
    /// Answers that were followed.
    answered: u32,
    /// What a person was told last.
    said: String,
}

impl<'a> Session<'a> {
    fn new(console: &'a Console, parking: Parking, inventory: Inventory, folder: &'a Path) -> Self {
        let off = Some(Instant::now() + Duration::from_secs(parking.order.seconds.into()));
        Self { console, parking, inventory, folder, off, least: 0, answered: 0, said: String::new() }
    }

    async fn run(&mut self) -> End {
        let (mut held, mut troubles) = (false, 0);
        loop {
            let asked = Instant::now();
            // One that waits waits for its controller as long as it may.
            if let Some(off) = self.off {
                troubles = 0;
                if asked >= off {
                    return self.switches_off().await;
                }
            } else if troubles >= TRIES {
                return self.goes_cold("nothing came that could be started").await;
            }
            let end = self.off.unwrap_or(asked + HOLD + PAUSE);
            let answer = timeout_at(end, self.ask(held)).await.unwrap_or(Err(Lost::Line(LineError::Silent)));
            let outcome = match answer {
                Ok(Judged { answer, number }) => {
                    (self.least, self.answered) = (number, self.answered.saturating_add(1));
                    held = answer.node.is_some();
                    self.follow(&answer, asked).await
                }
                Err(lost) => {
                    held = false;
                    Err(lost)
                }
            };
            match outcome {
                Ok(Some(end)) => return end,
                Ok(None) => {}
                Err(Lost::Cannot(why)) => return self.goes_cold(&why).await,
                Err(lost) => {
                    troubles += 1;
                    self.tell(lost).await;
                    self.pause(PAUSE).await;
                }
            }
        }
    }

    /// Does what an answer says that is followed. Nothing where it is to ask again.
    async fn follow(&mut self, answer: &Answer, asked: Instant) -> Result<Option<End>, Lost> {
        match &answer.order {
            Order::Boot(plan) => {
                self.off = None;
                self.say_once(&format!("starts: {}", answer.because));
                self.start(plan, asked).await.map(Some)
            }
            Order::Wait { retry_seconds, off_seconds } => {
                // A controller that names no end does not take the one away that was ordered.
                if let Some(seconds) = off_seconds {
                    self.off = Some(asked + Duration::from_secs((*seconds).into()));
                } else if self.off.is_none() {
                    self.off = Some(asked + Duration::from_secs(self.parking.order.seconds.into()));
                }
                self.say_once(&format!("waits: {}", answer.because));
                let pause = match (answer.node.is_some(), asked.elapsed() >= AT_ONCE) {
                    (false, _) => Duration::from_secs((*retry_seconds).into()),
                    (true, false) => AT_ONCE,
                    (true, true) => Duration::ZERO,
                };
                self.pause(pause).await;
                Ok(None)
            }
            Order::Disk => Err(Lost::Cannot(format!("its disk is wanted ({})", answer.because))),
        }
    }

    /// Sleeps, and no longer than the machine may wait.
    async fn pause(&self, pause: Duration) {
        let until = Instant::now() + pause;
        sleep_until(self.off.map_or(until, |off| off.min(until))).await;
    }

    /// Its network ports, the one in use first.
    fn ports(&self) -> Vec<MacAddr> {
        let own = self.parking.held.port.mac;
        let others = self.inventory.nics.iter().map(|nic| nic.mac).filter(|mac| *mac != own);
        std::iter::once(own).chain(others).take(PORTS).collect()
    }

    async fn ask(&self, held: bool) -> Result<Judged, Lost> {
        let mut nonce = [0; 16];
        SystemRandom::new()
            .fill(&mut nonce)
            .map_err(|_| Lost::Cannot("the kernel gives no randomness".to_owned()))?;
        let macs = self.ports();
        let text = |text: &String| (!text.is_empty()).then(|| text.clone());
        let left = self.off.map_or(HOLD, |off| off.saturating_duration_since(Instant::now()).min(HOLD));
        let ask = Ask {
            nonce: Nonce(nonce),
            macs: macs.clone(),
            uuid: text(&self.inventory.uuid),
            serial: text(&self.inventory.serial),
            firmware: self.inventory.firmware.clone(),
            loader: env!("CARGO_PKG_VERSION").to_owned(),
            medium: Medium::Image,
            // The first that is answered begins the boot, however often it was tried.
            number: self.answered.saturating_add(1),
            hold: if held { u16::try_from(left.as_secs()).unwrap_or_default() } else { 0 },
        };
        let asked = Instant::now();
        let mut line = Line::open(self.parking.boss).await.map_err(Lost::Line)?;
        let (status, body) = line.post(ASK_PATH, &ask.text()).await.map_err(Lost::Line)?;
        if status != 200 {
            return Err(Lost::Status(status));
        }
        let elapsed_ms = u64::try_from(asked.elapsed().as_millis()).unwrap_or(u64::MAX);
        let asked = Asked { nonce: ask.nonce, macs: &macs, elapsed_ms };
        let trust = Trust { lab_key: Some(self.parking.order.lab_key.0), least: self.least };
        judge(&body, &asked, trust, check).map_err(Lost::Refused)
    }

    /// Fetches, loads, and says so.
    async fn start(&mut self, plan: &Plan, asked: Instant) -> Result<End, Lost> {
        let pieces: Vec<_> = std::iter::once(&plan.kernel).chain(&plan.initrd).collect();
        let all: u64 = pieces.iter().map(|piece| piece.size).sum();
        let free = u64::from(inventory::memory_mib(Path::new("/"), "MemAvailable")) << 20;
        image::has_room(all, free).map_err(Lost::Cannot)?;
        for piece in pieces {
            let asset = Asset { name: piece.name().to_owned(), digest: piece.digest, size: piece.size };
            let boss = self.parking.boss.into();
            fetch_once(self.folder, boss, &asset, &|_| {}).await.map_err(Lost::Fetch)?;
        }
        let fetched = asked.elapsed().as_millis();
        let (folder, kernel) = (self.folder.to_owned(), plan.clone());
        let loaded = tokio::task::spawn_blocking(move || {
            let image = image::prepare(&folder, &kernel)?;
            jump::load(Path::new("/"), &image)
        });
        let how = loaded.await.map_err(|why| Lost::Cannot(why.to_string()))?.map_err(Lost::Cannot)?;
        let name = plan.kernel.name();
        let text = format!(
            "agent {}: asked, {} kB fetched and checked {fetched} ms later, loaded after {} ms ({how}); starts {name} by \
             kexec",
            env!("CARGO_PKG_VERSION"),
            all / 1_000,
            asked.elapsed().as_millis(),
        );
        self.console.say(&text);
        self.word(Word::start(self.parking.held.port.mac, text)).await;
        Ok(End::Jump)
    }

    async fn switches_off(&self) -> End {
        let text = "it waited for as long as it may, and switches its machine off";
        self.console.say(text);
        let version = env!("CARGO_PKG_VERSION");
        self.word(Word::step(self.parking.held.port.mac, format!("agent {version}: {text}"))).await;
        End::Off
    }

    async fn goes_cold(&self, why: &str) -> End {
        self.console.say(&format!("kexec: {why}; the machine starts through its firmware"));
        self.word(Word::cold(self.parking.held.port.mac, why)).await;
        End::Cold
    }

    /// Says what went wrong, here and to the controller.
    async fn tell(&mut self, lost: Lost) {
        let boss = self.parking.boss;
        match lost {
            Lost::Refused(refusal) => {
                self.say_once(&format!("refused: {refusal}; {} ({})", refusal.advice(), refusal.code()));
                self.word(Word::refusal(self.parking.held.port.mac, &refusal)).await;
            }
            Lost::Line(error) => self.say_once(&format!("waits for the controller at {boss}: {error}")),
            Lost::Status(status) => {
                self.say_once(&format!("the controller says {status}: it is asked again"));
            }
            Lost::Fetch(why) => self.say_once(&format!("a file does not come: {why}")),
            Lost::Cannot(why) => self.say_once(&why),
        }
    }

    /// One word to the controller; one that gets lost is only missing in the boot trace.
    async fn word(&self, word: Word) {
        let word = word.of(&self.ports());
        let said = async { Line::open(self.parking.boss).await?.post(WORD_PATH, &word.body()).await };
        drop(timeout(SAYING, said).await);
    }

    fn say_once(&mut self, text: &str) {
        if self.said != text {
            self.console.say(text);
            text.clone_into(&mut self.said);
        }
    }
}

fn check(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    UnparsedPublicKey::new(&ED25519, key).verify(message, signature).is_ok()
}

#[cfg(test)]
mod tests;
