//! Installing and removing, step by step, so that pulling the plug between any two leaves a machine that starts: by what
//! started it before, or by what shall.
//!
//! ```text
//! install  file, whole ─▶ settings ─▶ Boot#### names the file ─▶ BootOrder begins with it ─▶ older files go
//! remove   BootOrder without it ─▶ BootNext ─▶ Boot#### goes ─▶ our folder goes
//! ```
//! What is as it should be is not written: firmware's memory wears, and a second time changes nothing. Nothing of the
//! order before is kept anywhere: taking ours out gives it back, and keeps what others changed since.

use wire::loader::SETTINGS_PATH;
use wire::loader::entry::{BootEntry, HardDrive, NAME, name_of};

use super::variables::{Boot, Variables};
use super::volume::Volume;

/// Told before each step that changes something; an error ends all there.
pub(super) type Step<'a> = &'a mut dyn FnMut(&str) -> Result<(), String>;

/// What shall be on a system partition.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// How its boot entry names the partition.
    pub(super) drive: HardDrive,
    /// Where the loader's file lies.
    pub(super) file: &'a str,
    pub(super) loader: &'a [u8],
    pub(super) settings: &'a str,
}

/// Puts it there and lets the firmware start it first.
///
/// # Errors
/// A sentence; what the machine is started by is what it was, or this.
pub(super) fn install(
    (volume, variables): (&Volume, &Variables),
    wanted: &Wanted<'_>,
    step: Step<'_>,
) -> Result<(), String> {
    let on_disk = |what: &str, why: std::io::Error| format!("{what} cannot be written: {why}");
    if !volume.has(wanted.file, wanted.loader) {
        step(&format!("wrote {}", wanted.file))?;
        volume.put(wanted.file, wanted.loader).map_err(|why| on_disk(wanted.file, why))?;
    }
    if !volume.has(SETTINGS_PATH, wanted.settings.as_bytes()) {
        step("wrote its settings")?;
        volume.put(SETTINGS_PATH, wanted.settings.as_bytes()).map_err(|why| on_disk("its settings", why))?;
    }
    let boot = variables.read()?;
    let entry = BootEntry::of_file(NAME, &wanted.drive, wanted.file);
    let on_this = |number: &u16| boot.entries.get(number).and_then(BootEntry::drive) == Some(wanted.drive);
    let known = boot.ours().into_iter().find(on_this);
    let free = || boot.free().ok_or_else(|| "the firmware has no number left for a boot entry".to_owned());
    let number = known.map_or_else(free, Ok)?;
    if boot.entries.get(&number) != Some(&entry) {
        step(&format!("wrote {} of the firmware", name_of(number)))?;
        variables.put(number, &entry)?;
    }
    if boot.order.0.first() != Some(&number) {
        step(&format!("put {} first; before, {}", name_of(number), in_words(&boot)))?;
        variables.set_order(&boot.order.led_by(number))?;
    }
    // Only now: until then the entry named one of them.
    for file in volume.others(wanted.file).map_err(|why| on_disk("its folder", why))? {
        step(&format!("removed {file}"))?;
        volume.remove(&file).map_err(|why| on_disk(&file, why))?;
    }
    Ok(())
}

/// The order that was found, for a person who wants it back.
fn in_words(boot: &Boot) -> String {
    let names = boot.order.0.iter().map(|number| format!("{number:04X}"));
    match names.collect::<Vec<_>>() {
        names if names.is_empty() => "there was no order".to_owned(),
        names => format!("the order was {}", names.join(",")),
    }
}

/// Takes it out of the firmware, and then from these partitions. `stays` are those with a loader that stays; an entry of
/// ours for any other, such as one of a disk that is gone, goes.
///
/// # Errors
/// A sentence; the same order again goes on.
pub(super) fn remove(
    (volumes, variables): (&[Volume], &Variables),
    stays: &[HardDrive],
    step: Step<'_>,
) -> Result<(), String> {
    let boot = variables.read()?;
    let goes = |number: &u16| {
        let drive = boot.entries.get(number).and_then(BootEntry::drive);
        drive.is_none_or(|drive| !stays.contains(&drive))
    };
    let entries: Vec<u16> = boot.ours().into_iter().filter(goes).collect();
    let order = boot.order.without(&entries);
    if order != boot.order {
        step(&format!("took it out of the firmware's order; before, {}", in_words(&boot)))?;
        variables.set_order(&order)?;
    }
    if boot.next.is_some_and(|next| entries.contains(&next)) {
        step("removed BootNext of the firmware, which named it")?;
        variables.no_next()?;
    }
    for number in entries {
        step(&format!("removed {} of the firmware", name_of(number)))?;
        variables.remove(number)?;
    }
    for volume in volumes.iter().filter(|volume| volume.has_folder()) {
        step("removed its folder")?;
        volume.clear().map_err(|why| format!("its folder cannot be removed: {why}"))?;
    }
    Ok(())
}
