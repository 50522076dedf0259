//! A control plane's trustd: certificates for who shows the token, and the table of the cluster where it leads.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use talos::pki::Name;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;

use super::super::config::Config;
use super::super::tls::{der, key};
use super::Room;
use super::talk::{SILENCE, TRUSTD, Table, Word, ends};
use crate::talos::Member;

/// Pause after a port could not be had.
const AGAIN: Duration = Duration::from_secs(1);

impl Room {
    /// Answers on trustd's port. Without a certificate, which a config that was taken gives, nobody could check it.
    pub(super) async fn trustd(self: &Arc<Self>, config: &Config) {
        let Some(tls) = self.tls(config) else { return };
        loop {
            if let Ok(listener) = TcpListener::bind((self.own(), TRUSTD)).await {
                self.answer_all(&listener, &tls, config).await;
            }
            sleep(AGAIN).await;
        }
    }

    async fn answer_all(self: &Arc<Self>, listener: &TcpListener, tls: &TlsAcceptor, config: &Config) {
        let mut open = JoinSet::new();
        while let Ok((stream, from)) = listener.accept().await {
            let (room, tls, config) = (Arc::clone(self), tls.clone(), config.clone());
            open.spawn(async move {
                // How a conversation ends is the caller's business: it begins another one.
                drop(room.answer(stream, from, &tls, &config).await);
            });
            while open.try_join_next().is_some() {}
        }
    }

    fn tls(&self, config: &Config) -> Option<TlsAcceptor> {
        let name = self.node.0.hostname();
        let names = [Name::Ip(self.own()), Name::Dns(name.clone())];
        let own = self.issue((&config.ca, &config.ca_key), &name, &names)?;
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().ok()?.with_no_client_auth();
        let tls = builder.with_single_cert(vec![der(&own.certificate)], key(&own.key)).ok()?;
        Some(TlsAcceptor::from(Arc::new(tls)))
    }

    async fn answer(
        &self,
        stream: TcpStream,
        from: SocketAddr,
        tls: &TlsAcceptor,
        config: &Config,
    ) -> io::Result<()> {
        let stream = timeout(SILENCE, tls.accept(stream)).await.map_err(|_| io::ErrorKind::TimedOut)??;
        let (mut ear, mut mouth) = ends(stream);
        let mut changes = self.cluster.changes();
        loop {
            let word: Word = timeout(SILENCE, ear.next()).await.map_err(|_| io::ErrorKind::TimedOut)??;
            if word.token != config.token || word.cluster != config.cluster {
                let refused =
                    Some("rpc error: code = PermissionDenied desc = error validating token".to_owned());
                return mouth.say(&Table { refused, ..Table::default() }).await;
            }
            let mut table = self.table(config, &word);
            if word.sign {
                table.issued = self.sign(config, &word, from.ip());
            }
            mouth.say(&table).await?;
            changes.borrow_and_update();
            // What changes meanwhile is told at once; only the leader's word changes.
            loop {
                tokio::select! {
                    heard = ear.ready() => {
                        heard?;
                        break;
                    }
                    changed = changes.changed(), if table.leads => {
                        changed.map_err(io::Error::other)?;
                        mouth.say(&Table::of(self.cluster.members(&config.cluster))).await?;
                    }
                    () = sleep(SILENCE) => return Err(io::ErrorKind::TimedOut.into()),
                }
            }
        }
    }

    /// What it answers; where it leads, what it heard counts.
    fn table(&self, config: &Config, word: &Word) -> Table {
        if !self.leads(&config.cluster) {
            return Table::default();
        }
        let member = word.member.map(|(id, learner)| Member {
            id,
            hostname: word.name.clone(),
            address: word.address.clone(),
            learner,
        });
        self.cluster.hear(&config.cluster, &word.address, member);
        if word.running {
            self.hear_kubelet(word);
        }
        Table::of(self.cluster.members(&config.cluster))
    }

    /// A certificate for a machine, at the address it calls from: nobody gets one for somebody else's.
    fn sign(&self, config: &Config, word: &Word, from: IpAddr) -> Option<(String, String)> {
        let names = [Name::Ip(from), Name::Dns(word.name.clone())];
        let issued = self.issue((&config.ca, &config.ca_key), &word.name, &names)?;
        let (certificate, key) = issued.to_pem();
        Some((certificate, key.to_string()))
    }
}
