//! Temperatures by `/sys/class/hwmon` (Documentation/hwmon/sysfs-interface.rst): thousandths of a degree Celsius.

use std::path::Path;

use model::{HEALTH_EACH, Sensor};

use super::{entries, word};

/// Inputs of one chip that are looked at.
const INPUTS: usize = 64;
/// What a broken sensor says is not shown.
const POSSIBLE: std::ops::RangeInclusive<i16> = -60..=200;

/// Sensors, those nearest to their limit first.
pub(super) fn read(root: &Path) -> Vec<Sensor> {
    let mut sensors: Vec<Sensor> = entries(&root.join("sys/class/hwmon"))
        .into_iter()
        .flat_map(|(_, chip)| {
            let name = word(&chip, "name");
            let inputs = entries(&chip).into_iter().filter_map(|(file, _)| {
                let input = file.strip_prefix("temp")?.strip_suffix("_input")?.to_owned();
                Some(input)
            });
            inputs
                .take(INPUTS)
                .filter_map(|input| {
                    let value = |what: &str| celsius(&word(&chip, &format!("temp{input}_{what}")));
                    let label = word(&chip, &format!("temp{input}_label"));
                    let label = if label.is_empty() { input.clone() } else { label };
                    // Drivers say 0 or something absurd for a limit that nobody set.
                    let critical = value("crit").filter(|limit| *limit > 0);
                    Some(Sensor { name: format!("{name} {label}"), celsius: value("input")?, critical })
                })
                .collect::<Vec<_>>()
        })
        .collect();
    let left = |sensor: &Sensor| sensor.critical.unwrap_or(i16::MAX).saturating_sub(sensor.celsius);
    sensors.sort_by(|a, b| left(a).cmp(&left(b)).then_with(|| a.name.cmp(&b.name)));
    sensors.truncate(HEALTH_EACH);
    sensors
}

fn celsius(text: &str) -> Option<i16> {
    let milli: i32 = text.parse().ok()?;
    i16::try_from(milli / 1000).ok().filter(|celsius| POSSIBLE.contains(celsius))
}
