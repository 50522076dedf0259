//! A relay board and the boxes on its buttons, as they are: the board believes, the boxes do.

use model::{LinkReading, MacAddr, OUT_OF_STEP, Outcome, PowerOrder};

/// Milliseconds of one turn of the world.
pub(crate) const TURN: u64 = 250;
/// A short press, and a hold, in turns.
const PRESS: u64 = 1;
const HOLD: u64 = 22;
/// What a box takes to boot, in turns, the first of them without any link.
const POST: u64 = 40;
/// What a system takes to stop, in turns.
const STOPS: u64 = 12;
/// How long a button must be held to cut a box off, in turns.
const CUT: u64 = 16;

/// What a box does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Doing {
    Off,
    /// Since this turn.
    Post(u64),
    Runs,
    /// Hung: it keeps its link and hears nothing.
    Hangs,
    /// Stops at this turn.
    Stops(u64),
}

/// A box with a real power button.
#[derive(Debug, Clone)]
pub(crate) struct Box {
    pub(crate) doing: Doing,
    /// Since when it is not off.
    pub(crate) on_since: Option<u64>,
    /// Since when its button is down.
    pressed: Option<u64>,
}

impl Box {
    pub(crate) const fn new() -> Self {
        Self { doing: Doing::Off, on_since: None, pressed: None }
    }

    pub(crate) fn is_on(&self) -> bool {
        self.doing != Doing::Off
    }

    fn goes_off(&mut self) {
        (self.doing, self.on_since) = (Doing::Off, None);
    }

    fn down(&mut self, now: u64) {
        if self.pressed.is_some() {
            return;
        }
        self.pressed = Some(now);
        match self.doing {
            Doing::Off => (self.doing, self.on_since) = (Doing::Post(now), Some(now)),
            // Before a system listens, the button is a switch.
            Doing::Post(_) => self.goes_off(),
            Doing::Runs => self.doing = Doing::Stops(now + STOPS),
            Doing::Hangs | Doing::Stops(_) => {}
        }
    }

    fn up(&mut self) {
        self.pressed = None;
    }

    /// One turn.
    pub(crate) fn lives(&mut self, now: u64) {
        if self.is_on() && self.pressed.is_some_and(|since| now >= since + CUT) {
            self.goes_off();
        }
        match self.doing {
            Doing::Post(since) if now >= since + POST => self.doing = Doing::Runs,
            Doing::Stops(at) if now >= at => self.goes_off(),
            Doing::Off | Doing::Post(_) | Doing::Runs | Doing::Hangs | Doing::Stops(_) => {}
        }
    }

    /// Its link as its switch sees it, while that port is enabled.
    pub(crate) fn link(&self, now: u64) -> LinkReading {
        let mbit = match self.doing {
            Doing::Off => Some(10),
            Doing::Post(since) if now < since + POST / 2 => None,
            Doing::Post(_) | Doing::Runs | Doing::Hangs | Doing::Stops(_) => Some(1000),
        };
        LinkReading { enabled: true, mbit, lost: false }
    }

    pub(crate) fn speaks(&self, now: u64) -> bool {
        matches!(self.doing, Doing::Runs | Doing::Stops(_)) && now.is_multiple_of(8)
    }
}

/// The original board: it presses where it believes that it must, and forgets all when it begins anew.
#[derive(Debug, Clone)]
pub(crate) struct Board {
    pub(crate) boxes: Vec<Box>,
    believes: Vec<bool>,
    /// When a press ends, and what is believed then.
    ends: Vec<Option<(u64, bool)>>,
    /// It began anew and nobody has seen it yet.
    restarted: bool,
    /// Nothing that it says arrives.
    pub(crate) mute: bool,
}

/// What came of an order to the board.
pub(crate) struct Ordered {
    pub(crate) outcome: Outcome,
    /// When it is told, in turns from now.
    pub(crate) after: u64,
    /// The button was pressed.
    pub(crate) pressed: bool,
}

impl Board {
    pub(crate) fn new(boxes: usize) -> Self {
        Self {
            boxes: vec![Box::new(); boxes],
            believes: vec![false; boxes],
            ends: vec![None; boxes],
            restarted: false,
            mute: false,
        }
    }

    pub(crate) fn reset(&mut self) {
        self.believes.fill(false);
        self.ends.fill(None);
        self.boxes.iter_mut().for_each(Box::up);
        self.restarted = true;
    }

    /// A person presses a box's own button for a moment.
    pub(crate) fn touch(&mut self, at: usize, now: u64) {
        self.boxes[at].down(now);
        self.boxes[at].up();
    }

    pub(crate) fn lives(&mut self, now: u64) {
        for (at, end) in self.ends.iter_mut().enumerate() {
            if let Some((until, belief)) = *end
                && now >= until
            {
                self.boxes[at].lives(now);
                self.boxes[at].up();
                self.believes[at] = belief;
                *end = None;
            }
        }
        self.boxes.iter_mut().for_each(|one| one.lives(now));
    }

    fn word(&mut self, at: usize, on: bool, now: u64) -> bool {
        if self.believes[at] == on {
            return false;
        }
        let long = if on { PRESS } else { HOLD };
        self.ends[at] = Some((now + long, on));
        self.boxes[at].down(now);
        true
    }

    /// What the driver does with an order: see `drivers::power`.
    pub(crate) fn order(&mut self, at: usize, order: PowerOrder, now: u64) -> Ordered {
        let refused = |code: &str| Outcome::Failed { code: code.to_owned(), why: code.to_owned() };
        if self.mute {
            return Ordered { outcome: refused("silent"), after: 8, pressed: false };
        }
        if std::mem::take(&mut self.restarted) {
            return Ordered { outcome: refused("restarted"), after: 1, pressed: false };
        }
        let short = order != PowerOrder::Off;
        if self.believes[at] != short {
            let pressed = self.word(at, short, now);
            let after = if short { PRESS } else { HOLD };
            return Ordered { outcome: Outcome::Done, after: after + 1, pressed };
        }
        if matches!(order, PowerOrder::Soft | PowerOrder::Press) {
            return Ordered { outcome: refused("out-of-reach"), after: 1, pressed: false };
        }
        let pressed = self.word(at, !short, now);
        Ordered { outcome: refused(OUT_OF_STEP), after: 1, pressed }
    }
}

pub(crate) fn mac(at: usize) -> MacAddr {
    MacAddr([2, 0, 0, 0, 0, u8::try_from(at + 1).unwrap()])
}
