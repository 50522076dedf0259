//! The lab on a small display: one scene made of the published picture, and the ways to show it.
//!
//! ```text
//!   picture ─▶ Scene ─┬─▶ draw ─▶ Canvas ─┬─▶ PNG
//!                     │                   └─▶ framebuffer
//!                     ├─▶ text on a terminal
//!                     └─▶ lines of the original status display
//! ```
//!
//! Nothing here asks anybody: who shows reads the picture as every other reader does, in a process of its own.

mod canvas;
mod framebuffer;
mod large;
mod lines;
mod pen;
mod png;
mod scene;
mod small;
mod text;

pub use canvas::Canvas;
pub use framebuffer::{Framebuffer, FramebufferError};
pub use lines::shown;
pub use png::{PngError, decode, encode};
pub use scene::{Bay, Scene, Tone};
pub use text::text;

/// Dots of the smallest display that the large picture is made for.
const LARGE: (u32, u32) = (480, 272);
/// Dots of the smallest display.
const SMALL: (u32, u32) = (128, 64);

/// Draws a scene for a display of so many dots: the large picture from 320x200 on, else the small one, in black and white.
/// On a display with twice the dots everything is twice as large.
#[must_use]
pub fn draw(scene: &Scene, width: u32, height: u32) -> Canvas {
    let is_large = width >= 320 && height >= 200;
    let (across, down) = if is_large { LARGE } else { SMALL };
    let scale = (width / across).min(height / down).max(1);
    let mut canvas = Canvas::new(width / scale, height / scale);
    if is_large {
        large::draw(scene, &mut canvas);
    } else {
        small::draw(scene, &mut canvas);
    }
    canvas.enlarged(scale, (width, height))
}
