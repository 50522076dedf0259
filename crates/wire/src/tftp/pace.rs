//! The window a client may have next time, learned from the loss of its last transfer.
//!
//! RFC 7440 fixes the window in the OACK for the whole transfer, so what one transfer teaches only serves the next. A
//! clean one raises it by some blocks, one with loss halves it: the rule that keeps TCP honest.

use super::LARGEST_WINDOW;
use super::transfer::Statistics;

/// Window of a client nothing is known of: more than firmware asks for (EDK2: 4), small enough for a network card
/// with few buffers.
const FIRST: u16 = 16;
/// Blocks added after a clean transfer.
const STEP: u16 = 4;
/// Blocks for which one gap is taken for bad luck.
const LUCK: u64 = 1024;

/// What is known of one client's path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    window: u16,
}

impl Default for Pace {
    fn default() -> Self {
        Self { window: FIRST }
    }
}

impl Pace {
    /// Most blocks to agree to.
    #[must_use]
    pub const fn window(self) -> u16 {
        self.window
    }

    /// Learns from a transfer that had this window. What never filled a window says nothing.
    pub fn learn(&mut self, window: u16, statistics: Statistics) {
        if window < 2 && self.window > 1 {
            return;
        }
        if statistics.gaps > statistics.blocks / LUCK {
            self.window = (window / 2).max(1);
        } else if statistics.gaps == 0 && statistics.blocks >= u64::from(window) {
            self.window = self.window.saturating_add(STEP).min(LARGEST_WINDOW);
        }
    }
}
