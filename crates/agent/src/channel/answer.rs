//! What the core can ask over the channel.
//!
//! | request | answer |
//! |---|---|
//! | `POST /v1/nudge` | 202; the boss is asked now instead of with the next heartbeat |
//! | `POST /v1/loader` | the body says what to do with our loader on the machine's disks; 200 and how it is then, or 409 and why not |
//! | `POST /v1/build` | the body is the build to take; 202, or 409 and why not |
//! | `GET /v1/guests` | names of the guests with a console, JSON |
//! | `GET /v1/guests/NODE/console?labinator-from=N` | what it wrote from byte N on, and what it writes; `labinator-from` says where it really begins. It ends when the reader falls too far behind |
//! | `POST /v1/guests/NODE/console` | the body is typed into its serial port |
//! | `POST /v1/guests/NODE/vnc` | body and answer are the two directions of its screen |

use std::fs::{self, File};
use std::future::poll_fn;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::server::{self, SendResponse};
use h2::{Ping, PingPong, RecvStream, SendStream};
use http::{Method, Request, Response, StatusCode};
use model::{
    CHANNEL_BUILD_PATH, CHANNEL_FROM, CHANNEL_GUESTS_PATH, CHANNEL_LOADER_PATH, CHANNEL_NUDGE_PATH,
    GUEST_CONSOLE_LOG, GUEST_CONSOLE_SOCKET, GUEST_VNC_SOCKET, NodeName,
};
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::log::{self, Part};
use super::{Asked, Stream};

/// Requests at once; a hypervisor has fewer guests.
const STREAMS: u32 = 256;
/// How long a console that is followed is left alone when it had nothing new.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// How often the other end is asked whether it is there, and how long it may take to say so.
const PING: Duration = Duration::from_secs(20);
/// Bytes of an order; more is none.
const LONGEST_ORDER: usize = 4 << 10;
/// Bytes that go out at once.
const PIECE: usize = 16 << 10;

/// Answers on one connection until it ends.
pub(super) async fn all(stream: Stream, asked: &Asked) {
    let shaken = server::Builder::new().max_concurrent_streams(STREAMS).handshake(stream).await;
    let Ok(mut line) = shaken else { return };
    let pings = line.ping_pong();
    let asked = Arc::new(asked.clone());
    let mut streams = JoinSet::new();
    let silent = until_silent(pings);
    tokio::pin!(silent);
    loop {
        tokio::select! {
            next = line.accept() => match next {
                Some(Ok((request, respond))) => {
                    streams.spawn(answer(Arc::clone(&asked), request, respond));
                }
                Some(Err(_)) | None => return,
            },
            () = &mut silent => return,
            Some(_) = streams.join_next() => {}
        }
    }
}

/// Returns when the other end does not answer any more.
async fn until_silent(pings: Option<PingPong>) {
    let Some(mut pings) = pings else { return std::future::pending().await };
    loop {
        sleep(PING).await;
        if !matches!(timeout(PING, pings.ping(Ping::opaque())).await, Ok(Ok(_))) {
            return;
        }
    }
}

async fn answer(asked: Arc<Asked>, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
    let path = request.uri().path().to_owned();
    let folder = &asked.folder;
    if path == CHANNEL_BUILD_PATH && request.method() == Method::POST {
        // An error is the core's hanging up.
        drop(build(&asked, request.into_body(), &mut respond).await);
        return;
    }
    if path == CHANNEL_LOADER_PATH && request.method() == Method::POST {
        drop(loader(&asked, request.into_body(), &mut respond).await);
        return;
    }
    if path == CHANNEL_NUDGE_PATH && request.method() == Method::POST {
        asked.nudged.notify_one();
        drop(answer_bare(&mut respond, StatusCode::ACCEPTED));
        return;
    }
    let guest = |rest: &str| rest.parse::<NodeName>().ok().map(|node| folder.join(node.as_str()));
    let parts: Vec<&str> = path.strip_prefix(CHANNEL_GUESTS_PATH).unwrap_or("?").split('/').collect();
    // An error is the core's hanging up.
    let done = match (request.method(), parts.as_slice()) {
        (&Method::GET, [""]) => guests(folder, &mut respond).await,
        (&Method::GET, ["", node, "console"]) => match guest(node) {
            Some(guest) => console(&guest, from_of(&request), &mut respond).await,
            None => answer_bare(&mut respond, StatusCode::NOT_FOUND),
        },
        (&Method::POST, ["", node, what @ ("console" | "vnc")]) => match guest(node) {
            Some(guest) => {
                let is_screen = *what == "vnc";
                let socket = guest.join(if is_screen { GUEST_VNC_SOCKET } else { GUEST_CONSOLE_SOCKET });
                tunnel((&socket, is_screen), request.into_body(), &mut respond).await
            }
            None => answer_bare(&mut respond, StatusCode::NOT_FOUND),
        },
        _ => answer_bare(&mut respond, StatusCode::NOT_FOUND),
    };
    drop(done);
}

/// Answers with nothing but this.
fn answer_bare(respond: &mut SendResponse<Bytes>, status: StatusCode) -> Result<(), h2::Error> {
    let mut response = Response::new(());
    *response.status_mut() = status;
    respond.send_response(response, true).map(drop)
}

fn from_of(request: &Request<RecvStream>) -> u64 {
    let pairs = request.uri().query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    let mut values = pairs.filter(|(name, _)| *name == CHANNEL_FROM).map(|(_, value)| value);
    values.next().and_then(|value| value.parse().ok()).unwrap_or_default()
}

async fn guests(folder: &Path, respond: &mut SendResponse<Bytes>) -> Result<(), h2::Error> {
    let all = fs::read_dir(folder).into_iter().flatten().flatten();
    let with_console = all.filter(|guest| guest.path().join(GUEST_CONSOLE_LOG).exists());
    let mut names: Vec<NodeName> =
        with_console.filter_map(|guest| guest.file_name().to_str()?.parse().ok()).collect();
    names.sort();
    let mut to = respond.send_response(Response::new(()), false)?;
    send(&mut to, serde_json::to_vec(&names).unwrap_or_default().into()).await?;
    to.send_data(Bytes::new(), true)
}

/// Takes the order for another build.
async fn build(asked: &Asked, body: RecvStream, respond: &mut SendResponse<Bytes>) -> Result<(), h2::Error> {
    let build = match read(body).await? {
        Ok(build) => build,
        Err(status) => return answer_bare(respond, status),
    };
    let (status, why) = match asked.renewer.order(build) {
        Ok(()) => (StatusCode::ACCEPTED, String::new()),
        Err(why) => (StatusCode::CONFLICT, why),
    };
    answer_text(respond, status, why).await
}

/// Does what is ordered about our loader on the machine's disks.
async fn loader(asked: &Asked, body: RecvStream, respond: &mut SendResponse<Bytes>) -> Result<(), h2::Error> {
    let order = match read(body).await? {
        Ok(order) => order,
        Err(status) => return answer_bare(respond, status),
    };
    let (status, text) = match asked.loader.carry_out(order, asked.renewer.boss()).await {
        Ok(how) => (StatusCode::OK, serde_json::to_string(&how).unwrap_or_default()),
        Err(why) => (StatusCode::CONFLICT, why),
    };
    answer_text(respond, status, text).await
}

/// An order, or the status of one that cannot be read.
async fn read<T: DeserializeOwned>(mut body: RecvStream) -> Result<Result<T, StatusCode>, h2::Error> {
    let mut text = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece?;
        body.flow_control().release_capacity(piece.len())?;
        text.extend_from_slice(&piece);
        if text.len() > LONGEST_ORDER {
            return Ok(Err(StatusCode::PAYLOAD_TOO_LARGE));
        }
    }
    Ok(serde_json::from_slice(&text).map_err(|_| StatusCode::BAD_REQUEST))
}

async fn answer_text(
    respond: &mut SendResponse<Bytes>,
    status: StatusCode,
    text: String,
) -> Result<(), h2::Error> {
    let response = Response::builder().status(status).body(()).unwrap_or_default();
    let mut to = respond.send_response(response, false)?;
    send(&mut to, text.into()).await?;
    to.send_data(Bytes::new(), true)
}

async fn console(guest: &Path, from: u64, respond: &mut SendResponse<Bytes>) -> Result<(), h2::Error> {
    let opened = File::open(guest.join(GUEST_CONSOLE_LOG));
    let sized = opened.and_then(|file| Ok((file.metadata()?.len(), file)));
    let Ok((size, file)) = sized else { return answer_bare(respond, StatusCode::NOT_FOUND) };
    let oldest = log::oldest(size);
    let mut at = if from < oldest || from > size { oldest } else { from };
    let response = Response::builder().header(CHANNEL_FROM, at).body(()).unwrap_or_default();
    let mut to = respond.send_response(response, false)?;
    loop {
        match log::read(&file, at, PIECE) {
            Ok(Part::Bytes(bytes)) => {
                at += u64::try_from(bytes.len()).unwrap_or_default();
                send(&mut to, bytes.into()).await?;
            }
            Ok(Part::End) => tokio::select! {
                () = sleep(LOOK_AGAIN) => {}
                _ = poll_fn(|cx| to.poll_reset(cx)) => return Ok(()),
            },
            // The core asks again, and is told where it goes on.
            Ok(Part::Lost) | Err(_) => return to.send_data(Bytes::new(), true),
        }
    }
}

/// Sends as the other end takes it.
async fn send(to: &mut SendStream<Bytes>, mut bytes: Bytes) -> Result<(), h2::Error> {
    while !bytes.is_empty() {
        to.reserve_capacity(bytes.len());
        let room = poll_fn(|cx| to.poll_capacity(cx)).await;
        let room = room.unwrap_or_else(|| Err(h2::Reason::CANCEL.into()))?;
        to.send_data(bytes.split_to(room.min(bytes.len())), false)?;
    }
    Ok(())
}

/// Joins a request and a socket of QEMU's until one of both ends.
async fn tunnel(
    (socket, is_screen): (&Path, bool),
    body: RecvStream,
    respond: &mut SendResponse<Bytes>,
) -> Result<(), h2::Error> {
    let Ok(stream) = UnixStream::connect(socket).await else {
        return answer_bare(respond, StatusCode::NOT_FOUND);
    };
    let mut to = respond.send_response(Response::new(()), false)?;
    let (mut reader, mut writer) = stream.into_split();
    let back = async {
        match is_screen {
            true => give(&mut reader, &mut to).await,
            // What it writes is in its log. But a socket that nobody reads would stop the guest.
            false => tokio::io::copy(&mut reader, &mut tokio::io::sink()).await.map(drop),
        }
    };
    tokio::select! {
        // Told by the end of the answer.
        done = take(body, &mut writer) => drop(done),
        done = back => drop(done),
    }
    to.send_data(Bytes::new(), true)
}

async fn take(mut body: RecvStream, writer: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
    while let Some(piece) = body.data().await {
        let piece = piece.map_err(io::Error::other)?;
        writer.write_all(&piece).await?;
        body.flow_control().release_capacity(piece.len()).map_err(io::Error::other)?;
    }
    Ok(())
}

async fn give(reader: &mut (impl AsyncRead + Unpin), to: &mut SendStream<Bytes>) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    loop {
        let count = reader.read(&mut piece).await?;
        if count == 0 {
            return Ok(());
        }
        let bytes = Bytes::copy_from_slice(piece.get(..count).unwrap_or_default());
        send(to, bytes).await.map_err(io::Error::other)?;
    }
}
