//! In which order go-yaml writes the keys of a Go map.

use std::cmp::Ordering;

/// Letters come after everything else (before it behind a digit), runs of digits count as numbers, the rest
/// goes by code point. Seen in go-yaml v3 and v4, which write `a2` before `a10`.
pub(crate) fn key_order(a: &str, b: &str) -> Ordering {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let Some(at) = a.iter().zip(&b).position(|(x, y)| x != y) else {
        return a.len().cmp(&b.len());
    };
    let (Some(&x), Some(&y)) = (a.get(at), b.get(at)) else { return Ordering::Equal };
    let before = a.get(..at).unwrap_or_default();
    let behind_digit = before.last().is_some_and(|c| c.is_numeric());
    match (x.is_alphabetic(), y.is_alphabetic()) {
        (true, true) => x.cmp(&y),
        (true, false) if behind_digit => Ordering::Less,
        (true, false) => Ordering::Greater,
        (false, true) if behind_digit => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) => {
            // A zero that differs belongs to a number that began earlier, unless only zeros came before.
            let begun = (x == '0' || y == '0')
                && before.iter().rev().take_while(|c| c.is_numeric()).any(|c| *c != '0');
            let (n, n_end) = number(&a, at, begun);
            let (m, m_end) = number(&b, at, begun);
            n.cmp(&m).then(n_end.cmp(&m_end)).then(x.cmp(&y))
        }
    }
}

/// The digits from `at` on as a number, and where they end.
fn number(chars: &[char], at: usize, begun: bool) -> (i64, usize) {
    let digits = chars.iter().skip(at).take_while(|c| c.is_numeric());
    let mut n = i64::from(begun);
    let mut end = at;
    for digit in digits {
        let value = i64::from(u32::from(*digit)) - i64::from(u32::from('0'));
        n = n.wrapping_mul(10).wrapping_add(value);
        end = end.saturating_add(1);
    }
    (n, end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_keys_count_as_numbers_and_letters_come_last() {
        let mut keys =
            vec!["b", "a10", "a2", "a-b", "a.b", "A", "_", "1", "10", "2", "a", "a1b", "a1.b", "a02"];
        keys.sort_by(|a, b| key_order(a, b));
        // As go-yaml v3.0.1 writes a map with these keys.
        assert_eq!(
            keys,
            ["_", "1", "2", "10", "A", "a", "a-b", "a.b", "a1b", "a1.b", "a2", "a02", "a10", "b"]
        );
    }
}
