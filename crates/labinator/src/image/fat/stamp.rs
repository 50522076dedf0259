//! Dates as FAT has them: years from 1980 to 2107, two seconds apart, without a zone.

/// Seconds of a day.
const DAY: u64 = 86_400;
/// 1980-01-01 and the last even second of 2107, in seconds since 1970.
const FIRST: u64 = 315_532_800;
const LAST: u64 = 4_354_819_198;

/// A moment as it stands in a directory entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) date: u16,
    pub(super) time: u16,
}

impl Stamp {
    /// Of seconds since 1970, in UTC; what FAT cannot say is the nearest that it can.
    pub(super) fn of(seconds: u64) -> Self {
        let seconds = seconds.clamp(FIRST, LAST);
        let mut days = (seconds - FIRST) / DAY;
        let mut year = 0;
        // 2100 is the one leap year of these that is none.
        let leap = |year: u64| year.is_multiple_of(4) && year != 120;
        while days >= if leap(year) { 366 } else { 365 } {
            days -= if leap(year) { 366 } else { 365 };
            year += 1;
        }
        let mut month = 1;
        for length in [31, if leap(year) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
            if days < length {
                break;
            }
            days -= length;
            month += 1;
        }
        let within = seconds % DAY;
        let date = (year << 9) | (month << 5) | (days + 1);
        let time = ((within / 3600) << 11) | ((within / 60 % 60) << 5) | (within % 60 / 2);
        Self { date: u16::try_from(date).unwrap_or(u16::MAX), time: u16::try_from(time).unwrap_or(u16::MAX) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_of_the_calendar() {
        let cases = [
            (0, (1980, 1, 1), (0, 0, 0)),
            (951_782_399, (2000, 2, 28), (23, 59, 58)),
            (951_782_400, (2000, 2, 29), (0, 0, 0)),
            (1_767_225_599, (2025, 12, 31), (23, 59, 58)),
            (4_107_542_400, (2100, 3, 1), (0, 0, 0)),
            (u64::MAX, (2107, 12, 31), (23, 59, 58)),
        ];
        for (seconds, (year, month, day), (hour, minute, second)) in cases {
            let Stamp { date, time } = Stamp::of(seconds);
            assert_eq!((1980 + (date >> 9), date >> 5 & 15, date & 31), (year, month, day), "{seconds}");
            assert_eq!((time >> 11, time >> 5 & 63, (time & 31) * 2), (hour, minute, second), "{seconds}");
        }
    }
}
