//! Scenarios, what starting one would do, and how machines are powered.

use api::Plan;
use model::{LabTime, MachineView, NodeName, PowerState, ScenarioView, Snapshot};

use super::paint::{Paint, counted, cut, seconds};

/// The scenarios of the lab; the one that runs is marked.
#[must_use]
pub fn render_scenarios(picture: &Snapshot, width: usize, color: bool) -> String {
    let paint = Paint(color);
    let all = &picture.lab.scenarios;
    if all.is_empty() {
        return "this lab file has no scenarios\n".to_owned();
    }
    let name_width = all.iter().map(|s| s.name.as_str().len()).max().unwrap_or(0);
    let mut lines = Vec::new();
    for scenario in all {
        let runs = picture.lab.scenario.as_ref() == Some(&scenario.name);
        let mark = if runs { paint.well("●") } else { " ".to_owned() };
        let head =
            format!("{:name_width$}  {:>12}  ", scenario.name, counted(scenario.nodes.len(), "machine"));
        let room = width.saturating_sub(head.chars().count() + 2);
        lines.push(format!("{mark} {head}{}", cut(&tail(scenario), room)).trim_end().to_owned());
        for missing in &scenario.missing {
            lines.push(format!("    {} {}", paint.broken("✗"), cut(missing, width.saturating_sub(6))));
        }
    }
    lines.push(String::new());
    lines.join("\n")
}

fn tail(scenario: &ScenarioView) -> String {
    let names: Vec<&str> = scenario.nodes.iter().map(NodeName::as_str).collect();
    format!("{}  {}", scenario.image, names.join(" "))
}

/// What a start would do.
#[must_use]
pub fn render_plan(plan: &Plan, color: bool) -> String {
    let paint = Paint(color);
    let mut lines = vec![format!("Starting {} would:", plan.scenario)];
    for (what, nodes) in [
        ("switch off first", &plan.switched_off),
        ("release from waiting", &plan.released),
        ("switch on", &plan.switched_on),
        ("ask you to switch", &plan.by_hand),
    ] {
        if !nodes.is_empty() {
            let names: Vec<&str> = nodes.iter().map(NodeName::as_str).collect();
            lines.push(format!("  {what:<20}  {}", names.join(" ")));
        }
    }
    if lines.len() == 1 {
        lines.push("  change nothing".to_owned());
    }
    if let Some(about) = plan.about_ms {
        lines.push(format!("  {:<20}  about {} s", "take", seconds(about)));
    }
    if let Some(refused) = &plan.refused {
        lines.push(format!("{} it would be refused: {}", paint.broken("✗"), refused.message));
        if !refused.advice.is_empty() {
            lines.push(format!("  → {}", refused.advice));
        }
    }
    lines.push(String::new());
    lines.join("\n")
}

/// How the machines are powered at this moment, how that is known, and for how long.
#[must_use]
pub fn render_power(machines: &[&MachineView], now: LabTime, width: usize, color: bool) -> String {
    let paint = Paint(color);
    let name_width = machines.iter().map(|m| m.node.as_str().len()).max().unwrap_or(0);
    let port_width = machines.iter().map(|m| m.power.port.to_string().len()).max().unwrap_or(0);
    let mut lines = Vec::new();
    for machine in machines {
        let word = format!("{:<8}", machine.power.state);
        let word = match machine.power.state {
            PowerState::On => paint.well(&word),
            PowerState::Off => paint.faint(&word),
            PowerState::Changing | PowerState::Unknown => paint.doubtful(&word),
        };
        let port = machine.power.port.to_string();
        let age = machine
            .power
            .seen
            .map_or_else(String::new, |seen| format!(", for {}", now.since(seen.since_start)));
        let room = width.saturating_sub(name_width + port_width + 14 + age.chars().count());
        let line = format!(
            "{:name_width$}  {word}  {port:port_width$}  {}{age}",
            machine.node,
            cut(&machine.power.evidence, room)
        );
        lines.push(line.trim_end().to_owned());
    }
    lines.push(String::new());
    lines.join("\n")
}
