//! A relay board that speaks frames: what it senses is evidence, a press is done once however often it is told, and none
//! is done for a board that began anew meanwhile.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use model::PortSense;
use tokio::time::Instant;
use wire::relay::{Ask, Asked, HOLD, No, PRESS, Said, Sense};

use super::super::device::{Act, DeviceError, Taken};
use super::super::tty::Line;
use super::{ANSWER, ASKS, Relayinator, restarted};

/// How long after a press its result is looked for, besides its length: bytes on their way, and both clocks.
const MARGIN: Duration = Duration::from_millis(50);

/// What a board senses, as a lab knows it.
pub(super) const fn sense(sense: Sense) -> PortSense {
    match sense {
        Sense::Lit => PortSense::Machine(true),
        Sense::Dark => PortSense::Machine(false),
        Sense::Unknown | Sense::Unwired => PortSense::Nothing,
    }
}

impl<L: Line> Relayinator<L> {
    /// A number for the next question. The first depends on the hour, so that those of a driver that was started anew
    /// are not those that the board just did.
    pub(super) fn next_number(&mut self) -> u16 {
        if self.number == 0 {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            self.number = u16::try_from(now.as_millis() % u128::from(u16::MAX)).unwrap_or_default();
        }
        self.number = self.number.checked_add(1).unwrap_or(1);
        self.number
    }

    /// Compares which start of the board this is with what is known.
    pub(super) fn tells_boot(&mut self, said: &Said) {
        let known = self.boot.replace(said.boot);
        if known.is_some_and(|known| known != said.boot) {
            let seconds = said.uptime / 1000;
            self.began_anew(&format!("it runs for {seconds} s, and is not the start that was known"));
        }
    }

    /// Does this to a button, once.
    pub(super) async fn act_in_frames(
        &mut self,
        relay: u8,
        act: Act,
        said: &Said,
    ) -> Result<Taken, DeviceError> {
        let sensed = said.sensed.get(usize::from(relay) - 1).copied().unwrap_or_default();
        let ms = match (act, sensed) {
            // The board's own look is the last one: what it sees running is not pressed on, nor the other way round.
            (Act::On, Sense::Lit) | (Act::Off | Act::Soft, Sense::Dark) => return Ok(Taken::AT_ONCE),
            (Act::Off, _) => HOLD,
            (Act::On | Act::Soft | Act::Press, _) => PRESS,
        };
        let length = u16::try_from(ms).unwrap_or(u16::MAX);
        let number = self.next_number();
        let frame = Asked { number, ask: Ask::Press { relay, ms: length, boot: said.boot } }.frame();
        let doubt = |error: DeviceError| DeviceError::doubt(error.code, error.why);
        for _ in 0..ASKS {
            self.send(frame.bytes()).await.map_err(doubt)?;
            let end = Instant::now() + ANSWER;
            while let Some(line) = self.line(end).await.map_err(doubt)? {
                let Some(said) = Said::read(&line) else { continue };
                self.tells_boot(&said);
                if said.number == number {
                    return answered(relay, ms, said.answer);
                }
                if self.restarted.is_some() {
                    // It was pressed before that, or never will be: this frame names the start before.
                    return Err(DeviceError::doubt("restarted", "it began anew while it was told to press"));
                }
            }
        }
        let why = format!("{} did not say whether it pressed {relay}", self.line.name());
        Err(DeviceError::doubt("silent", why))
    }
}

fn answered(relay: u8, ms: u64, answer: Result<(), No>) -> Result<Taken, DeviceError> {
    match answer {
        Ok(()) => Ok(Taken::for_a(Duration::from_millis(ms) + MARGIN)),
        Err(No::Boot) => Err(restarted()),
        Err(No::Busy) => {
            let why = format!("relay {relay} is closed by an earlier press; nothing was done");
            Err(DeviceError::refused("busy", why))
        }
        Err(No::Bounds) => {
            let why = format!("the board has no relay {relay}, or closes none for {ms} ms");
            Err(DeviceError::refused("no-such-port", why))
        }
    }
}
