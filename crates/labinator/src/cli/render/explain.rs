//! Why everything is as it is, in words.

use api::Explanations;
use model::Explanation;

use super::paint::{Paint, wrap};

/// Characters before a value.
const INDENT: usize = 11;

/// The lab's sentence (where several machines are explained), then each machine.
#[must_use]
pub fn render_explain(all: &Explanations, width: usize, color: bool) -> String {
    let paint = Paint(color);
    let mut blocks: Vec<String> = Vec::new();
    if all.nodes.len() != 1 && !all.lab.is_empty() {
        blocks.push(paint.strong(&all.lab));
    }
    blocks.extend(all.nodes.iter().map(|node| machine(node, width, paint)));
    let mut text = blocks.join("\n\n");
    text.push('\n');
    text
}

fn machine(one: &Explanation, width: usize, paint: Paint) -> String {
    let mut lines = vec![paint.strong(&one.headline)];
    let seen = one.seen.join(" · ");
    let can = one.you_can.join(" · ");
    for (label, value) in [
        ("wanted", &one.wanted),
        ("seen", &seen),
        ("because", &one.because),
        ("will", &one.will),
        ("you can", &can),
    ] {
        for (n, part) in wrap(value, width.saturating_sub(INDENT)).into_iter().enumerate() {
            let label = if n == 0 { label } else { "" };
            lines.push(format!("  {} {part}", paint.faint(&format!("{label:<8}"))));
        }
    }
    lines.join("\n")
}
