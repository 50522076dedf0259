//! What is wrong, worst first, each with the one act that helps.

use api::{Check, Diagnosis, Finding};

use super::paint::{Paint, counted, wrap};

/// The whole diagnosis with a line break at its end.
#[must_use]
pub fn render_doctor(all: &Diagnosis, width: usize, color: bool) -> String {
    let paint = Paint(color);
    let mut checks: Vec<&Check> = all.checks.iter().collect();
    checks.sort_by_key(|c| c.finding);
    let mut lines = Vec::new();
    // What the counter noticed is among the checks already, with what helps.
    let (broken, others): (Vec<&Check>, Vec<&Check>) = checks
        .iter()
        .copied()
        .filter(|c| c.finding != Finding::Well)
        .partition(|c| c.finding == Finding::Broken);
    for check in broken {
        entry(&mut lines, &paint.broken("✗"), &check.seen, &with_page(check), width);
    }
    for (node, fault) in &all.faults {
        let help = format!("labinator explain {node}; see docs/operating/{}.md", fault.code);
        entry(&mut lines, &paint.broken("✗"), &format!("{node}: {}", fault.text), &help, width);
    }
    for check in others {
        let mark = match check.finding {
            Finding::Warning => paint.doubtful("!"),
            Finding::Broken | Finding::Skipped | Finding::Well => paint.faint("–"),
        };
        entry(&mut lines, &mark, &check.seen, &with_page(check), width);
    }
    let well = checks.iter().filter(|c| c.finding == Finding::Well).count();
    if well > 0 {
        lines.push(format!("{} {} passed", paint.well("✓"), counted(well, "check")));
    }
    if lines.is_empty() {
        lines.push("nothing was looked at".to_owned());
    }
    lines.push(String::new());
    lines.join("\n")
}

/// What helps, and where more is written about it.
fn with_page(check: &Check) -> String {
    match (check.help.as_str(), check.page.as_str()) {
        ("", _) => String::new(),
        (help, "") => help.to_owned(),
        (help, _) if help.contains("docs/operating/") => help.to_owned(),
        (help, page) => format!("{help} ({page})"),
    }
}

fn entry(lines: &mut Vec<String>, mark: &str, seen: &str, help: &str, width: usize) {
    for (n, part) in wrap(seen, width.saturating_sub(2)).into_iter().enumerate() {
        lines.push(if n == 0 { format!("{mark} {part}") } else { format!("  {part}") });
    }
    for (n, part) in wrap(help, width.saturating_sub(4)).into_iter().enumerate() {
        lines.push(if n == 0 { format!("  → {part}") } else { format!("    {part}") });
    }
}
