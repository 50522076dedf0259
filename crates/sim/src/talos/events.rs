//! A simulated node's events of one boot.

use std::sync::{Mutex, PoisonError};

use prost::Message;
use talos::api::proto::common;
use talos::api::proto::{machine, told};
use tokio::sync::watch;

/// One event.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) id: String,
    pub(super) actor: String,
    /// For example `machine.PhaseEvent`.
    pub(super) kind: &'static str,
    pub(super) value: Vec<u8>,
}

/// All events of a boot, and who waits for more.
#[derive(Debug)]
pub(super) struct Events {
    kept: Mutex<Vec<Kept>>,
    count: watch::Sender<usize>,
    machine: [u8; 5],
    counter: Mutex<u32>,
}

impl Events {
    /// Of a new boot, with the bytes by which its ids differ from those of other machines.
    pub(super) fn new(machine: [u8; 5], counter: u32) -> Self {
        Self { kept: Mutex::default(), count: watch::channel(0).0, machine, counter: Mutex::new(counter) }
    }

    /// A new id (xid): seconds, machine, process, counter; 12 bytes in base32 of digits and lower-case letters.
    pub(super) fn id(&self, seconds: u64) -> String {
        let mut counter = self.counter.lock().unwrap_or_else(PoisonError::into_inner);
        *counter = (*counter + 1) & 0x00ff_ffff;
        let mut bytes = Vec::with_capacity(12);
        bytes.extend_from_slice(&u32::try_from(seconds).unwrap_or(u32::MAX).to_be_bytes());
        bytes.extend_from_slice(&self.machine);
        bytes.extend_from_slice(counter.to_be_bytes().get(1..).unwrap_or_default());
        base32(&bytes)
    }

    pub(super) fn publish(&self, seconds: u64, actor: &str, payload: Payload) {
        let id = self.id(seconds);
        let (kind, value) = payload.encoded();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push(Kept { id, actor: actor.to_owned(), kind, value });
        self.count.send_replace(kept.len());
    }

    pub(super) fn get(&self, index: usize) -> Option<Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(index).cloned()
    }

    pub(super) fn len(&self) -> usize {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Where a reader starts who asks for what comes after an id.
    pub(super) fn after(&self, id: &str) -> usize {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.partition_point(|event| event.id.as_str() <= id)
    }

    /// Until there is an event of that number.
    pub(super) async fn until(&self, index: usize) {
        let mut count = self.count.subscribe();
        // The sender lives in `self`, so waiting cannot fail.
        while *count.borrow_and_update() <= index && count.changed().await.is_ok() {}
    }
}

fn base32(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";
    let (mut out, mut held, mut bits) = (String::new(), 0u32, 0u32);
    for byte in bytes {
        held = (held << 8) | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            let index = usize::try_from((held >> bits) & 31).unwrap_or(0);
            out.push(char::from(LETTERS.get(index).copied().unwrap_or(b'0')));
        }
        held &= (1 << bits) - 1;
    }
    if bits > 0 {
        let index = usize::try_from((held << (5 - bits)) & 31).unwrap_or(0);
        out.push(char::from(LETTERS.get(index).copied().unwrap_or(b'0')));
    }
    out
}

/// What is told.
#[derive(Debug, Clone)]
pub(super) enum Payload {
    Sequence(&'static str, told::SeqAction),
    SequenceFailed(&'static str, String),
    Phase(&'static str, told::StartStop),
    Task(&'static str, told::StartStop),
    Service(String, told::SvcAction, String, Option<bool>),
    Address(String, Vec<String>),
    Status(told::MachineStage, Vec<(String, String)>),
}

impl Payload {
    fn encoded(self) -> (&'static str, Vec<u8>) {
        match self {
            Self::Sequence(name, action) => {
                let event =
                    told::SequenceEvent { sequence: name.to_owned(), action: action.into(), error: None };
                ("machine.SequenceEvent", event.encode_to_vec())
            }
            Self::SequenceFailed(name, message) => {
                let error = common::Error { code: common::ErrCode::Fatal.into(), message, details: vec![] };
                let action = told::SeqAction::SeqNoop.into();
                let event = told::SequenceEvent { sequence: name.to_owned(), action, error: Some(error) };
                ("machine.SequenceEvent", event.encode_to_vec())
            }
            Self::Phase(name, action) => {
                let event = told::PhaseEvent { phase: name.to_owned(), action: action.into() };
                ("machine.PhaseEvent", event.encode_to_vec())
            }
            Self::Task(name, action) => {
                let event = told::TaskEvent { task: name.to_owned(), action: action.into() };
                ("machine.TaskEvent", event.encode_to_vec())
            }
            Self::Service(service, action, message, healthy) => {
                let health = Some(machine::ServiceHealth {
                    unknown: healthy.is_none(),
                    healthy: healthy == Some(true),
                    ..machine::ServiceHealth::default()
                });
                let event = told::ServiceStateEvent { service, action: action.into(), message, health };
                ("machine.ServiceStateEvent", event.encode_to_vec())
            }
            Self::Address(hostname, addresses) => {
                ("machine.AddressEvent", told::AddressEvent { hostname, addresses }.encode_to_vec())
            }
            Self::Status(stage, unmet) => {
                let ready = unmet.is_empty();
                let unmet_conditions =
                    unmet.into_iter().map(|(name, reason)| told::UnmetCondition { name, reason }).collect();
                let status = Some(told::MachineStatus { ready, unmet_conditions });
                let event = told::MachineStatusEvent { stage: stage.into(), status };
                ("machine.MachineStatusEvent", event.encode_to_vec())
            }
        }
    }
}
