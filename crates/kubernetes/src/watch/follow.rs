//! One kind, listed and then watched, for as long as its task runs.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde::Deserialize;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::SILENCE;
use super::objects::{List, Watched};
use super::picture::{Link, MOST, Picture};
use crate::client::{Client, Question};
use crate::trouble::{Status, Trouble};

/// Objects on a page of a list.
const PAGE: usize = 500;
/// Seconds after which the server ends a watch by itself.
const LASTING: u32 = 290;
/// Longest line of a watch: one object, and etcd takes none above 1.5 MiB.
const LONGEST_LINE: usize = 4 * 1024 * 1024;
/// The first wait after trouble, and the longest: each is twice the one before.
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(8);

/// How a watch ended.
enum End {
    /// The server closed it, as it does after its time.
    Closed,
    /// It brought nothing for [`SILENCE`].
    Silent,
    /// Something is wrong.
    Trouble(Trouble),
}

/// Follows a kind until the task is dropped.
pub(super) async fn run<T: Watched>(
    mut clients: watch::Receiver<Arc<Client>>,
    picture: watch::Sender<Picture>,
) {
    let mut follower = Follower::<T> { picture, version: None, kind: std::marker::PhantomData };
    let mut wait = FIRST_WAIT;
    loop {
        let client = Arc::clone(&clients.borrow_and_update());
        let round = async {
            let began = Instant::now();
            let end = follower.once(&client).await;
            // One that lasted was worth opening; one that ends at once, however politely, must not be a storm.
            let lasted = began.elapsed() >= LONGEST_WAIT;
            let wait = if lasted { FIRST_WAIT } else { wait };
            let rest = follower.rest_after(&client, &end, wait);
            if !(lasted && matches!(end, End::Closed)) {
                sleep(rest).await;
            }
            if lasted { FIRST_WAIT } else { wait.saturating_mul(2).min(LONGEST_WAIT) }
        };
        tokio::select! {
            biased;
            changed = clients.changed() => {
                if changed.is_err() {
                    return;
                }
                // Versions of one server say nothing to another.
                follower.version = None;
                wait = FIRST_WAIT;
            }
            next = round => wait = next,
        }
    }
}

fn silence(client: &Client) -> String {
    format!("{} has sent nothing for {} s", client.server(), SILENCE.as_secs())
}

struct Follower<T> {
    picture: watch::Sender<Picture>,
    /// The last version heard of; none before the first list.
    version: Option<String>,
    kind: std::marker::PhantomData<fn() -> T>,
}

#[derive(Deserialize)]
struct Heading {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
#[serde(bound = "T: Watched")]
struct Event<T> {
    object: T,
}

impl<T: Watched> Follower<T> {
    /// Lists if need be, then watches to the end.
    async fn once(&mut self, client: &Client) -> End {
        let version = match &self.version {
            Some(version) => version.clone(),
            None => match self.list(client).await {
                Ok(version) => version,
                Err(trouble) => return End::Trouble(trouble),
            },
        };
        let path = format!(
            "{}?watch=true&allowWatchBookmarks=true&timeoutSeconds={LASTING}&resourceVersion={version}",
            T::PATH
        );
        match client.open(path).await {
            Ok(body) => {
                self.say(Link::Live);
                self.read(client, body).await
            }
            Err(trouble) => End::Trouble(trouble),
        }
    }

    /// Says how the watch ended, and how long to leave the server alone.
    fn rest_after(&mut self, client: &Client, end: &End, wait: Duration) -> Duration {
        match end {
            End::Closed => wait,
            End::Silent => {
                self.say(Link::Lost { why: silence(client) });
                wait
            }
            End::Trouble(trouble) => {
                if trouble.is_gone() {
                    self.version = None;
                }
                self.say(Link::Lost { why: trouble.to_string() });
                trouble.asked_to_wait().unwrap_or(wait).max(wait)
            }
        }
    }

    /// Reads all pages and puts them in the place of what was known.
    async fn list(&mut self, client: &Client) -> Result<String, Trouble> {
        let (mut all, mut left_out, mut next) = (Vec::new(), 0, String::new());
        let version = loop {
            let path = if next.is_empty() {
                format!("{}?limit={PAGE}", T::PATH)
            } else {
                format!("{}?limit={PAGE}&continue={}", T::PATH, escaped(&next))
            };
            let page: List<T> = client.ask(&Question::get(path)).await?;
            let room = MOST.saturating_sub(all.len());
            left_out += page.items.len().saturating_sub(room);
            all.extend(page.items.into_iter().take(room).map(T::kept));
            if page.metadata.next.is_empty() {
                break page.metadata.resource_version;
            }
            next = page.metadata.next;
        };
        if version.is_empty() {
            return Err(client.garbled(&"a list without a resourceVersion"));
        }
        self.picture.send_modify(|picture| T::replace(picture, all, left_out));
        self.version = Some(version.clone());
        Ok(version)
    }

    async fn read(&mut self, client: &Client, mut body: Incoming) -> End {
        let mut text = BytesMut::new();
        let mut looked_at = 0;
        loop {
            let frame = match timeout(SILENCE, body.frame()).await {
                Ok(Some(Ok(frame))) => frame,
                Ok(Some(Err(why))) => return End::Trouble(client.broken(&why)),
                Ok(None) => return End::Closed,
                Err(_) => return End::Silent,
            };
            let Some(data) = frame.data_ref() else { continue };
            text.extend_from_slice(data);
            while let Some(end) =
                text.get(looked_at..).and_then(|rest| rest.iter().position(|byte| *byte == b'\n'))
            {
                let line = text.split_to(looked_at + end);
                text.advance(1);
                looked_at = 0;
                if let Err(trouble) = self.take(client, &line) {
                    return End::Trouble(trouble);
                }
            }
            looked_at = text.len();
            if text.len() > LONGEST_LINE {
                return End::Trouble(client.garbled(&"a line of a watch that does not end"));
            }
        }
    }

    /// One event.
    fn take(&mut self, client: &Client, line: &[u8]) -> Result<(), Trouble> {
        let heading: Heading = serde_json::from_slice(line).map_err(|why| client.garbled(&why))?;
        if heading.kind == "ERROR" {
            #[derive(Deserialize)]
            struct Failure {
                object: serde_json::Value,
            }
            let failure: Failure = serde_json::from_slice(line).map_err(|why| client.garbled(&why))?;
            let status = Status::read(0, failure.object.to_string().as_bytes());
            return Err(Trouble::Refused(Box::new(status)));
        }
        let event: Event<T> = serde_json::from_slice(line).map_err(|why| client.garbled(&why))?;
        let version = event.object.meta().resource_version.clone();
        match heading.kind.as_str() {
            "ADDED" | "MODIFIED" => {
                let kept = event.object.kept();
                self.picture.send_modify(|picture| T::put(picture, kept, heading.kind == "ADDED"));
            }
            "DELETED" => self.picture.send_modify(|picture| T::remove(picture, event.object.meta())),
            // A bookmark tells nothing but the version.
            _ => {}
        }
        if !version.is_empty() {
            self.version = Some(version);
        }
        Ok(())
    }

    fn say(&self, link: Link) {
        self.picture.send_if_modified(|picture| picture.set_link(T::NAME, link));
    }
}

/// A word as it stands in a query.
pub(crate) fn escaped(word: &str) -> String {
    let mut escaped = String::with_capacity(word.len());
    for byte in word.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push('%');
            for half in [byte >> 4, byte & 15] {
                escaped.extend(char::from_digit(u32::from(half), 16).map(|c| c.to_ascii_uppercase()));
            }
        }
    }
    escaped
}
