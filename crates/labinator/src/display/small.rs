//! The small picture: 128x64 dots or more, each on or off.
//!
//! ```text
//!   demo                4/6      lab, machines that are ready
//!   booting 1:12                 what is being done
//!   ■ ■ ▣ ▢ x ?                  one square a machine, as the board stands: filled, filling, empty, crossed, asked for
//!   node4: never-asked           what a person should look at, or:  POWER MAY BE CUT
//! ```

use embedded_graphics::mono_font::iso_8859_1::{FONT_5X7, FONT_6X10, FONT_6X13_BOLD};
use embedded_graphics::pixelcolor::{Rgb888, RgbColor as _};

use super::pen::{Area, Pen, fitting, width};
use super::{Bay, Canvas, Scene, Tone};

/// Rows of the line at the foot.
const FOOT: i32 = 11;
/// Rows of the two lines at the head.
const HEAD: i32 = 24;

pub(super) fn draw(scene: &Scene, canvas: &mut Canvas) {
    let dots = |count: u32| i32::try_from(count).unwrap_or(i32::MAX);
    let (w, h) = (dots(canvas.width()), dots(canvas.height()));
    let (on, off) = (Rgb888::WHITE, Rgb888::BLACK);
    let mut pen = Pen(canvas);
    let (ready, wanted) = scene.ready;
    let count = if wanted == 0 { String::new() } else { format!("{ready}/{wanted}") };
    let begins = pen.text_before(w, 0, &count, (&FONT_6X13_BOLD, on));
    pen.text(0, 0, &fitting(&scene.lab, begins - 4, &FONT_6X13_BOLD), (&FONT_6X13_BOLD, on));
    pen.text(0, 13, &fitting(&scene.doing(), w, &FONT_6X10), (&FONT_6X10, on));
    bays(&mut pen, scene, Area::new(0, HEAD, w, h - HEAD - FOOT - 1));
    let foot = Area::new(0, h - FOOT, w, FOOT);
    let word = |text: &str| text.to_owned();
    match (&scene.stale, scene.cut.is_safe()) {
        (Some(_), _) => said(&mut pen, foot, "NOT LIVE"),
        (None, true) => said(&mut pen, foot, "POWER MAY BE CUT"),
        (None, false) => {
            let text =
                scene.remarks.first().or_else(|| scene.log.last()).cloned().unwrap_or_else(|| word(""));
            pen.line((0, foot.y), (w, foot.y), (on, 1));
            pen.text(0, foot.y + 3, &fitting(&text, w, &FONT_5X7), (&FONT_5X7, on));
        }
    }
    // Nothing between on and off.
    debug_assert!(pen.0.rows().flatten().all(|dot| [on, off].contains(dot)));
}

/// Dark letters on a band of light.
fn said(pen: &mut Pen<'_>, area: Area, text: &str) {
    pen.fill(area, Rgb888::WHITE);
    let left = (area.w - width(text, &FONT_6X10)) / 2;
    pen.text(left, area.y + 1, text, (&FONT_6X10, Rgb888::BLACK));
}

fn bays(pen: &mut Pen<'_>, scene: &Scene, area: Area) {
    let (columns, rows) = (i32::from(scene.board.0), i32::from(scene.board.1));
    let side = ((area.w + 2) / columns - 2).min((area.h + 2) / rows - 2).clamp(2, 19);
    for bay in &scene.bays {
        let (column, row) = (i32::from(bay.cell.column) - 1, i32::from(bay.cell.row) - 1);
        let at = (area.x + column * (side + 2), area.y + row * (side + 2));
        square(pen, bay, Area::new(at.0, at.1, side, side));
    }
}

fn square(pen: &mut Pen<'_>, bay: &Bay, area: Area) {
    let on = Rgb888::WHITE;
    if area.w < 5 {
        match bay.tone {
            Tone::Well => pen.fill(area, on),
            Tone::Moving => pen.frame(area, on),
            Tone::Off | Tone::Doubtful | Tone::Broken => pen.fill(Area { w: 1, h: 1, ..area }, on),
        }
        return;
    }
    let (right, bottom) = (area.x + area.w - 1, area.y + area.h - 1);
    match bay.tone {
        Tone::Well => pen.fill(area, on),
        Tone::Moving => {
            pen.frame(area, on);
            // Filled from below as it climbs.
            let rows = (area.h - 2) * i32::from(bay.part.min(100)) / 100;
            pen.fill(Area { y: area.y + area.h - 1 - rows, h: rows, ..area }, on);
        }
        Tone::Off => pen
            .frame(Area { x: area.x + area.w / 3, y: area.y + area.h / 3, w: area.w / 3, h: area.h / 3 }, on),
        Tone::Broken => {
            pen.frame(area, on);
            pen.line((area.x, area.y), (right, bottom), (on, 1));
            pen.line((area.x, bottom), (right, area.y), (on, 1));
        }
        Tone::Doubtful => {
            pen.frame(area, on);
            let (x, y) = (area.x + (area.w - 4) / 2, area.y + (area.h - 7) / 2);
            pen.text(x, y, "?", (&FONT_5X7, on));
        }
    }
}
