//! One connection to the event sink.

use std::net::IpAddr;

use talos::feed;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::clock::boottime_ms;
use crate::counter::Counter;

/// Hears a connection until it ends, or its address is no machine's of the board any more.
pub(super) async fn hear(counter: &Counter, stream: TcpStream, from: IpAddr) {
    // One event at a time: the next is answered when this one was taken.
    let (events, mut waiting) = mpsc::channel::<Result<feed::Pushed, feed::EventError>>(1);
    let hearing = async {
        while let Some(event) = waiting.recv().await {
            let now = boottime_ms();
            let Some(mac) = counter.machine_at(from) else { return };
            let wait = counter.voices.afford_event(mac, now);
            if !wait.is_zero() {
                tokio::time::sleep(wait).await;
            }
            let event = event.as_ref().map(|pushed| pushed.event.said());
            counter.voices.event(&counter.sights, mac, event.ok(), now);
        }
    };
    tokio::select! {
        served = feed::serve(stream, from, events) => {
            if let Err(error) = served {
                tracing::debug!(%from, "a connection to the event sink ended: {error}");
            }
        }
        () = hearing => {}
    }
}
