//! Who may use whom: the arrows drawn in `ARCHITECTURE.md`, and the pure rooms on a bare target.

mod bare;
mod table;

use std::process::ExitCode;

use table::Table;

use crate::finding::{Finding, judge};
use crate::metadata::{self, Package};
use crate::stage::Tally;
use crate::workspace::{Outcome, Workspace, exit_code};

/// Rooms that may not name a clock, a socket, a file, a thread or a `HashMap`.
pub(crate) const PURE_ROOMS: [&str; 3] = ["model", "lifecycle", "wire"];

/// Where the table of arrows stands.
const MAP: &str = "ARCHITECTURE.md";

/// Tools that may use anything and need no row.
const TOOLS: [&str; 1] = ["xtask"];

/// `cargo xtask doors`.
///
/// # Errors
/// An argument was given, or cargo cannot read the tree.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Outcome<ExitCode> {
    if let Some(word) = arguments.first() {
        return Err(format!("doors takes no arguments, not `{word}`").into());
    }
    let tally = check(workspace)?;
    for why in &tally.skipped {
        println!("SKIPPED {why}");
    }
    println!("{}", tally.closing_line());
    Ok(exit_code(tally.failed == 0))
}

/// Both halves: one test per room and arrow table, one per pure room and bare build.
///
/// # Errors
/// Cargo cannot read the tree.
pub(crate) fn check(workspace: &Workspace) -> Outcome<Tally> {
    let members = metadata::members(workspace)?;
    let map = std::fs::read_to_string(workspace.root.join(MAP)).unwrap_or_default();
    let mut tally = judge_arrows(&map, &members);
    tally.add(judge_purity(workspace, &members));
    tally.add(bare::build(workspace, &members)?);
    Ok(tally)
}

fn judge_arrows(map: &str, members: &[Package]) -> Tally {
    match table::parse(map) {
        Ok(table) => judge(members.len(), &arrows(&table, members)),
        Err((line, what)) => {
            let advice = "write one block ```doors with lines like `netboot -> store wire model`";
            judge(1, &[Finding::new(MAP, line, what, advice)])
        }
    }
}

/// Every arrow that is used but not drawn, every room without a row, every row without a room.
fn arrows(table: &Table, members: &[Package]) -> Vec<Finding> {
    let exists = |name: &str| members.iter().any(|member| member.name == name);
    let mut findings = Vec::new();
    for row in table.rows() {
        for name in row.names().filter(|name| !exists(name)) {
            let what = format!("`{name}` is not a crate of this tree");
            findings.push(Finding::new(MAP, row.line, what, "remove it, or draw it when the room exists"));
        }
    }
    for member in members.iter().filter(|member| !TOOLS.contains(&member.name.as_str())) {
        let room = member.name.as_str();
        let manifest = format!("crates/{room}/Cargo.toml");
        if !table.has_room(room) {
            let what = format!("room `{room}` has no row");
            let advice = format!("add `{room} -> …` with the rooms it may use, and say why it exists");
            findings.push(Finding::new(MAP, table.line, what, advice));
            continue;
        }
        let judged = |dev: bool| !dev || PURE_ROOMS.contains(&room);
        for used in member.dependencies.iter().filter(|used| used.ours && judged(used.dev)) {
            // A room that names itself as a dev-dependency is not an arrow.
            if used.name != room && !table.allows(room, &used.name) {
                let what = format!("`{room} -> {}` is not a door", used.name);
                let advice = format!("drop the dependency, or draw the arrow in {MAP} with its reason");
                findings.push(Finding::new(manifest.clone(), 1, what, advice));
            }
        }
    }
    findings
}

/// Each pure room says `no_std` outside tests, also where no bare toolchain can prove it.
fn judge_purity(workspace: &Workspace, members: &[Package]) -> Tally {
    let mut tally = Tally::default();
    for room in PURE_ROOMS.iter().filter(|room| members.iter().any(|member| member.name == **room)) {
        let file = format!("crates/{room}/src/lib.rs");
        let text = std::fs::read_to_string(workspace.root.join(&file)).unwrap_or_default();
        if says_no_std(&text) {
            tally.passed += 1;
        } else {
            let advice = "add `#![cfg_attr(not(test), no_std)]`: a pure room names no clock and no socket";
            tally.add(judge(1, &[Finding::new(file, 1, "a pure room may use std", advice)]));
        }
    }
    tally
}

fn says_no_std(text: &str) -> bool {
    text.lines().any(|line| matches!(line.trim(), "#![no_std]" | "#![cfg_attr(not(test), no_std)]"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::Dependency;

    fn room(name: &str, uses: &[(&str, bool)]) -> Package {
        let dependencies = uses
            .iter()
            .map(|(name, dev)| Dependency { name: (*name).to_owned(), dev: *dev, ours: true })
            .collect();
        Package { name: name.to_owned(), dependencies, ..Package::default() }
    }

    const MAP_TEXT: &str =
        "```doors\nlabinator -> *\nnetboot -> store wire\nwire -> model\nstore ->\nmodel ->\n```\n";

    fn judged(members: &[Package]) -> Vec<String> {
        arrows(&table::parse(MAP_TEXT).unwrap(), members).iter().map(ToString::to_string).collect()
    }

    fn house() -> Vec<Package> {
        vec![
            room("labinator", &[("netboot", false), ("model", false)]),
            room("netboot", &[("store", false), ("wire", false), ("model", true)]),
            room("wire", &[("model", false)]),
            room("store", &[]),
            room("model", &[]),
            room("xtask", &[("model", false)]),
        ]
    }

    #[test]
    fn a_house_as_drawn_has_no_findings() {
        assert_eq!(judged(&house()), [""; 0]);
    }

    #[test]
    fn an_arrow_that_is_not_drawn_is_named_with_its_manifest() {
        let mut members = house();
        members[3] = room("store", &[("model", false)]);
        let found = judged(&members);
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("crates/store/Cargo.toml:1: `store -> model` is not a door"));
    }

    #[test]
    fn a_dev_arrow_counts_in_a_pure_room_and_nowhere_else() {
        let mut members = house();
        members[2] = room("wire", &[("model", false), ("store", true)]);
        assert_eq!(judged(&members).len(), 1);
    }

    #[test]
    fn a_room_without_a_row_and_a_row_without_a_room_are_findings() {
        let mut members = house();
        members.remove(3);
        members.push(room("pki", &[]));
        let found = judged(&members);
        assert!(found.iter().any(|text| text.contains("room `pki` has no row")));
        assert!(found.iter().any(|text| text.contains("`store` is not a crate")));
    }

    #[test]
    fn no_std_is_recognised_in_both_forms() {
        assert!(says_no_std("#![cfg_attr(not(test), no_std)]\n//! Nouns.\n"));
        assert!(says_no_std("//! Nouns.\n#![no_std]\n"));
        assert!(!says_no_std("//! no_std\n"));
    }
}
