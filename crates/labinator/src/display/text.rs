//! The scene on a terminal: the same board, each bay two lines of text.

use super::{Bay, Scene, Tone};
use crate::cli::render::{Paint, cut};

/// Characters of the narrowest bay: its shape, a blank, and eight of its name.
const NARROWEST: usize = 10;
/// Characters of the widest.
const WIDEST: usize = 24;

/// The scene in lines of at most `width` characters, with a line break at its end.
#[must_use]
pub fn text(scene: &Scene, width: usize, lines: usize, color: bool) -> String {
    let paint = Paint(color);
    let mut text = vec![head(scene, width, paint), String::new()];
    text.extend(board(scene, width, paint));
    text.push(String::new());
    if scene.cut.is_safe() {
        text.push(paint.well(&cut(&format!("YOU MAY CUT THE POWER NOW: {}", scene.cut.because()), width)));
    }
    if let Some(why) = &scene.stale {
        text.push(paint.doubtful(&cut(&format!("NOT LIVE: {why}"), width)));
    }
    text.extend(
        scene.remarks.iter().take(4).map(|remark| paint.doubtful(&cut(&format!("! {remark}"), width))),
    );
    let room = lines.saturating_sub(text.len() + 1).max(2);
    let log = scene.log.iter().rev().take(room);
    text.extend(log.map(|line| paint.faint(&cut(line, width))));
    text.push(String::new());
    text.join("\n")
}

fn head(scene: &Scene, width: usize, paint: Paint) -> String {
    let scenario = scene.scenario.as_deref().map(|name| format!(" · {name}")).unwrap_or_default();
    let doing = scene.doing();
    let line = cut(&format!("{}{scenario} · {doing} · {}", scene.lab, scene.tally()), width);
    line.replacen(&doing, &painted(paint, scene.tone(), &doing), 1)
}

fn board(scene: &Scene, width: usize, paint: Paint) -> Vec<String> {
    let (columns, rows) = (usize::from(scene.board.0), usize::from(scene.board.1));
    let room = (width / columns).saturating_sub(2).min(WIDEST);
    let mut lines = Vec::new();
    for row in 1..=rows {
        let mut pair = [String::new(), String::new()];
        for column in 1..=columns {
            let is_here =
                |bay: &&Bay| usize::from(bay.cell.column) == column && usize::from(bay.cell.row) == row;
            let bay = scene.bays.iter().find(is_here);
            if room < NARROWEST {
                let shape =
                    bay.map_or_else(|| " ".to_owned(), |bay| painted(paint, bay.tone, shape(bay.tone)));
                pair[0].push_str(&shape);
                continue;
            }
            let (name, word) = bay.map(|bay| (bay.name.as_str(), worded(bay))).unwrap_or_default();
            let padded = |text: &str| format!("{:room$}", cut(text, room - 2), room = room - 2);
            let mark = bay.map_or_else(|| " ".to_owned(), |bay| painted(paint, bay.tone, shape(bay.tone)));
            let word = bay.map_or_else(|| padded(""), |bay| painted(paint, bay.tone, &padded(&word)));
            pair[0].push_str(&format!("{mark} {}  ", padded(name)));
            pair[1].push_str(&format!("  {word}  "));
        }
        lines.extend(pair.iter().map(|line| line.trim_end().to_owned()).filter(|line| !line.is_empty()));
    }
    lines
}

/// The word, and how far up it is while it climbs.
fn worded(bay: &Bay) -> String {
    match bay.tone {
        Tone::Moving => format!("{} {} %", bay.word, bay.part),
        Tone::Broken if !bay.detail.is_empty() => bay.detail.clone(),
        Tone::Off | Tone::Well | Tone::Doubtful | Tone::Broken => bay.word.to_string(),
    }
}

const fn shape(tone: Tone) -> &'static str {
    match tone {
        Tone::Off => "○",
        Tone::Well => "●",
        Tone::Moving => "▶",
        Tone::Doubtful => "▲",
        Tone::Broken => "✗",
    }
}

fn painted(paint: Paint, tone: Tone, text: &str) -> String {
    match tone {
        Tone::Off => paint.faint(text),
        Tone::Well => paint.well(text),
        Tone::Moving => paint.moving(text),
        Tone::Doubtful => paint.doubtful(text),
        Tone::Broken => paint.broken(text),
    }
}
