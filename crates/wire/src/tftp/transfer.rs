//! The sending side of a read request, without its socket: it says which blocks to send and when.
//!
//! ```text
//!   options? ─yes─▶ Greeting (OACK out, ACK 0 awaited) ─▶ Sending ──last ACK──▶ over: Complete
//!       └────no────────────────────────────────────────────▶┘ └─▶ Refused, Silent
//!                       ERROR here is a probe: over, Probed
//! ```

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use model::TftpTerms;

use super::packet::{ErrorCode, Packet};
use super::request::Request;
use super::{LARGEST_BLOCK, LARGEST_WINDOW, STANDARD_BLOCK};

/// The least a block can be (RFC 2348).
const SMALLEST_BLOCK: u16 = 8;
/// Longest wait between two retransmissions in milliseconds.
const LONGEST_WAIT_MS: u64 = 8000;

/// What the server agrees to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Largest block in bytes: the MTU less 32.
    pub block: u16,
    /// Largest window in blocks.
    pub window: u16,
    /// Retransmissions in a row before the client counts as gone.
    pub retries: u8,
    /// The same before the client has answered at all: whoever only knocks is not waited for.
    pub greetings: u8,
    /// First wait in milliseconds; it doubles up to 8 s. A client that asks for a timeout gets its own.
    pub wait_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { block: LARGEST_BLOCK, window: LARGEST_WINDOW, retries: 6, greetings: 3, wait_ms: 1000 }
    }
}

/// What to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Nothing until [`Transfer::wake_at`] or the next packet.
    Wait,
    /// Send this packet.
    Packet(Vec<u8>),
    /// Send these blocks, in order.
    Blocks(Blocks),
    /// The transfer is over.
    End(End),
}

/// How a transfer ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The last block was taken.
    Complete,
    /// The client only wanted to know the size: EDK2 answers the OACK with an ERROR and asks again.
    Probed,
    /// The client gave up in the middle.
    Refused {
        /// Its reason as a number.
        code: ErrorCode,
        /// Its reason in words.
        message: String,
    },
    /// The client went silent.
    Silent,
    /// The client began anew, or its place was needed.
    Abandoned,
}

/// Counts of one transfer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Blocks sent for the first time.
    pub blocks: u64,
    /// Blocks sent again.
    pub repeats: u64,
    /// Times that a loss was noticed: an ACK inside a window, or silence. Each may repeat a whole window.
    pub gaps: u64,
    /// Bytes of content in the blocks sent again; a short last block counts as a full one.
    pub repeated_bytes: u64,
    /// Blocks the client has taken.
    pub taken: u64,
    /// Bytes of content in them.
    pub bytes: u64,
    /// Packets that changed nothing: late ACKs and what is no packet.
    pub stale: u64,
}

impl Statistics {
    /// True when blocks went out again and again, and none was taken.
    #[must_use]
    pub const fn is_untaken(self) -> bool {
        self.taken == 0 && self.repeats > 0
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Greeting,
    Sending,
    Over,
}

/// A transfer of one file to one client.
#[derive(Debug, Clone)]
pub struct Transfer {
    state: State,
    size: u64,
    block: u16,
    window: u16,
    /// Number of the last block: there is always one shorter than the block size.
    last: u64,
    /// Blocks the client has taken.
    acked: u64,
    /// Last block sent since then.
    sent: u64,
    /// Last block ever sent, to tell a repeat.
    furthest: u64,
    /// Ends of windows that were under way when another went out in their place; those behind the last ACK.
    overtaken: Vec<u64>,
    greeting: Vec<u8>,
    limits: Limits,
    patient: bool,
    tries: u8,
    wake: u64,
    statistics: Statistics,
}

impl Transfer {
    /// Begins a transfer of `size` bytes; the step is the first thing to send. `now` is in milliseconds.
    #[must_use]
    pub fn new(request: &Request, size: u64, limits: Limits, now: u64) -> (Self, Step) {
        let window = limits.window.clamp(1, LARGEST_WINDOW);
        let agreed = Request {
            block: request.block.map(|b| b.min(limits.block.max(SMALLEST_BLOCK))),
            size: request.size.map(|_| size),
            window: request.window.map(|w| w.min(window)),
            ..request.clone()
        };
        let pairs = agreed.pairs();
        let block = agreed.block.unwrap_or(STANDARD_BLOCK);
        let wait_ms = agreed.timeout_seconds.map_or(limits.wait_ms, |s| u64::from(s) * 1000);
        let mut transfer = Self {
            state: if pairs.is_empty() { State::Sending } else { State::Greeting },
            size,
            block,
            window: agreed.window.unwrap_or(1),
            last: size / u64::from(block) + 1,
            acked: 0,
            sent: 0,
            furthest: 0,
            overtaken: Vec::new(),
            greeting: if pairs.is_empty() { Vec::new() } else { Packet::OptionAck(pairs).encode() },
            limits: Limits { wait_ms: wait_ms.max(1), ..limits },
            patient: agreed.timeout_seconds.is_some(),
            tries: 0,
            wake: 0,
            statistics: Statistics::default(),
        };
        let step = transfer.send(now);
        (transfer, step)
    }

    /// When [`Transfer::on_time`] must be called next; `None` once it is over.
    #[must_use]
    pub fn wake_at(&self) -> Option<u64> {
        (self.state != State::Over).then_some(self.wake)
    }

    /// Counts so far.
    #[must_use]
    pub const fn statistics(&self) -> Statistics {
        self.statistics
    }

    /// Block size agreed on, in bytes.
    #[must_use]
    pub const fn block_size(&self) -> u16 {
        self.block
    }

    /// Window agreed on, in blocks.
    #[must_use]
    pub const fn window_size(&self) -> u16 {
        self.window
    }

    /// Both.
    #[must_use]
    pub const fn terms(&self) -> TftpTerms {
        TftpTerms { block: self.block, window: self.window }
    }

    /// Takes a datagram of the client in. An ACK that says nothing new is never answered: with two
    /// copies of one ACK in the network each block would go out twice to the end (the Sorcerer's
    /// Apprentice, RFC 1123 section 4.2.3.1).
    pub fn on_packet(&mut self, bytes: &[u8], now: u64) -> Step {
        if self.state == State::Over {
            return Step::Wait;
        }
        match Packet::decode(bytes) {
            Ok(Packet::Ack(number)) => self.on_ack(number, now),
            Ok(Packet::Error { code, message }) => {
                let probe = self.acked == 0 && !self.statistics.is_untaken();
                self.end(if probe && !self.greeting.is_empty() {
                    End::Probed
                } else {
                    End::Refused { code, message }
                })
            }
            Ok(Packet::Read(_) | Packet::Write(_) | Packet::Data { .. } | Packet::OptionAck(_)) | Err(_) => {
                self.statistics.stale += 1;
                Step::Wait
            }
        }
    }

    /// Takes the passing of time in: repeats what was not acknowledged, or gives up.
    pub fn on_time(&mut self, now: u64) -> Step {
        if self.state == State::Over || now < self.wake {
            return Step::Wait;
        }
        let unheard = self.state == State::Greeting || self.acked == 0;
        let most = if unheard { self.limits.greetings.min(self.limits.retries) } else { self.limits.retries };
        if self.tries >= most {
            return self.end(End::Silent);
        }
        self.tries += 1;
        self.statistics.gaps += u64::from(self.state == State::Sending);
        self.send(now)
    }

    /// The client asked for the file again before it heard of us: the first packet again, as it was.
    pub fn repeat(&mut self, now: u64) -> Step {
        if self.state == State::Over || self.acked > 0 { Step::Wait } else { self.send(now) }
    }

    fn on_ack(&mut self, number: u16, now: u64) -> Step {
        if self.state == State::Greeting {
            if number != 0 {
                self.statistics.stale += 1;
                return Step::Wait;
            }
            self.state = State::Sending;
            self.tries = 0;
            return self.send(now);
        }
        // Distance from the last ACK, which holds across the wrap because a window is far below 65536.
        let [.., high, low] = self.acked.to_be_bytes();
        let ahead = u64::from(number.wrapping_sub(u16::from_be_bytes([high, low])));
        if ahead == 0 || ahead > self.sent - self.acked {
            self.statistics.stale += 1;
            return Step::Wait;
        }
        let under_way = self.sent - self.acked - ahead;
        self.statistics.gaps += u64::from(under_way > 0);
        self.acked += ahead;
        self.statistics.taken = self.acked;
        self.statistics.bytes = self.acked.saturating_mul(u64::from(self.block)).min(self.size);
        self.tries = 0;
        if self.acked == self.last {
            return self.end(End::Complete);
        }
        // An ACK in the middle of a window says the rest was lost: go on right behind it (RFC 7440). Unless it ends a
        // window that was under way when another went out in its place: then nothing was lost, a block came twice or
        // late, and what went out behind it is under way still. To send that once more would have each block go out
        // twice to the end.
        let nothing_lost = under_way > 0 && self.overtaken.contains(&self.acked);
        self.overtaken.retain(|end| *end > self.acked);
        if nothing_lost {
            return self.send_behind(self.sent, now);
        }
        if under_way > 0 {
            self.overtaken.push(self.sent);
        }
        self.send(now)
    }

    /// The OACK, or the window behind the last ACK.
    fn send(&mut self, now: u64) -> Step {
        self.send_behind(self.acked, now)
    }

    /// The OACK, or what the window has room for behind this block.
    fn send_behind(&mut self, block: u64, now: u64) -> Step {
        let doubled = if self.patient { 0 } else { u32::from(self.tries.min(6)) };
        let wait = (self.limits.wait_ms << doubled).min(LONGEST_WAIT_MS.max(self.limits.wait_ms));
        self.wake = now.saturating_add(wait);
        if self.state == State::Greeting {
            return Step::Packet(self.greeting.clone());
        }
        self.sent = (self.acked + u64::from(self.window)).min(self.last);
        let fresh = self.sent.saturating_sub(self.furthest);
        self.statistics.blocks += fresh;
        let again = self.sent - block - fresh;
        self.statistics.repeats += again;
        self.statistics.repeated_bytes += again.saturating_mul(u64::from(self.block));
        self.furthest = self.furthest.max(self.sent);
        let blocks = Blocks { next: block + 1, last: self.sent, size: self.size, block: self.block };
        // Nothing is left behind the file's end.
        if block < self.sent { Step::Blocks(blocks) } else { Step::Wait }
    }

    fn end(&mut self, end: End) -> Step {
        self.state = State::Over;
        Step::End(end)
    }
}

/// Blocks to send, first to last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocks {
    next: u64,
    last: u64,
    size: u64,
    block: u16,
}

/// One block: a header to send in front of a range of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The DATA header.
    pub header: [u8; 4],
    /// Bytes of the file; empty for the last block of a file that is a multiple of the block size.
    pub range: Range<u64>,
}

impl Iterator for Blocks {
    type Item = Block;

    fn next(&mut self) -> Option<Block> {
        if self.next > self.last {
            return None;
        }
        let [.., high, low] = self.next.to_be_bytes();
        let size = u64::from(self.block);
        let start = (self.next - 1) * size;
        self.next += 1;
        Some(Block { header: [0, 3, high, low], range: start..self.size.min(start + size) })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = usize::try_from((self.last + 1).saturating_sub(self.next)).unwrap_or(usize::MAX);
        (left, Some(left))
    }
}

impl Blocks {
    /// Numbers of the first and the last block, not wrapped.
    #[must_use]
    pub const fn numbers(&self) -> (u64, u64) {
        (self.next, self.last)
    }

    /// The blocks of a file from number `first` on, at most `count` of them: what its transfer would send for the
    /// whole of it, whoever asks. Block 0 does not exist.
    #[must_use]
    pub fn of_file(size: u64, block: u16, first: u64, count: u64) -> Self {
        let block = block.max(1);
        let end = size / u64::from(block) + 1;
        let first = first.max(1);
        Self { next: first, last: first.saturating_add(count).saturating_sub(1).min(end), size, block }
    }

    /// The bytes of the file all these blocks cover, for one read of all of them.
    #[must_use]
    pub fn range(&self) -> Range<u64> {
        let size = u64::from(self.block);
        let start = (self.next - 1) * size;
        start..self.size.min(self.last * size).max(start)
    }
}
