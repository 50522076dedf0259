//! Carries one request of a machine over a real HTTP/1.1 connection and reports what happens to it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use super::{Lab, Server};
use crate::http::{HttpEvent, HttpRequest, place};

/// How often a silent connection is checked for a machine that went away.
const LOOK_EVERY: Duration = Duration::from_millis(250);

const HTTP_PORT: u16 = 80;

/// Carries a request. A machine that is switched off takes its connection with it.
pub(super) async fn run<S: Server>(lab: Lab, server: Arc<S>, machine: usize, request: HttpRequest) {
    let id = request.id;
    let wanted = async {
        while lab.is_wanted(machine, id) {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    tokio::select! {
        () = wanted => {}
        done = carry(&lab, &*server, machine, request) => {
            if done.is_none() {
                lab.on_http(machine, id, &HttpEvent::Failed);
            }
        }
    }
}

/// Everything to the end of the answer; `None` when it broke off.
async fn carry<S: Server>(lab: &Lab, server: &S, machine: usize, request: HttpRequest) -> Option<()> {
    let (id, reads) = (request.id, request.reads_body);
    let (authority, path) = split(&request.url)?;
    let to = place(authority, HTTP_PORT)?;
    let from = lab.inspect(|segment| segment.machine(machine)?.address_to(to.ip()));
    let stream = server.connect(from, to).await.ok()?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
    let mut message = Request::builder().method(request.method.as_str()).uri(path).header("Host", authority);
    for (name, value) in &request.headers {
        message = message.header(name, value);
    }
    if let Some(first) = request.range_from {
        message = message.header("Range", format!("bytes={first}-"));
    }
    let message = message.body(Full::<Bytes>::new(request.body)).ok()?;
    let exchange = async {
        let answer = sender.send_request(message).await.ok()?;
        let status = answer.status().as_u16();
        let text = |(name, value): (&hyper::header::HeaderName, &hyper::header::HeaderValue)| {
            Some((name.to_string(), value.to_str().ok()?.to_owned()))
        };
        let headers = answer.headers().iter().filter_map(text).collect();
        lab.on_http(machine, id, &HttpEvent::Head { status, headers });
        pass(lab, (machine, id), answer.into_body(), reads).await
    };
    tokio::pin!(connection);
    tokio::pin!(exchange);
    tokio::select! {
        done = &mut exchange => done,
        // A connection that ends may leave its last piece to be read.
        _ended = &mut connection => exchange.await,
    }
}

async fn pass(lab: &Lab, (machine, id): (usize, u64), mut body: Incoming, reads: bool) -> Option<()> {
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.ok()?.into_data() {
            let event = if reads {
                HttpEvent::Data(data)
            } else {
                HttpEvent::Passed(u64::try_from(data.len()).unwrap_or_default())
            };
            lab.on_http(machine, id, &event);
        }
    }
    lab.on_http(machine, id, &HttpEvent::End);
    Some(())
}

/// Authority and path of a plain URL.
fn split(url: &str) -> Option<(&str, &str)> {
    let rest = url.strip_prefix("http://")?;
    let at = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(at);
    Some((authority, if path.is_empty() { "/" } else { path }))
}
