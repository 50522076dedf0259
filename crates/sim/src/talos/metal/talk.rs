//! What nodes say to each other on trustd's port: lines of JSON over TLS.
//!
//! Genuine nodes have trustd (a certificate for a token), etcd and a kubelet for it; here one conversation does for all
//! three. Who calls checks the other's certificate by the authority in its config, and shows the machine token.

use std::io;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};
use tokio::io::{ReadHalf, WriteHalf};
use tokio::time::timeout;

use crate::talos::cluster::Member;

/// Port of trustd.
pub(super) const TRUSTD: u16 = 50_001;
/// Largest line, in bytes.
const LARGEST: u64 = 256 << 10;
/// How often a node speaks when nothing changes.
pub(super) const BEAT: Duration = Duration::from_secs(2);
/// Silence after which a conversation is over.
pub(super) const SILENCE: Duration = Duration::from_secs(10);

/// A node about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is one answer to yes or no on the wire")]
pub(super) struct Word {
    /// The machine token of the cluster.
    pub(super) token: String,
    pub(super) cluster: String,
    pub(super) name: String,
    pub(super) address: String,
    pub(super) control_plane: bool,
    /// Its boot came to its end: the kubelet works.
    pub(super) running: bool,
    /// Its number in etcd, and whether it only learns yet.
    pub(super) member: Option<(u64, bool)>,
    pub(super) cores: u32,
    pub(super) memory_mib: u32,
    /// The kubelet's version.
    pub(super) kubelet: String,
    /// It asks for a certificate of its own.
    pub(super) sign: bool,
}

/// A control plane's answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Table {
    /// Etcd was begun here.
    pub(super) leads: bool,
    /// Number, name, address, whether it only learns: each member of etcd, where it leads.
    pub(super) members: Vec<(u64, String, String, bool)>,
    /// Certificate and key, PEM, for who asked.
    pub(super) issued: Option<(String, String)>,
    /// Why nothing else is said.
    pub(super) refused: Option<String>,
}

impl Table {
    pub(super) fn of(members: Vec<Member>) -> Self {
        let members = members.into_iter().map(|one| (one.id, one.hostname, one.address, one.learner));
        Self { leads: true, members: members.collect(), ..Self::default() }
    }

    pub(super) fn members(&self) -> Vec<Member> {
        let member = |(id, hostname, address, learner): &(u64, String, String, bool)| Member {
            id: *id,
            hostname: hostname.clone(),
            address: address.clone(),
            learner: *learner,
        };
        self.members.iter().map(member).collect()
    }
}

/// One end of a conversation that hears.
#[derive(Debug)]
pub(super) struct Ear<S> {
    from: BufReader<ReadHalf<S>>,
    /// A line that is not whole yet: waiting for the rest can be broken off and taken up again.
    begun: Vec<u8>,
}

/// One end of a conversation that speaks.
#[derive(Debug)]
pub(super) struct Mouth<S>(WriteHalf<S>);

/// Both ends of a connection.
pub(super) fn ends<S: AsyncRead + AsyncWrite>(stream: S) -> (Ear<S>, Mouth<S>) {
    let (from, to) = tokio::io::split(stream);
    (Ear { from: BufReader::new(from), begun: Vec::new() }, Mouth(to))
}

impl<S: AsyncRead + AsyncWrite + Unpin> Ear<S> {
    /// The next line. Cancelling this loses nothing.
    pub(super) async fn next<T: DeserializeOwned>(&mut self) -> io::Result<T> {
        let left = LARGEST.saturating_sub(u64::try_from(self.begun.len()).unwrap_or(LARGEST));
        let reading = (&mut self.from).take(left).read_until(b'\n', &mut self.begun).await;
        reading?;
        if self.begun.last() != Some(&b'\n') {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = std::mem::take(&mut self.begun);
        serde_json::from_slice(&line).map_err(io::Error::other)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Ear<S> {
    /// Waits until something of the next line is here, or the end.
    pub(super) async fn ready(&mut self) -> io::Result<()> {
        self.from.fill_buf().await.map(drop)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Mouth<S> {
    pub(super) async fn say<T: Serialize>(&mut self, what: &T) -> io::Result<()> {
        let mut line = serde_json::to_vec(what).map_err(io::Error::other)?;
        line.push(b'\n');
        let said = async {
            self.0.write_all(&line).await?;
            self.0.flush().await
        };
        timeout(SILENCE, said).await.map_err(|_| io::ErrorKind::TimedOut)?
    }
}
