//! What a person in front of the machine reads: one line a fact, and a line that moves while something does.

use core::fmt::Arguments;

use uefi::{print, println, system};

/// Milliseconds between two updates of a line: firmware draws slowly.
const EVERY: u64 = 500;

/// The screen.
#[derive(Debug, Default)]
pub(crate) struct Screen {
    moved: u64,
    open: bool,
}

impl Screen {
    /// Clears it and says who is here.
    pub(crate) fn begin(&mut self, version: &str) {
        // A console that cannot be cleared is written on all the same.
        system::with_stdout(|out| drop(out.clear()));
        println!("Labinator's loader {version}\n");
    }

    /// A fact: what it is about, and what it is.
    pub(crate) fn fact(&mut self, about: &str, what: Arguments<'_>) {
        self.end_line();
        println!("  {about:<9} {what}");
    }

    /// How far something is, in bytes: what is done, and with what.
    pub(crate) fn moves(&mut self, now: u64, (what, name): (&str, &str), (done, all): (u64, u64)) {
        if now < self.moved + EVERY && done < all {
            return;
        }
        self.moved = now;
        self.open = true;
        let percent = (done * 100).checked_div(all).unwrap_or(100);
        print!("\r  {:<9} {name}: {} of {} kB, {percent} %", what, done / 1_000, all / 1_000);
    }

    fn end_line(&mut self) {
        if core::mem::take(&mut self.open) {
            println!();
        }
    }
}
