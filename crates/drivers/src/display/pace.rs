//! How fast a display is spoken to: never faster than its line, and slower when it does not follow.

use std::time::Duration;

use super::Manner;

/// Bits on the line for a byte: a start bit, eight, a stop bit.
const BITS: u64 = 10;
/// Longest pause that a display is given beyond what line and drawing take.
const LONGEST: Duration = Duration::from_secs(4);
/// Longer than the line takes by this much: the write had to wait.
const WAITED: Duration = Duration::from_millis(40);

/// Speed that follows what the display takes.
#[derive(Debug)]
pub(super) struct Pace {
    baud: u64,
    redraw: Duration,
    /// Beyond line and drawing.
    beyond: Duration,
}

impl Pace {
    pub(super) fn new(manner: Manner) -> Self {
        Self { baud: u64::from(manner.baud.max(1)), redraw: manner.redraw, beyond: Duration::ZERO }
    }

    /// The pause after a line of so many bytes whose writing took so long.
    ///
    /// A write returns as soon as the kernel has the bytes, so the line's own time is waited for here: otherwise states
    /// would queue in the kernel, and the display would show the past.
    pub(super) fn after(&mut self, bytes: usize, took: Duration) -> Duration {
        let bits = u64::try_from(bytes).unwrap_or(u64::MAX).saturating_mul(BITS);
        let line = Duration::from_micros(bits.saturating_mul(1_000_000) / self.baud);
        self.beyond = if took > line.saturating_add(WAITED) {
            self.beyond.saturating_mul(2).max(self.redraw).min(LONGEST)
        } else {
            self.beyond / 2
        };
        line.saturating_sub(took) + self.redraw + self.beyond
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_line_takes_its_time_and_a_display_that_does_not_follow_gets_more() {
        let mut pace = Pace::new(Manner { redraw: ms(60), ..Manner::default() });
        // 1,152 bytes at 115,200 baud are a tenth of a second.
        assert_eq!(pace.after(1152, Duration::ZERO), ms(160));
        assert_eq!(pace.after(1152, ms(30)), ms(130));
        assert_eq!(pace.after(1152, ms(500)), ms(120));
        assert_eq!(pace.after(1152, ms(500)), ms(180));
        for _ in 0..10 {
            pace.after(1152, ms(500));
        }
        assert_eq!(pace.after(1152, ms(500)), ms(60) + LONGEST);
        // It follows again.
        assert_eq!(pace.after(1152, Duration::ZERO), ms(160) + LONGEST / 2);
    }
}
