//! Redfish (DMTF DSP0266): a system of a service is asked for its `PowerState`, and reset by what it says it takes.
//!
//! ```text
//!   /redfish/v1/ ─▶ Systems ─▶ members: the one that the port names, or the only one
//!     └─ Actions."#ComputerSystem.Reset": where to post, and which `ResetType`s; answers 412 and 428 want `If-Match`
//! ```

use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{ETAG, IF_MATCH};
use model::{PortReading, PortSense};
use serde_json::{Value, json};

use super::super::credentials::Credentials;
use super::super::device::{Act, DeviceError, Told};
use super::plug::Dialect;
use super::{Login, Question, Web};

/// Where every service begins (section 6.3).
const ROOT: &str = "/redfish/v1/";
/// The port of a service that has one system.
const ONLY: &str = "1";

/// A service.
#[derive(Debug, Default)]
pub(in crate::power) struct Redfish {
    /// Paths of its systems, once they are known.
    systems: Vec<String>,
    about: String,
}

/// A system as it was read.
struct System {
    state: Value,
    tag: Option<String>,
}

impl Redfish {
    async fn path(&mut self, web: &mut Web, port: &str) -> Result<String, DeviceError> {
        if self.systems.is_empty() {
            let root = web.json(&Question::get(ROOT)).await?;
            let collection = link(&root, "/Systems").ok_or_else(|| web.garbled(ROOT, &root.to_string()))?;
            let version = root.get("RedfishVersion").and_then(Value::as_str).unwrap_or("?");
            self.about = format!("Redfish {version} at {}", web.origin());
            let members = web.json(&Question::get(collection.clone())).await?;
            let members = members.get("Members").and_then(Value::as_array);
            let members = members.ok_or_else(|| web.garbled(&collection, "no Members"))?;
            self.systems = members.iter().filter_map(|member| link(member, "")).collect();
        }
        named(&self.systems, port).ok_or_else(|| {
            let known: Vec<&str> = self.systems.iter().map(|path| last(path)).collect();
            let why = format!("{} has no system `{port}`; it has {}", web.origin(), known.join(", "));
            DeviceError::refused("no-such-port", why)
        })
    }

    async fn system(&mut self, web: &mut Web, port: &str) -> Result<System, DeviceError> {
        let path = self.path(web, port).await?;
        let answer = web.ask(&Question::get(path.clone())).await?;
        if answer.status == StatusCode::NOT_FOUND {
            // A blade that was moved: its paths are looked for again.
            self.systems.clear();
        }
        if !answer.status.is_success() {
            let why =
                format!("{} answers {} to {path}: {}", web.origin(), answer.status, shown(&answer.json()));
            return Err(DeviceError::doubt("http-status", why));
        }
        let tag = answer.headers.get(ETAG).and_then(|tag| tag.to_str().ok()).map(ToOwned::to_owned);
        let state = answer.json().ok_or_else(|| web.garbled(&path, &answer.shown()))?;
        // Some have it in the body only.
        let tag = tag.or_else(|| state.get("@odata.etag").and_then(Value::as_str).map(ToOwned::to_owned));
        Ok(System { state, tag })
    }
}

/// The path that a resource names.
fn link(resource: &Value, at: &str) -> Option<String> {
    let path = resource.pointer(&format!("{at}/@odata.id"))?.as_str()?;
    path.starts_with('/').then(|| path.to_owned())
}

/// The id at the end of a path.
fn last(path: &str) -> &str {
    path.trim_end_matches('/').rsplit('/').next().unwrap_or(path)
}

fn named(systems: &[String], port: &str) -> Option<String> {
    let named = systems.iter().find(|path| last(path) == port);
    let only = systems.first().filter(|_| systems.len() == 1 && port == ONLY);
    named.or(only).cloned()
}

/// What a system says of its power (`ComputerSystem`, property `PowerState`).
fn sense(system: &Value) -> PortSense {
    match system.get("PowerState").and_then(Value::as_str) {
        Some("On" | "PoweringOn" | "PoweringOff" | "Paused") => PortSense::Machine(true),
        Some("Off") => PortSense::Machine(false),
        Some(_) | None => PortSense::Nothing,
    }
}

/// Which `ResetType` does it: the first of ours that the system takes, and the first where it does not say.
fn reset_type(act: Act, allowed: Option<&Vec<Value>>) -> Option<&'static str> {
    let ours: &[&'static str] = match act {
        Act::On => &["On", "ForceOn"],
        Act::Off => &["ForceOff"],
        Act::Soft => &["GracefulShutdown"],
        Act::Press => &["PushPowerButton"],
    };
    match allowed {
        None => ours.first().copied(),
        Some(allowed) => ours.iter().find(|word| allowed.iter().any(|value| value == *word)).copied(),
    }
}

/// What an error says to people (section 8.6).
fn shown(body: &Option<Value>) -> String {
    let Some(body) = body else { return "no reason".to_owned() };
    let extended = body.pointer("/error/@Message.ExtendedInfo/0/Message");
    let said = extended.or_else(|| body.pointer("/error/message")).and_then(Value::as_str);
    said.map_or_else(|| body.to_string(), ToOwned::to_owned).chars().take(200).collect()
}

impl Dialect for Redfish {
    /// A controller takes seconds to see a machine go off.
    const SHOWS: Duration = Duration::from_secs(15);

    fn login(&mut self, credentials: &Credentials) -> Result<Login, DeviceError> {
        credentials.login(None)
    }

    async fn act(&mut self, web: &mut Web, port: &str, act: Act) -> Result<(), DeviceError> {
        let System { state, tag } = self.system(web, port).await?;
        let wanted = match act {
            Act::On => Some(PortSense::Machine(true)),
            Act::Off | Act::Soft => Some(PortSense::Machine(false)),
            Act::Press => None,
        };
        // Many refuse what is so already.
        if wanted == Some(sense(&state)) {
            return Ok(());
        }
        let action = state.pointer("/Actions/#ComputerSystem.Reset");
        let target = action.and_then(|action| action.get("target")).and_then(Value::as_str);
        let Some(target) = target.filter(|target| target.starts_with('/')) else {
            let why = format!(
                "{} has no `ComputerSystem.Reset` for `{port}`: may this user do that?",
                web.origin()
            );
            return Err(DeviceError::refused("not-supported", why));
        };
        let allowed = action.and_then(|action| action.get("ResetType@Redfish.AllowableValues"));
        let Some(word) = reset_type(act, allowed.and_then(Value::as_array)) else {
            let why = format!("{} takes {} only", web.origin(), allowed.unwrap_or(&Value::Null));
            return Err(DeviceError::refused("not-supported", why));
        };
        let mut question = Question::post(target, json!({ "ResetType": word }).to_string());
        let mut answer = web.ask(&question).await?;
        let wants_tag = matches!(answer.status.as_u16(), 412 | 428);
        if let (true, Some(tag)) = (wants_tag, tag) {
            question.headers.push((IF_MATCH.as_str(), tag));
            answer = web.ask(&question).await?;
        }
        if answer.status.is_success() {
            return Ok(());
        }
        let why =
            format!("{} does not take `{word}`: {} {}", web.origin(), answer.status, shown(&answer.json()));
        Err(match answer.status.is_server_error() {
            true => DeviceError::doubt("http-status", why),
            false => DeviceError::refused("http-status", why),
        })
    }

    async fn read(&mut self, web: &mut Web, ports: &[String]) -> Result<Told, DeviceError> {
        let mut told = Told::default();
        for port in ports {
            let System { state, .. } = self.system(web, port).await?;
            told.ports.push((port.clone(), PortReading { sense: sense(&state), milliwatts: None }));
        }
        told.about = self.about.clone();
        Ok(told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_is_the_named_one_or_the_only_one() {
        let one = ["/redfish/v1/Systems/437XR1138R2".to_owned()];
        let two = [one[0].clone(), "/redfish/v1/Systems/1/".to_owned()];
        assert_eq!(named(&one, "1").as_ref(), Some(&one[0]));
        assert_eq!(named(&one, "437XR1138R2").as_ref(), Some(&one[0]));
        assert_eq!(named(&two, "1").as_ref(), Some(&two[1]));
        assert_eq!((named(&two, "2"), named(&one, "2"), named(&[], "1")), (None, None, None));
    }

    #[test]
    fn a_reset_is_one_that_the_system_takes() {
        let allowed = vec![json!("ForceOn"), json!("ForceOff"), json!("Nmi")];
        let table = [
            (Act::On, Some("On"), Some("ForceOn")),
            (Act::Off, Some("ForceOff"), Some("ForceOff")),
            (Act::Soft, Some("GracefulShutdown"), None),
            (Act::Press, Some("PushPowerButton"), None),
        ];
        for (act, silent, told) in table {
            assert_eq!((reset_type(act, None), reset_type(act, Some(&allowed))), (silent, told), "{act:?}");
        }
    }

    #[test]
    fn power_states_and_errors_are_read_as_they_are_documented() {
        let state = |word: &str| sense(&json!({ "PowerState": word }));
        assert_eq!((state("On"), state("PoweringOff")), (PortSense::Machine(true), PortSense::Machine(true)));
        assert_eq!((state("Off"), state("Martian")), (PortSense::Machine(false), PortSense::Nothing));
        assert_eq!(sense(&json!({})), PortSense::Nothing);
        let said = json!({ "error": { "message": "see more", "@Message.ExtendedInfo": [{ "Message": "Not now." }] } });
        assert_eq!(shown(&Some(said)), "Not now.");
        assert_eq!(shown(&None), "no reason");
    }
}
