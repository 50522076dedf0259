//! Answers of other servers, kept as long as they allow and as there is room.

use std::collections::{HashMap, VecDeque};

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{Name, RData, Record, RecordType};

use super::zone::passed_on;

/// Answers kept.
const ENTRIES: usize = 4096;
/// Records of an answer that is kept; a longer one is passed on and forgotten.
const RECORDS: usize = 48;
/// Longest time an answer is kept, in seconds.
const LONGEST: u32 = 3600;
/// Longest time a "no such name" is kept, in seconds (RFC 2308 section 5).
const LONGEST_NEGATIVE: u32 = 300;

type Key = (Name, RecordType);

/// The cache. The oldest answer makes room for a new one.
#[derive(Debug, Default)]
pub(super) struct Cache {
    kept: HashMap<Key, Kept>,
    order: VecDeque<(Key, u64)>,
    next: u64,
}

#[derive(Debug)]
struct Kept {
    answer: Message,
    since: u64,
    until: u64,
    number: u64,
}

fn key(question: &Message) -> Option<Key> {
    question.queries.first().map(|query| (query.name.to_lowercase(), query.query_type))
}

impl Cache {
    /// The answer to a question, with what is left of its time.
    pub(super) fn find(&mut self, question: &Message, now: u64) -> Option<Message> {
        let key = key(question)?;
        let kept = self.kept.get(&key)?;
        if now >= kept.until {
            self.kept.remove(&key);
            return None;
        }
        let age = u32::try_from(now.saturating_sub(kept.since) / 1000).unwrap_or(u32::MAX);
        let mut answer = passed_on(question, kept.answer.clone());
        for record in answer.answers.iter_mut().chain(&mut answer.authorities) {
            record.decrement_ttl(age);
        }
        Some(answer)
    }

    /// Keeps an answer, if it says for how long.
    pub(super) fn keep(&mut self, question: &Message, answer: &Message, now: u64) {
        let Some((key, seconds)) = key(question).zip(time_to_live(answer)) else { return };
        if answer.answers.len().saturating_add(answer.authorities.len()) > RECORDS || seconds == 0 {
            return;
        }
        while self.kept.len() >= ENTRIES || self.order.len() >= ENTRIES.saturating_mul(2) {
            let Some((oldest, number)) = self.order.pop_front() else { break };
            if self.kept.get(&oldest).is_some_and(|kept| kept.number == number) {
                self.kept.remove(&oldest);
            }
        }
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        self.order.push_back((key.clone(), number));
        let until = now.saturating_add(u64::from(seconds).saturating_mul(1000));
        self.kept.insert(key, Kept { answer: answer.clone(), since: now, until, number });
    }
}

/// How long an answer may be kept, in seconds; `None` for one that must not be.
fn time_to_live(answer: &Message) -> Option<u32> {
    match answer.metadata.response_code {
        ResponseCode::NoError if !answer.answers.is_empty() => {
            answer.answers.iter().map(|record| record.ttl).min().map(|ttl| ttl.min(LONGEST))
        }
        ResponseCode::NoError | ResponseCode::NXDomain => {
            answer.authorities.iter().find_map(negative_time).map(|ttl| ttl.min(LONGEST_NEGATIVE))
        }
        _ => None,
    }
}

/// The smaller one of a SOA's own time and its last field (RFC 2308 section 5).
fn negative_time(record: &Record) -> Option<u32> {
    match &record.data {
        RData::SOA(soa) => Some(record.ttl.min(soa.minimum)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::str::FromStr as _;

    use hickory_proto::op::{MessageType, OpCode, Query};
    use hickory_proto::rr::rdata::{A, SOA};

    use super::*;

    fn question(name: &str) -> Message {
        let mut question = Message::new(7, MessageType::Query, OpCode::Query);
        question.add_query(Query::query(Name::from_str(name).unwrap(), RecordType::A));
        question
    }

    fn answer(name: &str, ttl: u32) -> Message {
        let mut answer = Message::response(9, OpCode::Query);
        let data = RData::A(A([192, 0, 2, 1].into()));
        answer.add_answer(Record::from_rdata(Name::from_str(name).unwrap(), ttl, data));
        answer
    }

    #[test]
    fn an_answer_grows_old_and_is_forgotten() {
        let mut cache = Cache::default();
        cache.keep(&question("a.example."), &answer("a.example.", 60), 1_000);
        let found = cache.find(&question("A.Example."), 31_000).unwrap();
        assert_eq!((found.answers[0].ttl, found.metadata.id), (30, 7));
        assert!(cache.find(&question("a.example."), 61_000).is_none());
    }

    #[test]
    fn no_such_name_is_kept_as_long_as_its_zone_says() {
        let mut denied = Message::response(9, OpCode::Query);
        denied.metadata.response_code = ResponseCode::NXDomain;
        let mut cache = Cache::default();
        cache.keep(&question("x.example."), &denied, 0);
        assert!(cache.find(&question("x.example."), 1).is_none(), "it does not say how long");
        let zone = Name::from_str("example.").unwrap();
        let soa = RData::SOA(SOA::new(zone.clone(), zone.clone(), 1, 1, 1, 1, 20));
        denied.add_authority(Record::from_rdata(zone, 900, soa));
        cache.keep(&question("x.example."), &denied, 0);
        let found = cache.find(&question("x.example."), 19_000).unwrap();
        assert_eq!(found.metadata.response_code, ResponseCode::NXDomain);
        assert!(cache.find(&question("x.example."), 20_000).is_none());
    }

    #[test]
    fn room_is_bounded_and_the_oldest_goes() {
        let mut cache = Cache::default();
        for number in 0..ENTRIES + 10 {
            let name = format!("n{number}.example.");
            cache.keep(&question(&name), &answer(&name, 60), 0);
        }
        assert_eq!(cache.kept.len(), ENTRIES);
        assert!(cache.find(&question("n0.example."), 1).is_none());
        assert!(cache.find(&question(&format!("n{}.example.", ENTRIES + 9)), 1).is_some());
        for _ in 0..3 * ENTRIES {
            cache.keep(&question("same.example."), &answer("same.example.", 60), 0);
        }
        assert!(cache.order.len() <= 2 * ENTRIES);
    }

    #[test]
    fn a_failure_is_not_kept() {
        let mut failed = answer("a.example.", 60);
        failed.metadata.response_code = ResponseCode::ServFail;
        let mut cache = Cache::default();
        cache.keep(&question("a.example."), &failed, 0);
        assert!(cache.find(&question("a.example."), 1).is_none());
    }
}
