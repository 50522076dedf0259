//! The wipe of a simulated boot: which disk is meant, whether it may be, and what is read back.
//!
//! ```text
//! order ─▶ this disk? may it? ─▶ label "begun" ─▶ some heartbeats ─▶ overwrite ─▶ read back ─▶ label "wiped" | failed
//! ```

use model::{DiskLabel, LabelState, WipeMethod, WipeOrder, WipePermit, WipeReport, WipeState, WipeTold};

use crate::body::Body;
use crate::step::Step;

/// A wipe takes some heartbeats.
const WIPE_MS: u64 = 8_000;
/// What is overwritten, in bytes: 16 MiB at the head and 1 MiB at the tail.
const OVERWRITTEN: u64 = 17 << 20;

/// The wipe of this boot.
#[derive(Debug)]
pub(crate) struct Wiping {
    order: WipeOrder,
    began: u64,
    end: Option<WipeState>,
}

impl Wiping {
    /// Begins an order of this boot. One for another disk, or for one that another lab's label is on, is refused: what
    /// lies in the box now counts, not what was reported.
    pub(crate) fn begin(order: WipeOrder, body: &mut Body, now: u64) -> Self {
        let refuse = |why: String| Some(WipeState::Failed { touched: false, why });
        let there = body.disk.label().filter(|label| label.lab != order.lab);
        let end = if body.disk.digest() != order.disk.digest {
            refuse(format!("no disk of this machine has the serial, model and size of {}", order.disk))
        } else if let (Some(label), WipePermit::Recorded) = (there, order.permit) {
            refuse(format!(
                "its label says that it belongs to lab {}, and nobody typed its serial",
                label.lab
            ))
        } else {
            body.disk.mark(label(&order, LabelState::Begun));
            body.note(now, Step::WipeBegun);
            None
        };
        Self { order, began: now, end }
    }

    /// Which one.
    pub(crate) const fn number(&self) -> u32 {
        self.order.number
    }

    /// True while the disk is half wiped: the machine must stay on.
    pub(crate) const fn is_busy(&self) -> bool {
        self.end.is_none()
    }

    /// How it goes. What is done by now is done before it is told.
    pub(crate) fn told(&mut self, body: &mut Body, now: u64) -> WipeTold {
        let done = now.saturating_sub(self.began).min(WIPE_MS);
        if self.end.is_none() && done == WIPE_MS {
            self.end = Some(self.finish(body, now));
        }
        let going = || WipeState::Wiping { step: "overwriting headers".to_owned(), done, of: WIPE_MS };
        WipeTold { number: self.order.number, state: self.end.clone().unwrap_or_else(going) }
    }

    /// Nothing is said to be wiped that was not read back.
    fn finish(&self, body: &mut Body, now: u64) -> WipeState {
        body.disk.overwrite();
        let failed = |why: String| WipeState::Failed { touched: true, why };
        if let Some((at, found)) = body.disk.left() {
            let text = found.escape_ascii();
            return failed(format!("byte {at}: zeros were written, and \"{text}\" is there"));
        }
        body.disk.mark(label(&self.order, LabelState::Wiped));
        if !body.disk.is_wiped_by(self.order.number) {
            return failed("its label was written and is not there".to_owned());
        }
        body.note(now, Step::Wiped);
        let report = WipeReport {
            method: WipeMethod::Overwrite,
            passed_over: Vec::new(),
            overwritten: OVERWRITTEN,
            places: body.disk.places(),
            samples: 0,
            took_ms: WIPE_MS,
        };
        WipeState::Wiped { report }
    }
}

fn label(order: &WipeOrder, state: LabelState) -> DiskLabel {
    DiskLabel { lab: order.lab.clone(), node: order.node.clone(), number: order.number, state }
}
