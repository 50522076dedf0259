//! Proxmox VE: virtual machines and containers by their numbers, with a token (its API viewer, releases 7 to 9).

use std::collections::BTreeMap;

use hyper::{Method, StatusCode};
use model::{PortReading, PortSense};
use serde_json::Value;

use super::super::credentials::Credentials;
use super::super::device::{Act, DeviceError, Told};
use super::plug::Dialect;
use super::{Login, Question, Web};

/// A cluster, or one node alone.
#[derive(Debug, Default)]
pub(in crate::power) struct Proxmox {
    /// Where each machine was last: `pve1/qemu`. One that moved is looked for again.
    places: BTreeMap<String, String>,
}

/// Where machines are, of what `/cluster/resources` lists.
fn places(list: &Value) -> BTreeMap<String, String> {
    let all = list.get("data").and_then(Value::as_array).into_iter().flatten();
    let place = |one: &Value| {
        let (number, node) = (one.get("vmid")?.as_u64()?, one.get("node")?.as_str()?);
        let kind = one.get("type")?.as_str().filter(|kind| matches!(*kind, "qemu" | "lxc"))?;
        let sane = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
        sane(node).then(|| (number.to_string(), format!("{node}/{kind}")))
    };
    all.filter_map(place).collect()
}

impl Proxmox {
    async fn find(&mut self, web: &mut Web, port: &str) -> Result<String, DeviceError> {
        if !self.places.contains_key(port) {
            let list = web.json(&Question::get("/api2/json/cluster/resources?type=vm")).await?;
            self.places = places(&list);
        }
        self.places.get(port).cloned().ok_or_else(|| {
            let why = format!(
                "{} has no machine {port}, or the token may not see it (VM.Audit); a port is a machine's number",
                web.origin()
            );
            DeviceError::refused("no-such-port", why)
        })
    }

    /// Asks one machine; one that is not where it was is looked for once more.
    async fn ask(
        &mut self,
        web: &mut Web,
        port: &str,
        (method, what): (Method, &str),
    ) -> Result<Value, DeviceError> {
        let known = self.places.contains_key(port);
        for again in [known, false] {
            let place = self.find(web, port).await?;
            let path = format!("/api2/json/nodes/{place}/{port}/status/{what}");
            let question = Question { method: method.clone(), ..Question::get(path) };
            let answer = web.ask(&question).await?;
            // A machine that moved away leaves a file behind that is not there, and a node that is gone no answer.
            let moved = matches!(
                answer.status,
                StatusCode::INTERNAL_SERVER_ERROR | StatusCode::NOT_FOUND | StatusCode::BAD_GATEWAY
            ) || answer.status.as_u16() >= 595;
            if moved && again {
                self.places.remove(port);
                continue;
            }
            return web
                .judged(&question, answer)?
                .json()
                .ok_or_else(|| web.garbled(&question.path, "no JSON"));
        }
        Err(DeviceError::lost("unreached", format!("{} does not find {port}", web.origin())))
    }
}

impl Dialect for Proxmox {
    fn login(&mut self, credentials: &Credentials) -> Result<Login, DeviceError> {
        let Some(text) = credentials.text()? else { return Ok(Login::Nobody) };
        let text = text.strip_prefix("PVEAPIToken=").unwrap_or(&text);
        let right =
            text.split_once('!').is_some_and(|(user, token)| user.contains('@') && token.contains('='));
        if !right {
            let why = "the secret is no token of Proxmox: `USER@REALM!NAME=` and the token's value";
            return Err(DeviceError::lost("no-secret", why));
        }
        Ok(Login::Token(format!("PVEAPIToken={text}")))
    }

    async fn act(&mut self, web: &mut Web, port: &str, act: Act) -> Result<(), DeviceError> {
        let word = match act {
            Act::On => "start",
            Act::Off => "stop",
            Act::Soft => "shutdown",
            Act::Press => {
                let why = "a virtual machine has no button";
                return Err(DeviceError::refused("not-supported", why));
            }
        };
        // The answer is the number of a task; what came of it is seen.
        self.ask(web, port, (Method::POST, word)).await.map(drop)
    }

    async fn read(&mut self, web: &mut Web, ports: &[String]) -> Result<Told, DeviceError> {
        let mut told = Told { about: format!("Proxmox VE at {}", web.origin()), ..Told::default() };
        for port in ports {
            let state = self.ask(web, port, (Method::GET, "current")).await?;
            let sense = match state.pointer("/data/status").and_then(Value::as_str) {
                Some("running") => PortSense::Machine(true),
                Some("stopped") => PortSense::Machine(false),
                _ => return Err(web.garbled("status/current", &state.to_string())),
            };
            told.ports.push((port.clone(), PortReading { sense, milliwatts: None }));
        }
        Ok(told)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn machines_and_containers_are_found_and_nothing_else_is() {
        let list = json!({ "data": [
            { "vmid": 101, "node": "pve1", "type": "qemu", "status": "running", "name": "node1" },
            { "vmid": 200, "node": "pve-2.lan", "type": "lxc", "status": "stopped" },
            { "node": "pve1", "type": "storage", "id": "storage/pve1/local" },
            { "vmid": 102, "node": "../x", "type": "qemu" },
            { "vmid": "103", "node": "pve1", "type": "qemu" }
        ]});
        let wanted = [("101", "pve1/qemu"), ("200", "pve-2.lan/lxc")];
        assert_eq!(places(&list), wanted.map(|(a, b)| (a.to_owned(), b.to_owned())).into());
        assert!(places(&json!({ "data": null })).is_empty());
    }
}
