//! `labinator doctor --fix`: changes this machine and says what it changed. No controller is asked.

use std::path::Path;

use super::args::FixVerb;
use super::failure::Failure;
use super::out::{self, Look};
use crate::doctor::fix::{self, Change};

/// Carries it out.
pub(super) async fn fix(what: FixVerb, interface: &str, json: bool, look: Look) -> Result<(), Failure> {
    let root = Path::new("/");
    let changed = match what {
        FixVerb::Irq => {
            if !root.join("sys/class/net").join(interface).exists() {
                let why = format!("there is no interface `{interface}`");
                return Err(Failure::with_advice(why, "`ip link` lists the interfaces"));
            }
            let (port, readings) = crate::doctor::watch_port(interface).await;
            fix::irq(root, &port, &readings)
        }
        FixVerb::Sockets => fix::sockets(root),
    };
    let changes = changed.map_err(|error| Failure::with_advice(error.to_string(), error.advice()))?;
    told(what, &changes, json, look)
}

fn told(what: FixVerb, changes: &[Change], json: bool, look: Look) -> Result<(), Failure> {
    if json {
        return out::json(&changes, true);
    }
    if changes.is_empty() {
        let why = match what {
            FixVerb::Irq => "nothing spins where its frames are taken",
            FixVerb::Sockets => "there is room enough",
        };
        return if look.quiet { Ok(()) } else { out::line(&format!("nothing changed: {why}")) };
    }
    for change in changes {
        out::line(&change.what)?;
    }
    for change in changes {
        out::line(&format!("undo: {}", change.undo))?;
    }
    if what == FixVerb::Sockets && !look.quiet {
        out::line("sockets get their room as they open: start `labinator serve` again")?;
    }
    Ok(())
}
