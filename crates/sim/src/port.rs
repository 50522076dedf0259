//! The card and its cable as the machine's manners have them: what gets out, what gets in, and when.

use std::collections::{BTreeMap, VecDeque};

use wire::frame::Frame;
use wire::tftp;

use crate::dice::Dice;
use crate::manners::{Manner, Manners};
use crate::relay;

/// Ethernet header, which an MTU does not count.
const ETHERNET: usize = 14;

/// One machine's end of the cable.
#[derive(Debug, Default)]
pub(crate) struct Port {
    /// Nothing passes before this moment.
    rests_until: u64,
    /// The first request for a file has left already.
    asked_for_file: bool,
    /// Frames that leave later than they should, with the order they were sent in.
    late: BTreeMap<(u64, u64), Vec<u8>>,
    sent: u64,
    /// Frames that wait for a slow driver, with the time it has read them.
    ring: VecDeque<(u64, Vec<u8>)>,
    read_until: u64,
}

impl Port {
    /// Nothing passes for so many milliseconds from now.
    pub(crate) fn rest(&mut self, now: u64, ms: u64) {
        self.rests_until = self.rests_until.max(now + ms);
    }

    /// The power went.
    pub(crate) fn go_dark(&mut self) {
        *self = Self::default();
    }

    /// A frame of the running program; the frames that are on the cable now.
    pub(crate) fn send(
        &mut self,
        frame: Vec<u8>,
        manners: &Manners,
        dice: &mut Dice,
        now: u64,
    ) -> Vec<Vec<u8>> {
        if self.holds_back(&frame, manners, now)
            || self.is_first_request(&frame, manners)
            || dice.happens(manners.loss())
        {
            return Vec::new();
        }
        let frame = match manners.relay().and_then(|at| relay::to_server(&frame, at)) {
            Some(relayed) => relayed,
            None => frame,
        };
        let mut leaving = Vec::new();
        if dice.happens(manners.duplicates()) {
            leaving.push(frame.clone());
        }
        let (per_mille, up_to_ms) = manners.delays();
        if dice.happens(per_mille) {
            let at = now + dice.between(1, up_to_ms.max(1));
            self.sent += 1;
            self.late.insert((at, self.sent), frame);
        } else {
            leaving.push(frame);
        }
        leaving
    }

    /// A frame from the cable, as the program gets it; `None` while it does not.
    pub(crate) fn hear(
        &mut self,
        frame: &[u8],
        manners: &Manners,
        dice: &mut Dice,
        now: u64,
    ) -> Option<Vec<u8>> {
        let lost =
            manners.has(Manner::Deaf) || self.holds_back(frame, manners, now) || dice.happens(manners.loss());
        if lost {
            return None;
        }
        let frame = match manners.relay() {
            Some(at) => relay::to_client(frame, at)?,
            None => frame.to_vec(),
        };
        let Some((per_frame_ms, ring)) = manners.driver() else { return Some(frame) };
        if self.ring.len() < ring {
            self.read_until = self.read_until.max(now) + per_frame_ms;
            self.ring.push_back((self.read_until, frame));
        }
        None
    }

    /// The next frame a slow driver has read by now.
    pub(crate) fn read(&mut self, now: u64) -> Option<Vec<u8>> {
        self.ring.pop_front_if(|(at, _)| *at <= now).map(|(_, frame)| frame)
    }

    /// Late frames whose time has come.
    pub(crate) fn leave(&mut self, now: u64) -> Vec<Vec<u8>> {
        let mut leaving = Vec::new();
        while let Some(entry) = self.late.first_entry()
            && entry.key().0 <= now
        {
            leaving.push(entry.remove());
        }
        leaving
    }

    /// When [`Port::leave`] or [`Port::read`] has something.
    pub(crate) fn wake_at(&self) -> Option<u64> {
        let leaves = self.late.first_key_value().map(|((at, _), _)| *at);
        [leaves, self.ring.front().map(|(at, _)| *at)].into_iter().flatten().min()
    }

    fn holds_back(&self, frame: &[u8], manners: &Manners, now: u64) -> bool {
        let too_long =
            manners.path_mtu().is_some_and(|mtu| frame.len().saturating_sub(ETHERNET) > usize::from(mtu));
        too_long || now < self.rests_until
    }

    fn is_first_request(&mut self, frame: &[u8], manners: &Manners) -> bool {
        let asks = match Frame::parse(frame) {
            Ok(Frame::Udp4(udp)) => udp.to.port() == tftp::PORT,
            Ok(Frame::Udp6(udp)) => udp.to.port() == tftp::PORT,
            _ => false,
        };
        asks && manners.has(Manner::LosesFirstTftp) && !std::mem::replace(&mut self.asked_for_file, true)
    }
}
