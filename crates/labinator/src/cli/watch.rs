//! Going on: the picture drawn anew when it changes, and events as they come, without a gap.

use api::StreamItem;
use model::Snapshot;

use super::client::Client;
use super::failure::Failure;
use super::out::{self, Look, Paper};
use super::render::{Names, render_status};
use super::stream::{Follower, Heard};
use super::verbs::{page, tell};
use super::wait::take;

/// Events before now that `events --follow` begins with.
const BEFORE: u64 = 20;

/// How pictures follow each other.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Each over the one before.
    InPlace,
    /// One after another.
    Lines,
    /// As JSON, one a line.
    Json,
}

/// Shows the lab until Ctrl-C: on a terminal in place, else one picture after another.
pub(super) async fn watch_status(client: &Client, json: bool, look: Look) -> Result<(), Failure> {
    let mut follower = Follower::open(client).await?;
    let way = match (json, look.paper) {
        (true, _) => Way::Json,
        (false, Paper::Terminal) => Way::InPlace,
        (false, Paper::Pipe) => Way::Lines,
    };
    if way == Way::InPlace {
        // The other screen, without wrapping of long lines and without a cursor.
        out::print("\x1b[?1049h\x1b[?7l\x1b[?25l")?;
    }
    let ended = tokio::select! {
        ended = draw(&mut follower, way, look) => ended,
        _ = tokio::signal::ctrl_c() => Ok(()),
    };
    if way == Way::InPlace {
        out::print("\x1b[?25h\x1b[?7h\x1b[?1049l")?;
    }
    ended
}

async fn draw(follower: &mut Follower, way: Way, look: Look) -> Result<(), Failure> {
    let mut picture: Option<Box<Snapshot>> = None;
    let mut last = String::new();
    loop {
        let lost = match follower.next().await? {
            Heard::Item(item) => {
                // In a pipe, a beat alone is no news.
                let beat = matches!(item, StreamItem::Beat(_) | StreamItem::Event(_));
                take(&mut picture, item);
                if beat && way != Way::InPlace {
                    continue;
                }
                None
            }
            Heard::Lost(why) => Some(why),
        };
        if let Some(why) = &lost
            && way != Way::InPlace
        {
            out::complain(&why.text());
            continue;
        }
        let Some(now) = picture.as_deref() else { continue };
        if way == Way::Json {
            out::json(now, false)?;
            continue;
        }
        let mut text = render_status(now, out::columns(), look.color);
        if let Some(why) = lost {
            text.push_str(&format!("\n{}; trying again\n", why.text()));
        }
        if text != last {
            if way == Way::InPlace {
                // Each line is cleared to its end, so that nothing flickers.
                let drawn = text.replace('\n', "\x1b[K\n");
                out::print(&format!("\x1b[H{drawn}\x1b[J"))?;
            } else {
                out::line(&text)?;
            }
            last = text;
        }
    }
}

/// Tells events as they come, until Ctrl-C.
pub(super) async fn follow_events(
    client: &Client,
    after: Option<u64>,
    json: bool,
    look: Look,
) -> Result<(), Failure> {
    let mut follower = Follower::open(client).await?;
    let mut teller =
        Teller { client, json, quiet: look.quiet, names: Names::default(), last: after, epoch: None };
    tokio::select! {
        ended = async {
            loop {
                match follower.next().await? {
                    Heard::Lost(why) => out::complain(&format!("{}; trying again", why.text())),
                    Heard::Item(item) => teller.take(item).await?,
                }
            }
        } => ended,
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}

/// Tells every event once, whatever the stream does.
struct Teller<'a> {
    client: &'a Client,
    json: bool,
    quiet: bool,
    names: Names,
    /// Number of the last event that was told.
    last: Option<u64>,
    epoch: Option<String>,
}

impl Teller<'_> {
    async fn take(&mut self, item: StreamItem) -> Result<(), Failure> {
        match item {
            StreamItem::Snapshot(picture) => {
                self.names = Names::of(&picture);
                let again = self.epoch.as_ref().is_some_and(|epoch| *epoch != picture.epoch);
                if again {
                    self.remark("the controller was started again");
                    self.last = Some(0);
                }
                self.epoch = Some(picture.epoch.clone());
                let from = self.last.unwrap_or_else(|| picture.through.saturating_sub(BEFORE));
                self.last = Some(from);
                self.catch_up(picture.through).await
            }
            StreamItem::Event(event) => {
                if self.last.is_some_and(|last| event.seq <= last) {
                    return Ok(());
                }
                tell(&event, &self.names, self.json)?;
                self.last = Some(event.seq);
                Ok(())
            }
            StreamItem::Change(_) | StreamItem::StartOver | StreamItem::Beat(_) => Ok(()),
        }
    }

    /// Tells what is not told yet, up to the event `through`.
    async fn catch_up(&mut self, through: u64) -> Result<(), Failure> {
        while let Some(last) = self.last.filter(|last| *last < through) {
            let page = page(self.client, last).await?;
            if page.oldest > last.saturating_add(1) && last > 0 {
                self.remark(&format!("events {} to {} are no longer kept", last + 1, page.oldest - 1));
            }
            for event in page.events.iter().filter(|e| e.seq <= through) {
                tell(event, &self.names, self.json)?;
                self.last = Some(event.seq);
            }
            if self.last == Some(last) {
                self.last = Some(through);
            }
        }
        Ok(())
    }

    fn remark(&self, text: &str) {
        if !self.quiet {
            out::complain(text);
        }
    }
}
