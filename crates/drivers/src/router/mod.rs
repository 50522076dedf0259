//! A router that runs OpenWrt, by its ubus: what it is and does, the Wi-Fi networks around it and joining one, its uplink.
//!
//! A change of its settings is applied with a rollback: the router takes it back by itself unless it is confirmed, and it is
//! confirmed only once the new uplink has an address. So a wrong password for a Wi-Fi leaves the router as it was.
//!
//! Objects and fields by OpenWrt's own sources: `procd` (`system`), `netifd` (`network.interface`, `network.device`), `rpcd`
//! (`uci`, `iwinfo`), `rpcd-mod-luci` (`luci-rpc`).

mod read;

use std::time::Duration;

use model::{Secret, SecretRef};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::openwrt::ubus::Ubus;
use crate::power::Reveal;
use crate::power::device::DeviceError;

pub use read::{Interface, Lease, RouterState, WifiNetwork, Zone};

/// Names of the sections that are ours in the router's settings.
const STATION: &str = "labinator_sta";
const NETWORK: &str = "wwan";
/// How long the router waits for the confirmation before it takes a change back.
const ROLLBACK: Duration = Duration::from_secs(60);
/// How long joining a Wi-Fi may take, until it has an address. Less than the rollback.
const JOINS: Duration = Duration::from_secs(45);
/// How often it is looked whether it has.
const LOOK: Duration = Duration::from_millis(500);

/// Why a router did not do as asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct RouterError {
    /// Stable word of the reason.
    pub code: &'static str,
    /// For a person: what happened, and what to do.
    pub why: String,
}

impl From<DeviceError> for RouterError {
    fn from(error: DeviceError) -> Self {
        Self { code: error.code, why: error.why }
    }
}

impl RouterError {
    fn new(code: &'static str, why: impl Into<String>) -> Self {
        Self { code, why: why.into() }
    }
}

/// A router. Nothing is dialed before it is asked.
#[derive(Debug)]
pub struct Router {
    ubus: Ubus,
    joins: Duration,
}

impl Router {
    /// The router at this address, `http://10.0.0.1` or `https://…` with the SHA-256 of its certificate. Its user and
    /// password come from where `credentials` leads, when it is first asked.
    #[must_use]
    pub fn new(url: &str, certificate: Option<&str>, credentials: SecretRef, reveal: &Reveal) -> Self {
        Self { ubus: Ubus::new(url, certificate, credentials, reveal), joins: JOINS }
    }

    /// With another patience for a Wi-Fi that is joined.
    #[must_use]
    pub const fn joining_within(mut self, joins: Duration) -> Self {
        self.joins = joins;
        self
    }

    /// What it is and does: release, interfaces with their counters, leases, firewall zones.
    ///
    /// # Errors
    /// It cannot be asked, or answers with something else.
    pub async fn state(&mut self) -> Result<RouterState, RouterError> {
        let board = self.ubus.call("system", "board", &json!({})).await?;
        let info = self.ubus.call("system", "info", &json!({})).await?;
        let mut interfaces = self.interfaces().await?;
        for interface in &mut interfaces {
            if !interface.device.is_empty() {
                let asked = json!({ "name": interface.device });
                interface.count(&self.ubus.call("network.device", "status", &asked).await?);
            }
        }
        // Only where LuCI's own part is installed.
        let leases = match self.ubus.call("luci-rpc", "getDHCPLeases", &json!({ "family": 4 })).await {
            Ok(leases) => read::leases(&leases),
            Err(error) if matches!(error.code, "not-there" | "not-allowed") => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        let zones = self.ubus.call("uci", "get", &json!({ "config": "firewall", "type": "zone" })).await?;
        let state = read::state(&board, &info).ok_or_else(|| self.garbled("system board", &board))?;
        Ok(RouterState { interfaces, leases, zones: read::zones(&zones), ..state })
    }

    /// The Wi-Fi networks around it, the strongest first; one that several stations offer once.
    ///
    /// # Errors
    /// It has no radio, or cannot be asked.
    pub async fn scan(&mut self) -> Result<Vec<WifiNetwork>, RouterError> {
        let mut found = Vec::new();
        for radio in self.radios().await? {
            let heard = self.ubus.call("iwinfo", "scan", &json!({ "device": radio })).await?;
            let networks = read::networks(&radio, &heard);
            found.extend(networks.ok_or_else(|| self.garbled("iwinfo scan", &heard))?);
        }
        Ok(read::strongest(found))
    }

    /// Joins a Wi-Fi network as its uplink, and gives the address that it got there. Without a password for an open one.
    ///
    /// # Errors
    /// `not-heard` where no such network is around, `secured` and `open` where a password is missing or too much,
    /// `not-joined` where it got no address; the router is then as it was before.
    pub async fn connect(
        &mut self,
        ssid: &str,
        password: Option<&Secret<String>>,
    ) -> Result<String, RouterError> {
        let around = self.scan().await?;
        let Some(network) = around.iter().find(|network| network.ssid == ssid) else {
            let names: Vec<&str> = around.iter().take(8).map(|network| network.ssid.as_str()).collect();
            let why = format!("no network `{ssid}` is heard; around are: {}", names.join(", "));
            return Err(RouterError::new("not-heard", why));
        };
        match (network.is_secured(), password) {
            (true, None) => return Err(RouterError::new("secured", format!("`{ssid}` wants a password"))),
            (false, Some(_)) => {
                let why = format!("`{ssid}` is open now, and a password was given: is it another's network?");
                return Err(RouterError::new("open", why));
            }
            (true, Some(password)) if !(8..=63).contains(&password.reveal().len()) => {
                let why = "a password of WPA has 8 to 63 characters";
                return Err(RouterError::new("password", why));
            }
            (true, Some(_)) | (false, None) => {}
        }
        self.set(network, password).await?;
        let timeout = ROLLBACK.as_secs();
        self.ubus.call("uci", "apply", &json!({ "rollback": true, "timeout": timeout })).await?;
        match self.joined().await {
            Ok(address) => {
                self.ubus.call("uci", "confirm", &json!({})).await?;
                Ok(address)
            }
            Err(error) => {
                // At once, instead of when the router's own patience ends.
                drop(self.ubus.call("uci", "rollback", &json!({})).await);
                Err(error)
            }
        }
    }

    /// Switches an interface, such as `wan`, on or off; until the router is started again.
    ///
    /// # Errors
    /// It has no such interface, or cannot be asked.
    pub async fn uplink(&mut self, interface: &str, on: bool) -> Result<(), RouterError> {
        let known = self.interfaces().await?;
        if !known.iter().any(|one| one.name == interface) {
            let names: Vec<&str> = known.iter().map(|one| one.name.as_str()).collect();
            let why = format!("the router has no interface `{interface}`; it has: {}", names.join(", "));
            return Err(RouterError::new("no-interface", why));
        }
        let method = if on { "up" } else { "down" };
        self.ubus.call(&format!("network.interface.{interface}"), method, &json!({})).await?;
        Ok(())
    }

    async fn interfaces(&mut self) -> Result<Vec<Interface>, RouterError> {
        let dump = self.ubus.call("network.interface", "dump", &json!({})).await?;
        read::interfaces(&dump).ok_or_else(|| self.garbled("network.interface dump", &dump))
    }

    async fn radios(&mut self) -> Result<Vec<String>, RouterError> {
        let devices =
            self.ubus.call("uci", "get", &json!({ "config": "wireless", "type": "wifi-device" })).await?;
        let radios = read::sections(&devices);
        if radios.is_empty() {
            return Err(RouterError::new("no-radio", format!("{} has no Wi-Fi radio", self.ubus.url())));
        }
        Ok(radios)
    }

    /// Writes the station, its network, and the network's place in the zone of the uplink.
    async fn set(
        &mut self,
        network: &WifiNetwork,
        password: Option<&Secret<String>>,
    ) -> Result<(), RouterError> {
        let mut station = json!({
            "device": network.radio, "mode": "sta", "network": NETWORK, "ssid": network.ssid,
            "encryption": network.encryption(), "disabled": "0",
        });
        if let (Some(password), Some(values)) = (password, station.as_object_mut()) {
            values.insert("key".to_owned(), Value::from(password.reveal().as_str()));
        }
        let before = self.section("wireless", ("wifi-iface", STATION), &station).await?;
        if password.is_none() && before.get("key").is_some() {
            // The password of the network before is nothing for an open one.
            let asked = json!({ "config": "wireless", "section": STATION, "option": "key" });
            self.ubus.call("uci", "delete", &asked).await?;
        }
        self.section("network", ("interface", NETWORK), &json!({ "proto": "dhcp" })).await?;
        let zones = self.ubus.call("uci", "get", &json!({ "config": "firewall", "type": "zone" })).await?;
        let zones = read::zones(&zones);
        let Some(wan) = zones.iter().find(|zone| zone.name == "wan") else {
            let why = "its firewall has no zone `wan`, and a network without a zone would be open";
            return Err(RouterError::new("no-zone", why));
        };
        if !wan.networks.iter().any(|name| name == NETWORK) {
            let networks: Vec<&str> = wan.networks.iter().map(String::as_str).chain([NETWORK]).collect();
            let values =
                json!({ "config": "firewall", "section": wan.section, "values": { "network": networks } });
            self.ubus.call("uci", "set", &values).await?;
        }
        Ok(())
    }

    /// Makes a section of the settings as it should be, whether it is there or not; gives what it was.
    async fn section(
        &mut self,
        config: &str,
        (kind, name): (&str, &str),
        values: &Value,
    ) -> Result<Value, RouterError> {
        let known = self.ubus.call("uci", "get", &json!({ "config": config, "type": kind })).await?;
        let before = known.get("values").and_then(|all| all.get(name)).cloned();
        let is_there = before.is_some();
        let (method, key) = if is_there { ("set", "section") } else { ("add", "name") };
        let mut asked = json!({ "config": config, "values": values });
        if let Some(asked) = asked.as_object_mut() {
            asked.insert(key.to_owned(), Value::from(name));
            if !is_there {
                asked.insert("type".to_owned(), Value::from(kind));
            }
        }
        self.ubus.call("uci", method, &asked).await?;
        Ok(before.unwrap_or_default())
    }

    /// Waits until the network of the Wi-Fi has an address.
    async fn joined(&mut self) -> Result<String, RouterError> {
        let until = Instant::now() + self.joins;
        let mut last = "it was never asked".to_owned();
        while Instant::now() < until {
            // While the network is set up anew, the router may not answer.
            match self.interfaces().await {
                Ok(interfaces) => {
                    let here = interfaces.into_iter().find(|one| one.name == NETWORK);
                    match here {
                        Some(Interface { up: true, address: Some(address), .. }) => return Ok(address),
                        Some(one) if one.up => last = "it is up, without an address".to_owned(),
                        Some(_) => last = "it is not up".to_owned(),
                        None => last = "the router does not know it yet".to_owned(),
                    }
                }
                Err(error) if error.code == "credentials" => return Err(error),
                Err(error) => last = error.why,
            }
            sleep(LOOK).await;
        }
        let why = format!(
            "no address came over the Wi-Fi within {} s ({last}); the settings are as they were: is the password right?",
            self.joins.as_secs()
        );
        Err(RouterError::new("not-joined", why))
    }

    fn garbled(&self, what: &str, answer: &Value) -> RouterError {
        let shown: String = answer.to_string().chars().take(120).collect();
        let why = format!("{} answers `{what}` with what is not understood: {shown}", self.ubus.url());
        RouterError::new("not-understood", why)
    }
}
