//! A config that a simulated node fetches, as `talos.config` on its kernel line tells it to: plain HTTP, asked again until
//! the answer is 200 (Talos: `pkg/download`).

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use talos::api::Dial;

use super::config;

/// Time between two asks: Talos begins with a second and doubles it.
const AGAIN: Duration = Duration::from_secs(2);
/// The largest config that is taken, in bytes.
const LARGEST: usize = 4 << 20;

/// The config behind a URL with a literal address, once it is there and can be read.
pub(super) async fn fetch(dial: &Dial, url: &str) -> Vec<u8> {
    loop {
        if let Some(text) = ask(dial, url).await
            && matches!(config::read(&text, false), Ok(Some(_)))
        {
            return text;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

async fn ask(dial: &Dial, url: &str) -> Option<Vec<u8>> {
    let (authority, path) = url.strip_prefix("http://")?.split_once('/')?;
    let to = authority.parse::<SocketAddr>().or_else(|_| format!("{authority}:80").parse()).ok()?;
    let stream = dial.dial(to).await.ok()?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
    let request =
        Request::get(format!("/{path}")).header("Host", authority).body(Empty::<Bytes>::new()).ok()?;
    let exchange = async {
        let answer = sender.send_request(request).await.ok()?;
        (answer.status() == StatusCode::OK).then_some(())?;
        let body = Limited::new(answer.into_body(), LARGEST).collect().await.ok()?;
        Some(body.to_bytes().to_vec())
    };
    tokio::pin!(exchange);
    tokio::select! {
        done = &mut exchange => done,
        // A connection that ends may leave its last piece to be read.
        _ended = connection => exchange.await,
    }
}
