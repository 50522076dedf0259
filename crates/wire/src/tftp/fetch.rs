//! The receiving side of a read request, without its socket: the simulated firmware's TFTP client.

use alloc::string::String;
use alloc::vec::Vec;

use super::packet::{ErrorCode, Packet};
use super::request::Request;
use super::{LARGEST_BLOCK, STANDARD_BLOCK};

/// How the client behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchSettings {
    /// What is asked for, options included.
    pub request: Request,
    /// Ask for the size only: answer the OACK with ERROR 8, as EDK2 does before each download.
    pub probe: bool,
    /// Wait before a repetition, in milliseconds. EDK2 takes 4000.
    pub wait_ms: u64,
    /// Repetitions in a row before giving up.
    pub retries: u8,
}

impl FetchSettings {
    /// EDK2's PXE client: a block of 1468 bytes, a window of 4, 4 s, 6 tries. It first asks for the
    /// size and breaks off (`probe`), then asks again from a new port without `tsize`.
    #[must_use]
    pub fn edk2(file: &str, probe: bool) -> Self {
        let request = Request {
            size: probe.then_some(0),
            block: Some(LARGEST_BLOCK),
            window: Some(4),
            ..Request::octet(file)
        };
        Self { request, probe, wait_ms: 4000, retries: 6 }
    }
}

/// What to do after a packet or some time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FetchStep<'a> {
    /// Content that arrived, to be appended.
    pub data: &'a [u8],
    /// A packet to send.
    pub send: Option<Vec<u8>>,
    /// Set once, when it is over.
    pub end: Option<FetchEnd>,
}

/// How a fetch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FetchEnd {
    /// The whole file is here.
    Complete,
    /// The size is known, which was all that was asked.
    Probed {
        /// Bytes, if the server told.
        size: Option<u64>,
    },
    /// The server said no.
    Refused(ErrorCode),
    /// The server broke the rules: it agreed to what was not asked.
    Broken,
    /// The server went silent.
    Silent,
}

/// The client.
#[derive(Debug, Clone)]
pub struct Fetch {
    settings: FetchSettings,
    block: u16,
    window: u16,
    size: Option<u64>,
    /// Blocks received in order.
    received: u64,
    /// Blocks received at the last ACK.
    acked: u64,
    /// A gap was answered; the rest of that window is ignored.
    behind: bool,
    last_sent: Vec<u8>,
    tries: u8,
    wake: u64,
    over: bool,
}

impl Fetch {
    /// Begins; the bytes are the request, to be sent to port 69. `now` is in milliseconds.
    #[must_use]
    pub fn new(settings: FetchSettings, now: u64) -> (Self, Vec<u8>) {
        let bytes = Packet::Read(settings.request.clone()).encode();
        let fetch = Self {
            block: STANDARD_BLOCK,
            window: 1,
            size: None,
            received: 0,
            acked: 0,
            behind: false,
            last_sent: bytes.clone(),
            tries: 0,
            wake: now.saturating_add(settings.wait_ms),
            over: false,
            settings,
        };
        (fetch, bytes)
    }

    /// When [`Fetch::on_time`] must be called next; `None` once it is over.
    #[must_use]
    pub fn wake_at(&self) -> Option<u64> {
        (!self.over).then_some(self.wake)
    }

    /// The file's size, once the server told it.
    #[must_use]
    pub const fn size(&self) -> Option<u64> {
        self.size
    }

    /// Takes a datagram of the server in.
    pub fn on_packet<'a>(&mut self, bytes: &'a [u8], now: u64) -> FetchStep<'a> {
        if self.over {
            return FetchStep::default();
        }
        match Packet::decode(bytes) {
            Ok(Packet::OptionAck(pairs)) if self.received == 0 => self.on_options(&pairs, now),
            Ok(Packet::Data { block, data }) => self.on_data(block, data, now),
            Ok(Packet::Error { code, .. }) => self.finish(None, FetchEnd::Refused(code)),
            _ => FetchStep::default(),
        }
    }

    /// Takes the passing of time in.
    pub fn on_time(&mut self, now: u64) -> FetchStep<'static> {
        if self.over || now < self.wake {
            return FetchStep::default();
        }
        if self.tries >= self.settings.retries {
            return self.finish(None, FetchEnd::Silent);
        }
        self.tries += 1;
        // Blocks received since the last ACK are told too, or the server would send them again.
        if self.received > self.acked {
            return FetchStep { send: Some(self.acknowledge(now)), ..FetchStep::default() };
        }
        self.wake = now.saturating_add(self.settings.wait_ms);
        FetchStep { send: Some(self.last_sent.clone()), ..FetchStep::default() }
    }

    fn on_options<'a>(&mut self, pairs: &[(String, String)], now: u64) -> FetchStep<'a> {
        let mut agreed = Request::octet("");
        for (name, value) in pairs {
            agreed.read_option(name, value);
        }
        let asked = &self.settings.request;
        let too_much =
            |got: Option<u16>, asked: Option<u16>| got.is_some_and(|got| asked.is_none_or(|a| got > a));
        if too_much(agreed.block, asked.block) || too_much(agreed.window, asked.window) {
            let error = Packet::error(ErrorCode::OPTIONS, "not asked for");
            return self.finish(Some(error), FetchEnd::Broken);
        }
        self.size = agreed.size;
        if self.settings.probe {
            let error = Packet::error(ErrorCode::OPTIONS, "User aborted the transfer");
            return self.finish(Some(error), FetchEnd::Probed { size: agreed.size });
        }
        self.block = agreed.block.unwrap_or(STANDARD_BLOCK);
        self.window = agreed.window.unwrap_or(1);
        self.tries = 0;
        FetchStep { send: Some(self.acknowledge(now)), ..FetchStep::default() }
    }

    fn on_data<'a>(&mut self, number: u16, data: &'a [u8], now: u64) -> FetchStep<'a> {
        let [.., high, low] = (self.received + 1).to_be_bytes();
        if number != u16::from_be_bytes([high, low]) || data.len() > usize::from(self.block) {
            // Out of order: say once where the order broke, then wait for the repetition.
            if self.behind || self.window == 1 {
                return FetchStep::default();
            }
            self.behind = true;
            return FetchStep { send: Some(self.acknowledge(now)), ..FetchStep::default() };
        }
        self.behind = false;
        self.tries = 0;
        self.received += 1;
        self.wake = now.saturating_add(self.settings.wait_ms);
        let last = data.len() < usize::from(self.block);
        let full = self.received - self.acked >= u64::from(self.window);
        let send = (last || full).then(|| self.acknowledge(now));
        self.over = last;
        FetchStep { data, send, end: last.then_some(FetchEnd::Complete) }
    }

    fn acknowledge(&mut self, now: u64) -> Vec<u8> {
        self.acked = self.received;
        self.wake = now.saturating_add(self.settings.wait_ms);
        let [.., high, low] = self.received.to_be_bytes();
        self.last_sent = Packet::Ack(u16::from_be_bytes([high, low])).encode();
        self.last_sent.clone()
    }

    fn finish<'a>(&mut self, send: Option<Vec<u8>>, end: FetchEnd) -> FetchStep<'a> {
        self.over = true;
        FetchStep { data: &[], send, end: Some(end) }
    }
}
