//! Judging the `power` section: drivers of this version and what they need.

use std::collections::BTreeMap;

use model::{DriverName, Mebibytes, PowerDriver, Span};

use super::devices;
use super::fields::{Entries, Found, Typed};
use super::file::PowerFile;
use super::mistake::Mistake;
use super::network::duration;
use super::words;
use super::yaml::{Place, Value};

/// Drivers of later versions.
const LATER: &[&str] = &["poe"];
/// Memory of a virtual machine unless told.
const VIRTUAL_MEMORY: Mebibytes = Mebibytes(512);
/// Pause between two starts of virtual machines unless told.
const VIRTUAL_STAGGER: Span = Span(500);

/// A driver as far as it could be understood.
#[derive(Debug, Clone)]
pub(super) struct Driver {
    /// Where its name is written.
    pub(super) place: Place,
    /// What it is; absent when that was wrong.
    pub(super) spec: Option<PowerDriver>,
}

/// The drivers by the name that was typed.
pub(super) type Drivers = BTreeMap<String, Driver>;

/// Judges the section. The second part is absent when something in it is wrong.
pub(super) fn power(
    file: &Entries<PowerFile>,
    found: &mut Found,
) -> (Drivers, Option<BTreeMap<DriverName, PowerDriver>>) {
    let mut drivers = Drivers::new();
    let mut spec = Some(BTreeMap::new());
    for (name, driver) in &file.0 {
        let parsed = named::<DriverName>(name, found);
        let judged = power_driver(driver, found);
        drivers.insert(name.value.clone(), Driver { place: name.place, spec: judged.clone() });
        match (parsed, judged, &mut spec) {
            (Some(name), Some(driver), Some(all)) => {
                all.insert(name, driver);
            }
            (None, _, _) | (_, None, _) | (_, _, None) => spec = None,
        }
    }
    one_owner(file, found);
    (drivers, spec)
}

/// A serial port belongs to one: whoever comes second is refused it, and its answers would be the other's.
fn one_owner(file: &Entries<PowerFile>, found: &mut Found) {
    let mut owners: BTreeMap<&str, &Typed<String>> = BTreeMap::new();
    for (name, driver) in &file.0 {
        let Some(device) = driver.options.iter().find(|given| given.key == "device") else { continue };
        let Value::Word(path, _) = &device.entry.value.value else { continue };
        if let Some(owner) = owners.get(path.as_str()) {
            let title = format!("`{}` and `{}` are one device", owner.value, name.value);
            let mistake = Mistake::new(title, device.entry.value.place, "it has an owner already");
            let help = format!("name its other ports behind `{}/`", owner.value);
            found.push(mistake.other(owner.place, "this one").help(help));
        } else {
            owners.insert(path, name);
        }
    }
}

/// Reads a name and says which character is wrong.
pub(super) fn named<N: std::str::FromStr<Err = model::NameError>>(
    typed: &Typed<String>,
    found: &mut Found,
) -> Option<N> {
    match typed.value.parse() {
        Ok(name) => Some(name),
        Err(why) => {
            let right: String = typed
                .value
                .chars()
                .map(|c| if c.is_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
                .collect();
            let right = right.trim_matches('-');
            let mistake =
                Mistake::new(format!("`{}` is not a name", typed.value), typed.place, why.to_string());
            found.push(if right.parse::<N>().is_ok() {
                mistake.help(format!("did you mean `{right}`?"))
            } else {
                mistake
            });
            None
        }
    }
}

/// Judges one driver. `None` when something in it is wrong, which was said then.
pub(super) fn power_driver(file: &PowerFile, found: &mut Found) -> Option<PowerDriver> {
    let word = file.driver.as_ref()?;
    if let Some(kind) = devices::kind(&word.value) {
        return devices::device(kind, (file, word), found).map(PowerDriver::Device);
    }
    not_of_a_device(file, word, found);
    match word.value.as_str() {
        "virtual" => {
            let memory = file.memory.as_ref().map_or(Some(VIRTUAL_MEMORY), |m| memory(m, found));
            let stagger =
                file.stagger.as_ref().map_or(Some(VIRTUAL_STAGGER), |s| duration("stagger", s, found));
            let disk = file.disk.as_ref().map_or(Some(None), |disk| self::memory(disk, found).map(Some));
            Some(PowerDriver::Virtual { memory: memory?, stagger: stagger?, disk: disk? })
        }
        "manual" => {
            for (key, typed) in [("memory", &file.memory), ("stagger", &file.stagger), ("disk", &file.disk)] {
                if let Some(typed) = typed {
                    found.push(
                        Mistake::new(
                            format!("`{key}` is for the driver `virtual`"),
                            typed.place,
                            "no use here",
                        )
                        .other(word.place, "a person switches these machines"),
                    );
                }
            }
            Some(PowerDriver::Manual)
        }
        later if LATER.contains(&later) => {
            found.push(
                Mistake::new(
                    format!("the driver `{later}` is not supported by this version"),
                    word.place,
                    "a later version has it",
                )
                .help("`manual`: the lab says when to press the button, and sees what happens"),
            );
            None
        }
        other => {
            found.push(
                Mistake::new(format!("`{other}` is not a power driver"), word.place, "not known").nearest(
                    other,
                    devices::words(),
                    "drivers of this version",
                ),
            );
            None
        }
    }
}

/// Options of devices say nothing to drivers that are none.
fn not_of_a_device(file: &PowerFile, word: &Typed<String>, found: &mut Found) {
    if !matches!(word.value.as_str(), "virtual" | "manual") {
        return;
    }
    let first = file.protect.as_ref().and_then(|ports| ports.first()).map(|port| ("protect", port.place));
    let standby = file.standby.as_ref().map(|typed| ("standby", typed.place));
    let options = file.options.iter().map(|given| (given.key, given.entry.key_place));
    for (key, place) in first.into_iter().chain(standby).chain(options) {
        found.push(
            Mistake::new(
                format!("`{key}` is not an option of the driver `{}`", word.value),
                place,
                "no use here",
            )
            .other(word.place, "this driver"),
        );
    }
}

/// Reads an amount of memory.
pub(super) fn memory(typed: &Typed<String>, found: &mut Found) -> Option<Mebibytes> {
    let read = words::memory(&typed.value);
    if read.is_none() {
        let digits = typed.value.trim_end_matches(|c: char| !c.is_ascii_digit());
        let unit = typed.value.get(digits.len()..).unwrap_or_default().trim().to_ascii_lowercase();
        let mistake = Mistake::new(
            format!("`{}` is not an amount of memory", typed.value),
            typed.place,
            "a number and `MiB` or `GiB`",
        );
        let meant = match unit.as_str() {
            "g" | "gb" | "gi" | "gib" => Some("GiB"),
            "" | "m" | "mb" | "mi" | "mib" => Some("MiB"),
            _ => None,
        };
        found.push(match meant {
            Some(unit) if digits.parse::<u32>().is_ok_and(|n| n > 0) => {
                mistake.help(format!("did you mean `{digits}{unit}`?"))
            }
            _ => mistake.help("for example `512MiB` or `8GiB`"),
        });
    }
    read
}
