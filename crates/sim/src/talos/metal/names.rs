//! Addresses behind a name, asked of the lab's name server (RFC 1035).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, Query};
use hickory_proto::rr::{Name, RData, RecordType};
use tokio::net::UdpSocket;
use tokio::time::timeout;

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(2);
/// Largest answer over UDP without extensions, in bytes.
const LARGEST: usize = 512;

/// The IPv4 addresses of a host: itself where it is one already.
///
/// # Errors
/// The server does not answer, or knows no such name.
pub(super) async fn addresses(host: &str, server: SocketAddr, id: u16) -> io::Result<Vec<IpAddr>> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![address]);
    }
    let wrong = |why: &dyn std::fmt::Display| io::Error::other(format!("{host}: {why}"));
    let name = Name::from_ascii(format!("{host}.")).map_err(|why| wrong(&why))?;
    let mut question = Message::new(id, MessageType::Query, OpCode::Query);
    question.metadata.recursion_desired = true;
    question.add_query(Query::query(name, RecordType::A));
    let bytes = question.to_vec().map_err(|why| wrong(&why))?;
    let unspecified = match server {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let socket = UdpSocket::bind((unspecified, 0)).await?;
    // Connected: nobody else's answers arrive.
    socket.connect(server).await?;
    socket.send(&bytes).await?;
    let mut answer = [0; LARGEST];
    let answered = async {
        loop {
            let length = socket.recv(&mut answer).await?;
            let read = Message::from_vec(answer.get(..length).unwrap_or_default());
            if let Some(read) = read.ok().filter(|read| read.metadata.id == id) {
                return Ok::<_, io::Error>(read);
            }
        }
    };
    let answer =
        timeout(LIMIT, answered).await.map_err(|_| wrong(&format!("{server} does not answer")))??;
    let found: Vec<IpAddr> = answer
        .answers
        .iter()
        .filter_map(|record| match &record.data {
            RData::A(address) => Some(IpAddr::V4(address.0)),
            _ => None,
        })
        .collect();
    if found.is_empty() { Err(wrong(&format!("{server} knows no address of it"))) } else { Ok(found) }
}
