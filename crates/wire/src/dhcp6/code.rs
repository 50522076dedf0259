//! Numbers of options and states (IANA registry "DHCPv6 parameters").

/// Number of an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OptionCode(pub u16);

impl OptionCode {
    /// Client identifier, a DUID (RFC 8415 section 21.2).
    pub const CLIENT_ID: Self = Self(1);
    /// Server identifier, a DUID (section 21.3).
    pub const SERVER_ID: Self = Self(2);
    /// An identity association for lasting addresses (section 21.4).
    pub const IA_NA: Self = Self(3);
    /// One for temporary addresses (section 21.5); none are given here.
    pub const IA_TA: Self = Self(4);
    /// An address inside an identity association (section 21.6).
    pub const IA_ADDRESS: Self = Self(5);
    /// Numbers of the options a client wants (section 21.7).
    pub const OPTION_REQUEST: Self = Self(6);
    /// Preference of a server; 255 ends the client's wait for others (section 21.8).
    pub const PREFERENCE: Self = Self(7);
    /// Hundredths of a second since the client began (section 21.9).
    pub const ELAPSED: Self = Self(8);
    /// The message a relay passes on (section 21.10).
    pub const RELAYED: Self = Self(9);
    /// Status code and text (section 21.13).
    pub const STATUS: Self = Self(13);
    /// Two messages are enough (section 21.14).
    pub const RAPID_COMMIT: Self = Self(14);
    /// User classes, counted (section 21.15). iPXE says `iPXE`.
    pub const USER_CLASS: Self = Self(15);
    /// Enterprise number and vendor classes, counted (section 21.16). EDK2 says `PXEClient:Arch:…`.
    pub const VENDOR_CLASS: Self = Self(16);
    /// A relay's port, echoed to it (section 21.18).
    pub const INTERFACE_ID: Self = Self(18);
    /// Recursive name servers (RFC 3646 section 3).
    pub const NAME_SERVERS: Self = Self(23);
    /// Domains in which short names are looked for (RFC 3646 section 4).
    pub const SEARCH: Self = Self(24);
    /// An identity association for prefixes (RFC 8415 section 21.21); none are given here.
    pub const IA_PD: Self = Self(25);
    /// Seconds until a client without an address asks again (section 21.23).
    pub const REFRESH_SECONDS: Self = Self(32);
    /// The client's name (RFC 4704).
    pub const CLIENT_NAME: Self = Self(39);
    /// Time servers, each as an option inside (RFC 5908).
    pub const TIME_SERVER: Self = Self(56);
    /// URL of the boot file (RFC 5970 section 3.1).
    pub const BOOT_URL: Self = Self(59);
    /// Parameters of the boot file (section 3.2).
    pub const BOOT_PARAMETERS: Self = Self(60);
    /// Architectures the client can start (section 3.3).
    pub const ARCHITECTURES: Self = Self(61);
    /// Kind and version of the client's network interface (section 3.4).
    pub const INTERFACE_KIND: Self = Self(62);
    /// The client's link-layer address, told by its relay (RFC 6939).
    pub const LINK_LAYER_ADDRESS: Self = Self(79);
}

/// How a request went (RFC 8415 section 21.13).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Status(pub u16);

impl Status {
    /// It went well.
    pub const SUCCESS: Self = Self(0);
    /// No address is left, or none may be had.
    pub const NO_ADDRESSES: Self = Self(2);
    /// The server knows nothing of this association.
    pub const NO_BINDING: Self = Self(3);
    /// The address does not belong to the client's link.
    pub const NOT_ON_LINK: Self = Self(4);
}
