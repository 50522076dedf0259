//! Stories: what happens to a lab line by line, what is asked of drivers, and what people are shown.
//!
//! `stories/README.md` explains the language; [`check`] is the only place that reads it, and `telling`
//! the only one that knows how the judgment is called.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop")]

#[path = "stories/cluster.rs"]
mod cluster;
#[path = "stories/guests.rs"]
mod guests;
#[path = "stories/setup.rs"]
mod setup;
#[path = "stories/telling.rs"]
mod telling;
#[path = "stories/unwell.rs"]
mod unwell;
#[path = "stories/wipe.rs"]
mod wipe;
mod world;

use std::path::PathBuf;

use setup::Setup;
use telling::Teller;

/// How a story is told.
#[derive(Debug, Clone, Copy)]
enum Telling {
    /// As it is written.
    Whole,
    /// Up to this line; then the core is started again.
    RestartedAfter(usize),
}

/// Tells one story and checks every line of it.
fn check(name: &str, text: &str, telling: Telling) -> Result<(), String> {
    let mut teller: Option<Teller> = None;
    let mut board = Setup::default();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.split('#').next().unwrap_or_default().trim();
        let at = |why: String| format!("stories/{name}:{number}: `{line}`\n    {why}");
        if line.is_empty() {
            continue;
        }
        if let Some(words) = line.strip_prefix("with ") {
            if teller.is_some() {
                return Err(at("`with` lines come first".to_owned()));
            }
            board.with(words).map_err(at)?;
            continue;
        }
        let teller = match &mut teller {
            Some(teller) => teller,
            none => none.insert(Teller::new(&board).map_err(at)?),
        };
        teller.line(line).map_err(at)?;
        if matches!(telling, Telling::RestartedAfter(last) if last == number) {
            return teller.restart_asks_nothing_again().map_err(at);
        }
    }
    let end = |why: String| format!("stories/{name}: at the end\n    {why}");
    teller.ok_or_else(|| end("nothing happens in it".to_owned()))?.end().map_err(end)
}

fn stories() -> Vec<(String, String)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/stories");
    let mut stories: Vec<(String, String)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "story"))
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read_to_string(&path).unwrap())
        })
        .collect();
    stories.sort();
    stories
}

fn all_hold(troubles: &[String]) {
    assert!(troubles.is_empty(), "{} troubles\n\n{}\n", troubles.len(), troubles.join("\n\n"));
}

#[test]
fn every_story_comes_out_as_it_is_written() {
    let stories = stories();
    assert!(!stories.is_empty(), "no stories were found");
    let troubles: Vec<String> =
        stories.iter().filter_map(|(name, text)| check(name, text, Telling::Whole).err()).collect();
    all_hold(&troubles);
}

#[test]
fn a_core_that_is_started_again_anywhere_in_a_story_asks_nothing_twice_before_it_has_looked() {
    let mut troubles = Vec::new();
    for (name, text) in stories() {
        for (number, line) in (1..).zip(text.lines()) {
            if line.starts_with(['>', '@']) {
                troubles.extend(check(&name, &text, Telling::RestartedAfter(number)).err());
            }
        }
    }
    all_hold(&troubles);
}

#[test]
fn a_story_that_is_wrong_says_its_line_what_it_expected_and_what_came() {
    let wrong = "> counter up\n> sees n1 off\n> sees n2 off\n> start demo\n= on n1\n";
    let why = check("wrong.story", wrong, Telling::Whole).unwrap_err();
    assert!(why.contains("stories/wrong.story:5"), "{why}");
    assert!(why.contains("expected: on n1"), "{why}");
    assert!(why.contains("actual: on n1, on n2"), "{why}");
}

#[test]
fn a_command_that_a_story_does_not_name_is_a_mistake_of_the_story() {
    let silent = "> counter up\n> sees n1 off\n> sees n2 off\n> start demo\n@ 5\n";
    let why = check("silent.story", silent, Telling::Whole).unwrap_err();
    assert!(why.contains("on n1, on n2"), "{why}");
}
