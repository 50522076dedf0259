//! A power device that is typed on a command line instead of standing in a lab file: the same drivers, options and
//! complaints.

use model::{DeviceSpec, PowerDriver};

use super::devices::{self, PortNames, Shape};
use super::mistake::{Mistake, Mistakes};
use super::yaml::{self, Value};
use super::{power, reading};

/// What complaints call the place where it was typed.
const NAME: &str = "command line";

/// A device, and the names of all its ports where they are numbers.
pub(crate) type Device = (DeviceSpec, Option<Vec<String>>);

/// A device of this driver at this address, with these further options, each as a lab file has it.
///
/// # Errors
/// Every mistake, shown in the lines that a lab file would have.
pub(crate) fn device(
    driver: &str,
    address: Option<&str>,
    options: &[(String, String)],
) -> Result<Device, Mistakes> {
    let kind = devices::kind(driver);
    let mut text = format!("device:\n  driver: {}\n", quoted(driver));
    // The first thing that a driver cannot be without is where its device is.
    let first = kind.and_then(|kind| {
        kind.options.iter().find(|option| option.needed.is_some() && option.shape == Shape::Text)
    });
    let mut unplaced = None;
    match (address, first) {
        (Some(address), Some(option)) => text.push_str(&format!("  {}: {}\n", option.key, quoted(address))),
        (Some(_), None) => unplaced = kind,
        (None, _) => {}
    }
    for (key, value) in options {
        // Lists are written as YAML has them; all else is what was typed, whatever YAML would take it for.
        let list = value.starts_with('[') || value.parse::<u64>().is_ok();
        text.push_str(&format!("  {key}: {}\n", if list { value.clone() } else { quoted(value) }));
    }
    let wrong = |found| Mistakes::new(NAME, &text, found, true);
    if let Some(kind) = unplaced {
        let title = format!("the driver `{}` has no address", kind.word);
        return Err(wrong(vec![Mistake::of_file(title).help("say its options by `--with OPTION=VALUE`")]));
    }
    let root = yaml::read(&text).map_err(|mistake| wrong(vec![mistake]))?;
    let mut found = Vec::new();
    let spec = match &root.value {
        Value::Map(all) => all
            .first()
            .and_then(|entry| reading::power_driver(entry, &mut found))
            .and_then(|file| power::power_driver(&file, &mut found)),
        Value::Nothing | Value::Word(..) | Value::List(_) => None,
    };
    match spec {
        Some(PowerDriver::Device(spec)) if found.is_empty() => {
            let ports = kind.and_then(|kind| match kind.ports {
                PortNames::UpTo(last) => Some((1..=last).map(|port| port.to_string()).collect()),
                PortNames::Any => None,
            });
            Ok((spec, ports))
        }
        Some(PowerDriver::Virtual { .. } | PowerDriver::Manual | PowerDriver::Guests) if found.is_empty() => {
            let title = format!("`{driver}` is no device that could be spoken to");
            Err(wrong(vec![Mistake::of_file(title)]))
        }
        Some(_) | None => Err(wrong(found)),
    }
}

/// A text as YAML takes for nothing but a text.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use model::{DeviceKind, WebDialect};

    use super::*;

    fn said(driver: &str, address: Option<&str>, options: &[(&str, &str)]) -> String {
        let options: Vec<_> =
            options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        device(driver, address, &options).unwrap_err().render(false, 100)
    }

    #[test]
    fn an_address_is_the_first_option_that_a_driver_needs() {
        let (spec, ports) = device("relayinator", Some("/dev/ttyUSB0"), &[]).unwrap();
        assert_eq!(spec.kind, DeviceKind::Relayinator { device: "/dev/ttyUSB0".to_owned() });
        assert_eq!(ports.unwrap().len(), 8);
        let with = [("credentials".to_owned(), "file:/etc/plug".to_owned())];
        let (spec, _) = device("tasmota", Some("http://10.0.0.33"), &with).unwrap();
        let DeviceKind::Web { dialect: WebDialect::Tasmota, device: web } = spec.kind else { panic!() };
        assert!(web.url == "http://10.0.0.33" && web.credentials.is_some());
        let lists = [("on", "[rack, on, \"{port}\"]"), ("off", "[rack, off, \"{port}\"]")];
        let lists = lists.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let (spec, ports) = device("command", None, &lists).unwrap();
        assert!(matches!(spec.kind, DeviceKind::Command { on, .. } if on == ["rack", "on", "{port}"]));
        assert_eq!(ports, None);
    }

    #[test]
    fn what_is_wrong_is_said_as_in_a_lab_file() {
        assert!(said("tasmata", None, &[]).contains("did you mean `tasmota`?"));
        assert!(said("relayinator", None, &[]).contains("the driver `relayinator` needs `device`"));
        let twice = said("relayinator", Some("/dev/ttyUSB0"), &[("device", "/dev/ttyUSB1")]);
        assert!(twice.contains("`device` is written twice"), "{twice}");
        let other = said("relayinator", Some("/dev/ttyUSB0"), &[("url", "http://x")]);
        assert!(other.contains("`url` is not an option of the driver `relayinator`"), "{other}");
        let address = said("command", Some("10.0.0.5"), &[]);
        assert!(address.contains("the driver `command` has no address"), "{address}");
        let person = said("manual", None, &[]);
        assert!(person.contains("no device that could be spoken to"), "{person}");
        // A line end in an option is no second option.
        let smuggled = said("relayinator", Some("/dev/x\n  protect: [1]"), &[("standby", "1W\n  a: b")]);
        assert!(smuggled.contains("is not an amount of power"), "{smuggled}");
    }
}
