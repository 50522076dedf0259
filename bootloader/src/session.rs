//! The session with the controller: one question again and again until it says what to do, then that.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use model::MacAddr;
use sha2::{Digest as _, Sha256};
use uefi::Status;
use wire::loader::{
    ASK_PATH, Answer, Ask, Asked, Controller, Judged, Order, Piece, Plan, Refusal, Rung, Seen, Trust, Word,
    judge, rung,
};

use crate::clock::{self, Clock};
use crate::identity;
use crate::lease::Lease;
use crate::local::Shared;
use crate::net::{HOLD_MS, Net, NetError, VERSION};
use crate::screen::Screen;
use crate::start::{self, ALIGNED, Loaded};

/// Milliseconds between two tries after something went wrong.
const PAUSE: u64 = 2_000;
/// An answer that came sooner was not held back, in milliseconds; so long is the pause after it.
const AT_ONCE: u64 = 500;
/// Tries after which the firmware goes on with its next boot entry, where nothing but trouble came.
const TRIES: u32 = 30;
/// Tries to fetch the rest of one file.
const FILE_TRIES: u32 = 8;

/// Who this machine is.
pub(crate) struct Who {
    macs: Vec<MacAddr>,
    uuid: Option<String>,
    serial: Option<String>,
    firmware: String,
}

impl Who {
    pub(crate) fn look() -> Self {
        let (uuid, serial) = identity::system_ids();
        Self { macs: identity::macs(), uuid, serial, firmware: identity::firmware() }
    }

    pub(crate) fn words(&self) -> String {
        let serial = self.serial.as_deref().unwrap_or("without a serial number");
        format!("{serial}, {}", self.firmware)
    }
}

/// Why a file did not come.
enum Lost {
    Net(NetError),
    Status(u16),
    Refused(Refusal),
    NoRoom(u64),
}

/// How a session ended that started nothing.
pub(crate) enum Ended {
    /// The firmware is told this, and goes on.
    Firmware(Status),
    /// No controller said anything that may be followed, for too long.
    Gone,
}

/// The session.
pub(crate) struct Session<'a> {
    net: Net,
    screen: &'a mut Screen,
    who: Who,
    lease: Lease,
    key: Option<[u8; 32]>,
    clock: Clock,
    /// Number of the last delegation that was followed.
    least: u64,
    said: String,
    /// When it switches the machine off, by its own clock in milliseconds, unless another answer comes before.
    off: Option<u64>,
    /// Ticks that hashing took.
    hashed: u64,
    /// Questions so far.
    asked: u32,
    cache: Option<Shared>,
    /// Milliseconds without a good answer after which it is given up; none is for ever, as far as [`TRIES`] go.
    patience: Option<u64>,
}

impl<'a> Session<'a> {
    pub(crate) fn new(
        net: Net,
        screen: &'a mut Screen,
        mut who: Who,
        (lease, key): (Lease, Option<[u8; 32]>),
        clock: Clock,
    ) -> Self {
        // The port in use comes first.
        who.macs.retain(|mac| *mac != lease.mac);
        who.macs.insert(0, lease.mac);
        Self {
            net,
            screen,
            who,
            lease,
            key,
            clock,
            least: 0,
            said: String::new(),
            off: None,
            hashed: 0,
            asked: 0,
            cache: None,
            patience: None,
        }
    }

    /// The same with a cache, and with something to fall back on after so many milliseconds.
    pub(crate) fn with_cache(mut self, cache: Option<Shared>, patience: u64) -> Self {
        self.least = cache.as_ref().map_or(0, |cache| cache.borrow().least());
        self.cache = cache;
        self.patience = Some(patience);
        self
    }

    /// True while something good may still come.
    fn is_patient(&self, good: u64) -> bool {
        self.patience.is_none_or(|patience| self.clock.ms() < good + patience)
    }

    /// Goes on until a system is started; comes back where none is.
    pub(crate) fn run(mut self) -> Ended {
        let place = self.net.place();
        self.screen.fact("asks", format_args!("{place}"));
        let (mut troubles, mut held) = (0, false);
        let mut good = self.clock.ms();
        // A file that does not come may take longer than patience lasts: one whole question begins after that, too.
        let mut late = false;
        // One that is parked waits for its controller as long as it may, and never starts anything else.
        while self.off.is_some() || (troubles < TRIES && !late) {
            let asked = self.clock.ms();
            let is_last = !self.is_patient(good);
            if self.off.is_some_and(|at| asked >= at) {
                self.switch_off();
            }
            match self.ask(held) {
                Ok(Judged { answer, number }) => {
                    self.least = number;
                    self.remember(&answer, number);
                    if self.patience.is_none() {
                        // Without anything to fall back on a file is fetched until it is right.
                        troubles = 0;
                    }
                    // Whoever is told to boot is parked no longer, also while a file does not come.
                    self.off = self.off.filter(|_| matches!(answer.order, Order::Wait { .. }));
                    match &answer.order {
                        Order::Boot(plan) => match self.image(plan) {
                            Ok((image, kept)) => {
                                return Ended::Firmware(self.start((plan, asked), image, &kept));
                            }
                            Err(lost) => {
                                troubles += self.tell(lost);
                                late = is_last;
                                self.net.wait(PAUSE);
                            }
                        },
                        Order::Wait { retry_seconds, off_seconds } => {
                            (troubles, good, late) = (0, self.clock.ms(), false);
                            self.waits(&answer);
                            self.parks(off_seconds.map(u64::from), asked);
                            // The next question of a machine on the board is held back until there is news.
                            held = answer.node.is_some();
                            let was_held = self.clock.ms().saturating_sub(asked) >= AT_ONCE;
                            self.net.wait(match (held, was_held) {
                                (false, _) => u64::from(*retry_seconds) * 1_000,
                                (true, false) => AT_ONCE,
                                (true, true) => 0,
                            });
                        }
                        Order::Disk => {
                            let why = &answer.because;
                            self.screen
                                .fact("goes on", format_args!("with the firmware's next boot entry: {why}"));
                            self.net.close();
                            return Ended::Firmware(Status::NOT_FOUND);
                        }
                    }
                }
                Err(lost) => {
                    troubles += self.tell(lost);
                    (held, late) = (false, is_last);
                    self.net.wait(PAUSE);
                }
            }
        }
        self.screen.fact("gives up", format_args!("nothing came that could be started"));
        self.net.close();
        Ended::Gone
    }

    /// Remembers on the medium what an answer says that is followed.
    fn remember(&mut self, answer: &Answer, number: u64) {
        let Some(cache) = &self.cache else { return };
        let noted = cache.borrow_mut().note(answer, number);
        if let Err(why) = noted {
            self.screen.fact("cache", format_args!("nothing is remembered: {why}"));
        }
    }

    /// What an answer names, from the cache where it is there and right, else fetched and then kept; and how it came.
    fn image(&mut self, plan: &Plan) -> Result<(Loaded, String), Lost> {
        let Some(cache) = self.cache.clone() else { return Ok((self.fetch(plan)?, String::from("fetched"))) };
        let found = cache.borrow_mut().take(plan, (self.screen, self.clock));
        if let Some(wrong) = cache.borrow_mut().found_wrong() {
            self.screen.fact("refused", format_args!("{wrong}"));
        }
        let seen = Seen {
            medium: self.lease.medium,
            controller: Controller::Sends,
            has_wanted: found.is_some(),
            has_good: cache.borrow().has_good(),
        };
        if let (Some(Rung::Wanted), Some(image)) = (rung(&seen), found) {
            let worn = cache.borrow().wear();
            return Ok((image, format!("from the cache ({worn})")));
        }
        let mut image = self.fetch(plan)?;
        self.screen.fact("cache", format_args!("keeps {}", plan.kernel.name()));
        let kept = cache.borrow_mut().keep(plan, &mut image);
        let worn = cache.borrow().wear();
        Ok((
            image,
            match kept {
                Ok(bytes) => format!("fetched, {} kB of it kept in the cache ({worn})", bytes / 1_000),
                Err(why) => {
                    self.screen.fact("cache", format_args!("does not keep it: {why}"));
                    format!("fetched, and not kept: {why}")
                }
            },
        ))
    }

    fn ask(&mut self, held: bool) -> Result<Judged, Lost> {
        self.asked += 1;
        // Nobody holds it beyond the time at which the machine goes off.
        let left = self.off.map_or(HOLD_MS, |at| at.saturating_sub(self.clock.ms()).min(HOLD_MS));
        let hold = if held { u16::try_from(left / 1_000).unwrap_or_default() } else { 0 };
        let ask = Ask {
            nonce: identity::nonce(&self.who.macs),
            macs: self.who.macs.clone(),
            uuid: self.who.uuid.clone(),
            serial: self.who.serial.clone(),
            firmware: self.who.firmware.clone(),
            loader: String::from(VERSION),
            medium: self.lease.medium,
            hold,
            number: self.asked,
        };
        let asked = self.clock.ms();
        let (head, body) = self.net.text(ASK_PATH, Some(&ask.text())).map_err(Lost::Net)?;
        if head.status != 200 {
            return Err(Lost::Status(head.status));
        }
        let elapsed_ms = self.clock.ms().saturating_sub(asked);
        let asked = Asked { nonce: ask.nonce, macs: &self.who.macs, elapsed_ms };
        let trust = Trust { lab_key: self.key, least: self.least };
        judge(&body, &asked, trust, check).map_err(Lost::Refused)
    }

    /// Why it waits, said when it is another reason than before.
    fn waits(&mut self, answer: &Answer) {
        let node = answer.node.as_ref().map_or("a machine that is not on the board", |node| node.as_str());
        let said = format!("{node} of the lab {}: {}", answer.lab, answer.because);
        if said != self.said {
            self.screen.fact("waits", format_args!("{said}"));
            self.said = said;
        }
    }

    /// Waits for so many seconds at most, from the question.
    fn parks(&mut self, seconds: Option<u64>, asked: u64) {
        if let Some(seconds) = seconds.filter(|_| self.off.is_none()) {
            self.screen.fact("parked", format_args!("for {seconds} s at most, then it switches itself off"));
        }
        self.off = seconds.map(|seconds| asked + seconds * 1_000);
    }

    fn switch_off(&mut self) -> ! {
        let text = "it waited for as long as it may, and switches its machine off";
        self.screen.fact("off", format_args!("{text}"));
        let word = Word::step(self.lease.mac, format!("loader {VERSION}: {text}"));
        self.net.say(&word.of(&self.who.macs).body());
        uefi::runtime::reset(uefi::runtime::ResetType::SHUTDOWN, Status::SUCCESS, None)
    }

    /// Says what went wrong, here and to the controller. One more trouble.
    fn tell(&mut self, lost: Lost) -> u32 {
        let refusal = match lost {
            Lost::Refused(refusal) => refusal,
            Lost::Net(error) => {
                let host = self.net.host();
                self.screen.fact("waits", format_args!("for the controller at {host}: {error}"));
                return 1;
            }
            Lost::Status(status) => {
                self.screen.fact("waits", format_args!("the controller says {status}: it is asked again"));
                return 1;
            }
            Lost::NoRoom(size) => {
                self.screen.fact("refused", format_args!("there is no memory for an image of {size} bytes"));
                return TRIES;
            }
        };
        self.screen.fact("refused", format_args!("{refusal}"));
        self.screen.fact("", format_args!("{} ({})", refusal.advice(), refusal.code()));
        self.net.say(&Word::refusal(self.lease.mac, &refusal).of(&self.who.macs).body());
        1
    }

    /// Kernel and initramfs, checked.
    fn fetch(&mut self, plan: &Plan) -> Result<Loaded, Lost> {
        let mut image = Loaded::room(plan).map_err(Lost::NoRoom)?;
        self.file(&plan.kernel, image.kernel.bytes(), 0)?;
        let mut at = 0_u64;
        for piece in &plan.initrd {
            at = at.next_multiple_of(ALIGNED);
            let pages = image.initrd.as_mut().ok_or(Lost::NoRoom(piece.size))?;
            self.file(piece, pages.bytes(), at)?;
            at += piece.size;
        }
        Ok(image)
    }

    /// One file into its place, hashed as it comes; where the connection breaks, the rest of it is asked for.
    fn file(&mut self, piece: &Piece, pages: &mut [u8], at: u64) -> Result<(), Lost> {
        let mut hash = Sha256::new();
        let mut done = 0_u64;
        let mut tries = 0;
        let place = usize::try_from(at).ok().zip(usize::try_from(at + piece.size).ok());
        let room = place.and_then(|(from, to)| pages.get_mut(from..to)).ok_or(Lost::NoRoom(piece.size))?;
        while done < piece.size || tries == 0 {
            tries += 1;
            let outcome = self.part(piece, (&mut hash, &mut *room), &mut done);
            match outcome {
                Ok(()) => {}
                Err(Lost::Net(_)) if tries < FILE_TRIES => self.net.wait(u64::from(tries) * 100),
                Err(Lost::Status(503)) if tries < TRIES => self.net.wait(PAUSE),
                Err(lost) => return Err(lost),
            }
        }
        let got = model::Digest(hash.finalize().into());
        if got != piece.digest {
            let name = String::from(piece.name());
            return Err(Lost::Refused(Refusal::WrongDigest { name, wanted: piece.digest, got }));
        }
        Ok(())
    }

    /// What comes of a file over one connection.
    fn part(
        &mut self,
        piece: &Piece,
        (hash, room): (&mut Sha256, &mut [u8]),
        done: &mut u64,
    ) -> Result<(), Lost> {
        let head = self.net.ask(&piece.path, (None, *done)).map_err(Lost::Net)?;
        if !matches!(head.status, 200 | 206) || head.from != *done {
            self.net.body(head.length.min(1 << 16), |_| {}).map_err(Lost::Net)?;
            return Err(Lost::Status(head.status));
        }
        let got = head.length + *done;
        if got != piece.size {
            let name = String::from(piece.name());
            return Err(Lost::Refused(Refusal::WrongSize { name, wanted: piece.size, got }));
        }
        let (screen, clock, name) = (&mut *self.screen, self.clock, piece.name());
        let hashed = &mut self.hashed;
        let come = self.net.body(head.length, |bytes| {
            let begun = clock::ticks();
            hash.update(bytes);
            *hashed += clock::ticks().wrapping_sub(begun);
            let from = usize::try_from(*done).unwrap_or(usize::MAX);
            if let Some(to) = room.get_mut(from..).and_then(|rest| rest.get_mut(..bytes.len())) {
                to.copy_from_slice(bytes);
            }
            *done += u64::try_from(bytes.len()).unwrap_or_default();
            screen.moves(clock.ms(), ("fetches", name), (*done, piece.size));
        });
        come.map_err(Lost::Net)
    }

    fn start(self, (plan, asked): (&Plan, u64), image: Loaded, how: &str) -> Status {
        let Self { mut net, screen, who, lease, clock, hashed, .. } = self;
        let all = plan.initrd.iter().map(|piece| piece.size).sum::<u64>() + plan.kernel.size;
        let took = clock.ms().saturating_sub(asked);
        let name = plan.kernel.name();
        let hashing = clock.us_of(hashed) / 1_000;
        screen.fact(
            "starts",
            format_args!(
                "{name}, checked: {} kB in {took} ms, {hashing} of them hashing, {how}",
                all / 1_000
            ),
        );
        let cost = net.cost();
        let (came, went) = (clock.us_of(cost.came_ticks) / 1_000, clock.us_of(cost.went_ticks) / 1_000);
        let text = format!(
            "loader {VERSION} by {}: asked after {asked} ms, {} kB checked {took} ms later ({hashing} ms of it hashing; \
             the firmware's driver took {came} ms for {} frames that came and {went} ms for {} that went), {how}; starts \
             {name}",
            lease.medium.word(),
            all / 1_000,
            cost.came,
            cost.went
        );
        net.say(&Word::start(lease.mac, text).of(&who.macs).body());
        net.close();
        start::begin(screen, name, image, &plan.args)
    }
}

fn check(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    let Ok(key) = ed25519_dalek::VerifyingKey::from_bytes(key) else { return false };
    key.verify_strict(message, &ed25519_dalek::Signature::from_bytes(signature)).is_ok()
}
