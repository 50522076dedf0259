//! Who this machine is: its network ports, what SMBIOS says, its firmware, and a number nobody else has.
#![expect(unsafe_code, reason = "SMBIOS tables are found by their address")]

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use model::MacAddr;
use sha2::{Digest as _, Sha256};
use uefi::boot::{self, OpenProtocolAttributes, OpenProtocolParams, ScopedProtocol};
use uefi::proto::network::snp::SimpleNetwork;
use uefi::proto::rng::Rng;
use uefi::table::cfg::ConfigTableEntry;
use uefi::{Handle, runtime, system};
use wire::loader::{Nonce, smbios};

use crate::clock;

/// Bytes of an entry point of SMBIOS that are read.
const ENTRY: usize = 0x20;

/// Looks at a network port without taking it from anybody.
pub(crate) fn look(handle: Handle) -> Option<ScopedProtocol<SimpleNetwork>> {
    let params = OpenProtocolParams { handle, agent: boot::image_handle(), controller: None };
    // SAFETY: only its mode is read, which nobody takes away while this program runs alone.
    unsafe { boot::open_protocol(params, OpenProtocolAttributes::GetProtocol).ok() }
}

/// Ethernet addresses of all ports.
pub(crate) fn macs() -> Vec<MacAddr> {
    let mut all = Vec::new();
    for handle in boot::find_handles::<SimpleNetwork>().unwrap_or_default() {
        if let Some(mac) = look(handle).and_then(|port| mac_of(&port))
            && !all.contains(&mac)
        {
            all.push(mac);
        }
    }
    all
}

/// The Ethernet address of a port.
pub(crate) fn mac_of(port: &SimpleNetwork) -> Option<MacAddr> {
    port.mode().current_address.0.first_chunk::<6>().map(|bytes| MacAddr(*bytes))
}

/// UUID and serial number, where the firmware says them.
pub(crate) fn system_ids() -> (Option<String>, Option<String>) {
    let wanted = [ConfigTableEntry::SMBIOS3_GUID, ConfigTableEntry::SMBIOS_GUID];
    let entry = system::with_config_table(|tables| {
        wanted
            .iter()
            .find_map(|guid| tables.iter().find(|table| table.guid == *guid).map(|table| table.address))
    });
    let Some(entry) = entry.filter(|address| !address.is_null()) else { return (None, None) };
    // SAFETY: the firmware keeps an entry point of SMBIOS here as long as boot services run (UEFI 2.10 section 4.6);
    // both kinds are followed by at least as many bytes in their page.
    let entry = unsafe { core::slice::from_raw_parts(entry.cast::<u8>(), ENTRY) };
    let Some((address, size)) = smbios::tables(entry) else { return (None, None) };
    let Ok(address) = usize::try_from(address) else { return (None, None) };
    if address == 0 {
        return (None, None);
    }
    // SAFETY: the entry point says that the tables lie there, and how long they are at most.
    let tables =
        unsafe { core::slice::from_raw_parts(core::ptr::with_exposed_provenance::<u8>(address), size) };
    smbios::system(tables)
}

/// Who made the firmware, and which revision.
pub(crate) fn firmware() -> String {
    let revision = system::firmware_revision();
    format!("{} {}.{:04x}", system::firmware_vendor(), revision >> 16, revision & 0xffff)
}

/// A number that was never used before: from the firmware's generator where there is one, and in any case from the
/// machine, its clocks, and how long their reading takes.
pub(crate) fn nonce(macs: &[MacAddr]) -> Nonce {
    let mut all = Sha256::new();
    let mut random = [0; 32];
    if let Ok(handle) = boot::get_handle_for_protocol::<Rng>()
        && let Ok(mut rng) = boot::open_protocol_exclusive::<Rng>(handle)
        && rng.get_rng(None, &mut random).is_ok()
    {
        all.update(random);
    }
    for mac in macs {
        all.update(mac.0);
    }
    for _ in 0..64 {
        if let Ok(time) = runtime::get_time() {
            all.update([time.day(), time.hour(), time.minute(), time.second()]);
            all.update(time.nanosecond().to_le_bytes());
        }
        all.update(clock::ticks().to_le_bytes());
    }
    let all: [u8; 32] = all.finalize().into();
    let mut nonce = [0; 16];
    for (to, from) in nonce.iter_mut().zip(all) {
        *to = from;
    }
    Nonce(nonce)
}
