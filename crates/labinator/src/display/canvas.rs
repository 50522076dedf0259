//! Dots in memory that shapes and letters are drawn on.

use std::convert::Infallible;

use embedded_graphics::Pixel;
use embedded_graphics::draw_target::DrawTarget;
use embedded_graphics::geometry::{OriginDimensions, Size};
use embedded_graphics::pixelcolor::{Rgb888, RgbColor as _};

/// A picture of red, green and blue dots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Canvas {
    width: u32,
    height: u32,
    /// Row by row, from the top.
    dots: Vec<Rgb888>,
}

impl Canvas {
    /// A black one.
    #[must_use]
    pub fn new(width: u32, height: u32) -> Self {
        Self { width, height, dots: vec![Rgb888::BLACK; area(width, height)] }
    }

    /// One with these dots, three bytes each, row by row. `None` where there are not as many as it has room for.
    #[must_use]
    pub fn of_bytes(width: u32, height: u32, bytes: &[u8]) -> Option<Self> {
        let (dots, rest) = bytes.as_chunks::<3>();
        let dots: Vec<Rgb888> = dots.iter().map(|[r, g, b]| Rgb888::new(*r, *g, *b)).collect();
        (rest.is_empty() && dots.len() == area(width, height)).then_some(Self { width, height, dots })
    }

    /// Dots across.
    #[must_use]
    pub const fn width(&self) -> u32 {
        self.width
    }

    /// Dots down.
    #[must_use]
    pub const fn height(&self) -> u32 {
        self.height
    }

    /// The rows from the top, each from the left.
    pub fn rows(&self) -> impl Iterator<Item = &[Rgb888]> {
        self.dots.chunks(area(self.width, 1).max(1))
    }

    /// Each dot as a square of `scale` dots, in the middle of a display of this size.
    pub(super) fn enlarged(self, scale: u32, (width, height): (u32, u32)) -> Self {
        if scale == 1 && (width, height) == (self.width, self.height) {
            return self;
        }
        let left = (width - (self.width * scale).min(width)) / 2;
        let top = (height - (self.height * scale).min(height)) / 2;
        let dot = |x: u32, y: u32| {
            let (x, y) = (x.checked_sub(left)? / scale, y.checked_sub(top)? / scale);
            self.place(x, y).and_then(|at| self.dots.get(at)).copied()
        };
        let dots = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        let dots = dots.map(|(x, y)| dot(x, y).unwrap_or(Rgb888::BLACK)).collect();
        Self { width, height, dots }
    }

    fn place(&self, x: u32, y: u32) -> Option<usize> {
        (x < self.width && y < self.height).then(|| area(self.width, y) + area(x, 1))
    }
}

fn area(width: u32, height: u32) -> usize {
    usize::try_from(u64::from(width) * u64::from(height)).unwrap_or(usize::MAX)
}

impl OriginDimensions for Canvas {
    fn size(&self) -> Size {
        Size::new(self.width, self.height)
    }
}

impl DrawTarget for Canvas {
    type Color = Rgb888;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<Rgb888>>>(&mut self, dots: I) -> Result<(), Infallible> {
        for Pixel(at, color) in dots {
            let at = u32::try_from(at.x).ok().zip(u32::try_from(at.y).ok());
            let place = at.and_then(|(x, y)| self.place(x, y));
            if let Some(dot) = place.and_then(|at| self.dots.get_mut(at)) {
                *dot = color;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use embedded_graphics::geometry::Point;

    use super::*;

    #[test]
    fn a_dot_outside_is_left_out_and_an_enlarged_one_is_a_square_in_the_middle() {
        let mut canvas = Canvas::new(2, 1);
        let dots = [(0, 0), (2, 0), (-1, 0), (0, 1)].map(|(x, y)| Pixel(Point::new(x, y), Rgb888::RED));
        let Ok(()) = canvas.draw_iter(dots);
        let large = canvas.enlarged(2, (5, 3));
        let red: Vec<Vec<bool>> =
            large.rows().map(|row| row.iter().map(|dot| *dot == Rgb888::RED).collect()).collect();
        assert_eq!(red, [[true, true, false, false, false], [true, true, false, false, false], [false; 5]]);
    }
}
