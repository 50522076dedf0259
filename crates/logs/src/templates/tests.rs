//! What templates find, and that they stay within bounds.

use super::*;

fn take(templates: &mut Templates, text: &str, at: u64) -> Verdict {
    let line = Counted { program: 1, node: 1, severity: 6, at, text: text.as_bytes() };
    templates.take(line, &Rules::none())
}

fn counts(templates: &Templates) -> Vec<(String, u64)> {
    templates.all().map(|template| (template.pattern.to_string(), template.count)).collect()
}

#[test]
fn lines_that_differ_in_numbers_are_one_template() {
    let mut templates = Templates::new(Seed::fresh(), Quota::NONE);
    for number in 0..1_000 {
        take(&mut templates, &format!("drop wan-in SRC=203.0.113.{} DPT={number}", number % 250), 0);
        take(&mut templates, "link up", 0);
    }
    let expected = [("drop wan-in SRC=* DPT=*".to_owned(), 1_000), ("link up".to_owned(), 1_000)];
    assert_eq!(counts(&templates), expected);
}

#[test]
fn a_word_in_which_many_lines_differ_becomes_a_star() {
    let mut templates = Templates::new(Seed::fresh(), Quota::NONE);
    let names = ["ada", "ben", "cleo", "dora", "emil", "fay", "gus"];
    for name in names.iter().cycle().take(700) {
        take(&mut templates, &format!("session of {name} ended"), 0);
    }
    assert_eq!(counts(&templates), [("session of * ended".to_owned(), 700)]);
    // Three ways to say a thing stay three.
    for way in ["up", "down", "unknown"].iter().cycle().take(30) {
        take(&mut templates, &format!("link is {way}"), 0);
    }
    assert_eq!(counts(&templates).len(), 4);
}

#[test]
fn one_rule_cannot_fill_the_ring_and_what_is_folded_is_told_once() {
    let quota = Quota { burst: 10, rate: 2 };
    let mut templates = Templates::new(Seed::fresh(), quota);
    let stored = |templates: &mut Templates, at: u64, count: usize| {
        (0..count).filter(|n| take(templates, &format!("drop {n}"), at).stored).count()
    };
    assert_eq!(stored(&mut templates, 1_000_000, 100), 10);
    assert_eq!(stored(&mut templates, 1_001_000, 100), 2);
    // Many small steps earn as much as one large one.
    let small: usize = (0..100).map(|n| stored(&mut templates, 1_001_000 + n * 50, 5)).sum();
    assert!((9..=10).contains(&small), "{small} in five seconds");
    assert_eq!(stored(&mut templates, 2_000_000, 100), 10);
    let folded: u64 = templates.all().map(|template| template.folded).sum();
    assert_eq!(folded, 90 + 98 + (500 - small as u64) + 90);
    let told: Vec<u32> = templates.untold().map(|(_, count)| count).collect();
    assert_eq!(told.iter().map(|count| u64::from(*count)).sum::<u64>(), folded);
    assert_eq!(templates.untold().count(), 0);
}

#[test]
fn noise_stays_within_bounds_and_every_line_stays_counted() {
    let mut templates = Templates::new(Seed::fresh(), Quota::NONE);
    let letters = |mut number: u64| {
        let mut word = String::new();
        for _ in 0..6 {
            word.push(char::from(b'a' + u8::try_from(number % 26).unwrap()));
            number /= 26;
        }
        word
    };
    let total = 9_000;
    for number in 0..total {
        let words: Vec<String> = (0..number % 9).map(|n| letters(number * 7919 + n * 104_729)).collect();
        take(&mut templates, &words.join(" "), number);
    }
    assert!(templates.all.len() <= MOST, "{}", templates.all.len());
    assert_eq!(templates.all().map(|template| template.count).sum::<u64>(), total);
    // Numbers are still found.
    for template in templates.all() {
        assert_eq!(templates.get(template.number), Some(template));
    }
}
