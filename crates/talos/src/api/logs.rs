//! Logs of a node as they are written: the kernel's, and those of services.

use tonic::Streaming;

use super::error::NodeError;
use super::node::Node;
use super::proto::common;
use super::proto::machine::{DMESG, DmesgReq, LOGS, LogsReq};

/// Whose log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogSource<'a> {
    /// The kernel's, with machined's own lines in it.
    Kernel,
    /// A service's, for example `etcd`; kubelet is one.
    Service(&'a str),
}

/// How much of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// What there is.
    Kept,
    /// What there is and what comes; it does not end.
    Followed,
    /// The last so many lines of a service. A kernel's log cannot be cut that way: all of it comes.
    Last(u16),
    /// The same, and what comes; it does not end. Of none, a kernel's log too begins now.
    FollowedLast(u16),
}

impl Extent {
    const fn follows(self) -> bool {
        matches!(self, Self::Followed | Self::FollowedLast(_))
    }

    /// As a node is asked: all is -1; 0 would be no line at all.
    fn lines(self) -> i32 {
        match self {
            Self::Kept | Self::Followed => -1,
            Self::Last(lines) | Self::FollowedLast(lines) => i32::from(lines),
        }
    }
}

/// A log, piece by piece as the node sends it; a piece may be part of a line.
#[derive(Debug)]
pub struct Text<'a> {
    node: &'a Node,
    stream: Streaming<common::Data>,
}

impl Text<'_> {
    /// The next piece; nothing at its end. Waits as long as the node is silent: a log may be, and the connection has
    /// probes of its own.
    ///
    /// # Errors
    /// See [`NodeError`].
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, NodeError> {
        let chunk = self.stream.message().await.map_err(|status| self.node.failed("a log", &status))?;
        Ok(chunk.map(|chunk| chunk.bytes))
    }
}

impl Node {
    /// A log.
    ///
    /// # Errors
    /// See [`NodeError`].
    pub async fn log(&self, source: LogSource<'_>, extent: Extent) -> Result<Text<'_>, NodeError> {
        let follow = extent.follows();
        let stream = match source {
            LogSource::Kernel => {
                let request = DmesgReq { follow, tail: extent == Extent::FollowedLast(0) };
                self.following(&DMESG, request).await?
            }
            LogSource::Service(id) => {
                let request = LogsReq {
                    namespace: "system".to_owned(),
                    id: id.to_owned(),
                    driver: common::ContainerDriver::Containerd.into(),
                    follow,
                    tail_lines: extent.lines(),
                };
                self.following(&LOGS, request).await?
            }
        };
        Ok(Text { node: self, stream })
    }
}
