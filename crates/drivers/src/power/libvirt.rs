//! Virtual machines of a libvirt, here or elsewhere, by its own client `virsh`: each is a port by its name.

use std::collections::BTreeMap;
use std::time::Duration;

use model::{PortReading, PortSense};

use super::device::{Act, Cure, Device, DeviceError, Manner, Ports, Taken, Told};
use crate::process::{ProcessError, Program, run_once};

const VIRSH: Program = Program::new("virsh", "libvirt-clients");
/// How often they are read while nobody orders anything: each time a program is started.
const POLL: Duration = Duration::from_secs(15);
/// How long one `virsh` may take; over SSH it takes a second.
const LIMIT: Duration = Duration::from_secs(15);

/// A libvirt.
#[derive(Debug)]
pub(super) struct Libvirt {
    uri: String,
}

impl Libvirt {
    pub(super) const fn new(uri: String) -> Self {
        Self { uri }
    }

    async fn virsh(&self, words: &[&str]) -> Result<String, ProcessError> {
        let arguments = ["-c", self.uri.as_str()].into_iter().chain(words.iter().copied());
        let output = run_once(VIRSH, arguments, LIMIT).await?;
        Ok(String::from_utf8_lossy(&output).into_owned())
    }

    fn error(&self, why: &ProcessError) -> DeviceError {
        let said = why.to_string();
        let any = |words: &[&str]| words.iter().any(|word| said.contains(word));
        let text = format!("{}: {said}", self.uri);
        let (code, cure) = match why {
            ProcessError::Missing(_) | ProcessError::Start { .. } => ("program-missing", Cure::Again),
            ProcessError::Late { .. } => ("silent", Cure::Doubt),
            ProcessError::TooMuch { .. } => ("not-understood", Cure::Refused),
            // SSH and SASL count failed logins.
            ProcessError::Failed { .. }
                if any(&["authentication failed", "Permission denied", "access denied"]) =>
            {
                ("credentials", Cure::Locked)
            }
            ProcessError::Failed { .. } if any(&["Host key verification failed"]) => {
                ("certificate", Cure::Locked)
            }
            ProcessError::Failed { .. } if any(&["failed to get domain", "Domain not found"]) => {
                ("no-such-port", Cure::Refused)
            }
            ProcessError::Failed { .. }
                if any(&["failed to connect", "unable to connect", "Cannot recv data"]) =>
            {
                ("unreached", Cure::Again)
            }
            ProcessError::Failed { .. } => ("program-failed", Cure::Refused),
        };
        DeviceError { code, why: text, cure }
    }
}

/// Which machines run, of what `domstats --state` prints; `None` where that is not known.
///
/// ```text
///   Domain: 'test'
///     state.state=1
///     state.reason=0
/// ```
fn states(text: &str) -> BTreeMap<String, Option<bool>> {
    let mut found = BTreeMap::new();
    let mut name: Option<String> = None;
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("Domain: '") {
            name = rest.strip_suffix('\'').map(ToOwned::to_owned);
        } else if let (Some(number), Some(of)) = (line.trim().strip_prefix("state.state="), &name) {
            // The numbers of virDomainState: one that is paused, or on its way off, is not off yet; nor is one that
            // crashed and is kept to be looked at.
            let runs = match number {
                "1" | "2" | "3" | "4" | "6" | "7" => Some(true),
                "5" => Some(false),
                _ => None,
            };
            found.insert(of.clone(), runs);
        }
    }
    found
}

/// A name that `virsh` cannot take for an option.
fn name(port: &str) -> Result<&str, DeviceError> {
    if port.is_empty() || port.starts_with('-') {
        return Err(DeviceError::refused("no-such-port", format!("`{port}` is no machine's name")));
    }
    Ok(port)
}

impl Device for Libvirt {
    fn manner(&self) -> Manner {
        Manner {
            ports: Ports::Switches,
            gap: Duration::ZERO,
            poll: Some(POLL),
            shows: Duration::from_secs(5),
            limit: LIMIT + Duration::from_secs(5),
        }
    }

    async fn act(&mut self, port: &str, act: Act) -> Result<Taken, DeviceError> {
        let (word, is_so) = match act {
            Act::On => ("start", "is already active"),
            Act::Off => ("destroy", "is not running"),
            Act::Soft => ("shutdown", "is not running"),
            Act::Press => {
                let why = "a virtual machine has no button that libvirt presses";
                return Err(DeviceError::refused("not-supported", why));
            }
        };
        match self.virsh(&[word, name(port)?]).await {
            Ok(_) => Ok(Taken::AT_ONCE),
            Err(ProcessError::Failed { complaint, .. }) if complaint.contains(is_so) => Ok(Taken::AT_ONCE),
            Err(why) => Err(self.error(&why)),
        }
    }

    async fn read(&mut self, ports: &[String]) -> Result<Told, DeviceError> {
        let said = self.virsh(&["domstats", "--state"]).await.map_err(|why| self.error(&why))?;
        let states = states(&said);
        let mut told = Told { about: format!("libvirt at {}", self.uri), ..Told::default() };
        for port in ports {
            let Some(runs) = states.get(port) else {
                let there = states.keys().take(5).cloned().collect::<Vec<_>>().join(", ");
                let why = format!("{} has no machine `{port}`; it has {there}", self.uri);
                return Err(DeviceError::refused("no-such-port", why));
            };
            let sense = runs.map_or(PortSense::Nothing, PortSense::Machine);
            told.ports.push((port.clone(), PortReading { sense, milliwatts: None }));
        }
        Ok(told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_read_as_virsh_9_prints_them() {
        let said = "Domain: 'test'\n  state.state=1\n  state.reason=0\n\nDomain: 'it's a b'\n  state.state=5\n  \
                    state.reason=1\n\nDomain: 'new'\n  state.state=0\n\nDomain: 'odd'\n  state.reason=1\n";
        let wanted = [("it's a b", Some(false)), ("new", None), ("test", Some(true))];
        assert_eq!(states(said), wanted.map(|(name, runs)| (name.to_owned(), runs)).into());
        assert!(states("").is_empty() && states("  state.state=1\n").is_empty());
        for (number, runs) in [(2, true), (3, true), (4, true), (6, true), (7, true)] {
            let one = states(&format!("Domain: 'a'\n  state.state={number}\n"));
            assert_eq!(one.get("a"), Some(&Some(runs)), "{number}");
        }
    }

    #[test]
    fn what_virsh_complains_of_says_what_may_be_done() {
        let libvirt = Libvirt::new("qemu+ssh://lab@host/system".to_owned());
        let table = [
            ("error: failed to get domain 'x'", "no-such-port", Cure::Refused),
            (
                "error: failed to connect to the hypervisor · error: Connection refused",
                "unreached",
                Cure::Again,
            ),
            ("error: Cannot recv data: Permission denied (publickey).", "credentials", Cure::Locked),
            ("error: authentication failed: authentication failed", "credentials", Cure::Locked),
            ("error: Cannot recv data: Host key verification failed.", "certificate", Cure::Locked),
            ("error: Requested operation is not valid: pool is gone", "program-failed", Cure::Refused),
        ];
        for (complaint, code, cure) in table {
            let line = "virsh -c qemu+ssh://lab@host/system start x".to_owned();
            let failed =
                ProcessError::Failed { line, status: "1".to_owned(), complaint: complaint.to_owned() };
            let error = libvirt.error(&failed);
            assert_eq!((error.code, error.cure), (code, cure), "{complaint}");
        }
        assert!(name("-x").is_err() && name("").is_err() && name("a-b").is_ok());
    }
}
