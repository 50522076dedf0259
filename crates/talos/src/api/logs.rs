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
    /// What comes from now on; it does not end.
    FromNow,
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
        let (follow, from_now) = (extent != Extent::Kept, extent == Extent::FromNow);
        let stream = match source {
            LogSource::Kernel => {
                let request = DmesgReq { follow, tail: from_now };
                self.following(&DMESG, request).await?
            }
            LogSource::Service(id) => {
                let request = LogsReq {
                    namespace: "system".to_owned(),
                    id: id.to_owned(),
                    driver: common::ContainerDriver::Containerd.into(),
                    follow,
                    // All is -1; 0 would be no line at all.
                    tail_lines: if from_now { 0 } else { -1 },
                };
                self.following(&LOGS, request).await?
            }
        };
        Ok(Text { node: self, stream })
    }
}
