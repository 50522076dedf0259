//! The lab of the client tests: six machines that a person switches, and an image that is only bytes.

use std::path::PathBuf;

use super::house::House;

/// The boss's address; the segment is 10.79.0.0/20.
pub(crate) const BOSS: &str = "10.79.0.1";

/// Bytes of the kernel: more than fits into any buffer on its way.
pub(crate) const KERNEL_SIZE: usize = 3_000_017;

/// Writes the lab file, and the image it names.
pub(crate) fn written(house: &House) -> PathBuf {
    with_pool(house, "10.79.1.1-10.79.7.254")
}

/// The same with this pool of addresses.
pub(crate) fn with_pool(house: &House, pool: &str) -> PathBuf {
    house.write("vmlinuz", kernel());
    house.write("initrd", b"an initramfs of 28 bytes only");
    let mut text = format!(
        "lab: bench\n\
         network: {{ interface: br0, subnet: 10.79.0.0/20, boss: 10.79.0.1, dhcp: authoritative, \
         pool: {pool}, lease: 10m }}\n\
         power: {{ hand: {{ driver: manual }} }}\n\
         board:\n  columns: 3\n  nodes:\n",
    );
    for number in 1..=6 {
        let (column, row) = ((number - 1) % 3 + 1, (number - 1) / 3 + 1);
        text.push_str(&format!(
            "    node{number}: {{ at: [{column}, {row}], mac: {}, ip: 10.79.0.1{number}, power: hand/{number} }}\n",
            mac(number)
        ));
    }
    text.push_str("scenarios:\n  all: { image: { kernel: vmlinuz, initrd: [initrd] }, nodes: all }\n");
    house.write("lab.yaml", text)
}

/// A lab file without scenarios, of cold virtual machines of these names, firmwares and numbers, each with `more` beside
/// it; and the ports of their network cards.
pub(crate) fn of_firmware(house: &House, series: u8, nodes: &[(&str, &str, u8)], more: &str) -> String {
    let mut text = String::from(
        "lab: kinds\n\
         network: { interface: br0, subnet: 10.79.0.0/20, boss: 10.79.0.1, dhcp: authoritative }\n\
         power: { qemu: { driver: virtual, memory: 512MiB, stagger: 100ms } }\n\
         board:\n  columns: 3\n  nodes:\n",
    );
    for (name, firmware, number) in nodes {
        let mac = model::MacAddr([0x52, 0x54, 0, 0x4c, series, *number]);
        text.push_str(&format!(
            "    {name}: {{ at: [{number}, 1], mac: {mac}, ip: 10.79.0.1{number}, power: qemu/{number}, \
             firmware: {firmware}{more} }}\n"
        ));
        let tap = drivers::power::tap_name(mac);
        house.shell(&format!("ip tuntap add {tap} mode tap && ip link set {tap} master br0 up"));
    }
    text
}

/// Ethernet address of a node.
pub(crate) fn mac(number: u8) -> String {
    format!("02:4c:41:00:00:{number:02x}")
}

/// Bytes without a period that a block size could hide.
pub(crate) fn kernel() -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    (0..KERNEL_SIZE).map(|_| next()).collect()
}
