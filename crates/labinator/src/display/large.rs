//! The large picture: 480x272 dots or more, in colour.
//!
//! ```text
//!   ┌ lab  scenario ───────────────── booting 1:12 ┐
//!   │ 3 of 6 ready  ▓▓▓▓▓▓▓▓▓░░░░░░░░░░░░░░░░░░░░░ │
//!   │ ┌──────┐ ┌──────┐ ┌──────┐                   │   the board as it stands
//!   │ └──────┘ └──────┘ └──────┘                   │
//!   │ ! what a person should look at               │   or: YOU MAY CUT THE POWER NOW
//!   └ 14:02:42 what happened last ─────────────────┘
//! ```

use embedded_graphics::mono_font::MonoFont;
use embedded_graphics::mono_font::iso_8859_1::{
    FONT_5X8, FONT_6X10, FONT_6X12, FONT_7X13, FONT_7X13_BOLD, FONT_9X15, FONT_9X15_BOLD, FONT_10X20,
};
use model::PowerState;

use super::pen::{Area, EDGE, FAINT, GROUND, PANEL, Pen, TEXT, color, fitting, letter, width, zone};
use super::{Bay, Canvas, Scene, Tone};
use crate::cli::render::clock;

/// Dots between things and the edge.
const EDGE_GAP: i32 = 6;
/// Rows of the head.
const HEAD: i32 = 30;
/// Rows of the line with the tally.
const TALLY: i32 = 22;
/// Rows of the band with the last word.
const BAND: i32 = 34;
/// Lines at the foot, of a picture of 272 rows.
const LINES: i32 = 5;

/// Letters and measures of one size of type.
struct Type {
    name: &'static MonoFont<'static>,
    word: &'static MonoFont<'static>,
    reason: &'static MonoFont<'static>,
    line: &'static MonoFont<'static>,
    /// Widest and highest bay: a board of one row is no wall of towers.
    bay: (i32, i32),
}

/// For a display of about 480x272.
const SMALL: Type =
    Type { name: &FONT_7X13_BOLD, word: &FONT_6X12, reason: &FONT_5X8, line: &FONT_6X10, bay: (150, 72) };

/// For one of 640x400 or more.
const LARGE: Type =
    Type { name: &FONT_9X15_BOLD, word: &FONT_9X15, reason: &FONT_7X13, line: &FONT_7X13, bay: (330, 130) };

/// Rows of a line of letters.
fn rows(font: &MonoFont<'_>) -> i32 {
    i32::try_from(font.character_size.height).unwrap_or(0)
}

pub(super) fn draw(scene: &Scene, canvas: &mut Canvas) {
    let dots = |count: u32| i32::try_from(count).unwrap_or(i32::MAX);
    let (w, h) = (dots(canvas.width()), dots(canvas.height()));
    let mut pen = Pen(canvas);
    pen.fill(Area::new(0, 0, w, h), GROUND);
    head(&mut pen, scene, w);
    tally(&mut pen, scene, w);
    let letters = if w >= 640 && h >= 400 { LARGE } else { SMALL };
    let line = rows(letters.line) + 2;
    let lines = (LINES + (h - 272) / (3 * line)).max(2);
    let foot = h - EDGE_GAP - lines * line;
    let has_band = scene.cut.is_safe() || scene.stale.is_some();
    let end = if has_band { foot - BAND } else { foot };
    let middle = Area::new(EDGE_GAP, HEAD + TALLY, w - 2 * EDGE_GAP, end - HEAD - TALLY - EDGE_GAP);
    board(&mut pen, scene, middle, &letters);
    if has_band {
        band(&mut pen, scene, Area::new(0, end, w, BAND));
    }
    let area = Area::new(EDGE_GAP, foot + 2, w - 2 * EDGE_GAP, lines * line);
    self::foot(&mut pen, scene, area, letters.line);
}

fn head(pen: &mut Pen<'_>, scene: &Scene, w: i32) {
    pen.fill(Area::new(0, 0, w, HEAD), PANEL);
    let (doing, tone) = (scene.doing(), scene.tone());
    let pill = width(&doing, &FONT_7X13_BOLD) + 28;
    let left = w - EDGE_GAP - pill;
    pen.round(Area::new(left, 5, pill, HEAD - 10), 9, color(tone));
    pen.text(left + 14, 9, &doing, (&FONT_7X13_BOLD, GROUND));
    let name = fitting(&scene.lab, left - 2 * EDGE_GAP, &FONT_10X20);
    let end = pen.text(EDGE_GAP, 5, &name, (&FONT_10X20, TEXT));
    if let Some(scenario) = &scene.scenario {
        let text = fitting(scenario, left - end - 3 * EDGE_GAP, &FONT_7X13);
        pen.text(end + 10, 10, &text, (&FONT_7X13, FAINT));
    }
}

fn tally(pen: &mut Pen<'_>, scene: &Scene, w: i32) {
    let end = pen.text(EDGE_GAP, HEAD + 5, &scene.tally(), (&FONT_7X13_BOLD, TEXT));
    let (ready, wanted) = scene.ready;
    if wanted == 0 {
        return;
    }
    let bar = Area::new(end + 12, HEAD + 7, w - EDGE_GAP - end - 12, 9);
    pen.round(bar, 4, EDGE);
    let share = |count: usize| {
        let parts = i64::try_from(count).unwrap_or(0) * i64::from(bar.w);
        i32::try_from(parts / i64::try_from(wanted).unwrap_or(1).max(1)).unwrap_or(0)
    };
    if ready > 0 {
        pen.round(Area { w: share(ready).min(bar.w), ..bar }, 4, color(Tone::Well));
    }
}

/// The machines where they stand.
fn board(pen: &mut Pen<'_>, scene: &Scene, area: Area, letters: &Type) {
    let (columns, rows) = (i32::from(scene.board.0), i32::from(scene.board.1));
    let gap = if columns > 12 || rows > 6 { 2 } else { 5 };
    let (w, h) = ((area.w + gap) / columns - gap, (area.h + gap) / rows - gap);
    let (w, h) = (w.clamp(2, letters.bay.0), h.clamp(2, letters.bay.1));
    let left = area.x + (area.w - (w + gap) * columns + gap).max(0) / 2;
    let top = area.y + (area.h - (h + gap) * rows + gap).max(0) / 2;
    for bay in &scene.bays {
        let (column, row) = (i32::from(bay.cell.column) - 1, i32::from(bay.cell.row) - 1);
        let place = Area::new(left + column * (w + gap), top + row * (h + gap), w, h);
        if w >= 110 && h >= 60 {
            wide(pen, bay, place, letters);
        } else if w >= 50 && h >= 28 {
            wide(pen, bay, place, &SMALL);
        } else if w >= 22 && h >= 20 {
            narrow(pen, bay, place);
        } else if w >= 9 && h >= 9 {
            pen.fill(place, PANEL);
            let side = w.min(h) - 4;
            pen.shape((place.x + (w - side) / 2, place.y + 2), side, bay.tone);
        } else {
            pen.fill(place, color(bay.tone));
        }
    }
}

/// A bay with room for name, word and reason.
fn wide(pen: &mut Pen<'_>, bay: &Bay, area: Area, letters: &Type) {
    pen.round(area, 4, PANEL);
    pen.round(Area { w: 4, ..area }, 2, zone(bay.zone));
    let left = area.x + 9;
    let room = area.w - 9 - 4;
    let side = rows(letters.name) - 2;
    pen.shape((left, area.y + 5), side, bay.tone);
    let name = fitting(&bay.name, room - side - 5 - 10, letters.name);
    pen.text(left + side + 5, area.y + 4, &name, (letters.name, TEXT));
    power(pen, (area.x + area.w - 11, area.y + 6), bay.power);
    let bar = Area::new(left, area.y + area.h - 7, room, 3);
    let mut y = area.y + rows(letters.name) + 6;
    if y + rows(letters.word) < bar.y {
        let word = fitting(&bay.word.to_string(), room, letters.word);
        pen.text(left, y, &word, (letters.word, color(bay.tone)));
        y += rows(letters.word) + 2;
    }
    let end = if bay.guests.is_empty() { bar.y } else { bar.y - 9 };
    let lines = ((end - y) / (rows(letters.reason) + 1)).min(3);
    reason(pen, &bay.detail, (left, y), (room, lines, letters.reason));
    guests(pen, bay, (left, bar.y - 9), room);
    if !matches!(bay.tone, Tone::Off) {
        pen.fill(bar, EDGE);
        pen.fill(Area { w: room * i32::from(bay.part.min(100)) / 100, ..bar }, color(bay.tone));
    }
}

/// Why, on as many lines as there is room for.
fn reason(pen: &mut Pen<'_>, text: &str, (x, y): (i32, i32), (room, lines, font): (i32, i32, &MonoFont<'_>)) {
    let letters = usize::try_from(room / letter(font)).unwrap_or(0);
    let mut words = text.split(' ').peekable();
    for at in 0..lines {
        let mut line = String::new();
        while let Some(word) = words.next_if(|word| line.is_empty() || line.len() + 1 + word.len() <= letters)
        {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        if at + 1 == lines && words.peek().is_some() {
            line.push_str(" ..");
        }
        pen.text(x, y + at * (rows(font) + 1), &fitting(&line, room, font), (font, FAINT));
    }
}

/// A bay with room for its shape and the end of its name, which differs where the beginning does not.
fn narrow(pen: &mut Pen<'_>, bay: &Bay, area: Area) {
    pen.round(area, 3, PANEL);
    pen.fill(Area { w: 2, ..area }, zone(bay.zone));
    pen.shape((area.x + area.w / 2 - 4, area.y + 2), 9, bay.tone);
    let letters = usize::try_from((area.w - 4) / letter(&FONT_5X8)).unwrap_or(0);
    let skipped = bay.name.chars().count().saturating_sub(letters);
    let name: String = bay.name.chars().skip(skipped).collect();
    let left = area.x + (area.w - width(&name, &FONT_5X8)) / 2 + 1;
    pen.text(left, area.y + area.h - 9, &name, (&FONT_5X8, TEXT));
}

/// One small square a guest.
fn guests(pen: &mut Pen<'_>, bay: &Bay, (x, y): (i32, i32), room: i32) {
    let most = usize::try_from(room / 8).unwrap_or(0);
    for (at, tone) in (0..).zip(bay.guests.iter().take(most)) {
        pen.fill(Area::new(x + at * 8, y, 6, 6), color(*tone));
    }
}

/// A lamp: lit where the machine was seen on, a ring where it was seen off, a question where nobody knows.
fn power(pen: &mut Pen<'_>, (x, y): (i32, i32), state: PowerState) {
    let lamp = Area::new(x, y, 7, 7);
    match state {
        PowerState::On => pen.round(lamp, 3, color(Tone::Well)),
        PowerState::Off => pen.frame(lamp, EDGE),
        PowerState::Changing => pen.round(lamp, 3, color(Tone::Moving)),
        PowerState::Unknown => {
            pen.text(x, y - 3, "?", (&FONT_7X13_BOLD, color(Tone::Doubtful)));
        }
    }
}

/// What must not be overlooked: that the power may be cut, or that this is not how it is now.
fn band(pen: &mut Pen<'_>, scene: &Scene, area: Area) {
    let (tone, text) = match &scene.stale {
        Some(_) => (Tone::Doubtful, "NOT LIVE"),
        None => (Tone::Well, "YOU MAY CUT THE POWER NOW"),
    };
    pen.fill(area, color(tone));
    let middle = |text: &str, font| area.x + (area.w - width(text, font)) / 2;
    pen.text(middle(text, &FONT_9X15_BOLD), area.y + 4, text, (&FONT_9X15_BOLD, GROUND));
    let why = fitting(scene.cut.because(), area.w - 2 * EDGE_GAP, &FONT_6X10);
    pen.text(middle(&why, &FONT_6X10), area.y + 20, &why, (&FONT_6X10, GROUND));
}

/// Remarks first, then what happened, the newest first.
fn foot(pen: &mut Pen<'_>, scene: &Scene, area: Area, font: &MonoFont<'_>) {
    let height = rows(font) + 2;
    let lines = usize::try_from(area.h / height).unwrap_or(0);
    let most = if scene.log.is_empty() { lines } else { lines / 2 };
    let remarks = scene.remarks.iter().take(most);
    let mut y = area.y;
    let shown = remarks.len();
    for remark in remarks {
        pen.text(area.x, y, "!", (&FONT_7X13_BOLD, color(Tone::Doubtful)));
        let text = fitting(remark, area.w - 12, font);
        pen.text(area.x + 12, y + 1, &text, (font, color(Tone::Doubtful)));
        y += height;
    }
    let time = clock(scene.clock);
    let last = y;
    for line in scene.log.iter().rev().take(lines - shown) {
        let (tint, taken) = if y == last { (TEXT, width(&time, font) + 8) } else { (FAINT, 0) };
        pen.text(area.x, y + 1, &fitting(line, area.w - taken, font), (font, tint));
        y += height;
    }
    if scene.clock.0 > 0 {
        pen.text_before(area.x + area.w, last + 1, &time, (font, FAINT));
    }
}
