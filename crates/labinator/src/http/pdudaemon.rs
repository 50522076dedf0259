//! pdudaemon's interface: other programs, such as LAVA and labgrid, switch the lab's machines as they switch ports of a
//! power strip there.
//!
//! ```text
//!   GET or POST /power/control/on|off|reboot   hostname=DEVICE&port=PORT, or alias=NODE; delay=SECONDS
//! ```
//!
//! `hostname` is a device of the lab file, `alias` a machine. Each request is admitted as one of a person's is: a protected
//! port, a button that would be pressed on a guess, or a disk that is being wiped refuses it, and the first line of the
//! answer says so. The answer comes when the order was carried out, as pdudaemon's does.
//! Forms: `pdudaemon/httplistener.py`, `listener.py` and `pduclient` of pdudaemon 1.1; `PDUDaemonDriver` of labgrid 26.0.

use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use drivers::power::Reveal;
use lifecycle::{Refusal, Request as Wish};
use model::{Command, CommandId, Fact, NodeName, Origin, Outcome, PowerOrder, PowerState, SecretRef};
use serde::Deserialize;
use tokio::time::{Instant, sleep, timeout_at};

use super::access::Token;
use super::answer;
use crate::desk::{Desk, DeskError};

/// Pause between off and on of a reboot, unless told (pdudaemon, `process_request`).
const REBOOT_DELAY: u64 = 5;
/// Longest delay that is taken, in seconds.
const LONGEST_DELAY: u64 = 600;
/// How long an order may take until the answer says that it goes on: what runs may be asked to stop first, for 30 s.
const PATIENCE: Duration = Duration::from_secs(180);
/// Events that are looked through in one go.
const EVENTS: usize = 512;
/// Said when all was done, as pdudaemon says it.
const DONE: &str = "OK - accepted request\n";

/// What it must be told before it does anything.
#[derive(Clone)]
pub struct Door {
    /// Where its password is kept.
    credentials: SecretRef,
    reveal: Reveal,
}

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Door").field("credentials", &self.credentials).finish_non_exhaustive()
    }
}

impl Door {
    /// A door that opens to who knows this secret.
    #[must_use]
    pub const fn new(credentials: SecretRef, reveal: Reveal) -> Self {
        Self { credentials, reveal }
    }

    /// Whether these headers show the secret: as the password of HTTP's Basic scheme (RFC 7617) with any user, or with
    /// the right one where the secret names one, or as a bearer token (RFC 6750).
    fn opens(&self, headers: &HeaderMap) -> Result<bool, String> {
        let secret = (self.reveal)(&self.credentials)?;
        let kept = String::from_utf8_lossy(secret.reveal()).into_owned();
        if kept.is_empty() {
            return Err(format!("{} is empty", self.credentials));
        }
        let offered = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let Some((scheme, offered)) = offered.and_then(|offered| offered.split_once(' ')) else {
            return Ok(false);
        };
        let password = kept.split_once(':').map_or(kept.as_str(), |(_, password)| password).to_owned();
        if scheme.eq_ignore_ascii_case("bearer") {
            return Ok(Token::of(password).is(offered));
        }
        let decoded = STANDARD.decode(offered).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let Some((user, offered)) = decoded.as_deref().and_then(|text| text.split_once(':')) else {
            return Ok(false);
        };
        let names = kept.split_once(':').map(|(name, _)| name);
        Ok(scheme.eq_ignore_ascii_case("basic")
            && names.is_none_or(|name| name == user)
            && Token::of(password).is(offered))
    }
}

/// The interface, for a listener of its own.
pub fn pdudaemon_router(desk: Desk, door: Door) -> Router {
    Router::new()
        .route("/power/control/{verb}", get(control).post(control))
        .with_state(desk)
        .layer(middleware::from_fn_with_state(door, guard))
}

async fn guard(State(door): State<Door>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    // A GET switches here, and browsers send what they remember along with any page's.
    if headers.contains_key("sec-fetch-site") || headers.contains_key(header::ORIGIN) {
        return said(StatusCode::FORBIDDEN, "this is for programs, and no page may ask for it");
    }
    match door.opens(headers) {
        Ok(true) => next.run(request).await,
        Ok(false) => {
            let text = "this needs the password that the lab file's `pdudaemon: credentials:` names, as http://USER:PASSWORD@…";
            let mut response = said(StatusCode::UNAUTHORIZED, text);
            let asks = header::HeaderValue::from_static("Basic realm=\"labinator\", charset=\"UTF-8\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, asks);
            response
        }
        Err(why) => said(StatusCode::SERVICE_UNAVAILABLE, &why),
    }
}

fn said(status: StatusCode, text: &str) -> Response {
    (status, format!("{text}\n")).into_response()
}

/// What is asked for, in the query or in a form.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
struct Asked {
    hostname: Option<String>,
    port: Option<String>,
    alias: Option<String>,
    delay: Option<String>,
}

/// A request that makes sense.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Job {
    /// A machine, or a port as `DEVICE/PORT`.
    at: String,
    /// Before an order, or between the two of a reboot.
    delay: Duration,
    does: Does,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Does {
    One(PowerOrder),
    Reboot,
}

impl Job {
    fn of(verb: &str, asked: Asked) -> Result<Self, String> {
        let does = match verb {
            "on" => Does::One(PowerOrder::On),
            "off" => Does::One(PowerOrder::Off),
            "reboot" => Does::Reboot,
            other => return Err(format!("`{other}` is none of on, off and reboot")),
        };
        let given = |value: Option<String>| value.filter(|text| !text.is_empty());
        let at = match (given(asked.alias), given(asked.hostname), given(asked.port)) {
            (Some(node), None, None) if !node.contains('/') => node,
            (Some(_), ..) => return Err("an alias is a machine, without hostname and port".to_owned()),
            (None, Some(device), Some(port)) => format!("{device}/{port}"),
            (None, ..) => return Err("hostname and port, or an alias, are needed".to_owned()),
        };
        let seconds = match given(asked.delay) {
            None if does == Does::Reboot => REBOOT_DELAY,
            None => 0,
            Some(text) => {
                text.parse::<u64>().ok().filter(|delay| *delay <= LONGEST_DELAY).ok_or_else(|| {
                    format!("a delay is a number of seconds up to {LONGEST_DELAY}, and not `{text}`")
                })?
            }
        };
        Ok(Self { at, delay: Duration::from_secs(seconds), does })
    }
}

async fn control(
    State(desk): State<Desk>,
    Path(verb): Path<String>,
    method: Method,
    uri: Uri,
    body: Bytes,
) -> Response {
    let asked = if method == Method::POST && uri.query().is_none() {
        // A form has the grammar of a query.
        String::from_utf8(body.to_vec()).ok().and_then(|form| format!("/?{form}").parse().ok())
    } else {
        Some(uri)
    };
    let asked = asked.and_then(|uri| Query::<Asked>::try_from_uri(&uri).ok());
    let Some(Query(asked)) = asked else {
        return said(StatusCode::BAD_REQUEST, "neither a query nor a form of pdudaemon's");
    };
    let job = match Job::of(&verb, asked) {
        Ok(job) => job,
        Err(why) => return said(StatusCode::BAD_REQUEST, &why),
    };
    // Whoever hangs up between off and on has asked for both.
    match tokio::spawn(run(desk, job)).await {
        Ok(Ok(())) => (StatusCode::OK, DONE).into_response(),
        Ok(Err((status, why))) => said(status, &why),
        Err(_stopped) => said(StatusCode::SERVICE_UNAVAILABLE, "the controller is shutting down"),
    }
}

type Ended = Result<(), (StatusCode, String)>;

async fn run(desk: Desk, job: Job) -> Ended {
    match job.does {
        Does::One(order) => {
            sleep(job.delay).await;
            one(&desk, &job.at, order).await
        }
        Does::Reboot => {
            one(&desk, &job.at, PowerOrder::Off).await?;
            sleep(job.delay).await;
            one(&desk, &job.at, PowerOrder::On).await
        }
    }
}

/// Asks for an order as a person does, and waits until it was carried out.
async fn one(desk: &Desk, at: &str, order: PowerOrder) -> Ended {
    let end = Instant::now() + PATIENCE;
    let asked = Wish::Power { node: at.to_owned(), order, by: Origin::Pdudaemon };
    let accepted = desk.ask(asked).await.map_err(|error| refused(&error))?;
    if accepted.already {
        return Ok(());
    }
    let Some(node) = node_at(desk, at) else {
        return Err((StatusCode::NOT_FOUND, format!("no machine hangs on {at}")));
    };
    let ended = timeout_at(end, follows(desk, &node, order, accepted.seq)).await;
    ended.unwrap_or_else(|_| {
        let why = format!("{node} was told {order}, and that goes on after {} s", PATIENCE.as_secs());
        Err((StatusCode::GATEWAY_TIMEOUT, why))
    })
}

/// The machine that is meant.
fn node_at(desk: &Desk, at: &str) -> Option<NodeName> {
    let picture = desk.publisher().latest();
    let found = picture.machines.iter().find(|machine| match at.contains('/') {
        true => machine.power.port.to_string() == at,
        false => machine.node.as_str() == at,
    });
    found.map(|machine| machine.node.clone())
}

fn refused(error: &DeskError) -> (StatusCode, String) {
    let (status, body) = answer::describe(error);
    let status = match error {
        DeskError::Refused(Refusal::Protected { .. }) => StatusCode::FORBIDDEN,
        DeskError::Refused(_) | DeskError::NotKept { .. } | DeskError::Closed => status,
    };
    (status, if body.advice.is_empty() { body.message } else { format!("{}\n{}", body.message, body.advice) })
}

/// Waits for what becomes of an order that was accepted with this event.
async fn follows(desk: &Desk, node: &NodeName, order: PowerOrder, seq: u64) -> Ended {
    let mut news = desk.publisher().news();
    let mut course = Course { order, ours: Vec::new(), failed: None };
    let mut after = seq.saturating_sub(1);
    loop {
        let (events, _) = desk.publisher().events(after, EVENTS);
        for event in &events {
            after = after.max(event.seq);
            if let Some(ended) = course.hears(node, &event.fact) {
                return ended;
            }
        }
        let picture = desk.publisher().latest();
        let machine = picture.machines.iter().find(|machine| machine.node == *node);
        if picture.through > seq
            && let Some(fault) = machine.and_then(|machine| machine.fault.as_ref())
        {
            return Err((StatusCode::INTERNAL_SERVER_ERROR, fault.text.clone()));
        }
        if events.is_empty() && news.changed().await.is_err() {
            return Err((StatusCode::SERVICE_UNAVAILABLE, "the controller is shutting down".to_owned()));
        }
    }
}

/// What is told of one order to one machine.
struct Course {
    order: PowerOrder,
    /// Commands to its port since, with what each was for.
    ours: Vec<(CommandId, PowerOrder)>,
    failed: Option<String>,
}

impl Course {
    fn hears(&mut self, node: &NodeName, fact: &Fact) -> Option<Ended> {
        match fact {
            Fact::PowerSeen { node: of, state, .. } if of == node => {
                let wanted = if self.order == PowerOrder::On { PowerState::On } else { PowerState::Off };
                (*state == wanted).then_some(Ok(()))
            }
            Fact::Issued { id, command: Command::Power { node: of, order, .. } } if of == node => {
                self.ours.push((*id, *order));
                None
            }
            Fact::Finished { id, outcome } => {
                let (_, order) = self.ours.iter().find(|(ours, _)| ours == id)?;
                match outcome {
                    // Being asked to stop is not being off.
                    Outcome::Done => (*order == self.order).then_some(Ok(())),
                    // The lab itself tries again, within its bounds; what it said first says most.
                    Outcome::Failed { why, .. } => {
                        let first = self.failed.is_none();
                        self.failed.get_or_insert_with(|| why.clone());
                        (!first)
                            .then(|| Err((StatusCode::BAD_GATEWAY, self.failed.clone().unwrap_or_default())))
                    }
                    Outcome::Unknown => None,
                }
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::Secret;

    use super::*;

    fn asked(query: &str) -> Asked {
        let uri: Uri = format!("/?{query}").parse().unwrap();
        Query::try_from_uri(&uri).unwrap().0
    }

    #[test]
    fn what_clients_of_pdudaemon_ask_is_understood() {
        // labgrid's `_build_url`, pduclient's `do_http_request`, and an alias.
        for (verb, query, at, delay, does) in [
            ("on", "hostname=relays&port=3", "relays/3", 0, Does::One(PowerOrder::On)),
            ("off", "hostname=hass&port=switch.node1", "hass/switch.node1", 0, Does::One(PowerOrder::Off)),
            ("reboot", "hostname=relays&port=3&delay=7", "relays/3", 7, Does::Reboot),
            ("reboot", "alias=node1", "node1", 5, Does::Reboot),
            ("on", "alias=node1&hostname=&port=&delay=600", "node1", 600, Does::One(PowerOrder::On)),
        ] {
            let right = Job { at: at.to_owned(), delay: Duration::from_secs(delay), does };
            assert_eq!(Job::of(verb, asked(query)), Ok(right), "{verb} {query}");
        }
    }

    #[test]
    fn what_is_not_understood_is_refused_with_what_would_be_right() {
        for (verb, query, why) in [
            ("toggle", "hostname=relays&port=3", "none of on, off and reboot"),
            ("on", "hostname=relays", "hostname and port, or an alias"),
            ("on", "", "hostname and port, or an alias"),
            ("on", "alias=node1&port=3", "an alias is a machine"),
            ("on", "alias=relays/7", "an alias is a machine"),
            ("on", "hostname=relays&port=3&delay=-1", "a number of seconds up to 600"),
            ("on", "hostname=relays&port=3&delay=601", "a number of seconds up to 600"),
        ] {
            let said = Job::of(verb, asked(query)).unwrap_err();
            assert!(said.contains(why), "{verb} {query}: {said}");
        }
    }

    fn door(kept: &'static str) -> Door {
        let reveal: Reveal = Arc::new(move |_| Ok(Secret::new(kept.as_bytes().to_vec())));
        Door::new(SecretRef::Kept("pdudaemon".to_owned()), reveal)
    }

    fn shows(door: &Door, authorization: Option<&str>) -> bool {
        let mut headers = HeaderMap::new();
        if let Some(text) = authorization {
            headers.insert(header::AUTHORIZATION, text.parse().unwrap());
        }
        door.opens(&headers).unwrap()
    }

    #[test]
    fn a_door_opens_to_its_password_with_any_user_and_to_its_user_where_it_has_one() {
        let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
        let any = door("hush");
        for right in [basic("lava:hush"), basic(":hush"), "bearer hush".to_owned()] {
            assert!(shows(&any, Some(&right)), "{right}");
        }
        for wrong in [
            basic("hush"),
            basic("lava:hus"),
            basic("hush:"),
            "Bearer ".to_owned(),
            basic(""),
            "hush".to_owned(),
        ] {
            assert!(!shows(&any, Some(&wrong)), "{wrong}");
        }
        assert!(!shows(&any, None));
        let own = door("lava:a:b");
        assert!(shows(&own, Some(&basic("lava:a:b"))) && shows(&own, Some("Bearer a:b")));
        assert!(!shows(&own, Some(&basic("labgrid:a:b"))));
        assert!(door("").opens(&HeaderMap::new()).unwrap_err().contains("secret:pdudaemon is empty"));
    }

    #[test]
    fn being_asked_to_stop_is_not_being_off() {
        let node: NodeName = "node1".parse().unwrap();
        let port = model::PortRef { driver: "relays".parse().unwrap(), port: "1".to_owned() };
        let mut course = Course { order: PowerOrder::Off, ours: Vec::new(), failed: None };
        let issued = |id, order| Fact::Issued {
            id: CommandId(id),
            command: Command::Power { node: node.clone(), port: port.clone(), order },
        };
        let done = |id| Fact::Finished { id: CommandId(id), outcome: Outcome::Done };
        assert_eq!(course.hears(&node, &done(1)), None, "somebody else's");
        assert_eq!(course.hears(&node, &issued(2, PowerOrder::Soft)), None);
        assert_eq!(course.hears(&node, &done(2)), None);
        assert_eq!(course.hears(&node, &issued(3, PowerOrder::Off)), None);
        assert_eq!(course.hears(&node, &done(3)), Some(Ok(())));
        let seen = |state| Fact::PowerSeen { node: node.clone(), state, evidence: String::new() };
        assert_eq!(course.hears(&node, &seen(PowerState::Unknown)), None);
        assert_eq!(course.hears(&node, &seen(PowerState::Off)), Some(Ok(())));
    }
}
