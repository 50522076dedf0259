//! One task beside each QEMU: it lets it begin, hears what it says, passes on what is ordered, and tells how it ended.

use std::path::PathBuf;
use std::time::Duration;

use agent::qmp::{self, Decoder, Event, Message};
use model::{GuestCause, GuestEnd, NodeName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use super::judge::Ended;
use super::libvirt::{After, Domain};
use super::plan::{CONSOLE, FIRMWARE_RETRY_MS, QMP};
use super::process::{Buried, Process, complaint};
use super::serial::Serial;
use super::{bridge, oom};
use crate::link::Links;

/// Limit from starting QEMU until it answers.
const START_LIMIT: Duration = Duration::from_secs(20);
/// How often a QEMU that does not answer yet is tried, and how often a console is looked at.
const KNOCK: Duration = Duration::from_millis(30);
const LOOK: Duration = Duration::from_millis(500);
/// What a QEMU that is gone said before is read for this long at most.
const LAST_WORDS: Duration = Duration::from_millis(300);

/// What is ordered of a QEMU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    PowerDown,
    Quit,
    Kill,
}

/// What is heard of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum News {
    /// libvirt has a process for it, and where that was there before, what it was made of.
    Begun((i32, u64), Option<String>),
    /// libvirt took its definition.
    Defined,
    /// libvirt did not know it any more, and why that is known.
    Undefined(String),
    /// It ran on while libvirt did not know it any more; now it does.
    Restored(String),
    /// It was not started, because libvirt is away.
    Waits(String),
    /// It answers.
    Started,
    /// Its firmware found nothing to boot and begins again.
    BeganAgain(String),
    /// It is gone, and what hindered it lies outside the guest.
    Hindered(String),
    /// It is gone.
    Ended(Ended),
}

/// What the task needs to know.
#[derive(Debug)]
pub(super) struct Attendant {
    pub(super) node: NodeName,
    pub(super) folder: PathBuf,
    /// Its firmware does not try again by itself.
    pub(super) retry_for_it: bool,
    pub(super) tap: String,
    pub(super) bridge: String,
    pub(super) links: Links,
    pub(super) buried: Buried,
    /// Where libvirt started it.
    pub(super) domain: Option<Domain>,
    pub(super) tell: mpsc::UnboundedSender<(NodeName, News)>,
}

/// What was heard of a run that says how it ended.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Heard {
    shutdown: Option<String>,
    /// What QEMU told of a cause, first.
    sign: Option<GuestCause>,
    /// It was killed because it stood still, or never answered.
    killed: Option<String>,
    hindered: Option<String>,
    /// Something was ordered of it.
    ordered: bool,
    /// What libvirt says of it after its end.
    libvirt: Option<After>,
}

impl Heard {
    fn note(&mut self, event: &Event) {
        match event {
            Event::Shutdown(why) => self.shutdown = Some(why.clone()),
            Event::Panicked => self.mark(GuestCause::Panicked),
            Event::Watchdog => self.mark(GuestCause::Hung),
            Event::NoSpace => self.mark(GuestCause::NoRoom),
            Event::Reset(_) | Event::Other(_) => {}
        }
    }

    fn mark(&mut self, cause: GuestCause) {
        self.sign.get_or_insert(cause);
    }
}

impl Attendant {
    /// Stays with a QEMU until it is gone.
    pub(super) async fn stay(self, process: Process, mut orders: mpsc::UnboundedReceiver<Order>) {
        let mut turn = Turn {
            serial: Serial::at_end(self.folder.join(CONSOLE)),
            heard: Heard::default(),
            decoder: Decoder::default(),
            qmp: None,
            answered: false,
            waiting: Vec::new(),
            reset_at: None,
            me: &self,
            process: &process,
        };
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let born = Instant::now();
        let mut buffer = [0; 4096];
        loop {
            let knocking = turn.qmp.is_none();
            tokio::select! {
                count = read(&mut turn.qmp, &mut buffer) => match count {
                    Some(count) => turn.hear(buffer.get(..count).unwrap_or_default()).await,
                    None => turn.qmp = None,
                },
                () = process.gone() => break,
                Some(order) = orders.recv() => turn.order(order).await,
                () = sleep(KNOCK), if knocking => turn.knock(born).await,
                _ = look.tick() => turn.look().await,
            }
        }
        turn.last_words().await;
        let mut heard = turn.heard;
        let (console_panic, pid) = (turn.serial.panic, process.pid);
        let after = async {
            match &self.domain {
                Some(domain) => Some(domain.after(heard.ordered).await),
                None => None,
            }
        };
        let (how, after) = tokio::join!(process.how(&self.buried), after);
        heard.libvirt = after;
        let news = match heard.hindered.clone() {
            Some(why) => News::Hindered(why),
            None => {
                let said = complaint(&self.folder);
                News::Ended(judge_end(&heard, console_panic, &how, (said, || oom::killed(pid))))
            }
        };
        self.tell(news);
    }

    /// Nobody listens when the agent ends.
    pub(super) fn tell(&self, news: News) {
        drop(self.tell.send((self.node.clone(), news)));
    }
}

/// `None` when the conversation is over; for ever where there is none.
async fn read(qmp: &mut Option<UnixStream>, buffer: &mut [u8]) -> Option<usize> {
    match qmp {
        Some(stream) => stream.read(buffer).await.ok().filter(|count| *count > 0),
        None => std::future::pending().await,
    }
}

#[derive(Debug)]
struct Turn<'a> {
    me: &'a Attendant,
    process: &'a Process,
    serial: Serial,
    heard: Heard,
    decoder: Decoder,
    qmp: Option<UnixStream>,
    answered: bool,
    /// Orders from before it answered.
    waiting: Vec<Order>,
    reset_at: Option<Instant>,
}

impl Turn<'_> {
    async fn knock(&mut self, born: Instant) {
        self.decoder = Decoder::default();
        self.qmp = UnixStream::connect(self.me.folder.join(QMP)).await.ok();
        if !self.answered && self.qmp.is_none() && born.elapsed() > START_LIMIT {
            self.kill(format!("QEMU did not answer in {} s", START_LIMIT.as_secs()));
        }
    }

    fn kill(&mut self, why: String) {
        self.heard.killed.get_or_insert(why);
        // One that is gone cannot be killed, and that is what was wanted.
        let _gone = self.process.kill();
    }

    async fn say(&mut self, words: &str) {
        if let Some(qmp) = &mut self.qmp
            && qmp.write_all(words.as_bytes()).await.is_err()
        {
            self.qmp = None;
        }
    }

    async fn order(&mut self, order: Order) {
        self.heard.ordered = true;
        match order {
            Order::Kill => return self.kill("killed by order".to_owned()),
            _ if !self.answered => return self.waiting.push(order),
            Order::PowerDown | Order::Quit => {}
        }
        // QEMU itself is asked where there is no libvirt, or one that does not do it.
        let done = match &self.me.domain {
            Some(domain) => domain.order(order).await,
            None => false,
        };
        match order {
            Order::PowerDown if !done => self.say(qmp::POWER_DOWN).await,
            Order::Quit if !done => self.say(qmp::QUIT).await,
            Order::PowerDown | Order::Quit | Order::Kill => {}
        }
    }

    async fn hear(&mut self, bytes: &[u8]) {
        for message in self.decoder.push(bytes) {
            match message {
                Message::Greeting => {
                    self.say(qmp::CAPABILITIES).await;
                    self.say(qmp::STATUS).await;
                }
                Message::Status(status) => self.status(&status).await,
                Message::Event(event) => self.event(event).await,
                Message::Done | Message::Refused(_) => {}
            }
        }
    }

    async fn status(&mut self, status: &str) {
        match status {
            // It waits for its first instruction, also when another agent than this one started it.
            "prelaunch" => {
                let resumed = match &self.me.domain {
                    // Its port was plugged in by libvirt.
                    Some(domain) => domain.resume().await,
                    None => {
                        if let Err(why) = bridge::join(&self.me.links, &self.me.tap, &self.me.bridge).await {
                            self.kill(why.clone());
                            self.heard.hindered = Some(why);
                            return;
                        }
                        false
                    }
                };
                if !resumed {
                    self.say(qmp::CONTINUE).await;
                }
            }
            "io-error" => {
                self.heard.mark(GuestCause::NoRoom);
                self.kill("QEMU stands still: io-error".to_owned());
            }
            "internal-error" | "guest-panicked" => {
                if status == "guest-panicked" {
                    self.heard.mark(GuestCause::Panicked);
                }
                self.kill(format!("QEMU stands still: {status}"));
            }
            _ => {}
        }
        if !std::mem::replace(&mut self.answered, true) {
            drop(self.me.tell.send((self.me.node.clone(), News::Started)));
            for order in std::mem::take(&mut self.waiting) {
                Box::pin(self.order(order)).await;
            }
        }
    }

    async fn event(&mut self, event: Event) {
        self.heard.note(&event);
        match event {
            Event::Reset(_) => {
                // What was written last may not have been looked at yet.
                drop(self.serial.look());
                if let Some(line) = self.serial.nothing.clone() {
                    drop(self.me.tell.send((self.me.node.clone(), News::BeganAgain(line))));
                }
                self.serial.reset();
                self.reset_at = None;
            }
            Event::Other(name) if name == "STOP" => self.say(qmp::STATUS).await,
            Event::Shutdown(_) | Event::Panicked | Event::Watchdog | Event::NoSpace | Event::Other(_) => {}
        }
    }

    async fn look(&mut self) {
        // A console that cannot be read says nothing; the guest runs without.
        drop(self.serial.look());
        if !self.me.retry_for_it || self.serial.nothing.is_none() {
            return;
        }
        // SeaBIOS tries again by itself; OVMF waits for a person.
        let at = *self
            .reset_at
            .get_or_insert_with(|| Instant::now() + Duration::from_millis(FIRMWARE_RETRY_MS.into()));
        if Instant::now() >= at {
            self.reset_at = None;
            self.say(qmp::RESET).await;
        }
    }

    /// Events from just before the end may still lie in the socket.
    async fn last_words(&mut self) {
        let mut buffer = [0; 4096];
        let there = self.qmp.is_some();
        let rest = async {
            while let Some(count) = read(&mut self.qmp, &mut buffer).await {
                for message in self.decoder.push(buffer.get(..count).unwrap_or_default()) {
                    if let Message::Event(event) = message {
                        self.heard.note(&event);
                    }
                }
            }
        };
        if there {
            // A reader that is cut off here has read what there was.
            drop(timeout(LAST_WORDS, rest).await);
        }
        drop(self.serial.look());
    }
}

/// Why a run ended, by what was heard, how the process ended, what QEMU wrote last, and what the kernel's log says.
fn judge_end(
    heard: &Heard,
    console_panic: Option<String>,
    how: &str,
    (said, killed): (Option<String>, impl FnOnce() -> Option<String>),
) -> Ended {
    let end = |cause, evidence: String| Ended { end: GuestEnd { cause, evidence }, own_restart: false };
    let panicked = console_panic.map(|line| end(GuestCause::Panicked, line));
    match heard.sign {
        Some(GuestCause::NoRoom) => {
            return end(
                GuestCause::NoRoom,
                "its disk had no room to be written: BLOCK_IO_ERROR, no space".to_owned(),
            );
        }
        Some(GuestCause::Hung) => return end(GuestCause::Hung, "WATCHDOG of QEMU".to_owned()),
        Some(cause) => return panicked.unwrap_or_else(|| end(cause, "GUEST_PANICKED of QEMU".to_owned())),
        None => {}
    }
    if let Some(panicked) = panicked {
        return panicked;
    }
    match heard.shutdown.as_deref() {
        Some("guest-reset") => {
            return Ended {
                own_restart: true,
                ..end(
                    GuestCause::Ordered,
                    "its own system started it again: SHUTDOWN of QEMU, guest-reset".to_owned(),
                )
            };
        }
        Some("guest-shutdown") => {
            return end(GuestCause::PoweredOff, "SHUTDOWN of QEMU, guest-shutdown".to_owned());
        }
        Some("guest-panic") => return end(GuestCause::Panicked, "SHUTDOWN of QEMU, guest-panic".to_owned()),
        _ => {}
    }
    if let Some(line) = killed() {
        return end(GuestCause::OutOfMemory, line);
    }
    let (cause, libvirt) = match heard.libvirt.clone() {
        Some(After::Unknown(why)) => (GuestCause::Undefined, Some(why)),
        Some(After::Says(what)) => (GuestCause::QemuDied, Some(what)),
        None => (GuestCause::QemuDied, None),
    };
    let mut parts = vec![Some(how.to_owned()), heard.killed.clone(), heard.shutdown.clone(), said];
    // What names the cause comes first.
    parts.insert(if cause == GuestCause::Undefined { 0 } else { parts.len() }, libvirt);
    let evidence: Vec<String> = parts.into_iter().flatten().collect();
    end(cause, evidence.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_end_has_its_cause_and_what_shows_it() {
        let heard = |change: fn(&mut Heard)| {
            let mut heard = Heard::default();
            change(&mut heard);
            heard
        };
        let panic = "Kernel panic - not syncing: x";
        type Row = (Heard, Option<&'static str>, Option<&'static str>, GuestCause, bool, &'static str);
        let rows: [Row; 9] = [
            (Heard::default(), None, None, GuestCause::QemuDied, false, "signal 9; last words"),
            (Heard::default(), None, Some("Out of memory"), GuestCause::OutOfMemory, false, "Out of memory"),
            (
                heard(|h| h.shutdown = Some("guest-shutdown".to_owned())),
                None,
                None,
                GuestCause::PoweredOff,
                false,
                "SHUTDOWN of QEMU, guest-shutdown",
            ),
            (
                heard(|h| h.shutdown = Some("guest-reset".to_owned())),
                None,
                None,
                GuestCause::Ordered,
                true,
                "its own system started it again: SHUTDOWN of QEMU, guest-reset",
            ),
            (
                heard(|h| h.shutdown = Some("guest-reset".to_owned())),
                Some(panic),
                None,
                GuestCause::Panicked,
                false,
                panic,
            ),
            (
                heard(|h| h.shutdown = Some("host-signal".to_owned())),
                None,
                None,
                GuestCause::QemuDied,
                false,
                "signal 9; host-signal; last words",
            ),
            (
                heard(|h| h.mark(GuestCause::Panicked)),
                None,
                None,
                GuestCause::Panicked,
                false,
                "GUEST_PANICKED of QEMU",
            ),
            (heard(|h| h.mark(GuestCause::Hung)), None, None, GuestCause::Hung, false, "WATCHDOG of QEMU"),
            (
                heard(|h| (h.sign, h.killed) = (Some(GuestCause::NoRoom), Some("x".to_owned()))),
                None,
                None,
                GuestCause::NoRoom,
                false,
                "its disk had no room to be written: BLOCK_IO_ERROR, no space",
            ),
        ];
        for (heard, console, oom, cause, own_restart, evidence) in rows {
            let oom = oom.map(str::to_owned);
            let said = Some("last words".to_owned());
            let ended = judge_end(&heard, console.map(str::to_owned), "signal 9", (said, || oom));
            let wanted = Ended { end: GuestEnd { cause, evidence: evidence.to_owned() }, own_restart };
            assert_eq!(ended, wanted);
        }
    }

    #[test]
    fn what_libvirt_says_shows_the_cause_unless_the_guest_itself_said_it() {
        let said = || Some("last words".to_owned());
        let unknown = || Some(After::Unknown("failed to get domain".to_owned()));
        let shutdown = |why: &str| Some(why.to_owned());
        let gone = Heard { shutdown: shutdown("host-signal"), libvirt: unknown(), ..Heard::default() };
        let ended = judge_end(&gone, None, "signal 15", (said(), || None));
        assert_eq!(ended.end.cause, GuestCause::Undefined);
        assert_eq!(ended.end.evidence, "failed to get domain; signal 15; host-signal; last words");
        let off = Heard { shutdown: shutdown("guest-shutdown"), libvirt: unknown(), ..Heard::default() };
        assert_eq!(
            judge_end(&off, None, "exit status 0", (said(), || None)).end.cause,
            GuestCause::PoweredOff
        );
        let crashed = After::Says("libvirt: shut off (crashed)".to_owned());
        let crashed = Heard { libvirt: Some(crashed), ..Heard::default() };
        let ended = judge_end(&crashed, None, "signal 9", (None, || None));
        assert_eq!(ended.end.cause, GuestCause::QemuDied);
        assert_eq!(ended.end.evidence, "signal 9; libvirt: shut off (crashed)");
    }
}
