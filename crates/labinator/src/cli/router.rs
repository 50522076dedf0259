//! `router`: the lab's way out, a router that runs OpenWrt.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use drivers::router::{Interface, Router, RouterError, RouterState, WifiNetwork};
use model::{Secret, SecretRef};

use super::render::bytes;
use super::{Failure, Globals, out};
use crate::device_secrets;
use crate::start::state_folder;

/// What can be asked of a router.
#[derive(Debug, Clone, Subcommand)]
pub enum RouterVerb {
    /// Show what it is, its networks with their counters, who has its addresses, and the zones of its firewall
    Status(RouterAt),
    /// List the Wi-Fi networks around it, the strongest first
    Scan(RouterAt),
    /// Join a Wi-Fi network as its uplink; when that gets no address, everything is as it was before
    Connect {
        /// The network's name
        ssid: String,
        /// Where its password is kept.
        #[arg(long, value_name = "SECRET", value_parser = reference, help = PASSWORD_HELP)]
        password: Option<SecretRef>,
        /// Which router
        #[command(flatten)]
        at: RouterAt,
    },
    /// Switch an uplink on or off, until the router is started again
    Uplink {
        /// On or off
        way: Way,
        /// Its name in the router
        #[arg(default_value = "wan")]
        interface: String,
        /// Which router
        #[command(flatten)]
        at: RouterAt,
    },
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Way {
    /// On.
    On,
    /// Off.
    Off,
}

/// Which router, and as whom.
#[derive(Debug, Clone, Args)]
pub struct RouterAt {
    /// Its address.
    #[arg(long, value_name = "URL", help = AT_HELP)]
    pub at: Option<String>,
    /// Where its user and password are kept.
    #[arg(long, value_name = "SECRET", value_parser = reference, default_value = "secret:router", help = WHO_HELP)]
    pub credentials: SecretRef,
    /// SHA-256 of its certificate, for https
    #[arg(long, value_name = "HEX")]
    pub certificate: Option<String>,
    /// The state folder that secrets are kept in [default: /var/lib/labinator as root, else ~/.local/state/labinator]
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

const PASSWORD_HELP: &str = "Where its password is kept: secret:NAME (`labinator secret set NAME`) or file:PATH; none for an open network";
const WHO_HELP: &str = "Where its user and password are kept, as USER:PASSWORD or the password of root: secret:NAME or file:PATH";
const AT_HELP: &str =
    "Its address, such as http://192.168.1.1 or https://router.lan [default: $LABINATOR_ROUTER]";

impl RouterAt {
    fn state(&self) -> PathBuf {
        self.state.clone().unwrap_or_else(state_folder)
    }

    fn router(&self) -> Result<Router, Failure> {
        let told = self.at.clone().or_else(|| std::env::var("LABINATOR_ROUTER").ok());
        let at = told.ok_or_else(|| Failure::Usage("which router? --at http://ADDRESS".to_owned()))?;
        let reveal = device_secrets::reveal(&self.state());
        Ok(Router::new(&at, self.certificate.as_deref(), self.credentials.clone(), &reveal))
    }
}

fn reference(text: &str) -> Result<SecretRef, String> {
    match text.split_once(':') {
        Some(("secret", name)) if !name.is_empty() => Ok(SecretRef::Kept(name.to_owned())),
        Some(("file", path)) if path.starts_with('/') => Ok(SecretRef::File(path.to_owned())),
        Some(_) | None => Err("a secret is never typed here: secret:NAME or file:/PATH".to_owned()),
    }
}

/// Asks a router.
///
/// # Errors
/// What the router said, or that it does not answer.
pub async fn router(globals: &Globals, verb: RouterVerb) -> Result<(), Failure> {
    match verb {
        RouterVerb::Status(at) => {
            let state = at.router()?.state().await.map_err(failed)?;
            if at.json { out::json(&state, true) } else { out::print(&status(&state)) }
        }
        RouterVerb::Scan(at) => {
            let around = at.router()?.scan().await.map_err(failed)?;
            if at.json { out::json(&around, true) } else { out::print(&networks(&around)) }
        }
        RouterVerb::Connect { ssid, password, at } => {
            let password = password.map(|reference| read(&at, &reference)).transpose()?;
            let address = at.router()?.connect(&ssid, password.as_ref()).await.map_err(failed)?;
            match (at.json, globals.quiet) {
                (true, _) => out::json(&serde_json::json!({ "ssid": ssid, "address": address }), true),
                (false, true) => Ok(()),
                (false, false) => out::line(&format!("joined {}, as {address}", shown(&ssid))),
            }
        }
        RouterVerb::Uplink { way, interface, at } => {
            at.router()?.uplink(&interface, way == Way::On).await.map_err(failed)?;
            let word = if way == Way::On { "on" } else { "off" };
            if globals.quiet { Ok(()) } else { out::line(&format!("{interface} is told to go {word}")) }
        }
    }
}

fn failed(error: RouterError) -> Failure {
    Failure::failed(error.why)
}

fn read(at: &RouterAt, reference: &SecretRef) -> Result<Secret<String>, Failure> {
    let secret = device_secrets::reveal(&at.state())(reference).map_err(Failure::failed)?;
    let text = String::from_utf8(secret.reveal().clone());
    text.map(Secret::new).map_err(|_| Failure::failed(format!("{reference} holds bytes that are no text")))
}

fn status(state: &RouterState) -> String {
    let (free, all) = state.memory;
    let mut lines = vec![
        format!("{} · {} · {}", state.name, state.model, state.release),
        format!(
            "up {} h {} min, {} of {} free",
            state.uptime / 3600,
            state.uptime / 60 % 60,
            bytes(free),
            bytes(all)
        ),
        String::new(),
    ];
    lines.extend(state.interfaces.iter().map(interface));
    if !state.zones.is_empty() {
        lines.push(String::new());
        lines.extend(state.zones.iter().map(|zone| {
            let (input, output, forward) = &zone.rules;
            let networks = zone.networks.join(" ");
            format!("zone {:<8} {networks:<20} in {input}, out {output}, through {forward}", zone.name)
        }));
    }
    if !state.leases.is_empty() {
        lines.push(String::new());
        let lease = |one: &drivers::router::Lease| {
            format!("{:<15} {}  {}  {} min left", one.address, one.mac, shown(&one.name), one.expires / 60)
        };
        lines.extend(state.leases.iter().map(lease));
    }
    lines.push(String::new());
    lines.join("\n")
}

fn interface(one: &Interface) -> String {
    let word = if one.up { "up" } else { "down" };
    let address = one.address.as_deref().unwrap_or("no address");
    let way = one.gateway.as_ref().map(|gateway| format!(" by {gateway}")).unwrap_or_default();
    let (came, went) = one.bytes;
    let (bad, dropped) = one.troubles;
    let trouble = if bad + dropped > 0 { format!(", {bad} bad, {dropped} dropped") } else { String::new() };
    let name = &one.name;
    format!("{name:<8} {word:<5} {address:<18}{way}  in {}, out {}{trouble}", bytes(came), bytes(went))
}

fn networks(around: &[WifiNetwork]) -> String {
    let line = |one: &WifiNetwork| {
        format!(
            "{:>4} dBm  channel {:<3} {:<14} {}\n",
            one.signal,
            one.channel,
            one.guarded,
            shown(&one.ssid)
        )
    };
    match around {
        [] => "no network is heard\n".to_owned(),
        around => around.iter().map(line).collect(),
    }
}

/// A stranger's text: nothing in it moves the cursor.
fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_named_and_never_typed() {
        assert_eq!(reference("secret:router"), Ok(SecretRef::Kept("router".to_owned())));
        assert_eq!(reference("file:/etc/x"), Ok(SecretRef::File("/etc/x".to_owned())));
        for wrong in ["hunter2", "secret:", "file:x", "root:hunter2"] {
            assert!(reference(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_network_s_name_cannot_move_the_cursor() {
        assert_eq!(shown("a\u{1b}[2Jb\n"), "a\u{fffd}[2Jb\u{fffd}");
    }
}
