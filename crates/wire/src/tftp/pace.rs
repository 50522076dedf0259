//! The window and the blocks a client may have next time, learned from how its last transfer went.
//!
//! RFC 7440 and 2348 fix both in the OACK for the whole transfer, so what one transfer teaches only serves the next. A
//! clean one raises the window by some blocks, one with loss halves it: the rule that keeps TCP honest. One of which
//! no block was taken says that the path is narrower than its blocks: the next gets smaller ones.

use model::TftpTerms;

use super::transfer::Statistics;
use super::{LARGEST_BLOCK, LARGEST_WINDOW, STANDARD_BLOCK};

/// Window of a client nothing is known of: more than firmware asks for (EDK2: 4), small enough for a network card
/// with few buffers.
const FIRST: u16 = 16;
/// Blocks added after a clean transfer.
const STEP: u16 = 4;
/// Blocks for which one gap is taken for bad luck.
const LUCK: u64 = 1024;
/// Blocks that are offered after larger ones were not taken. First those of a cable without jumbo frames. Then 1228:
/// the 1280 bytes that every link of IPv6 carries (RFC 8200 section 5) less 52 of headers, which tunnels are built for.
/// Then those of RFC 1350, which fit the 576 bytes that every host of IPv4 takes in (RFC 791 section 3.1).
const NARROWER: [u16; 3] = [LARGEST_BLOCK, 1228, STANDARD_BLOCK];

/// What is known of one client's path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    window: u16,
    block: Option<u16>,
}

impl Default for Pace {
    fn default() -> Self {
        Self { window: FIRST, block: None }
    }
}

impl Pace {
    /// Most blocks to agree to.
    #[must_use]
    pub const fn window(self) -> u16 {
        self.window
    }

    /// Largest block to agree to in bytes, where that is known to be less than what its own cable carries.
    #[must_use]
    pub const fn block(self) -> Option<u16> {
        self.block
    }

    /// Learns from a transfer that is over. What never filled a window says nothing of windows.
    pub fn learn(&mut self, terms: TftpTerms, statistics: Statistics) {
        let window = terms.window;
        if self.narrow(terms, statistics) {
            return;
        }
        if window < 2 && self.window > 1 {
            return;
        }
        if statistics.gaps > statistics.blocks / LUCK {
            self.window = (window / 2).max(1);
        } else if statistics.gaps == 0 && statistics.blocks >= u64::from(window) {
            self.window = self.window.saturating_add(STEP).min(LARGEST_WINDOW);
        }
    }

    /// Learns from a transfer, over or under way, whose first window went out again and of which no block was taken:
    /// true for one of that kind. That it went out twice is what tells a narrow path from a machine that was switched
    /// off in the wrong moment. Teaching the same thing twice changes nothing.
    pub fn narrow(&mut self, terms: TftpTerms, statistics: Statistics) -> bool {
        if !statistics.is_untaken() {
            return false;
        }
        if let Some(less) = NARROWER.into_iter().find(|block| *block < terms.block) {
            self.block = Some(self.block.map_or(less, |known| known.min(less)));
        }
        true
    }
}
