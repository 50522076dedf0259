//! `display`: the lab on small displays, each shown by a process of its own that reads the controller's picture.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Subcommand};
use drivers::display::{Condition, Manner, StatusDisplay};
use model::Snapshot;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::client::Client;
use super::out::{self, Look, Paper};
use super::render::{Names, clock, sentence};
use super::stream::{Follower, Heard};
use super::verbs::page;
use super::wait::take;
use super::{Failure, Globals};
use crate::display::{Framebuffer, Scene, draw, encode, shown, text};

/// Lines of what happened that are kept.
const LOG: usize = 24;
/// Shortest time between two pictures.
const PICTURE: Duration = Duration::from_millis(250);
/// Pause before a controller that does not answer is asked again.
const AGAIN: Duration = Duration::from_secs(2);
/// How long the last word may take.
const LAST_WORD: Duration = Duration::from_secs(3);
/// Most dots across or down of a picture.
const LARGEST: u32 = 4096;

/// Where the lab is shown.
#[derive(Debug, Clone, Subcommand)]
pub enum DisplayVerb {
    /// Draw the lab as it is now into a PNG file
    Png(PngArgs),
    /// Show it on this terminal, until Ctrl-C
    Terminal,
    /// Show it on a framebuffer of this computer, until Ctrl-C
    Framebuffer {
        /// The device; its size is read from the kernel
        #[arg(default_value = "/dev/fb0")]
        device: PathBuf,
    },
    /// Show it on the original's status display, until Ctrl-C
    Serial {
        /// Its serial port, such as /dev/serial/by-id/usb-…, or tcp://HOST:PORT of one elsewhere
        device: String,
    },
}

/// Options of `display png`.
#[derive(Debug, Clone, Args)]
pub struct PngArgs {
    /// The file that is written
    pub file: PathBuf,
    /// Its dots across and down
    #[arg(long, value_name = "WxH", default_value = "480x272")]
    pub size: Dots,
}

/// Dots across and down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dots(u32, u32);

impl FromStr for Dots {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let side = |text: &str| text.parse().ok().filter(|side| (16..=LARGEST).contains(side));
        let sides = text.split_once('x').and_then(|(w, h)| Some(Self(side(w)?, side(h)?)));
        sides.ok_or_else(|| format!("a size is WIDTHxHEIGHT, such as 480x272, each from 16 to {LARGEST}"))
    }
}

/// Shows the lab.
///
/// # Errors
/// The display, or the controller, is not what it should be. A controller that does not answer is none: it is waited for.
pub async fn display(globals: &Globals, verb: DisplayVerb) -> Result<(), Failure> {
    let (client, look) = (Client::new(globals), Look::new(globals));
    match verb {
        DisplayVerb::Png(PngArgs { file, size }) => {
            let picture: Snapshot = client.get("/v1/snapshot").await?;
            let mut seen = Seen::default();
            seen.begins(&client, picture).await;
            let canvas = draw(&seen.scene(), size.0, size.1);
            let written = std::fs::write(&file, encode(&canvas));
            written.map_err(|why| Failure::failed(format!("{}: {why}", file.display())))
        }
        DisplayVerb::Terminal => on_terminal(&client, look).await,
        DisplayVerb::Framebuffer { device } => {
            let wrong = |why: crate::display::FramebufferError| {
                Failure::with_advice(why.to_string(), "`ls /sys/class/graphics` lists what this computer has")
            };
            let framebuffer =
                Framebuffer::open(&device, std::path::Path::new("/sys/class/graphics")).map_err(wrong)?;
            let (width, height) = framebuffer.size();
            let shows =
                |seen: &mut Seen| framebuffer.show(&draw(&seen.scene(), width, height)).map_err(wrong);
            watched(&client, shows).await
        }
        DisplayVerb::Serial { device } => on_serial(&client, &device).await,
    }
}

async fn on_terminal(client: &Client, look: Look) -> Result<(), Failure> {
    let in_place = look.paper == Paper::Terminal;
    if in_place {
        // The other screen, without wrapping of long lines and without a cursor.
        out::print("\x1b[?1049h\x1b[?7l\x1b[?25l")?;
    }
    let mut last = String::new();
    let shows = |seen: &mut Seen| {
        let drawn = text(&seen.scene(), out::columns(), out::rows(), look.color);
        if drawn == last {
            return Ok(());
        }
        last.clone_from(&drawn);
        if in_place {
            out::print(&format!("\x1b[H{}\x1b[J", drawn.replace('\n', "\x1b[K\n")))
        } else {
            out::line(&drawn)
        }
    };
    let ended = watched(client, shows).await;
    if in_place {
        out::print("\x1b[?25h\x1b[?7h\x1b[?1049l")?;
    }
    ended
}

async fn on_serial(client: &Client, device: &str) -> Result<(), Failure> {
    let display = StatusDisplay::new(Manner::default());
    let spoken = display.clone();
    let shows = |seen: &mut Seen| {
        for line in seen.fresh.drain(..) {
            display.log(&line);
        }
        display.show(shown(&seen.scene(), seen.picture.as_deref()));
        Ok(())
    };
    tokio::select! {
        () = spoken.run(device) => Ok(()),
        ended = async {
            let ended = watched(client, shows).await;
            // Whatever it said is not known to be true any longer, least of all that the power may be cut.
            display.show(shown(&Scene::blank("nobody shows anything here"), None));
            if *display.condition().borrow() == Condition::Takes {
                drop(timeout(LAST_WORD, display.said()).await);
            }
            ended
        } => ended,
    }
}

/// What is seen of the lab.
#[derive(Debug, Default)]
struct Seen {
    picture: Option<Box<Snapshot>>,
    names: Names,
    log: VecDeque<String>,
    /// Lines of the log that were not shown yet.
    fresh: Vec<String>,
    lost: Option<String>,
}

impl Seen {
    /// A first picture, with what happened before it.
    async fn begins(&mut self, client: &Client, picture: Snapshot) {
        self.names = Names::of(&picture);
        let after = picture.through.saturating_sub(u64::try_from(LOG).unwrap_or(0));
        // Without the past the picture is worth showing, too.
        let past = page(client, after).await.map(|page| page.events).unwrap_or_default();
        for event in past.iter().filter(|event| event.seq <= picture.through) {
            self.happened(event);
        }
        self.picture = Some(Box::new(picture));
    }

    fn happened(&mut self, event: &model::Event) {
        let line = format!("{} {}", clock(event.at.wall), sentence(event, &self.names));
        self.log.push_back(line.clone());
        if self.log.len() > LOG {
            self.log.pop_front();
        }
        self.fresh.push(line);
        let surplus = self.fresh.len().saturating_sub(LOG);
        self.fresh.drain(..surplus);
    }

    fn scene(&mut self) -> Scene {
        let why = self.lost.as_deref();
        let log = self.log.make_contiguous();
        match &self.picture {
            Some(picture) => Scene::new(picture, log, why),
            None => Scene::blank(why.unwrap_or("no controller was heard yet")),
        }
    }
}

/// Follows the lab and shows it when it is another, a few times a second at most, until somebody ends this program.
async fn watched(
    client: &Client,
    mut shows: impl FnMut(&mut Seen) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let trouble = |why: std::io::Error| Failure::failed(format!("signals: {why}"));
    let mut terminated = signal(SignalKind::terminate()).map_err(trouble)?;
    let mut seen = Seen::default();
    let mut pictures = interval(PICTURE);
    pictures.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_news = true;
    let mut follower = None;
    loop {
        tokio::select! {
            _ = pictures.tick(), if is_news => {
                is_news = false;
                shows(&mut seen)?;
            }
            heard = next(client, &mut follower) => {
                is_news = true;
                match heard? {
                    Heard::Lost(why) => seen.lost = Some(why.text().lines().next().unwrap_or_default().to_owned()),
                    Heard::Item(item) => {
                        seen.lost = None;
                        hears(&mut seen, client, item).await;
                    }
                }
            }
            _ = tokio::signal::ctrl_c() => return Ok(()),
            _ = terminated.recv() => return Ok(()),
        }
    }
}

async fn hears(seen: &mut Seen, client: &Client, item: api::StreamItem) {
    match item {
        api::StreamItem::Snapshot(picture) if seen.picture.is_none() => seen.begins(client, *picture).await,
        api::StreamItem::Event(event) => seen.happened(&event),
        item => take(&mut seen.picture, item),
    }
}

/// What is heard next; a controller that does not answer yet is asked again.
async fn next(client: &Client, follower: &mut Option<Follower>) -> Result<Heard, Failure> {
    if let Some(follower) = follower {
        return follower.next().await;
    }
    match Follower::open(client).await {
        Ok(mut opened) => {
            let heard = opened.next().await;
            *follower = Some(opened);
            heard
        }
        Err(refused @ Failure::Refused(_)) => Err(refused),
        Err(why) => {
            sleep(AGAIN).await;
            Ok(Heard::Lost(why))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_has_two_sides_in_bounds() {
        assert_eq!("128x64".parse(), Ok(Dots(128, 64)));
        for wrong in ["128", "128x", "0x64", "5000x64", "axb", "128x64x2"] {
            assert!(wrong.parse::<Dots>().is_err(), "{wrong}");
        }
    }
}
