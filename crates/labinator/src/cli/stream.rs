//! Following the controller's stream: latest picture, every event, and coming back after a broken line.

use std::collections::VecDeque;
use std::time::Duration;

use api::{Change, StreamItem};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use model::Snapshot;

use super::client::Client;
use super::failure::Failure;
use super::sse::{Message, Parser};

/// Silence after which the line counts as broken: the controller says something every 2 s.
const SILENCE: Duration = Duration::from_secs(7);
/// First and longest pause before another try.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(3));

/// What a follower hears.
#[derive(Debug)]
pub enum Heard {
    /// Something was said.
    Item(StreamItem),
    /// The line broke; another try is made.
    Lost(Failure),
}

/// The same, before it is read.
#[derive(Debug)]
pub(super) enum Told {
    /// Something was said.
    Message(Message),
    /// The line broke; another try is made.
    Lost(Failure),
}

/// Follows one stream, over as many connections as it takes.
#[derive(Debug)]
pub struct Follower {
    client: Client,
    path: String,
    body: Option<Incoming>,
    parser: Parser,
    waiting: VecDeque<Message>,
    last: Option<String>,
    pause: Duration,
}

impl Follower {
    /// Opens the stream.
    ///
    /// # Errors
    /// As [`Client::stream`].
    pub async fn open(client: &Client) -> Result<Self, Failure> {
        Self::open_at(client, "/v1/stream").await
    }

    /// The same for any stream of the API.
    pub(super) async fn open_at(client: &Client, path: &str) -> Result<Self, Failure> {
        let mut follower = Self {
            client: client.clone(),
            path: path.to_owned(),
            body: None,
            parser: Parser::default(),
            waiting: VecDeque::new(),
            last: None,
            pause: PAUSES.0,
        };
        follower.connect().await?;
        Ok(follower)
    }

    async fn connect(&mut self) -> Result<(), Failure> {
        let body = self.client.stream(&self.path, self.last.as_deref()).await?;
        self.body = Some(body);
        self.parser = Parser::default();
        Ok(())
    }

    /// The next thing said. May be dropped at any time without losing anything.
    ///
    /// # Errors
    /// That the controller refuses, or says what this program cannot read.
    pub async fn next(&mut self) -> Result<Heard, Failure> {
        loop {
            match self.message().await? {
                Told::Message(message) => {
                    if let Some(item) = item_of(&message)? {
                        return Ok(Heard::Item(item));
                    }
                }
                Told::Lost(why) => return Ok(Heard::Lost(why)),
            }
        }
    }

    /// The next message, unread. May be dropped at any time without losing anything.
    pub(super) async fn message(&mut self) -> Result<Told, Failure> {
        loop {
            if let Some(message) = self.waiting.pop_front() {
                if !message.id.is_empty() {
                    self.last = Some(message.id.clone());
                }
                self.pause = PAUSES.0;
                return Ok(Told::Message(message));
            }
            let Some(body) = &mut self.body else {
                tokio::time::sleep(self.pause).await;
                self.pause = self.pause.saturating_mul(2).min(PAUSES.1);
                match self.connect().await {
                    Ok(()) => continue,
                    Err(refused @ Failure::Refused(_)) => return Err(refused),
                    Err(why) => return Ok(Told::Lost(why)),
                }
            };
            let why = match tokio::time::timeout(SILENCE, body.frame()).await {
                Ok(Some(Ok(frame))) => {
                    let bytes = frame.into_data().unwrap_or_default();
                    match self.parser.push(&bytes) {
                        Ok(messages) => {
                            self.waiting.extend(messages);
                            continue;
                        }
                        Err(too_long) => too_long.to_string(),
                    }
                }
                Ok(Some(Err(e))) => format!("the stream broke: {e}"),
                Ok(None) => "the controller closed the stream".to_owned(),
                Err(_) => format!("nothing was heard for {} s", SILENCE.as_secs()),
            };
            self.body = None;
            return Ok(Told::Lost(Failure::failed(why)));
        }
    }
}

/// Reads one message; absent for kinds that a later controller may send.
fn item_of(message: &Message) -> Result<Option<StreamItem>, Failure> {
    let read = match message.event.as_str() {
        "snapshot" => serde_json::from_str(&message.data).map(|s| StreamItem::Snapshot(Box::new(s))),
        "change" => serde_json::from_str(&message.data).map(StreamItem::Change),
        "event" => serde_json::from_str(&message.data).map(StreamItem::Event),
        "beat" => serde_json::from_str(&message.data).map(StreamItem::Beat),
        "start-over" => Ok(StreamItem::StartOver),
        _ => return Ok(None),
    };
    read.map(Some).map_err(|e| {
        Failure::with_advice(
            format!("the controller said something that cannot be read: {e}"),
            "is it the same version as this program? `labinator --version`",
        )
    })
}

/// Brings a picture up to date.
pub fn apply(picture: &mut Snapshot, change: Change) {
    picture.through = change.through;
    picture.at = change.at;
    if let Some(lab) = change.lab {
        picture.lab = lab;
    }
    for machine in change.machines {
        match picture.machines.iter_mut().find(|m| m.node == machine.node) {
            Some(old) => *old = machine,
            None => picture.machines.push(machine),
        }
    }
}
