//! The owner's keys for Secure Boot, from a medium into firmware that has none: whoever made such a medium, and cleared the
//! firmware's keys, wants it.

use alloc::format;

use uefi::runtime::{self, ResetType, VariableAttributes, VariableVendor};
use uefi::{CStr16, Handle, Status, cstr16};
use wire::loader::KEYS_PATH;

use crate::disk;
use crate::screen::Screen;

/// As UEFI 2.10 section 3.3 has them for these variables.
const ATTRIBUTES: VariableAttributes = VariableAttributes::NON_VOLATILE
    .union(VariableAttributes::BOOTSERVICE_ACCESS)
    .union(VariableAttributes::RUNTIME_ACCESS)
    .union(VariableAttributes::TIME_BASED_AUTHENTICATED_WRITE_ACCESS);
/// The variables in the order in which they are written: the last one ends setup mode.
const VARIABLES: [(&CStr16, &str, &VariableVendor); 3] = [
    (cstr16!("db"), "db", &VariableVendor::IMAGE_SECURITY_DATABASE),
    (cstr16!("KEK"), "KEK", &VariableVendor::GLOBAL_VARIABLE),
    (cstr16!("PK"), "PK", &VariableVendor::GLOBAL_VARIABLE),
];

/// True where a variable of the firmware with this name is 1.
pub(crate) fn says(name: &CStr16) -> bool {
    let mut value = [0];
    runtime::get_variable(name, &VariableVendor::GLOBAL_VARIABLE, &mut value)
        .is_ok_and(|(value, _)| value == [1])
}

/// Writes the keys of this medium, where it has all and the firmware is in setup mode, and starts the machine again.
pub(crate) fn keys(screen: &mut Screen, partition: Handle) {
    let mut files = VARIABLES.map(|(_, name, _)| disk::file(partition, &format!("{KEYS_PATH}/{name}.auth")));
    if files.iter().any(Option::is_none) {
        return;
    }
    if !says(cstr16!("SetupMode")) {
        let what = if says(cstr16!("SecureBoot")) { "is on" } else { "is off; its keys are in" };
        screen.fact("keys", format_args!("Secure Boot {what}: nothing is written"));
        return;
    }
    for ((variable, name, vendor), file) in VARIABLES.into_iter().zip(&mut files) {
        let content = file.take().unwrap_or_default();
        if let Err(error) = runtime::set_variable(variable, vendor, ATTRIBUTES, &content) {
            screen
                .fact("keys", format_args!("the firmware does not take {name}: {error}; it goes on without"));
            return;
        }
        screen.fact("keys", format_args!("{name} is written"));
    }
    screen.fact("keys", format_args!("they are the firmware's from now on; the machine starts again"));
    runtime::reset(ResetType::COLD, Status::SUCCESS, None);
}
