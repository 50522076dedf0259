//! The printed parts: rendered by `OpenSCAD`, and looked at as a printer would.

mod printable;
mod stl;

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::stage::Tally;
use crate::workspace::{Outcome, Workspace, printed};
use printable::{Printer, faults};

/// What renders.
pub(crate) const PACKAGES: &[&str] = &["openscad"];

/// A common printer. Two lines of a nozzle of 0.4 mm on each side make the thinnest wall.
const PRINTER: Printer = Printer { bed: [220.0, 220.0, 250.0], wall: 1.6, lean: 46.0 };

/// A part: its file, what is set in it, and what must be found wrong with it; nothing for one that is printed.
struct Part {
    name: &'static str,
    file: &'static str,
    set: &'static [&'static str],
    wrong: &'static [&'static str],
}

/// Every part in every common form; and some with measures that nobody should print, for which the same look must say so.
const PARTS: &[Part] = &[
    Part { name: "tray-mini-itx", file: "tray", set: &["form=\"mini-itx\""], wrong: &[] },
    Part {
        name: "tray-thin-mini-itx",
        file: "tray",
        set: &["form=\"thin-mini-itx\"", "standoff=4"],
        wrong: &[],
    },
    Part { name: "tray-own", file: "tray", set: &["form=\"own\"", "gussets=3"], wrong: &[] },
    Part { name: "cradle-nuc", file: "cradle", set: &["form=\"nuc\""], wrong: &[] },
    Part { name: "cradle-wyse-5070", file: "cradle", set: &["form=\"wyse-5070\"", "hold=45"], wrong: &[] },
    Part { name: "cradle-wyse-3040", file: "cradle", set: &["form=\"wyse-3040\""], wrong: &[] },
    Part { name: "plate", file: "plate", set: &[], wrong: &[] },
    Part { name: "plate-wyse-3040", file: "plate", set: &["pitch=52", "bays=4", "depth=120"], wrong: &[] },
    Part { name: "a thin wall", file: "cradle", set: &["wall=1"], wrong: &["thinner than 1.6 mm"] },
    Part {
        name: "a long plate",
        file: "plate",
        set: &["bays=4"],
        wrong: &["mm across, and the bed has room"],
    },
];

/// Renders every part and looks at it.
///
/// # Errors
/// `OpenSCAD` cannot be started, or files cannot be written.
pub(crate) fn check(workspace: &Workspace) -> Outcome<Tally> {
    let folder = workspace.target.join("hardware");
    std::fs::create_dir_all(&folder)?;
    let mut tally = Tally::default();
    for part in PARTS {
        let wrong = match render(workspace, part, &folder) {
            Ok(file) => look(part, &std::fs::read(file)?),
            Err(why) => vec![why.to_string()],
        };
        println!("{:<20} {}", part.name, if wrong.is_empty() { "as it should be" } else { "WRONG" });
        match wrong.first() {
            None => tally.passed += 1,
            Some(_) => tally.fail(format!("{}: {}", part.name, wrong.join("; "))),
        }
    }
    Ok(tally)
}

fn render(workspace: &Workspace, part: &Part, folder: &Path) -> Outcome<PathBuf> {
    let file = folder.join(format!("{}.stl", part.name.replace(' ', "-")));
    if file.exists() {
        std::fs::remove_file(&file)?;
    }
    let mut command = Command::new("openscad");
    command.arg("--hardwarnings").arg("-o").arg(&file);
    command.args(part.set.iter().flat_map(|set| ["-D", set]));
    command.arg(workspace.root.join("hardware").join(format!("{}.scad", part.file)));
    // It says what it did on standard error; what it could not do, too.
    printed(&mut command)?;
    Ok(file)
}

/// What is not as it should be with a part.
fn look(part: &Part, file: &[u8]) -> Vec<String> {
    let found = match stl::read(file) {
        Ok(triangles) => faults(&triangles, &PRINTER),
        Err(why) => vec![why.to_string()],
    };
    let is_named = |fault: &str| part.wrong.iter().any(|wrong| fault.contains(wrong));
    let missed = part.wrong.iter().filter(|wrong| !found.iter().any(|fault| fault.contains(**wrong)));
    let missed = missed.map(|wrong| format!("nobody found that it is wrong: {wrong}"));
    found.iter().filter(|fault| !is_named(fault)).cloned().chain(missed).collect()
}
