//! One machine from its first DISCOVER to the first bytes of its image.
//!
//! ```text
//! firmware: lease ─▶ whole loader, over TFTP or HTTP ─▶ iPXE: lease ─▶ script ─▶ first 64 KiB of the image
//! ```
//! The waits of real firmware (POST, the 4 s in which EDK2 gathers offers) are left out: they cost the boss nothing.

use std::io;
use std::sync::Arc;

use model::MacAddr;
use wire::dhcp::{Architecture, Binding, ClientSettings, Message, OptionCode};
use wire::tftp::{FetchSettings, Request};

use crate::dhcp::Port;
use crate::file::{Files, HEAD};
use crate::http::Connection;
use crate::tftp;

/// Why a machine did not get what it must get.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// The command line.
    #[error("{0}")]
    Words(String),
    /// The system.
    #[error("{0}")]
    System(#[from] io::Error),
    /// No address within a minute.
    #[error("no address")]
    NoLease,
    /// The transfer failed.
    #[error("TFTP: {0}")]
    Tftp(String),
    /// The transfer failed.
    #[error("HTTP: {0}")]
    Http(String),
    /// Not what it must be.
    #[error("another {0} than it should be")]
    Wrong(&'static str),
}

/// Firmware of a machine: a third of the fleet each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Firmware {
    /// Lock-step TFTP.
    Bios,
    /// TFTP with EDK2's window.
    UefiPxe,
    /// HTTP.
    UefiHttp,
}

/// One machine.
#[derive(Debug)]
pub(crate) struct Machine {
    number: u16,
    mac: MacAddr,
    firmware: Firmware,
    port: Arc<Port>,
    files: Arc<Files>,
}

impl Machine {
    /// The machine with this number.
    pub(crate) fn new(number: u16, port: Arc<Port>, files: Arc<Files>) -> Self {
        let [high, low] = number.to_be_bytes();
        let firmware = match number % 3 {
            0 => Firmware::Bios,
            1 => Firmware::UefiPxe,
            _ => Firmware::UefiHttp,
        };
        Self { number, mac: MacAddr([2, 0x46, 0, 0, high, low]), firmware, port, files }
    }

    /// Boots as far as a boss has to do with it.
    pub(crate) async fn boot(&self) -> Result<(), Fault> {
        let binding = self.port.lease(self.firmware_settings()).await?;
        self.take_loader(&binding).await?;
        let (mut connection, kernel) = self.take_script().await?;
        let head = connection.get(&kernel, Some(HEAD)).await?;
        if self.files.is_head(&head) { Ok(()) } else { Err(Fault::Wrong("image")) }
    }

    /// Takes an address and a script, as iPXE does: one decision.
    pub(crate) async fn ask(&self) -> Result<(), Fault> {
        self.take_script().await.map(drop)
    }

    async fn take_loader(&self, binding: &Binding) -> Result<(), Fault> {
        let reply = &binding.reply;
        let named = boot_file(reply);
        let wanted = if self.firmware == Firmware::Bios { &self.files.bios } else { &self.files.uefi };
        let loader = match self.firmware {
            Firmware::UefiHttp => {
                let mut connection =
                    Connection::open(binding.address, binding.server, "UefiHttpBoot/1.0").await?;
                connection.get(&named, None).await?
            }
            Firmware::Bios | Firmware::UefiPxe => {
                let server = if reply.siaddr.is_unspecified() { binding.server } else { reply.siaddr };
                let settings = self.fetch(&named);
                tftp::take(&self.port, binding.address, server, settings, wanted.len()).await?
            }
        };
        if loader == *wanted { Ok(()) } else { Err(Fault::Wrong("loader")) }
    }

    /// PXE ROMs ask for 1456 bytes a block and wait for each.
    fn fetch(&self, file: &str) -> FetchSettings {
        let settings = FetchSettings::edk2(file, false);
        if self.firmware == Firmware::UefiPxe {
            return settings;
        }
        let request = Request { size: Some(0), block: Some(1456), ..Request::octet(file) };
        FetchSettings { request, ..settings }
    }

    /// iPXE's own lease, then its script; the connection stays open, as iPXE keeps it.
    async fn take_script(&self) -> Result<(Connection, String), Fault> {
        let binding = self.port.lease(self.ipxe_settings()).await?;
        let url = boot_file(&binding.reply);
        let mut connection = Connection::open(binding.address, binding.server, "iPXE/1.21.1+").await?;
        let script = connection.get(&url, None).await?;
        let script = String::from_utf8_lossy(&script);
        let kernel = script
            .lines()
            .find_map(|line| line.split_once("kernel ").map(|(_, rest)| rest))
            .and_then(|rest| rest.split_whitespace().find(|word| word.starts_with("http://")));
        Ok((connection, kernel.ok_or(Fault::Wrong("script"))?.to_owned()))
    }

    fn settings(&self, wait: u64) -> ClientSettings {
        let salt = u32::from(self.number).wrapping_mul(2_654_435_761);
        let mut settings = ClientSettings::new(self.mac, salt ^ 0x5eed_0000);
        settings.broadcast = true;
        settings.first_wait_ms = wait;
        let mut uuid = [0x46; 17];
        let [high, low] = self.number.to_be_bytes();
        uuid[0] = 0;
        uuid[15] = high;
        uuid[16] = low;
        settings.options.set(OptionCode::MACHINE_UUID, uuid);
        settings
    }

    fn firmware_settings(&self) -> ClientSettings {
        let (class, architecture) = match self.firmware {
            Firmware::Bios => ("PXEClient:Arch:00000:UNDI:002001", Architecture::BIOS),
            Firmware::UefiPxe => ("PXEClient:Arch:00007:UNDI:003000", Architecture::EFI_BC),
            Firmware::UefiHttp => ("HTTPClient:Arch:00016:UNDI:003000", Architecture::HTTP_X64),
        };
        let mut settings = self.settings(4000);
        settings.options.set(OptionCode::VENDOR_CLASS, class);
        settings.options.set_u16(OptionCode::ARCHITECTURES, architecture.0);
        settings.options.set(OptionCode::NETWORK_INTERFACE, [1, 3, 0]);
        settings
    }

    fn ipxe_settings(&self) -> ClientSettings {
        let mut settings = self.settings(1000);
        let architecture =
            if self.firmware == Firmware::Bios { Architecture::BIOS } else { Architecture::EFI_BC };
        settings.options.set(OptionCode::VENDOR_CLASS, "PXEClient:Arch:00007:UNDI:003010");
        settings.options.set_u16(OptionCode::ARCHITECTURES, architecture.0);
        settings.options.set(OptionCode::USER_CLASS, "iPXE");
        // Features of option 175: HTTP (0x13) and the version (0xeb), as iPXE 2.0 writes them.
        settings.options.set(OptionCode::IPXE, [0x13, 1, 1, 0xeb, 3, 2, 0, 0]);
        settings
    }
}

/// The boot file a reply names: option 67, or the field of the header.
fn boot_file(reply: &Message) -> String {
    if let Some(name) = reply.options.text(OptionCode::BOOT_FILE) {
        return name.trim_end_matches('\0').to_owned();
    }
    let end = reply.file.iter().position(|byte| *byte == 0).unwrap_or(reply.file.len());
    String::from_utf8_lossy(reply.file.get(..end).unwrap_or_default()).into_owned()
}
