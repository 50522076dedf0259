//! The nearest right word, and the quantities people write.

use model::{Mebibytes, Span};

/// The candidate that `word` was probably meant to be: same letters in another case first, then the one
/// with the fewest letters changed, added, dropped or swapped (at most a third of the word).
pub(super) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Of one letter another one is not the same word.
    let count = word.chars().count();
    let limit = (count / 3).max(usize::from(count > 1));
    candidates
        .into_iter()
        .map(|c| (if c.eq_ignore_ascii_case(word) { 0 } else { distance(word, c) }, c))
        .filter(|(d, _)| *d <= limit)
        .min_by_key(|(d, _)| *d)
        .map(|(_, c)| c)
}

/// Letters changed, added, dropped or swapped with their neighbour (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let at = |row: &[usize], i: usize| row.get(i).copied().unwrap_or(usize::MAX / 2);
    let mut two_back: Vec<usize> = Vec::new();
    let mut back: Vec<usize> = (0..=b.len()).collect();
    let mut before = None;
    for (i, x) in a.chars().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let mut best =
                (at(&back, j) + usize::from(x != *y)).min(at(&back, j + 1) + 1).min(at(&row, j) + 1);
            if j > 0 && before == Some(*y) && b.get(j - 1) == Some(&x) {
                best = best.min(at(&two_back, j - 1) + 1);
            }
            row.push(best);
        }
        before = Some(x);
        two_back = std::mem::replace(&mut back, row);
    }
    back.last().copied().unwrap_or(0)
}

/// `a`, `b` and `c`, each in back quotes.
pub(super) fn listed<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = words.into_iter().map(|w| format!("`{w}`")).collect();
    match quoted.as_slice() {
        [] => "none".to_owned(),
        [one] => one.clone(),
        [all @ .., last] => format!("{} and {last}", all.join(", ")),
    }
}

/// Reads `90s`, `4m`, `500ms`, `1h` and sums such as `2m30s`.
pub(super) fn span(text: &str) -> Option<Span> {
    let mut rest = text;
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, after) = rest.split_at_checked(digits)?;
        let letters = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, next) = after.split_at_checked(letters)?;
        let factor = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return None,
        };
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(factor)?)?;
        rest = next;
    }
    (!text.is_empty()).then_some(Span(total))
}

/// Reads `512MiB`, `8GiB`, with or without a space; nothing is rounded.
pub(crate) fn memory(text: &str) -> Option<Mebibytes> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(digits)?;
    let factor = match unit.trim() {
        "MiB" => 1,
        "GiB" => 1024,
        _ => return None,
    };
    number.parse::<u32>().ok()?.checked_mul(factor).filter(|m| *m > 0).map(Mebibytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_the_one_a_person_meant() {
        assert_eq!(nearest("netwrok", ["network", "power"]), Some("network"));
        assert_eq!(nearest("Virtual", ["virtual", "manual"]), Some("virtual"));
        assert_eq!(nearest("mca", ["mac", "at"]), Some("mac"));
        assert_eq!(nearest("flavour", ["mac", "at"]), None);
        assert_eq!(nearest("nodes", std::iter::empty()), None);
        assert_eq!(nearest("3", ["1", "2c"]), None, "one letter is no part of a word");
    }

    #[test]
    fn a_swap_is_one_mistake_and_a_change_is_one() {
        assert_eq!(distance("ab", "ba"), 1);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
    }

    #[test]
    fn spans_and_memory_are_read_with_their_units() {
        assert_eq!(span("90s"), Some(Span(90_000)));
        assert_eq!(span("2m30s"), Some(Span(150_000)));
        assert_eq!(span("500ms"), Some(Span(500)));
        for wrong in ["90", "", "s", "1d", "1.5s", "-1s", "99999999999999999999h"] {
            assert_eq!(span(wrong), None, "{wrong}");
        }
        assert_eq!(memory("8GiB"), Some(Mebibytes(8192)));
        assert_eq!(memory("512 MiB"), Some(Mebibytes(512)));
        for wrong in ["8", "8GB", "0GiB", "GiB", "9999999GiB"] {
            assert_eq!(memory(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_list_of_words_reads_as_a_sentence() {
        assert_eq!(listed(["a", "b", "c"]), "`a`, `b` and `c`");
        assert_eq!(listed([]), "none");
    }
}
