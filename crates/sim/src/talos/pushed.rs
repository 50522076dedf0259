//! What a simulated node pushes without being asked: its events, and its kernel's lines.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use model::WallTime;
use serde_json::json;
use talos::api::Dial;
use talos::api::grpc::Caller;
use talos::api::proto::events::{EVENT_SINK_PUBLISH, EventRequest};
use tokio::io::AsyncWriteExt as _;
use tonic::Request;
use tonic::body::Body;
use tonic::codegen::{Service, http};

use super::events::Events;

/// The largest event that is pushed, in bytes.
const LARGEST: usize = 1 << 20;
/// Time between two attempts.
const AGAIN: Duration = Duration::from_secs(1);

/// Calls the sink once for each event, in order, from the first of the boot; what was not answered is sent again.
pub(super) async fn events(dial: Dial, at: SocketAddr, events: Arc<Events>) {
    let mut next = 0;
    loop {
        if let Ok(stream) = dial.dial(at).await
            && let Ok((sender, connection)) =
                hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await
            && let Ok(origin) = http::Uri::try_from(format!("http://{at}"))
        {
            let sending = async {
                let mut sink = Caller::new(Line(sender), origin, LARGEST);
                loop {
                    events.until(next).await;
                    let Some(event) = events.get(next) else { return };
                    let type_url = format!("type.googleapis.com/{}", event.kind);
                    let data = Some(prost_types::Any { type_url, value: event.value });
                    let request = EventRequest { data, id: event.id, actor_id: event.actor };
                    if sink.unary(&EVENT_SINK_PUBLISH, Request::new(request)).await.is_err() {
                        return;
                    }
                    next += 1;
                }
            };
            tokio::select! {
                () = sending => {}
                _ = connection => {}
            }
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// A plain HTTP/2 connection, as gRPC's client wants it.
struct Line(SendRequest<Body>);

impl Service<http::Request<Body>> for Line {
    type Response = http::Response<hyper::body::Incoming>;
    type Error = hyper::Error;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Self::Response, hyper::Error>> + Send>>;

    fn poll_ready(
        &mut self,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), hyper::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}

/// Sends the kernel's lines as JSON, one for each event of the boot, from its start.
pub(super) async fn kernel(dial: Dial, at: SocketAddr, events: Arc<Events>, wall: WallTime) {
    let mut next = 0;
    loop {
        if let Ok(mut stream) = dial.dial(at).await {
            loop {
                events.until(next).await;
                let Some(event) = events.get(next) else { return };
                let line = json!({
                    "msg": format!("[talos] {}", event.kind),
                    "talos-time": format!("{}ms", wall.0),
                    "talos-level": "warn",
                    "facility": "user",
                    "priority": "warning",
                    "seq": next,
                    "clock": wall.0,
                });
                if stream.write_all(format!("{line}\n").as_bytes()).await.is_err() {
                    break;
                }
                next += 1;
            }
        }
        tokio::time::sleep(AGAIN).await;
    }
}
