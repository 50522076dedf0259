//! Ports of USB hubs that can be switched one by one, by `uhubctl`: for small computers that live on USB.

use std::collections::BTreeMap;
use std::time::Duration;

use model::{PortReading, PortSense};

use super::device::{Act, Cure, Device, DeviceError, Manner, Ports, Taken, Told};
use crate::process::{ProcessError, Program, run_once};

const UHUBCTL: Program = Program::new("uhubctl", "uhubctl");
/// How often they are read while nobody orders anything: each time a program is started, which wakes the hubs.
const POLL: Duration = Duration::from_secs(30);
/// Hubs are asked one after the other.
const LIMIT: Duration = Duration::from_secs(15);

/// The hubs of this computer.
#[derive(Debug)]
pub(super) struct Uhubctl;

/// Hub and port of `1-1.4:2`.
fn place(port: &str) -> Result<(&str, &str), DeviceError> {
    let parts = port.rsplit_once(':').filter(|(hub, number)| {
        let location = |c: char| c.is_ascii_digit() || c == '-' || c == '.';
        let begins = hub.starts_with(|c: char| c.is_ascii_digit());
        begins
            && hub.chars().all(location)
            && number.parse::<u8>().is_ok_and(|n| n > 0 && n.to_string() == *number)
    });
    parts.ok_or_else(|| {
        let why =
            format!("`{port}` is no port of a hub: `LOCATION:PORT`, such as `1-1.4:2`; `uhubctl` lists them");
        DeviceError::refused("no-such-port", why)
    })
}

/// Whether ports give supply, of what `uhubctl` prints; `None` where it says neither.
///
/// ```text
///   Current status for hub 1-1.4 [0bda:5411 Generic USB2.1 Hub, USB 2.10, 4 ports, ppps]
///     Port 1: 0503 power highspeed enable connect [0951:1666 Kingston DataTraveler 3.0]
///     Port 2: 0000 off
/// ```
fn states(text: &str) -> BTreeMap<String, Option<bool>> {
    let mut found = BTreeMap::new();
    let mut hub: Option<&str> = None;
    for line in text.lines() {
        if let Some((_, rest)) = line.split_once(" status for hub ") {
            hub = rest.split_whitespace().next();
            continue;
        }
        let port = line.trim_start().strip_prefix("Port ").and_then(|rest| rest.split_once(':'));
        let (Some(hub), Some((number, rest))) = (hub, port) else { continue };
        // Behind the bracket stands what is plugged in, which may call itself anything.
        let words = rest.split('[').next().unwrap_or_default().split_whitespace().skip(1);
        let gives = words.fold(None, |gives, word| match word {
            "power" => Some(true),
            "off" => Some(false),
            _ => gives,
        });
        found.insert(format!("{hub}:{number}"), gives);
    }
    found
}

fn error(why: &ProcessError) -> DeviceError {
    let said = why.to_string();
    let (code, cure, help) = match why {
        ProcessError::Missing(_) | ProcessError::Start { .. } => ("program-missing", Cure::Again, ""),
        ProcessError::Late { .. } => ("silent", Cure::Doubt, ""),
        ProcessError::TooMuch { .. } => ("not-understood", Cure::Refused, ""),
        ProcessError::Failed { .. } if said.contains("permission") => {
            ("permission", Cure::Again, "; see the udev rules that uhubctl comes with")
        }
        ProcessError::Failed { .. } if said.contains("No compatible") => {
            ("no-hub", Cure::Again, "; is the hub plugged in, and one that switches its ports?")
        }
        ProcessError::Failed { .. } => ("program-failed", Cure::Doubt, ""),
    };
    DeviceError { code, why: format!("{said}{help}"), cure }
}

impl Device for Uhubctl {
    fn manner(&self) -> Manner {
        Manner {
            ports: Ports::Switches,
            gap: Duration::ZERO,
            poll: Some(POLL),
            shows: Duration::from_secs(3),
            limit: LIMIT + Duration::from_secs(5),
        }
    }

    async fn act(&mut self, port: &str, act: Act) -> Result<Taken, DeviceError> {
        let word = if act.supply()? { "on" } else { "off" };
        let (hub, number) = place(port)?;
        run_once(UHUBCTL, ["-l", hub, "-p", number, "-a", word], LIMIT).await.map_err(|why| error(&why))?;
        Ok(Taken::AT_ONCE)
    }

    async fn read(&mut self, ports: &[String]) -> Result<Told, DeviceError> {
        let output = run_once(UHUBCTL, [""; 0], LIMIT).await.map_err(|why| error(&why))?;
        let states = states(&String::from_utf8_lossy(&output));
        let mut told = Told { about: "USB hubs, by uhubctl".to_owned(), ..Told::default() };
        for port in ports {
            place(port)?;
            let Some(gives) = states.get(port) else {
                let there = states.keys().take(8).cloned().collect::<Vec<_>>().join(", ");
                let why = format!("there is no port {port} that can be switched; there are {there}");
                return Err(DeviceError::lost("no-hub", why));
            };
            let sense = gives.map_or(PortSense::Nothing, PortSense::Supply);
            told.ports.push((port.clone(), PortReading { sense, milliwatts: None }));
        }
        Ok(told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read_as_uhubctl_prints_them() {
        let said = "Current status for hub 2-1.4 [0bda:0411 Generic USB3.2 Hub, USB 3.20, 4 ports, ppps]\n  \
                    Port 1: 02a0 power 5gbps Rx.Detect\n  Port 2: 0080 off\n\
                    Current status for hub 1-1.4 [0bda:5411 Generic USB2.1 Hub, USB 2.10, 4 ports, ppps]\n  \
                    Port 1: 0503 power highspeed enable connect [0951:1666 Kingston off 3.0]\n  \
                    Port 2: 0000 off\n  Port 3: 0100 power\n  Port 4: 0001 connect\n\
                    New status for hub 1-9 [x]\n  Port 7: 0000 off\nsomething else\n";
        let wanted = [
            ("1-1.4:1", Some(true)),
            ("1-1.4:2", Some(false)),
            ("1-1.4:3", Some(true)),
            ("1-1.4:4", None),
            ("1-9:7", Some(false)),
            ("2-1.4:1", Some(true)),
            ("2-1.4:2", Some(false)),
        ];
        assert_eq!(states(said), wanted.map(|(port, gives)| (port.to_owned(), gives)).into());
        assert!(states("  Port 1: 0100 power\n").is_empty());
    }

    #[test]
    fn a_port_is_a_place_and_no_option() {
        assert_eq!(place("1-1.4:2").ok(), Some(("1-1.4", "2")));
        for wrong in ["2", "1-1:0", "-l:2", "1-1:x", "1-1:02", "1-1 -a:2", ":2", "1-1:"] {
            assert!(place(wrong).is_err(), "{wrong}");
        }
    }
}
