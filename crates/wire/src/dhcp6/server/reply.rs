//! The text of an answer: everything the client asked for in one message.

use alloc::vec::Vec;

use model::ClientKind;

use super::config::Boot;
use super::outcome::Owner;
use super::{Reservation, Server};
use crate::dhcp6::kind::{INTEL, classify};
use crate::dhcp6::{Ia, Message, MessageType, OptionCode, Options, Status};

/// Ends the client's wait for other servers (RFC 8415 section 18.2.1). EDK2 obeys it (`Dhcp6Io.c`).
const HIGHEST_PREFERENCE: u8 = 255;
/// After how long a client without a lease asks again, in seconds (RFC 8415 section 7.6, `IRT_DEFAULT`).
const REFRESH_SECONDS: u32 = 86_400;
/// Longest label of a name (RFC 1035 section 2.3.4).
const LONGEST_LABEL: usize = 63;

impl Server {
    /// An ADVERTISE or REPLY with the associations it answers.
    pub(super) fn compose(
        &self,
        request: &Message,
        kind: MessageType,
        (owner, associations): (Option<&Owner>, &[Ia]),
        boot: &Boot,
    ) -> Message {
        let mut options = Options::new();
        // First, because old EDK2 reads on to a NUL (`HttpBootDhcp6.c`): the high byte of the next option's number
        // is one.
        give_boot(&mut options, request, boot);
        if let Some(client) = request.options.get(OptionCode::CLIENT_ID) {
            options.push(OptionCode::CLIENT_ID, client);
        }
        options.push(OptionCode::SERVER_ID, self.config.duid().as_bytes());
        for ia in associations {
            options.push(OptionCode::IA_NA, ia.value(words(ia.status)));
        }
        refuse_other_kinds(&mut options, &request.options);
        match kind {
            MessageType::Advertise => options.push(OptionCode::PREFERENCE, [HIGHEST_PREFERENCE]),
            _ if request.kind == MessageType::Solicit => options.push(OptionCode::RAPID_COMMIT, []),
            _ => {}
        }
        if !self.config.dns.is_empty() {
            options.push_addresses(OptionCode::NAME_SERVERS, &self.config.dns);
        }
        if request.kind == MessageType::InformationRequest {
            options.push(OptionCode::REFRESH_SECONDS, REFRESH_SECONDS.to_be_bytes());
        }
        self.tell_name(&mut options, &request.options, owner);
        for (code, value) in self.config.extra.iter() {
            if !options.has(code) {
                options.push(code, value);
            }
        }
        Message { kind, xid: request.xid, options }
    }

    /// A REPLY that only says how it went.
    pub(super) fn answer_status(&self, request: &Message, status: Status, associations: &[Ia]) -> Message {
        let mut options = Options::new();
        if let Some(client) = request.options.get(OptionCode::CLIENT_ID) {
            options.push(OptionCode::CLIENT_ID, client);
        }
        options.push(OptionCode::SERVER_ID, self.config.duid().as_bytes());
        options.push_status(status, words(status));
        for ia in associations {
            options.push(OptionCode::IA_NA, ia.value(words(ia.status)));
        }
        Message { kind: MessageType::Reply, xid: request.xid, options }
    }

    /// The reserved name, to a client that speaks of names (RFC 4704): one label, the rest is the client's.
    fn tell_name(&self, options: &mut Options, asked: &Options, owner: Option<&Owner>) {
        if !asked.has(OptionCode::CLIENT_NAME) && !asked.wants(OptionCode::CLIENT_NAME) {
            return;
        }
        let Some(Owner::Machine(mac)) = owner else { return };
        if let Some(Reservation { host_name: Some(name), .. }) = self.config.reservations.get(mac)
            && let Ok(length) = u8::try_from(name.len().min(LONGEST_LABEL))
        {
            let label = name.bytes().take(usize::from(length));
            options.push(OptionCode::CLIENT_NAME, [0, length].into_iter().chain(label).collect::<Vec<u8>>());
        }
    }
}

/// Temporary addresses and prefixes are not given here, which an answer must say (RFC 8415 section 18.3.2).
fn refuse_other_kinds(options: &mut Options, asked: &Options) {
    for (code, head) in [(OptionCode::IA_TA, 4), (OptionCode::IA_PD, 12)] {
        for value in asked.all(code) {
            let Some(id) = value.first_chunk::<4>() else { continue };
            let mut answer = id.to_vec();
            answer.resize(head, 0);
            let mut inner = Options::new();
            inner.push_status(Status::NO_ADDRESSES, words(Status::NO_ADDRESSES));
            inner.write(&mut answer);
            options.push(code, answer);
        }
    }
}

fn words(status: Status) -> &'static str {
    match status {
        Status::SUCCESS => "as asked",
        Status::NO_ADDRESSES => "none is left, or none is given here",
        Status::NO_BINDING => "this was never given",
        Status::NOT_ON_LINK => "this does not belong to this link",
        _ => "",
    }
}

/// Writes what to boot in the way this client reads it. EDK2's PXE client takes an offer that calls itself
/// `PXEClient` for a boot server's and asks once more (`PxeBcParseDhcp6Packet`), so it gets the URL alone; its HTTP
/// client takes only what calls itself `HTTPClient`.
fn give_boot(options: &mut Options, request: &Message, boot: &Boot) {
    let Boot::Url(url) = boot else { return };
    let (tftp, http) = (url.starts_with("tftp://"), url.starts_with("http://"));
    let vendor = || request.options.vendor_classes();
    let over_http = match classify(request) {
        ClientKind::Ipxe => false,
        ClientKind::UefiPxe | ClientKind::BiosPxe if tftp => false,
        ClientKind::Agent if http => false,
        ClientKind::UefiHttp if http => true,
        ClientKind::UnknownFirmware | ClientKind::RaspberryPi | ClientKind::UBoot => {
            let is_http = vendor().iter().any(|(_, class)| class.starts_with(b"HTTPClient"));
            if is_http != http || !(tftp || http) {
                return;
            }
            is_http
        }
        ClientKind::UefiPxe
        | ClientKind::BiosPxe
        | ClientKind::Agent
        | ClientKind::Loader
        | ClientKind::Kexec
        | ClientKind::UefiHttp
        | ClientKind::Other => {
            return;
        }
    };
    options.push(OptionCode::BOOT_URL, url.as_bytes());
    if over_http {
        options.push_vendor_class(INTEL, b"HTTPClient");
    }
}
