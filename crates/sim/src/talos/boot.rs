//! A simulated node's way up, boot by boot, in Talos's order.
//!
//! ```text
//!  initialize ─▶ config on disk? ─no─▶ maintenance ─▶ config
//!      ▲              │yes                              │
//!      │              ▼                                 ▼
//!      │            boot ◀── installed? ◀───────────────┤
//!      │              │                                 │no
//!      └─ reboot,     ▼                                 ▼
//!         reset ◀── running                install ─▶ kexec ─▶ initialize
//! ```

use std::net::SocketAddr;
use std::sync::Arc;

use model::WallTime;
use talos::api::Character;
use talos::api::proto::told::{MachineStage, SeqAction, StartStop, SvcAction};
use talos::pki::{Authority, Certificate, Identity, KeyKind, Leaf, Name};
use tokio::task::JoinSet;

use super::cluster::{Found, Member, Signer};
use super::config::{self, Config};
use super::events::{Events, Payload};
use super::line::Receivers;
use super::manner::{Manner, Place};
use super::node::{End, Etcd, Inner, Order, Port, Stage};
use super::pulled;
use super::pushed;
use super::tls;

/// How a boot ends.
pub(super) enum Ending {
    /// Into the next kernel, without firmware.
    Kexec,
    /// Through firmware.
    Reset,
    /// Off.
    Off,
}

impl Inner {
    /// Lives until it is switched off.
    pub(super) async fn live(self: &Arc<Self>) {
        self.own_another_cluster();
        loop {
            tokio::time::sleep(self.settings.pace.firmware).await;
            self.boots_anew();
            if self.live_once().await == End::Off {
                return;
            }
        }
    }

    /// Lives until it needs its firmware.
    pub(super) async fn live_once(self: &Arc<Self>) -> End {
        loop {
            let mut feeds = JoinSet::new();
            let ending = self.boot(&mut feeds).await;
            self.now().config = None;
            self.turn(Port::Closed);
            self.changed();
            feeds.shutdown().await;
            match ending {
                Ending::Kexec => {
                    tokio::time::sleep(self.settings.pace.kexec).await;
                    self.boots_disk();
                }
                Ending::Reset => return End::Restart,
                Ending::Off => {
                    self.now().stage = Stage::Off;
                    self.changed();
                    return End::Off;
                }
            }
        }
    }

    async fn boot(self: &Arc<Self>, feeds: &mut JoinSet<()>) -> Ending {
        self.begin();
        self.push(feeds, self.settings.sink, self.settings.kernel_log);
        let phases = ["systemRequirements", "earlyServices", "meta", "dashboard"];
        self.sequence("initialize", &phases, MachineStage::Booting, Stage::Booting).await;
        self.publish(Payload::Address(self.hostname(), vec![self.settings.address.ip().to_string()]));
        self.publish(Payload::Phase("config", StartStop::Start));
        if std::mem::take(&mut self.now().wipe) {
            {
                let mut now = self.now();
                (now.state, now.installed, now.etcd) = (None, false, Etcd::Absent);
                (now.kept_version, now.staged) = (None, None);
            }
            if let Err(why) = self.keep() {
                return self.failed("initialize", &why);
            }
        }
        let saved = self.now().state.clone();
        if saved.is_none() {
            self.obey_kernel_line(feeds).await;
        }
        let text = match saved {
            Some(saved) => saved,
            None => match self.asked_for().await {
                Ok(config) => config,
                Err(ending) => return ending,
            },
        };
        // What is on disk was validated when it was taken.
        let Ok(Some(config)) = config::read(&text, true) else { return Ending::Off };
        {
            let mut now = self.now();
            now.config = Some(config.clone());
            if now.installed {
                now.state = Some(text.clone());
            }
        }
        if let Err(why) = self.keep() {
            return self.failed("initialize", &why);
        }
        self.publish(Payload::Phase("config", StartStop::Stop));
        self.publish(Payload::Sequence("initialize", SeqAction::SeqStop));
        let early = self.character() == Character::From13;
        if early {
            self.open_configured(&config, feeds);
        }
        if !self.now().installed {
            return self.install(text).await;
        }
        let staged = self.now().staged.clone();
        if let Some(version) = staged {
            return self.installs_staged(&version).await;
        }
        let known = (self.settings.sink, self.settings.kernel_log);
        self.push(
            feeds,
            config.sink.filter(|_| known.0.is_none()),
            config.kernel_log.filter(|_| known.1.is_none()),
        );
        let phases = ["memorySizeCheck", "diskSizeCheck", "env", "dbus", "ephemeral", "userSetup"];
        self.sequence("boot", &phases, MachineStage::Booting, Stage::Booting).await;
        if self.has(&Manner::DiesAt(Place::Boot)) {
            return Ending::Off;
        }
        if !early {
            self.open_configured(&config, feeds);
        }
        tokio::select! {
            () = self.come_up(&config) => Ending::Off,
            ending = self.ordered() => ending,
        }
    }

    /// A new kernel: another boot, no events, no services.
    fn begin(&self) {
        let [a, b, c, d, e, f, g, h]: [u8; 8] = self.bytes();
        let boot_id = self.uuid();
        let mut now = self.now();
        now.boot_id = boot_id;
        now.events = Arc::new(Events::new([a, b, c, d, e], u32::from_be_bytes([0, f, g, h])));
        now.services = vec![];
        now.logs = vec![];
        now.config = None;
        now.order = None;
        now.pushed = None;
        now.pulled.clear();
        now.stage = Stage::Booting;
    }

    fn push(self: &Arc<Self>, feeds: &mut JoinSet<()>, sink: Option<SocketAddr>, kernel: Option<SocketAddr>) {
        let events = Arc::clone(&self.now().events);
        if let Some(at) = sink {
            feeds.spawn(pushed::events(self.dial.clone(), at, Arc::clone(&events)));
        }
        if let Some(at) = kernel {
            feeds.spawn(pushed::kernel(self.dial.clone(), at, events, self.wall()));
        }
    }

    pub(super) fn stage(&self, wire: MachineStage, stage: Stage, unmet: Vec<(String, String)>) {
        {
            let mut now = self.now();
            now.stage = stage;
            now.unmet.clone_from(&unmet);
        }
        self.changed();
        self.publish(Payload::Status(wire, unmet));
    }

    /// Begins a sequence and walks through phases.
    async fn sequence(&self, name: &'static str, phases: &[&'static str], wire: MachineStage, stage: Stage) {
        self.publish(Payload::Sequence(name, SeqAction::SeqStart));
        let unmet = vec![("services".to_owned(), "apid, machined are not healthy".to_owned())];
        self.stage(wire, stage, unmet);
        for phase in phases {
            self.phase(phase).await;
        }
    }

    pub(super) async fn phase(&self, name: &'static str) {
        self.publish(Payload::Phase(name, StartStop::Start));
        tokio::time::sleep(self.settings.pace.phase).await;
        self.publish(Payload::Phase(name, StartStop::Stop));
    }

    /// Documents on the kernel line outrank its other arguments, and are looked at only where no config is found before.
    async fn obey_kernel_line(self: &Arc<Self>, feeds: &mut JoinSet<()>) {
        let (Receivers { sink, kernel_log }, fetches) = {
            let now = self.now();
            (now.receivers, now.config_url.is_some())
        };
        if !fetches && (sink, kernel_log) != (None, None) {
            feeds.shutdown().await;
            self.push(feeds, sink.or(self.settings.sink), kernel_log.or(self.settings.kernel_log));
        }
    }

    /// A config from elsewhere: fetched where its kernel line says from where, else pushed.
    async fn asked_for(&self) -> Result<Vec<u8>, Ending> {
        let url = self.now().config_url.clone();
        let Some(url) = url else { return self.maintenance().await };
        let text = pulled::fetch(&self.dial, &url).await;
        self.now().fetched += 1;
        Ok(text)
    }

    /// Waits for a config on a port that asks nobody who he is.
    async fn maintenance(&self) -> Result<Vec<u8>, Ending> {
        let (wall, mut random) = (self.wall(), self.draw());
        let Ok(tls) = tls::maintenance(self.settings.address.ip(), wall, &mut random) else {
            return Err(Ending::Off);
        };
        self.publish(Payload::Task("runningMaintenance", StartStop::Start));
        self.stage(MachineStage::Maintenance, Stage::Maintenance, vec![]);
        self.turn(Port::Open { tls, maintenance: true });
        let pushed = loop {
            let told = self.told.notified();
            if let Some(pushed) = self.now().pushed.take() {
                break pushed;
            }
            told.await;
        };
        // The reply is on its way; then whoever is connected is cut off.
        tokio::time::sleep(self.settings.pace.phase).await;
        self.turn(Port::Closed);
        self.publish(Payload::Task("runningMaintenance", StartStop::Stop));
        if self.once(&Manner::RebootsInApply) {
            self.publish(Payload::Sequence("initialize", SeqAction::SeqStop));
            return Err(self.failed("initialize", &"no space left on device"));
        }
        self.stage(MachineStage::Booting, Stage::Booting, vec![]);
        Ok(pushed)
    }

    /// A sequence broke off; Talos starts again then.
    pub(super) fn failed(&self, sequence: &'static str, why: &dyn std::fmt::Display) -> Ending {
        self.publish(Payload::SequenceFailed(sequence, format!("sequence failed: {why}")));
        Ending::Reset
    }

    async fn install(&self, text: Vec<u8>) -> Ending {
        self.publish(Payload::Sequence("install", SeqAction::SeqStart));
        self.phase("env").await;
        self.publish(Payload::Phase("install", StartStop::Start));
        self.stage(MachineStage::Installing, Stage::Installing, vec![]);
        if self.has(&Manner::DiesAt(Place::Install)) {
            return Ending::Off;
        }
        tokio::time::sleep(self.settings.pace.install).await;
        {
            let mut now = self.now();
            now.installed = true;
            now.state = Some(text);
        }
        if let Err(why) = self.keep() {
            return self.failed("install", &why);
        }
        self.publish(Payload::Phase("install", StartStop::Stop));
        self.phase("saveMeta").await;
        self.publish(Payload::Phase("kexec", StartStop::Start));
        self.stage(MachineStage::Rebooting, Stage::Rebooting, vec![]);
        // What was told is sent before the kernel ends.
        tokio::time::sleep(self.settings.pace.phase).await;
        if self.has(&Manner::DiesAt(Place::Kexec)) {
            return Ending::Off;
        }
        self.publish(Payload::Sequence("install", SeqAction::SeqStop));
        Ending::Kexec
    }

    /// Opens the port for the cluster's clients: a control plane at once, a worker once a control plane signs for it.
    fn open_configured(self: &Arc<Self>, config: &Config, feeds: &mut JoinSet<()>) {
        let (node, config) = (Arc::clone(self), config.clone());
        let id = config.cluster.clone();
        if config.control_plane {
            self.cluster.signs(&id, &self.settings.address.ip().to_string(), true);
            drop(node.open(&config.ca, &config.ca_key));
            return;
        }
        feeds.spawn(async move {
            match node.cluster.until_signed(&id).await {
                Some(Signer::Key(key)) => drop(node.open(&config.ca, &key)),
                Some(Signer::Issued { certificate, key }) => {
                    drop(node.open_as(&config.ca, &certificate, &key));
                }
                None => {}
            }
        });
    }

    /// Opens the port with a certificate that somebody else issued.
    fn open_as(&self, ca: &str, certificate: &str, key: &str) -> Result<(), tls::Trouble> {
        let ca = Certificate::from_pem(ca)?;
        let tls = tls::configured(&ca, &Identity::from_pem(certificate, key)?, self.wall())?;
        self.turn(Port::Open { tls, maintenance: false });
        Ok(())
    }

    /// A certificate of its own: names and addresses, as old as its manners have it.
    pub(super) fn issued(&self, ca: &Authority) -> Result<Identity, tls::Trouble> {
        let hostname = self.hostname();
        let names = [Name::Ip(self.settings.address.ip()), Name::Dns(hostname.clone())];
        let issued = WallTime(self.wall().0.saturating_sub(self.age().0));
        Ok(ca.issue(&Leaf::server(&hostname, &names), issued, &mut self.draw())?)
    }

    fn open(&self, ca: &str, ca_key: &str) -> Result<(), tls::Trouble> {
        let ca = Authority::from_pem(ca, ca_key)?;
        let tls = tls::configured(ca.certificate(), &self.issued(&ca)?, self.wall())?;
        if let Some(config) = &self.now().config
            && config.control_plane
        {
            self.cluster.keep_authority(&config.cluster, ca_key);
        }
        self.turn(Port::Open { tls, maintenance: false });
        Ok(())
    }

    pub(super) fn service(&self, id: &str, state: &'static str, action: SvcAction, healthy: Option<bool>) {
        {
            let mut now = self.now();
            now.services.retain(|(known, _, _)| known != id);
            now.services.push((id.to_owned(), state, healthy));
            now.logs.push((id.to_owned(), format!("{id}: {}\n", state.to_lowercase())));
        }
        self.told.notify_waiters();
        self.changed();
        let message = format!("Service {id} is {}", state.to_lowercase());
        self.publish(Payload::Service(id.to_owned(), action, message, healthy));
    }

    /// Services, etcd, readiness; then it runs until it is told otherwise.
    async fn come_up(&self, config: &Config) {
        if config.discovery {
            let found = Found {
                hostname: self.hostname(),
                address: self.settings.address.ip().to_string(),
                control_plane: config.control_plane,
                version: self.settings.version.clone(),
            };
            self.cluster.discover(&config.cluster, found);
        }
        for id in ["machined", "apid", "containerd", "cri", "kubelet"] {
            self.service(id, "Running", SvcAction::Running, Some(true));
        }
        if config.control_plane {
            self.service("trustd", "Running", SvcAction::Running, Some(true));
            self.service("etcd", "Preparing", SvcAction::Preparing, None);
            let unmet = vec![("services".to_owned(), "etcd is not healthy".to_owned())];
            self.stage(MachineStage::Booting, Stage::Booting, unmet);
            self.etcd(&config.cluster).await;
            self.service("etcd", "Running", SvcAction::Running, Some(true));
        } else {
            self.cluster.until_begun(&config.cluster).await;
        }
        tokio::time::sleep(self.settings.pace.join).await;
        self.publish(Payload::Sequence("boot", SeqAction::SeqStop));
        self.stage(MachineStage::MsRunning, Stage::Running, vec![]);
        std::future::pending::<()>().await;
    }

    /// Begins etcd if asked to, joins one that has begun, or takes up the one it has.
    async fn etcd(&self, cluster: &str) {
        let had = self.now().etcd.member();
        if had.is_some() {
            // It has data, so there is a cluster; where its own is not the one, it hears of it first.
            self.cluster.until_begun(cluster).await;
        }
        let known = had.is_some_and(|id| self.cluster.members(cluster).iter().any(|member| member.id == id));
        if known {
            return tokio::time::sleep(self.settings.pace.join).await;
        }
        let id = u64::from_be_bytes(self.bytes());
        let address = self.settings.address.ip().to_string();
        let member = |learner| Member { id, hostname: self.hostname(), address: address.clone(), learner };
        let begins = tokio::select! {
            () = self.until_bootstrapped() => true,
            () = self.cluster.until_begun(cluster) => false,
        };
        if begins {
            tokio::time::sleep(self.settings.pace.join).await;
            self.now().etcd = Etcd::Member(id);
            self.cluster.begin(cluster, member(false));
        } else {
            self.now().etcd = Etcd::Member(id);
            self.cluster.join(cluster, member(true));
        }
        if let Err(why) = self.keep() {
            // It goes on with what it has in memory, as a node with a broken disk does for a while.
            self.publish(Payload::SequenceFailed("boot", format!("etcd: {why}")));
        }
        if !begins {
            tokio::time::sleep(self.settings.pace.join).await;
            self.cluster.promote(cluster, id);
        }
    }

    async fn until_bootstrapped(&self) {
        loop {
            let told = self.told.notified();
            if self.now().etcd == Etcd::Asked {
                return;
            }
            told.await;
        }
    }

    /// Waits for an order and carries it out.
    async fn ordered(&self) -> Ending {
        let (order, actor) = loop {
            let told = self.told.notified();
            if let Some(order) = self.now().order.take() {
                break order;
            }
            told.await;
        };
        let (name, wire, stage): (&'static str, _, _) = match &order {
            Order::Reboot => ("reboot", MachineStage::Rebooting, Stage::Rebooting),
            Order::Shutdown => ("shutdown", MachineStage::ShuttingDown, Stage::Rebooting),
            Order::Upgrade { version, .. } => {
                let name = if version.is_some() { "upgrade" } else { "stageUpgrade" };
                (name, MachineStage::Upgrading, Stage::Upgrading)
            }
            Order::Reset { .. } => ("reset", MachineStage::Resetting, Stage::Resetting),
        };
        self.publish_for(&actor, Payload::Sequence(name, SeqAction::SeqStart));
        self.stage(wire, stage, vec![]);
        tokio::time::sleep(self.settings.pace.phase).await;
        let config = self.now().config.clone();
        if let Some(config) = config.filter(|config| config.control_plane) {
            self.cluster.signs(&config.cluster, &self.settings.address.ip().to_string(), false);
        }
        match order {
            Order::Reboot => Ending::Kexec,
            Order::Shutdown => Ending::Off,
            Order::Upgrade { version, kexec } => self.upgrades(version.as_deref(), kexec).await,
            Order::Reset { everything, reboot } => {
                self.wiped(everything);
                self.publish_for(&actor, Payload::Sequence(name, SeqAction::SeqStop));
                match (reboot, everything) {
                    (true, false) => Ending::Kexec,
                    (true, true) => Ending::Reset,
                    (false, _) => Ending::Off,
                }
            }
        }
    }

    fn wiped(&self, everything: bool) {
        let (config, member) = {
            let mut now = self.now();
            now.state = None;
            now.installed &= !everything;
            if everything {
                now.kept_version = None;
            }
            now.staged = None;
            (now.config.clone(), std::mem::replace(&mut now.etcd, Etcd::Absent).member())
        };
        if let (Some(config), Some(member)) = (config, member) {
            self.cluster.leave(&config.cluster, member);
        }
        if let Err(why) = self.keep() {
            self.publish(Payload::SequenceFailed("reset", why.to_string()));
        }
    }

    /// Puts a config of a cluster that nobody here knows on its disk.
    fn own_another_cluster(&self) {
        if !self.has(&Manner::OfAnotherCluster) {
            return;
        }
        let mut random = self.draw();
        let Ok(ca) = Authority::mint(KeyKind::Ed25519, Some("talos"), self.wall(), &mut random) else {
            return;
        };
        let (certificate, key) = ca.to_pem();
        let encoded = |text: &str| base64::Engine::encode(&base64::engine::general_purpose::STANDARD, text);
        let text = format!(
            "version: v1alpha1\nmachine:\n    type: controlplane\n    token: a\n    ca:\n        crt: {}\n        key: {}\n    \
             install:\n        disk: /dev/sda\ncluster:\n    id: theirs\n    clusterName: theirs\n    controlPlane:\n        endpoint: \
             https://192.0.2.1:6443\n",
            encoded(&certificate),
            encoded(&key),
        );
        let mut now = self.now();
        now.state = Some(text.into_bytes());
        now.installed = true;
    }
}
