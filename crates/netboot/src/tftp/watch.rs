//! What the core is told of a transfer. Scripts are told by whoever answers them.

use model::{Carrier, FileRole, MacAddr, Sight, TftpTerms};
use wire::tftp::{End, Statistics, Transfer};

use super::files::Found;
use crate::counter::Counter;

/// Shortest time between two progress sightings of a transfer, in milliseconds.
const TELL_EVERY_MS: u64 = 250;

/// How far the telling has come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Watch {
    mac: Option<MacAddr>,
    terms: TftpTerms,
    begun: bool,
    told: u64,
}

impl Watch {
    /// Nothing is told yet.
    pub(crate) fn new(mac: Option<MacAddr>, transfer: &Transfer, now: u64) -> Self {
        Self { mac, terms: transfer.terms(), begun: false, told: now }
    }

    /// The machine that takes the file, where it is known.
    pub(crate) const fn mac(&self) -> Option<MacAddr> {
        self.mac
    }

    /// What was agreed on.
    pub(crate) const fn terms(&self) -> TftpTerms {
        self.terms
    }

    fn see(&self, counter: &Counter, sight: Sight) {
        if let Some(mac) = self.mac {
            counter.sights.see(mac, sight);
        }
    }

    /// The first block goes out: no mere probe for the size.
    pub(crate) fn begin(&mut self, counter: &Counter, found: &Found) {
        if !self.begun {
            self.begun = true;
            let (role, name, size) = (found.role, found.name.as_ref().to_owned(), found.size());
            self.see(counter, Sight::FileAsked { role, name: name.clone(), carrier: Carrier::Tftp, size });
            // A waiting loader asks for its script again and again.
            if role != FileRole::Script {
                self.see(counter, Sight::FileAgreed { name, terms: self.terms });
            }
        }
    }

    pub(crate) fn progress(&mut self, counter: &Counter, found: &Found, statistics: Statistics, now: u64) {
        if self.begun && now.saturating_sub(self.told) >= TELL_EVERY_MS {
            self.told = now;
            self.see(
                counter,
                Sight::FileMoved { name: found.name.as_ref().to_owned(), bytes: statistics.bytes },
            );
        }
    }

    pub(crate) fn end(&self, counter: &Counter, found: &Found, end: &End, statistics: Statistics) {
        if self.begun && statistics.repeated_bytes > 0 {
            let (name, bytes) = (found.name.as_ref().to_owned(), statistics.repeated_bytes);
            self.see(counter, Sight::FileRepeated { name, bytes });
        }
        let why = match end {
            End::Probed => return,
            End::Complete => {
                let repeats = u32::try_from(statistics.repeats).unwrap_or(u32::MAX);
                let (name, bytes) = (found.name.as_ref().to_owned(), statistics.bytes);
                if let Some(mac) = self.mac {
                    counter.note_taken(mac, &name);
                }
                return self.see(counter, Sight::FileServed { name, bytes, repeats });
            }
            _ if statistics.is_untaken() => {
                let block = self.terms.block;
                format!("no block of {block} bytes was taken: its path may carry less")
            }
            End::Refused { message, .. } => format!("the client gave up: {message}"),
            End::Silent => "the client fell silent".to_owned(),
            End::Abandoned => "the client began anew".to_owned(),
        };
        self.broken(counter, found, statistics, why);
    }

    /// It ended early.
    pub(crate) fn broken(&self, counter: &Counter, found: &Found, statistics: Statistics, why: String) {
        if self.begun {
            let (name, bytes) = (found.name.as_ref().to_owned(), statistics.bytes);
            self.see(counter, Sight::FileBroken { name, bytes, why });
        }
    }
}
