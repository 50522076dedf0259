//! Other DHCPv6 servers of the link. What they answer goes to the asker alone, so a machine that names one gives it
//! away, and an answer to a question of our own names it whole (the sniffer hears that).

use model::{MacAddr, Notice};
use wire::dhcp6::{Duid, Message, MessageType, OURS, OptionCode};

use crate::counter::Counter;
use crate::dhcp::{PROBE_CLASS, Schedule};
use crate::told::Told;

/// Transaction number of our question.
const XID: u32 = 0x006c_6162;

/// Servers that machines were heard to follow, and when to ask for more.
#[derive(Debug, Default)]
pub(super) struct Others {
    told: Told<Duid>,
    /// A machine follows one, and the link was not asked since.
    heard: bool,
    schedule: Schedule,
}

impl Others {
    /// A machine takes what another server offers: told at once, and once a minute while it goes on.
    pub(super) fn note_choice(
        &mut self,
        counter: &Counter,
        mac: Option<MacAddr>,
        message: &Message,
        now: u64,
    ) {
        let Some(server) = message.server() else { return };
        self.heard = true;
        if !self.told.is_news(server.clone(), now) {
            return;
        }
        tracing::warn!(?mac, %server, "follows another DHCPv6 server");
        if let Some(mac) = mac {
            counter.sights.notice(Notice::ForeignChoice6 { mac, duid: server.to_hex() });
        }
    }

    /// What to ask everybody with, when that is due: for all there is to know and for no address, so that nobody sets
    /// one aside. `own` marks the question as ours.
    pub(super) fn question(&self, own: &Duid, now: u64) -> Option<Message> {
        if !self.schedule.is_due(self.heard, now) {
            return None;
        }
        let mut question = Message::new(MessageType::InformationRequest, XID, own);
        question.options.push(OptionCode::ELAPSED, [0, 0]);
        question.options.push_wishes(&[OptionCode::NAME_SERVERS]);
        question.options.push_vendor_class(OURS, PROBE_CLASS.as_bytes());
        Some(question)
    }

    /// The question left.
    pub(super) fn note_question(&mut self, now: u64) {
        self.heard = false;
        self.schedule.note(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_is_asked_at_first_and_a_minute_later_only_if_somebody_follows_another() {
        let (mut others, own) = (Others::default(), Duid::of_uuid([1; 16]));
        assert!(others.question(&own, 0).is_some());
        assert!(others.question(&own, 1).is_some(), "it could not be sent");
        others.note_question(2);
        assert_eq!(others.question(&own, 120_000), None);
        others.heard = true;
        let question = others.question(&own, 120_000).unwrap();
        assert_eq!((question.kind, question.client()), (MessageType::InformationRequest, Some(own.clone())));
        others.note_question(120_000);
        others.heard = true;
        assert_eq!(others.question(&own, 150_000), None, "not each time");
    }
}
