//! The variables in which firmware keeps whom it trusts, as files that its menus and others' tools put there.

use model::WallTime;

use super::pkcs7::detached;
use super::{Certificate, SecureBootError, Signer};

/// `EFI_CERT_X509_GUID` (UEFI 2.10 section 32.4.1).
const X509: [u8; 16] = guid(0xa5c0_59a1, 0x94e4, 0x4aa7, [0x87, 0xb5, 0xab, 0x15, 0x5c, 0x2b, 0xf0, 0x72]);
/// `EFI_CERT_TYPE_PKCS7_GUID` (section 8.2.2).
const PKCS7: [u8; 16] = guid(0x4aaf_d29d, 0x68df, 0x49ee, [0x8a, 0xa9, 0x34, 0x7d, 0x37, 0x56, 0x65, 0xa7]);
/// `EFI_GLOBAL_VARIABLE`, of PK and KEK.
const GLOBAL: [u8; 16] = guid(0x8be4_df61, 0x93ca, 0x11d2, [0xaa, 0x0d, 0, 0xe0, 0x98, 0x03, 0x2b, 0x8c]);
/// `EFI_IMAGE_SECURITY_DATABASE_GUID`, of db.
const SECURITY: [u8; 16] =
    guid(0xd719_b2cb, 0x3d3a, 0x4596, [0xa3, 0xbc, 0xda, 0xd0, 0x0e, 0x67, 0x65, 0x6f]);
/// Non-volatile, for boot services and at run time, written with a time and a signature.
const ATTRIBUTES: u32 = 0x27;

/// A GUID as firmware stores it: three numbers with their low bytes first, then eight bytes.
const fn guid(a: u32, b: u16, c: u16, d: [u8; 8]) -> [u8; 16] {
    let ([a0, a1, a2, a3], [b0, b1], [c0, c1]) = (a.to_le_bytes(), b.to_le_bytes(), c.to_le_bytes());
    let [d0, d1, d2, d3, d4, d5, d6, d7] = d;
    [a0, a1, a2, a3, b0, b1, c0, c1, d0, d1, d2, d3, d4, d5, d6, d7]
}

/// A variable of Secure Boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variable {
    /// Whose machine it is: may change KEK. Writing it ends setup mode.
    Pk,
    /// Who may change db.
    Kek,
    /// Who may sign what is started.
    Db,
}

impl Variable {
    /// Every variable, in the order in which they are written: PK last, for after it nothing unsigned is taken.
    pub const ALL: [Self; 3] = [Self::Db, Self::Kek, Self::Pk];

    /// Its name in firmware.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pk => "PK",
            Self::Kek => "KEK",
            Self::Db => "db",
        }
    }

    const fn vendor(self) -> &'static [u8; 16] {
        match self {
            Self::Pk | Self::Kek => &GLOBAL,
            Self::Db => &SECURITY,
        }
    }
}

/// An `EFI_SIGNATURE_LIST` of one certificate (UEFI 2.10 section 32.4.1), by `owner`.
#[must_use]
pub fn signature_list(certificate: &Certificate, owner: &[u8; 16]) -> Vec<u8> {
    let entry = u32::try_from(owner.len() + certificate.der().len()).unwrap_or(u32::MAX);
    let sizes = [28_u32.saturating_add(entry), 0, entry].map(u32::to_le_bytes).concat();
    [X509.as_slice(), &sizes, owner, certificate.der()].concat()
}

/// What is to be written into a variable.
#[derive(Debug, Clone)]
pub struct SetVariable<'a> {
    /// Which.
    pub variable: Variable,
    /// Its new content.
    pub list: &'a [u8],
    /// When: firmware takes nothing that is older than what it has. Told to the day.
    pub at: WallTime,
}

impl SetVariable<'_> {
    /// The content with its signature before it (`EFI_VARIABLE_AUTHENTICATION_2`, section 8.2.2): a `.auth` file.
    ///
    /// # Errors
    /// The key cannot sign.
    pub fn signed(&self, by: &Signer) -> Result<Vec<u8>, SecureBootError> {
        let time = self.time();
        let name: Vec<u8> = self.variable.name().encode_utf16().flat_map(u16::to_le_bytes).collect();
        let attributes = ATTRIBUTES.to_le_bytes();
        let message = [&name, self.variable.vendor().as_slice(), &attributes, &time, self.list].concat();
        let signature = detached(&message, by)?;
        // `WIN_CERTIFICATE_UEFI_GUID`: its own 24 bytes are counted.
        let size = u32::try_from(24 + signature.len()).unwrap_or(u32::MAX).to_le_bytes();
        let kind = [0x00, 0x02, 0xf1, 0x0e];
        Ok([time.as_slice(), &size, &kind, &PKCS7, &signature, self.list].concat())
    }

    /// `EFI_TIME`, whose pads, nanosecond, zone and daylight must be zero.
    fn time(&self) -> [u8; 16] {
        let since = std::time::Duration::from_millis(self.at.0);
        let date = der::DateTime::from_unix_duration(since).unwrap_or(der::DateTime::INFINITY);
        let [low, high] = date.year().to_le_bytes();
        [low, high, date.month(), date.day(), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    }
}
