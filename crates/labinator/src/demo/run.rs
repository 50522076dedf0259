//! The demo's own visitor: starts the scenario as a person would, and shows what becomes of it.

use std::io;
use std::time::Duration;

use api::{Accepted, Ask, StreamItem};
use model::{Origin, Snapshot};
use tokio::time::{Instant, sleep};

use super::{Inner, Manner, SCENARIO, Screen, Verdict, banner, verdict};
use crate::cli::{Client, Failure, Follower, Globals, Heard, apply};
use crate::serve::{Folders, Setup, Supervisor};
use crate::start::agent_beside;

/// How long the controller may take until it can start the scenario: its images are hashed first.
const WARM_UP: Duration = Duration::from_secs(60);
/// Pause between two tries meanwhile.
const AGAIN: Duration = Duration::from_millis(50);

/// Runs the controller in the namespaces of [`super::inside`] until the demo's end.
///
/// # Errors
/// The controller cannot run, or, with `until_ready`, the lab failed.
pub async fn run(inner: Inner) -> Result<(), Failure> {
    let Inner { options, spec, page, state } = inner;
    let (loaders, images) = (options.loaders.clone(), options.images.clone());
    let folders = Folders { state, loaders, images, agent: agent_beside() };
    let setup = Setup { spec: spec.clone(), folders, page, socket: options.socket.clone() };
    let running = Supervisor::bind(setup)?.start()?;
    let link = running.link();
    let link = (!options.headless).then_some(link.as_str());

    let mut screen = Screen::new(io::stdout(), options.manner);
    let scenario = options.scenario.as_ref().map_or(SCENARIO, |name| name.as_str());
    for line in banner(&spec, scenario, link) {
        screen.say(&line).map_err(|why| unread(&why))?;
    }
    if let Ok(own) = std::env::current_exe() {
        let own = own.display();
        let verbs =
            "status --watch, explain, boot trace node1, power off node1, events --follow, stop --wait";
        screen.say(&format!("  try        {own}\n             {verbs}")).map_err(|why| unread(&why))?;
    }
    let visit = visit(&mut screen, scenario, options.until_ready);
    match Box::pin(running.run(visit)).await? {
        Some(outcome) => outcome,
        // Told to end: that is how a demo ends.
        None => {
            if let Manner::Table { .. } = options.manner {
                screen.say("").map_err(|why| unread(&why))?;
            }
            Ok(())
        }
    }
}

fn unread(why: &io::Error) -> Failure {
    match why.kind() {
        io::ErrorKind::BrokenPipe => Failure::Gone,
        _ => Failure::failed(why.to_string()),
    }
}

/// Starts the scenario and follows it: for ever, or until its fate is known.
async fn visit<W: io::Write>(
    screen: &mut Screen<W>,
    scenario: &str,
    until_ready: bool,
) -> Result<(), Failure> {
    let client = Client::new(&Globals::default());
    let accepted = start(&client, scenario).await?;
    let mut follower = Follower::open(&client).await?;
    let mut picture: Option<Snapshot> = None;
    loop {
        match follower.next().await? {
            Heard::Item(StreamItem::Snapshot(snapshot)) => picture = Some(*snapshot),
            Heard::Item(StreamItem::Change(change)) => {
                if let Some(picture) = &mut picture {
                    apply(picture, change);
                }
            }
            Heard::Item(StreamItem::Event(_) | StreamItem::StartOver | StreamItem::Beat(_))
            | Heard::Lost(_) => {
                continue;
            }
        }
        let Some(picture) = &picture else { continue };
        screen.show(picture).map_err(|why| unread(&why))?;
        // A picture from before the start says nothing about it.
        let of_this_run = picture.epoch != accepted.epoch || picture.through >= accepted.seq;
        match verdict(picture).filter(|_| until_ready && of_this_run) {
            Some(Verdict::Ready(_)) => return Ok(()),
            Some(Verdict::Failed(why)) => return Err(Failure::failed(why)),
            None => {}
        }
    }
}

/// Starts the scenario as soon as the controller is up and has read its images.
async fn start(client: &Client, scenario: &str) -> Result<Accepted, Failure> {
    let limit = Instant::now() + WARM_UP;
    loop {
        let path = format!("/v1/scenarios/{scenario}/start");
        let why = match client.post(&path, &Ask { by: Origin::Demo }).await {
            Ok(accepted) => return Ok(accepted),
            Err(Failure::Refused(body))
                if !matches!(body.code.as_str(), "images_unread" | "counter_away") =>
            {
                return Err(Failure::Refused(body));
            }
            Err(why) => why,
        };
        if Instant::now() >= limit {
            return Err(why);
        }
        sleep(AGAIN).await;
    }
}
