//! What go-yaml takes a plain scalar for: the one rule behind reading it and behind quoting a text.

/// What a plain scalar is to go-yaml v3.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Resolved {
    /// Nothing, `~`, `null`.
    Null,
    /// `true`, `false` and their capitals.
    Bool(bool),
    /// A whole number that fits 64 bits with a sign.
    Int(i64),
    /// A whole number that needs 64 bits without a sign.
    Big,
    /// A number with a fraction or exponent, or one beyond 64 bits.
    Float(f64),
    /// A date, or a date with time.
    Timestamp,
    /// The merge key `<<`.
    Merge,
    /// Everything else.
    Text,
}

/// Types a plain scalar.
pub(crate) fn resolve(text: &str) -> Resolved {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Resolved::Null,
        "true" | "True" | "TRUE" => return Resolved::Bool(true),
        "false" | "False" | "FALSE" => return Resolved::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return Resolved::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Resolved::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Resolved::Float(f64::NEG_INFINITY),
        "<<" => return Resolved::Merge,
        _ => {}
    }
    match text.bytes().next() {
        Some(b'.') => float(text).map_or(Resolved::Text, Resolved::Float),
        Some(b'0'..=b'9' | b'+' | b'-') => number(text),
        _ => Resolved::Text,
    }
}

fn number(text: &str) -> Resolved {
    if is_timestamp(text) {
        return Resolved::Timestamp;
    }
    let plain: String = text.chars().filter(|c| *c != '_').collect();
    if let Some(whole) = whole(&plain) {
        return i64::try_from(whole).map_or(Resolved::Big, Resolved::Int);
    }
    if let Some(n) = float(&plain) {
        return Resolved::Float(n);
    }
    // go-yaml v3 also takes a sign behind the prefix.
    [("0b", 2), ("0o", 8)]
        .into_iter()
        .find_map(|(prefix, radix)| {
            let digits = plain.strip_prefix(prefix)?;
            digits.starts_with(['+', '-']).then(|| i64::from_str_radix(digits, radix).ok()).flatten()
        })
        .map_or(Resolved::Text, Resolved::Int)
}

/// A whole number as Go reads one when the prefix says the base; a bare `0` in front means octal.
fn whole(text: &str) -> Option<i128> {
    let (negative, signed, digits) = match text.bytes().next()? {
        b'-' => (true, true, text.get(1..)?),
        b'+' => (false, true, text.get(1..)?),
        _ => (false, false, text),
    };
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, digits.get(2..)?),
        [b'0', b'o' | b'O', ..] => (8, digits.get(2..)?),
        [b'0', b'b' | b'B', ..] => (2, digits.get(2..)?),
        [b'0', _, ..] => (8, digits.get(1..)?),
        _ => (10, digits),
    };
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    let n = i128::from_str_radix(digits, radix).ok()?;
    let n = if negative { n.checked_neg()? } else { n };
    let fits = i64::try_from(n).is_ok() || (!signed && u64::try_from(n).is_ok());
    fits.then_some(n)
}

/// A decimal number with digits, one point and an exponent at most. One that is too large is none.
fn float(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    let (before, after) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mantissa_fits = digits(before) && digits(after) && !(before.is_empty() && after.is_empty());
    let exponent_fits = exponent.is_none_or(|e| {
        let e = e.strip_prefix(['+', '-']).unwrap_or(e);
        !e.is_empty() && digits(e)
    });
    if !mantissa_fits || !exponent_fits {
        return None;
    }
    text.parse::<f64>().ok().filter(|n| n.is_finite())
}

/// A number as Go's shortest `%g` form.
pub(crate) fn float_text(n: f64) -> String {
    if n.is_nan() {
        return ".nan".to_owned();
    }
    if n.is_infinite() {
        return if n > 0.0 { ".inf" } else { "-.inf" }.to_owned();
    }
    // Rust's `{:e}` has the same shortest digits: `1.5e6`.
    let scientific = format!("{n:e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    let Ok(power) = exponent.parse::<i32>() else { return scientific };
    if !(-4..6).contains(&power) {
        let sign = if power < 0 { '-' } else { '+' };
        return format!("{mantissa}e{sign}{:02}", power.unsigned_abs());
    }
    format!("{n}")
}

/// Whether YAML 1.1 would read a number to base 60, which older readers still do.
pub(crate) fn is_base_60(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let Some((first, rest)) = unsigned.split_once(':') else { return false };
    if !first.starts_with(|c: char| c.is_ascii_digit())
        || !first.bytes().all(|b| b.is_ascii_digit() || b == b'_')
    {
        return false;
    }
    let (rest, fraction) = rest.split_once('.').unwrap_or((rest, ""));
    fraction.bytes().all(|b| b.is_ascii_digit() || b == b'_')
        && rest.split(':').all(|part| match part.as_bytes() {
            [last] => last.is_ascii_digit(),
            [tens, last] => matches!(tens, b'0'..=b'5') && last.is_ascii_digit(),
            _ => false,
        })
}

/// Whether YAML 1.1 reads a truth value where 1.2 and go-yaml read text.
pub(crate) fn is_old_bool(text: &str) -> bool {
    matches!(
        text,
        "y" | "Y"
            | "yes"
            | "Yes"
            | "YES"
            | "on"
            | "On"
            | "ON"
            | "n"
            | "N"
            | "no"
            | "No"
            | "NO"
            | "off"
            | "Off"
            | "OFF"
    )
}

/// Whether go-yaml reads a date (`2001-1-2`), or a date with time.
fn is_timestamp(text: &str) -> bool {
    let mut rest = Digits(text);
    let Some(year) = rest.take(4, 4) else { return false };
    let (Some(()), Some(month)) = (rest.skip("-"), rest.take(1, 2)) else { return false };
    let (Some(()), Some(day)) = (rest.skip("-"), rest.take(1, 2)) else { return false };
    let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return false,
    };
    if day == 0 || day > days {
        return false;
    }
    match rest.0.chars().next() {
        None => true,
        Some('T' | 't') => {
            rest.0 = rest.0.get(1..).unwrap_or_default();
            rest.time() && rest.zone()
        }
        Some(' ') => {
            rest.0 = rest.0.get(1..).unwrap_or_default();
            rest.time() && rest.0.is_empty()
        }
        Some(_) => false,
    }
}

/// What is left of a date.
struct Digits<'a>(&'a str);

impl Digits<'_> {
    fn take(&mut self, least: usize, most: usize) -> Option<u32> {
        let digits = self.0.bytes().take(most).take_while(u8::is_ascii_digit).count();
        if digits < least {
            return None;
        }
        let (number, rest) = self.0.split_at_checked(digits)?;
        self.0 = rest;
        number.parse().ok()
    }

    fn skip(&mut self, what: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(what)?;
        Some(())
    }

    /// `15:4:5`, and a fraction behind a point or comma.
    fn time(&mut self) -> bool {
        let mut clock = || {
            let hour = self.take(1, 2)?;
            self.skip(":")?;
            let minute = self.take(1, 2)?;
            self.skip(":")?;
            let second = self.take(1, 2)?;
            (hour < 24 && minute < 60 && second < 60).then_some(())
        };
        if clock().is_none() {
            return false;
        }
        if let Some(fraction) = self.0.strip_prefix(['.', ',']) {
            let digits = fraction.bytes().take(9).take_while(u8::is_ascii_digit).count();
            if digits > 0 {
                self.0 = fraction.get(digits..).unwrap_or_default();
            }
        }
        true
    }

    /// `Z`, or hours and minutes behind a sign, and nothing more.
    fn zone(&mut self) -> bool {
        if self.0 == "Z" {
            return true;
        }
        let Some(zone) = self.0.strip_prefix(['+', '-']) else { return false };
        self.0 = zone;
        let hours = self.take(2, 2);
        let colon = self.skip(":");
        let minutes = self.take(2, 2);
        hours.is_some_and(|h| h <= 24)
            && colon.is_some()
            && minutes.is_some_and(|m| m <= 60)
            && self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_scalar_is_what_go_yaml_takes_it_for() {
        use Resolved::{Big, Bool, Float, Int, Merge, Null, Text, Timestamp};
        for (text, expected) in [
            ("", Null),
            ("Null", Null),
            ("nULL", Text),
            ("TRUE", Bool(true)),
            ("yes", Text),
            ("0", Int(0)),
            ("-12", Int(-12)),
            ("+5", Int(5)),
            ("0777", Int(511)),
            ("0o17", Int(15)),
            ("0x1F", Int(31)),
            ("-0b11", Int(-3)),
            ("0b-11", Int(-3)),
            ("1_000", Int(1000)),
            ("089", Float(89.0)),
            ("08:00", Text),
            ("9223372036854775807", Int(i64::MAX)),
            ("9223372036854775808", Big),
            ("18446744073709551616", Float(18_446_744_073_709_551_616.0)),
            ("1.10", Float(1.1)),
            (".5", Float(0.5)),
            ("1e3", Float(1000.0)),
            ("1e400", Text),
            ("1.2.3", Text),
            (".", Text),
            ("-", Text),
            ("10.0.0.0/8", Text),
            ("2001-1-2", Timestamp),
            ("2001-02-30", Text),
            ("2000-02-29T1:2:3.5Z", Timestamp),
            ("2000-02-29t01:02:03+01:00", Timestamp),
            ("2000-02-29 01:02:03", Timestamp),
            ("2000-02-29 01:02:03Z", Text),
            ("<<", Merge),
            ("0x", Text),
        ] {
            assert_eq!(resolve(text), expected, "{text}");
        }
    }

    #[test]
    fn numbers_look_as_go_writes_them() {
        for (n, text) in [
            (0.5, "0.5"),
            (1e6, "1e+06"),
            (123_456.0, "123456"),
            (1_234_567.0, "1.234567e+06"),
            (1_234_567.5, "1.2345675e+06"),
            (0.0001, "0.0001"),
            (0.000_01, "1e-05"),
            (-1.5, "-1.5"),
            (1e21, "1e+21"),
        ] {
            assert_eq!(float_text(n), text);
        }
    }
}
