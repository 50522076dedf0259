//! Everybody but the leader: looks for it behind the name of the control plane, and keeps up with it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use talos::pki::Certificate;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::super::config::Config;
use super::super::tls::{Trouble, der};
use super::talk::{BEAT, SILENCE, TRUSTD, Table, ends};
use super::{Room, names};

/// Pause between two rounds.
const AGAIN: Duration = Duration::from_millis(500);
/// How long a machine may take to answer at all.
const LIMIT: Duration = Duration::from_secs(3);

impl Room {
    /// Goes on until it is dropped.
    pub(super) async fn follow(&self, config: &Config) {
        loop {
            for address in self.control_plane(config).await {
                if address != self.own() {
                    // Whoever does not answer, or does not lead, is asked again in the next round.
                    drop(self.talk_to(address, config).await);
                    self.leader.send_replace(None);
                }
            }
            sleep(AGAIN).await;
        }
    }

    async fn control_plane(&self, config: &Config) -> Vec<IpAddr> {
        let host = host_of(&config.endpoint);
        let id = u16::from_be_bytes(self.node.0.bytes());
        names::addresses(host, self.metal.resolver, id).await.unwrap_or_default()
    }

    /// Talks to a control plane: once to one that does not lead, and as long as it can to the one that does.
    async fn talk_to(&self, address: IpAddr, config: &Config) -> Result<(), Trouble> {
        let stream = timeout(LIMIT, self.connect(address, config)).await??;
        let (mut ear, mut mouth) = ends(stream);
        let mut changes = self.node.changes();
        let mut signed = config.control_plane;
        loop {
            changes.borrow_and_update();
            mouth.say(&self.word(config, !signed)).await?;
            let beat = Instant::now() + BEAT;
            loop {
                let table: Table = tokio::select! {
                    table = timeout(SILENCE, ear.next()) => table??,
                    () = sleep_until(beat) => break,
                    _ = changes.changed() => break,
                };
                if let Some(why) = table.refused {
                    return Err(why.into());
                }
                if let Some((certificate, key)) = table.issued.clone() {
                    signed = true;
                    self.cluster.issued(&config.cluster, certificate, key);
                }
                if !table.leads {
                    return Ok(());
                }
                self.cluster.mirror(&config.cluster, &self.own().to_string(), table.members());
                self.leader.send_if_modified(|known| known.replace(address) != Some(address));
            }
        }
    }

    async fn connect(&self, address: IpAddr, config: &Config) -> Result<TlsStream<TcpStream>, Trouble> {
        let mut roots = RootCertStore::empty();
        roots.add(der(&Certificate::from_pem(&config.ca)?))?;
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions()?.with_root_certificates(roots);
        let tls = TlsConnector::from(Arc::new(builder.with_no_client_auth()));
        let stream = TcpStream::connect(SocketAddr::new(address, TRUSTD)).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::IpAddress(address.into());
        Ok(tls.connect(name, stream).await.map_err(|why: io::Error| why)?)
    }
}

/// The host of an endpoint such as `https://physical.demo.internal:6443`.
pub(super) fn host_of(endpoint: &str) -> &str {
    let rest = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest);
    let rest = rest.split('/').next().unwrap_or_default();
    match rest.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => rest.rsplit_once(':').map_or(rest, |(host, _)| host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_of_an_endpoint_is_found() {
        for (endpoint, host) in [
            ("https://physical.demo.internal:6443", "physical.demo.internal"),
            ("https://10.0.0.1:6443/", "10.0.0.1"),
            ("https://[fd00::1]:6443", "fd00::1"),
            ("https://name", "name"),
        ] {
            assert_eq!(host_of(endpoint), host);
        }
    }
}
