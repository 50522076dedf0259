//! Screens over WebSocket (RFC 6455): its binary messages are the RFB stream (RFC 6143).

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use drivers::way::{Inlet, Outlet};
use futures_util::{SinkExt as _, StreamExt as _};
use lifecycle::Refusal;
use model::{MachineView, NodeName};
use tokio::sync::Semaphore;
use tokio::time::{interval, timeout};

use super::{House, answer};

/// Screens that may be looked at together.
const SEATS: usize = 64;
/// Longest message of a viewer; the longest that it has a reason for is text for the guest's clipboard.
const LONGEST: usize = 1 << 20;
/// How often a viewer is asked whether it is there.
const PING: Duration = Duration::from_secs(20);
/// Silence after which nobody looks any more: three questions were not answered.
const SILENCE: Duration = Duration::from_secs(60);
/// How long a viewer may take to hear that it was the end.
const FAREWELL: Duration = Duration::from_secs(5);

/// Seats before the screens.
#[derive(Debug, Clone)]
pub struct Screens(Arc<Semaphore>);

impl Default for Screens {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(SEATS)))
    }
}

pub(super) async fn open(
    State(house): State<House>,
    Path(node): Path<String>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let snapshot = house.desk.publisher().latest();
    let named = node.parse::<NodeName>().ok();
    let machine = named.and_then(|name| snapshot.machines.iter().find(|machine| machine.node == name));
    let Some(machine) = machine else {
        let known = snapshot.machines.iter().map(|machine| machine.node.clone()).collect();
        return answer::refused(&Refusal::UnknownNode { asked: node, known }.into());
    };
    let Ok(upgrade) = upgrade else {
        let advice = format!("`labinator vnc {node}` opens it for any viewer, noVNC opens it as it is");
        let message = "a screen is a WebSocket";
        return answer::error(StatusCode::UPGRADE_REQUIRED, "no_websocket", message, &advice);
    };
    let Ok(seat) = Arc::clone(&house.screens.0).try_acquire_owned() else {
        let message = format!("{SEATS} screens are looked at already");
        let advice = "close a viewer";
        return answer::error(StatusCode::SERVICE_UNAVAILABLE, "too_many_screens", &message, advice);
    };
    let way = match reach(&house, machine).await {
        Ok(way) => way,
        Err(refusal) => return refusal,
    };
    let node = machine.node.clone();
    let upgrade = upgrade.protocols(["binary"]).max_message_size(LONGEST).max_frame_size(LONGEST);
    upgrade.on_upgrade(async move |socket| {
        tracing::info!(%node, "its screen is looked at");
        let why = carry(socket, way).await;
        tracing::info!(%node, "its screen is left: {why}");
        drop(seat);
    })
}

async fn reach(house: &House, machine: &MachineView) -> Result<(Inlet, Outlet), Response> {
    let node = &machine.node;
    if !machine.has_console {
        let message = format!("{node} has no screen here");
        let advice = "guests of hypervisors and virtual machines of this boss have one; a box of metal has a socket for it";
        return Err(answer::error(StatusCode::CONFLICT, "no_screen", &message, advice));
    }
    house.channel.screen(node).await.map_err(|why| {
        let advice = format!("`labinator explain {node}` says whether it runs and where");
        answer::error(StatusCode::CONFLICT, "unreached", &format!("{node}: {why}"), &advice)
    })
}

/// Carries both ways until one end is gone. Says which.
async fn carry(socket: WebSocket, (mut to, mut back): (Inlet, Outlet)) -> String {
    let (mut viewer, mut said) = socket.split();
    let mut pings = interval(PING);
    let seen = async {
        loop {
            let message = tokio::select! {
                piece = back.next() => {
                    let Ok(Some(piece)) = piece else { return "the screen ended" };
                    Message::Binary(piece)
                }
                _ = pings.tick() => Message::Ping(Bytes::new()),
            };
            if viewer.send(message).await.is_err() {
                return "the viewer left";
            }
        }
    };
    let done = async {
        loop {
            match timeout(SILENCE, said.next()).await {
                Ok(Some(Ok(Message::Binary(bytes)))) => {
                    if to.send(bytes).await.is_err() {
                        return "the screen ended";
                    }
                }
                Ok(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => {}
                Ok(Some(Ok(Message::Text(_)))) => return "the viewer sent text, and a screen is binary",
                Ok(Some(Ok(Message::Close(_)) | Err(_)) | None) => return "the viewer left",
                Err(_) => return "the viewer fell silent",
            }
        }
    };
    let why = tokio::select! {
        why = seen => why,
        why = done => why,
    };
    let frame = CloseFrame { code: close_code::NORMAL, reason: why.into() };
    let farewell = async { viewer.send(Message::Close(Some(frame))).await.and(viewer.close().await) };
    // Whoever left does not hear it.
    drop(timeout(FAREWELL, farewell).await);
    why.to_owned()
}
