//! How surely a machine must be known before it gets its config.

use model::Proof;

use super::fields::{Found, Typed};
use super::mistake::Mistake;

/// The words for a level.
const LEVELS: [(&str, Proof); 3] =
    [("address", Proof::Address), ("place", Proof::Place), ("key", Proof::Key)];

/// Judges a level that is asked for: it must be one, and something in the lab must be able to prove it.
pub(super) fn proof(typed: &Typed<String>, found: &mut Found) -> Option<Proof> {
    let Some((_, proof)) = LEVELS.into_iter().find(|(word, _)| *word == typed.value) else {
        let title = format!("`proof` cannot be {}", typed.value);
        let mistake = Mistake::new(title, typed.place, "not a level");
        found.push(mistake.nearest(&typed.value, LEVELS.map(|(word, _)| word), "levels"));
        return None;
    };
    let lacks = match proof {
        Proof::Address => return Some(proof),
        Proof::Place => "no switch of this lab tells at which port a machine is",
        Proof::Key => "nothing that this lab boots makes a key",
    };
    let mistake = Mistake::new(format!("nothing here proves a machine by its {proof}"), typed.place, lacks);
    found.push(mistake.help(
        "`proof: address` is what this version can prove; keep strangers off the board's segment meanwhile",
    ));
    None
}
