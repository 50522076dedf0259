//! What a simulated node writes and streams out: its logs, its files, and etcd's database.

use std::sync::Arc;

use futures_util::stream;
use sha2::{Digest as _, Sha256};
use talos::api::proto::{common, machine};
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status};

use super::machine::{Api, Reply, Role, once};

/// A page of etcd's database; what its snapshot is a multiple of.
const PAGE: usize = 4096;

impl Api {
    pub(super) fn dmesg(&self, request: Request<machine::DmesgReq>) -> Reply<BoxStream<common::Data>> {
        self.may("Dmesg", Role::Reader, false)?;
        let request = request.into_inner();
        let events = Arc::clone(&self.node.now().events);
        let (start, kept) = (if request.tail { events.len() } else { 0 }, events.len());
        let lines = stream::unfold((events, start), move |(events, index)| async move {
            if !request.follow && index >= kept {
                return None;
            }
            events.until(index).await;
            let event = events.get(index)?;
            let line = format!("user: warning: [{}]: [talos] {}\n", event.id, event.kind);
            Some((Ok(common::Data { metadata: None, bytes: line.into_bytes() }), (events, index + 1)))
        });
        Ok(Response::new(Box::pin(lines)))
    }

    pub(super) fn logs(&self, request: Request<machine::LogsReq>) -> Reply<BoxStream<common::Data>> {
        self.may("Logs", Role::Reader, false)?;
        let machine::LogsReq { id, follow, tail_lines, .. } = request.into_inner();
        let known = self.node.now().services.iter().any(|(known, _, _)| *known == id);
        if !known {
            return Err(Status::unknown(format!("log \"{id}\" was not registered")));
        }
        let lines = self.node.log_of(&id);
        // All is any number below zero.
        let wanted = usize::try_from(tail_lines).unwrap_or(lines.len());
        let start = lines.len().saturating_sub(wanted);
        let (node, kept) = (Arc::clone(&self.node), lines.len());
        let changes = node.changes();
        let told =
            stream::unfold((node, id, start, changes), move |(node, id, index, mut changes)| async move {
                loop {
                    if !follow && index >= kept {
                        return None;
                    }
                    changes.borrow_and_update();
                    if let Some(line) = node.log_of(&id).get(index) {
                        let bytes = line.clone().into_bytes();
                        return Some((
                            Ok(common::Data { metadata: None, bytes }),
                            (node, id, index + 1, changes),
                        ));
                    }
                    changes.changed().await.ok()?;
                }
            });
        Ok(Response::new(Box::pin(told)))
    }

    pub(super) fn read(&self, request: Request<machine::ReadReq>) -> Reply<BoxStream<common::Data>> {
        self.may("Read", Role::Admin, false)?;
        let path = request.into_inner().path;
        let now = self.node.now();
        let bytes = match path.as_str() {
            "/proc/sys/kernel/random/boot_id" => Some(format!("{}\n", now.boot_id).into_bytes()),
            // Where STATE is mounted once there is one.
            "/system/state/config.yaml" => now.state.clone(),
            "/" | "/proc" | "/system" | "/system/state" => {
                return Err(Status::unknown("path must be a regular file"));
            }
            _ => None,
        };
        let missing = || Status::not_found(format!("stat {path}: no such file or directory"));
        Ok(once(common::Data { metadata: None, bytes: bytes.ok_or_else(missing)? }))
    }

    /// Whole pages, and behind them their SHA-256, as etcd has it.
    pub(super) fn etcd_snapshot(&self, _: Request<()>) -> Reply<BoxStream<common::Data>> {
        self.may("EtcdSnapshot", Role::Operator, false)?;
        self.control_plane("etcd snapshot")?;
        self.etcd_runs()?;
        let mut pages = self.etcd_database();
        let checksum = Sha256::digest(&pages);
        pages.extend_from_slice(&checksum);
        let chunks: Vec<Result<common::Data, Status>> = pages
            .chunks(PAGE)
            .map(|bytes| Ok(common::Data { metadata: None, bytes: bytes.to_vec() }))
            .collect();
        Ok(Response::new(Box::pin(stream::iter(chunks))))
    }

    /// What its etcd holds: who its members are.
    pub(super) fn etcd_database(&self) -> Vec<u8> {
        let members = self.node.cluster.members(&self.cluster_id());
        let text: String = members.iter().map(|one| format!("{:016x} {}\n", one.id, one.hostname)).collect();
        let mut pages = text.into_bytes();
        let whole = pages.len().div_ceil(PAGE).max(1) * PAGE;
        pages.resize(whole, 0);
        pages
    }
}
