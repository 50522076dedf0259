//! Shapes, letters and colours: all that the two pictures are drawn with.

use embedded_graphics::Drawable as _;
use embedded_graphics::geometry::{Point, Size};
use embedded_graphics::mono_font::{MonoFont, MonoTextStyle};
use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::primitives::{
    Circle, Line, Primitive as _, PrimitiveStyle, Rectangle, RoundedRectangle, Triangle,
};
use embedded_graphics::text::{Baseline, Text};

use super::{Canvas, Tone};

/// Behind everything.
pub(super) const GROUND: Rgb888 = Rgb888::new(0x0d, 0x11, 0x17);
/// What lies on it.
pub(super) const PANEL: Rgb888 = Rgb888::new(0x1a, 0x20, 0x2a);
/// A bar that is not filled, an edge.
pub(super) const EDGE: Rgb888 = Rgb888::new(0x3a, 0x44, 0x52);
/// Text.
pub(super) const TEXT: Rgb888 = Rgb888::new(0xf0, 0xf4, 0xf8);
/// Text of little weight.
pub(super) const FAINT: Rgb888 = Rgb888::new(0xa0, 0xac, 0xba);
/// Zones, in turn.
const ZONES: [Rgb888; 6] = [
    Rgb888::new(0x4c, 0x8d, 0xd6),
    Rgb888::new(0xb0, 0x7c, 0xd8),
    Rgb888::new(0x3f, 0xb0, 0xa5),
    Rgb888::new(0xd8, 0x90, 0x4c),
    Rgb888::new(0xd6, 0x6c, 0x9a),
    Rgb888::new(0x9a, 0xae, 0x4a),
];

/// The colour of a tone. Each is told by its shape, too.
pub(super) const fn color(tone: Tone) -> Rgb888 {
    match tone {
        Tone::Off => Rgb888::new(0x8a, 0x96, 0xa4),
        Tone::Well => Rgb888::new(0x4a, 0xd0, 0x66),
        Tone::Moving => Rgb888::new(0x64, 0xb4, 0xff),
        Tone::Doubtful => Rgb888::new(0xf0, 0xbe, 0x46),
        Tone::Broken => Rgb888::new(0xff, 0x6a, 0x60),
    }
}

/// The colour of a zone.
pub(super) fn zone(zone: Option<u8>) -> Rgb888 {
    let at = zone.map(|zone| usize::from(zone.saturating_sub(1)) % ZONES.len());
    at.and_then(|at| ZONES.get(at)).copied().unwrap_or(EDGE)
}

/// A piece of the picture: left, top, width, height.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Area {
    pub(super) x: i32,
    pub(super) y: i32,
    pub(super) w: i32,
    pub(super) h: i32,
}

impl Area {
    pub(super) const fn new(x: i32, y: i32, w: i32, h: i32) -> Self {
        Self { x, y, w, h }
    }

    fn rectangle(self) -> Rectangle {
        Rectangle::new(Point::new(self.x, self.y), size(self.w, self.h))
    }
}

/// Draws on a canvas.
#[derive(Debug)]
pub(super) struct Pen<'a>(pub(super) &'a mut Canvas);

impl Pen<'_> {
    pub(super) fn fill(&mut self, area: Area, color: Rgb888) {
        let Ok(()) = area.rectangle().into_styled(PrimitiveStyle::with_fill(color)).draw(self.0);
    }

    pub(super) fn round(&mut self, area: Area, radius: i32, color: Rgb888) {
        let shape = RoundedRectangle::with_equal_corners(area.rectangle(), size(radius, radius));
        let Ok(()) = shape.into_styled(PrimitiveStyle::with_fill(color)).draw(self.0);
    }

    pub(super) fn frame(&mut self, area: Area, color: Rgb888) {
        let Ok(()) = area.rectangle().into_styled(PrimitiveStyle::with_stroke(color, 1)).draw(self.0);
    }

    pub(super) fn line(&mut self, from: (i32, i32), to: (i32, i32), (color, width): (Rgb888, u32)) {
        let line = Line::new(Point::new(from.0, from.1), Point::new(to.0, to.1));
        let Ok(()) = line.into_styled(PrimitiveStyle::with_stroke(color, width)).draw(self.0);
    }

    /// Text whose upper left corner is here; gives where it ends.
    pub(super) fn text(&mut self, x: i32, y: i32, text: &str, (font, color): (&MonoFont<'_>, Rgb888)) -> i32 {
        let text = latin(text);
        let style = MonoTextStyle::new(font, color);
        let Ok(end) = Text::with_baseline(&text, Point::new(x, y), style, Baseline::Top).draw(self.0);
        end.x
    }

    /// Text that ends before `x`; gives where it begins.
    pub(super) fn text_before(
        &mut self,
        x: i32,
        y: i32,
        text: &str,
        (font, color): (&MonoFont<'_>, Rgb888),
    ) -> i32 {
        let begins = x - width(text, font);
        self.text(begins, y, text, (font, color));
        begins
    }

    /// The shape of a tone in a square of this size: a ring, a disc, an arrow, a triangle, a cross.
    pub(super) fn shape(&mut self, (x, y): (i32, i32), side: i32, tone: Tone) {
        let color = color(tone);
        let (filled, stroked) = (PrimitiveStyle::with_fill(color), PrimitiveStyle::with_stroke(color, 2));
        let corner = |dx: i32, dy: i32| Point::new(x + dx, y + dy);
        let (end, middle) = (side - 1, side / 2);
        let dots = u32::try_from(side).unwrap_or(0);
        let Ok(()) = match tone {
            Tone::Off => Circle::new(corner(1, 1), dots.saturating_sub(2)).into_styled(stroked).draw(self.0),
            Tone::Well => Circle::new(corner(0, 0), dots).into_styled(filled).draw(self.0),
            Tone::Moving => Triangle::new(corner(1, 0), corner(1, end), corner(end, middle))
                .into_styled(filled)
                .draw(self.0),
            Tone::Doubtful => Triangle::new(corner(0, end), corner(end, end), corner(middle, 0))
                .into_styled(filled)
                .draw(self.0),
            Tone::Broken => {
                self.line((x, y), (x + end, y + end), (color, 3));
                self.line((x, y + end), (x + end, y), (color, 3));
                Ok(())
            }
        };
    }
}

/// Dots across of a text.
pub(super) fn width(text: &str, font: &MonoFont<'_>) -> i32 {
    let letters = i32::try_from(latin(text).chars().count()).unwrap_or(i32::MAX);
    letters.saturating_mul(letter(font))
}

/// Dots across of a letter.
pub(super) fn letter(font: &MonoFont<'_>) -> i32 {
    i32::try_from(font.character_size.width + font.character_spacing).unwrap_or(i32::MAX)
}

/// As much of a text as has room in so many dots.
pub(super) fn fitting(text: &str, room: i32, font: &MonoFont<'_>) -> String {
    let letters = usize::try_from(room / letter(font).max(1)).unwrap_or(0);
    let text = latin(text);
    if text.chars().count() <= letters {
        return text;
    }
    let mut short: String = text.chars().take(letters.saturating_sub(2)).collect();
    short.push_str(if letters < 3 { "" } else { ".." });
    short
}

/// A text in letters that the fonts have (ISO 8859-1).
fn latin(text: &str) -> String {
    let mut latin = String::new();
    for c in text.chars() {
        match c {
            '…' => latin.push_str(".."),
            '→' => latin.push_str("->"),
            '–' | '—' => latin.push('-'),
            '“' | '”' => latin.push('"'),
            '’' | '‘' => latin.push('\''),
            ' '..='~' | '\u{a0}'..='ÿ' => latin.push(c),
            _ => latin.push('?'),
        }
    }
    latin
}

fn size(w: i32, h: i32) -> Size {
    Size::new(u32::try_from(w).unwrap_or(0), u32::try_from(h).unwrap_or(0))
}
