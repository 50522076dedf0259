#![cfg_attr(not(test), no_std)]
//! Formats and engines of the boot protocols, without a socket, a clock or a thread.

extern crate alloc;

pub mod capture;
mod cursor;
pub mod dhcp;
pub mod dhcp6;
pub mod display;
pub mod frame;
pub mod grub;
pub mod heard;
pub mod ipxe;
pub mod loader;
pub mod mqtt;
pub mod ndp;
pub mod ntp;
pub mod pxelinux;
pub mod relay;
pub mod relays;
pub mod rmcp;
pub mod snmp;
pub mod syslog;
pub mod tftp;
pub mod wake;
pub mod wsman;
