//! The event sink: nodes call it in plain HTTP/2, one call an event, in order, from the first event of a boot.

use std::convert::Infallible;
use std::net::IpAddr;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tonic::{Request, Response, Status};

use super::event::{Event, EventError};
use super::hint::Hint;
use crate::api::grpc::Answer;
use crate::api::proto::events::{EVENT_SINK_PUBLISH, EventRequest, EventResponse};

/// An event as somebody pushed it.
#[derive(Debug, Clone, PartialEq)]
pub struct Pushed {
    /// From where: the message does not say which node it is.
    pub from: IpAddr,
    /// Its number: 20 letters that grow with time (xid).
    pub id: String,
    /// Whose request it belongs to, if any.
    pub actor: String,
    /// What is said to have happened.
    pub event: Hint<Event>,
}

/// The largest event taken, in bytes.
const LARGEST: usize = 256 * 1024;
/// The largest head of a call, in bytes. Talos's has some two hundred.
const LARGEST_HEAD: u32 = 8 * 1024;

/// Answers one connection until it ends. The queue behind `events` bounds how much is taken: when it is full the node
/// waits, and sends again what was not answered. An event that cannot be read is answered too, or the node would send it
/// for ever.
///
/// # Errors
/// The connection is no HTTP/2, or broke.
pub async fn serve<S>(stream: S, from: IpAddr, events: Events) -> Result<(), hyper::Error>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let sink = Sink { from, events };
    let service = service_fn(move |request| {
        let sink = sink.clone();
        async move {
            let answer = Answer::to(request, LARGEST);
            let answer = answer.unary(&EVENT_SINK_PUBLISH, |request| sink.publish(request));
            Ok::<_, Infallible>(answer.finish().await)
        }
    });
    hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        // The node is silent between events for hours; one that is gone must not keep its place.
        .keep_alive_interval(Some(std::time::Duration::from_secs(60)))
        .max_concurrent_streams(8)
        .max_header_list_size(LARGEST_HEAD)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

/// Where events go.
type Events = mpsc::Sender<Result<Pushed, EventError>>;

#[derive(Debug, Clone)]
struct Sink {
    from: IpAddr,
    events: Events,
}

impl Sink {
    async fn publish(&self, request: Request<EventRequest>) -> Result<Response<EventResponse>, Status> {
        let EventRequest { data, id, actor_id } = request.into_inner();
        let data = data.unwrap_or_default();
        let event = Event::decode(&data.type_url, &data.value);
        let pushed =
            event.map(|event| Pushed { from: self.from, id, actor: actor_id, event: Hint::new(event) });
        match self.events.send(pushed).await {
            Ok(()) => Ok(Response::new(EventResponse {})),
            Err(_) => Err(Status::unavailable("nobody listens to events now")),
        }
    }
}
