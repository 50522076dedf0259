//! Names of the options this house reads or writes (IANA BOOTP and DHCP parameters).

/// An option's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OptionCode(pub u8);

impl OptionCode {
    /// Filler between options; has no length.
    pub const PAD: Self = Self(0);
    /// RFC 2132 section 3.3.
    pub const SUBNET_MASK: Self = Self(1);
    /// RFC 2132 section 3.5.
    pub const ROUTERS: Self = Self(3);
    /// RFC 2132 section 3.8.
    pub const NAME_SERVERS: Self = Self(6);
    /// RFC 2132 section 3.9; iPXE sends its log there.
    pub const LOG_SERVERS: Self = Self(7);
    /// RFC 2132 section 3.14.
    pub const HOST_NAME: Self = Self(12);
    /// RFC 2132 section 3.17.
    pub const DOMAIN_NAME: Self = Self(15);
    /// RFC 2132 section 5.3.
    pub const BROADCAST_ADDRESS: Self = Self(28);
    /// RFC 2132 section 8.3.
    pub const TIME_SERVERS: Self = Self(42);
    /// RFC 2132 section 8.4; PXE puts its own options inside (PXE 2.1 table 2-1).
    pub const VENDOR_SPECIFIC: Self = Self(43);
    /// RFC 2132 section 9.1.
    pub const REQUESTED_ADDRESS: Self = Self(50);
    /// RFC 2132 section 9.2.
    pub const LEASE_SECONDS: Self = Self(51);
    /// RFC 2132 section 9.3: `file` and `sname` hold options too.
    pub const OVERLOAD: Self = Self(52);
    /// RFC 2132 section 9.6.
    pub const MESSAGE_TYPE: Self = Self(53);
    /// RFC 2132 section 9.7.
    pub const SERVER_ID: Self = Self(54);
    /// RFC 2132 section 9.8.
    pub const PARAMETER_LIST: Self = Self(55);
    /// RFC 2132 section 9.9.
    pub const TEXT: Self = Self(56);
    /// RFC 2132 section 9.10.
    pub const MAX_SIZE: Self = Self(57);
    /// RFC 2132 section 9.11 (T1).
    pub const RENEW_SECONDS: Self = Self(58);
    /// RFC 2132 section 9.12 (T2).
    pub const REBIND_SECONDS: Self = Self(59);
    /// RFC 2132 section 9.13.
    pub const VENDOR_CLASS: Self = Self(60);
    /// RFC 2132 section 9.14.
    pub const CLIENT_ID: Self = Self(61);
    /// RFC 2132 section 9.4.
    pub const BOOT_SERVER: Self = Self(66);
    /// RFC 2132 section 9.5.
    pub const BOOT_FILE: Self = Self(67);
    /// RFC 3004; iPXE writes plain text instead of its list.
    pub const USER_CLASS: Self = Self(77);
    /// RFC 3046; stands last.
    pub const RELAY_INFORMATION: Self = Self(82);
    /// RFC 4578 section 2.1.
    pub const ARCHITECTURES: Self = Self(93);
    /// RFC 4578 section 2.2.
    pub const NETWORK_INTERFACE: Self = Self(94);
    /// RFC 4578 section 2.3.
    pub const MACHINE_UUID: Self = Self(97);
    /// RFC 3011: the subnet a client wants an address of.
    pub const SUBNET_SELECTION: Self = Self(118);
    /// iPXE's own options (encapsulated).
    pub const IPXE: Self = Self(175);
    /// Site-specific (RFC 3942): the mark of a Labinator controller, see [`ControllerMark`](super::ControllerMark).
    pub const CONTROLLER: Self = Self(224);
    /// Nothing follows; has no length.
    pub const END: Self = Self(255);
}
