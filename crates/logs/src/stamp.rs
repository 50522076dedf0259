//! Times that senders write: RFC 3339, as RFC 5424 section 6.2.3 narrows it and as Talos writes it.

/// Milliseconds since 1970 of `2026-01-31T12:00:00.123Z` or with an offset; `None` for anything else.
#[must_use]
pub fn rfc3339(text: &[u8]) -> Option<u64> {
    let (date, rest) = text.split_first_chunk::<19>()?;
    let [y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1, t, h0, h1, b':', i0, i1, b':', s0, s1] = *date else {
        return None;
    };
    if !matches!(t, b'T' | b't' | b' ') {
        return None;
    }
    let year = number(&[y0, y1, y2, y3])?;
    let (month, day) = (number(&[m0, m1])?, number(&[d0, d1])?);
    let (hour, minute, second) = (number(&[h0, h1])?, number(&[i0, i1])?, number(&[s0, s1])?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (fraction, zone) = match rest.strip_prefix(b".") {
        Some(rest) => {
            let end = rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
            rest.split_at_checked(end)?
        }
        None => (&[][..], rest),
    };
    let mut millis = 0;
    for place in 0..3 {
        let digit = fraction.get(place).map_or(0, |byte| i64::from(byte - b'0'));
        millis = millis * 10 + digit;
    }
    let offset = match zone {
        b"Z" | b"z" => 0,
        [sign @ (b'+' | b'-'), h0, h1, b':', m0, m1] => {
            let minutes = number(&[*h0, *h1])? * 60 + number(&[*m0, *m1])?;
            if *sign == b'+' { minutes } else { -minutes }
        }
        _ => return None,
    };
    let seconds = (days(year, month, day) * 24 + hour) * 3600 + (minute - offset) * 60 + second;
    u64::try_from(seconds * 1000 + millis).ok()
}

fn number(digits: &[u8]) -> Option<i64> {
    let mut number = 0;
    for digit in digits {
        number = number * 10 + i64::from(digit.checked_sub(b'0').filter(|digit| *digit <= 9)?);
    }
    Some(number)
}

/// Days since 1970-01-01, in the Gregorian calendar: years begin in March, so that the odd day is their last.
const fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_date_reads_them() {
        let cases = [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2026-11-26T05:54:56.1Z", Some(1_795_672_496_100)),
            ("2026-11-26T06:54:56.123456+01:00", Some(1_795_672_496_123)),
            ("2024-02-29T23:59:60-00:30", Some(1_709_253_000_000)),
            ("2000-03-01T00:00:00z", Some(951_868_800_000)),
            ("2026-11-26T05:54:56", None),
            ("2026-13-26T05:54:56Z", None),
            ("2026-1x-26T05:54:56Z", None),
            ("1969-12-31T23:59:59Z", None),
            ("-", None),
        ];
        for (text, expected) in cases {
            assert_eq!(rfc3339(text.as_bytes()), expected, "{text}");
        }
    }
}
