//! The network card as the TCP stack sees it: frames through the firmware's simple network protocol.

use alloc::vec;
use alloc::vec::Vec;

use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;
use uefi::boot::ScopedProtocol;
use uefi::proto::network::snp::{NetworkState, ReceiveFlags, SimpleNetwork};
use uefi::{Handle, Result, Status, boot};

use crate::clock::ticks;

/// Bytes of an Ethernet frame with its header.
const FRAME: usize = 1514;
/// Frames that may be on their way out at once.
const OUTGOING: usize = 16;
/// How often the card is asked for a frame that it has sent, before the oldest is taken for sent.
const PATIENCE: u32 = 10_000;

/// A card that belongs to this program alone.
#[derive(Debug)]
pub(crate) struct Card {
    incoming: Vec<u8>,
    out: Outgoing,
    /// What it cost so far.
    pub(crate) cost: Cost,
}

/// Frames, and ticks that the firmware's driver took for them.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cost {
    pub(crate) came: u64,
    pub(crate) came_ticks: u64,
    pub(crate) went: u64,
    pub(crate) went_ticks: u64,
}

#[derive(Debug)]
struct Outgoing {
    port: ScopedProtocol<SimpleNetwork>,
    /// They stay where they are: the card reads them after they were handed to it.
    frames: Vec<Vec<u8>>,
    busy: [bool; OUTGOING],
    oldest: usize,
}

impl Card {
    /// Takes the card from whatever driver of the firmware's has it, and starts it.
    ///
    /// # Errors
    /// As the firmware says.
    pub(crate) fn open(handle: Handle) -> Result<Self> {
        let mut port = boot::open_protocol_exclusive::<SimpleNetwork>(handle)?;
        if port.mode().state == NetworkState::STOPPED {
            port.start()?;
        }
        if port.mode().state == NetworkState::STARTED {
            port.initialize(0, 0)?;
        }
        port.receive_filters(
            ReceiveFlags::UNICAST | ReceiveFlags::BROADCAST,
            ReceiveFlags::empty(),
            true,
            None,
        )?;
        let frames = (0..OUTGOING).map(|_| vec![0; FRAME]).collect();
        let out = Outgoing { port, frames, busy: [false; OUTGOING], oldest: 0 };
        Ok(Self { incoming: vec![0; 2048], out, cost: Cost::default() })
    }

    /// False where the card knows that it has no cable. One that has just been started may need a moment.
    pub(crate) fn has_cable(&mut self) -> bool {
        // Asking for its state has the card look again.
        let _refreshed = self.out.port.get_interrupt_status();
        let mode = self.out.port.mode();
        !bool::from(mode.media_present_supported) || bool::from(mode.media_present)
    }

    /// Stops it, so that it writes nothing into the memory of what is started next.
    pub(crate) fn close(mut self) {
        // A card that cannot be stopped is the firmware's to stop, at the end of its services.
        drop(self.out.port.shutdown().and_then(|()| self.out.port.stop()));
    }
}

impl Outgoing {
    fn collect(&mut self) {
        while let Ok(Some(sent)) = self.port.get_recycled_transmit_buffer_status() {
            let sent = sent.as_ptr().cast_const();
            if let Some(at) = self.frames.iter().position(|frame| frame.as_ptr() == sent)
                && let Some(busy) = self.busy.get_mut(at)
            {
                *busy = false;
            }
        }
    }

    /// A frame that the card has done with.
    fn free(&mut self) -> usize {
        for _ in 0..PATIENCE {
            // Each look at what was sent reads the card itself in some firmware: only where nothing is left.
            if let Some(at) = self.busy.iter().position(|busy| !busy) {
                return at;
            }
            self.collect();
        }
        // There are cards that never tell.
        self.oldest = (self.oldest + 1) % OUTGOING;
        self.oldest
    }

    fn send(&mut self, at: usize, length: usize) {
        for _ in 0..PATIENCE {
            let Some(frame) = self.frames.get_mut(at).and_then(|frame| frame.get_mut(..length)) else {
                return;
            };
            match self.port.transmit(0, frame, None, None, None) {
                Ok(()) => {
                    if let Some(busy) = self.busy.get_mut(at) {
                        *busy = true;
                    }
                    return;
                }
                Err(error) if error.status() == Status::NOT_READY => self.collect(),
                // TCP sends it again.
                Err(_) => return,
            }
        }
    }
}

/// A frame that came.
#[derive(Debug)]
pub(crate) struct Incoming<'a>(&'a [u8]);

/// A frame that goes.
#[derive(Debug)]
pub(crate) struct Going<'a>(&'a mut Outgoing, &'a mut Cost);

impl RxToken for Incoming<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(self.0)
    }
}

impl TxToken for Going<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, write: F) -> R {
        let begun = ticks();
        let at = self.0.free();
        let freed = ticks();
        let length = length.min(FRAME);
        let Some(frame) = self.0.frames.get_mut(at).and_then(|frame| frame.get_mut(..length)) else {
            return write(&mut vec![0; length]);
        };
        let written = write(frame);
        let ready = ticks();
        self.0.send(at, length);
        self.1.went += 1;
        self.1.went_ticks += ticks().wrapping_sub(ready) + freed.wrapping_sub(begun);
        written
    }
}

impl Device for Card {
    type RxToken<'a> = Incoming<'a>;
    type TxToken<'a> = Going<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Incoming<'_>, Going<'_>)> {
        let begun = ticks();
        let length = self.out.port.receive(&mut self.incoming, None, None, None, None).ok()?;
        self.cost.came += 1;
        self.cost.came_ticks += ticks().wrapping_sub(begun);
        Some((Incoming(self.incoming.get(..length)?), Going(&mut self.out, &mut self.cost)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Going<'_>> {
        Some(Going(&mut self.out, &mut self.cost))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut all = DeviceCapabilities::default();
        all.medium = Medium::Ethernet;
        all.max_transmission_unit = FRAME;
        all
    }
}
