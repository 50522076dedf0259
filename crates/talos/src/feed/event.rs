//! The payloads of Talos's events (`pkg/machinery/api/machine`, messages `*Event`), as plain values.

use model::TalosStage;
use prost::Message as _;

use crate::api::proto::{common, told};

/// Begin or end of a phase or task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// It begins.
    Start,
    /// It ended, well or not.
    Stop,
}

/// Why a sequence failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The machine reboots.
    Fatal,
    /// Another one runs.
    Locked,
    /// Another one took over.
    Canceled,
}

/// Where a sequence is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SequenceStep {
    /// It begins.
    Start,
    /// It ended. Comes after a failure too.
    Stop,
    /// It failed.
    Failed {
        /// How badly.
        fault: Fault,
        /// In the node's words.
        message: String,
    },
}

/// What happened on a node.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A sequence: initialize, install, boot, reboot, shutdown, reset, upgrade, `stageUpgrade`, `maintenanceUpgrade`.
    Sequence {
        /// Its name.
        name: String,
        /// Where it is.
        step: SequenceStep,
    },
    /// A phase of a sequence.
    Phase {
        /// Its name.
        name: String,
        /// Begin or end.
        step: Step,
    },
    /// A task of a phase.
    Task {
        /// Its name.
        name: String,
        /// Begin or end.
        step: Step,
    },
    /// A service changed.
    Service {
        /// Its name.
        id: String,
        /// Initialized, Preparing, Waiting, Starting, Running, Stopping, Finished, Failed, Skipped; or a number.
        state: String,
        /// In the node's words.
        message: String,
        /// What its check says; nothing before the first.
        healthy: Option<bool>,
    },
    /// The machine restarts by the given argument of reboot(2).
    Restart {
        /// The argument.
        cmd: i64,
    },
    /// A config could not be had.
    ConfigLoad {
        /// In the node's words.
        error: String,
    },
    /// A config is no good.
    ConfigValidation {
        /// In the node's words.
        error: String,
    },
    /// Its name and addresses.
    Address {
        /// Its name.
        hostname: String,
        /// Without prefix lengths.
        addresses: Vec<String>,
    },
    /// Its stage, and whether it is ready there.
    Status {
        /// Where it is.
        stage: TalosStage,
        /// Says something while booting and running only.
        ready: bool,
        /// What is missing, and why: time, network, services, `staticPods`, `nodeReady`.
        unmet: Vec<(String, String)>,
    },
    /// A kind that this release does not know.
    Other {
        /// The message's name.
        kind: String,
    },
}

/// Bytes that are no event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("event of type `{kind}` cannot be read: {why}")]
pub struct EventError {
    /// What it says it is, cut to 80 letters.
    pub kind: String,
    why: String,
}

impl EventError {
    /// A stable name for scripts and tests.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        "talos/event-unreadable"
    }

    /// What a person can do.
    #[must_use]
    pub const fn advice(&self) -> &'static str {
        "look who sends to the event sink's port: Talos does, and nothing else should"
    }
}

impl Event {
    /// Reads a payload by the name in its type URL: the stream of the machine API prefixes it with `talos/runtime/`, the
    /// sink with `type.googleapis.com/`.
    ///
    /// # Errors
    /// The bytes are not that message.
    pub fn decode(type_url: &str, value: &[u8]) -> Result<Self, EventError> {
        let kind = type_url.rsplit('/').next().unwrap_or(type_url);
        let read = match kind {
            "machine.SequenceEvent" => told::SequenceEvent::decode(value).map(sequence),
            "machine.PhaseEvent" => told::PhaseEvent::decode(value)
                .map(|event| Self::Phase { step: step(event.action()), name: event.phase }),
            "machine.TaskEvent" => told::TaskEvent::decode(value)
                .map(|event| Self::Task { step: step(event.action()), name: event.task }),
            "machine.ServiceStateEvent" => told::ServiceStateEvent::decode(value).map(service),
            "machine.RestartEvent" => {
                told::RestartEvent::decode(value).map(|event| Self::Restart { cmd: event.cmd })
            }
            "machine.ConfigLoadErrorEvent" => {
                told::ConfigLoadErrorEvent::decode(value).map(|event| Self::ConfigLoad { error: event.error })
            }
            "machine.ConfigValidationErrorEvent" => told::ConfigValidationErrorEvent::decode(value)
                .map(|event| Self::ConfigValidation { error: event.error }),
            "machine.AddressEvent" => told::AddressEvent::decode(value)
                .map(|event| Self::Address { hostname: event.hostname, addresses: event.addresses }),
            "machine.MachineStatusEvent" => told::MachineStatusEvent::decode(value).map(status),
            _ => Ok(Self::Other { kind: short(kind) }),
        };
        read.map_err(|why| EventError { kind: short(kind), why: why.to_string() })
    }
}

fn short(kind: &str) -> String {
    kind.chars().take(80).collect()
}

const fn step(action: told::StartStop) -> Step {
    match action {
        told::StartStop::Start => Step::Start,
        told::StartStop::Stop => Step::Stop,
    }
}

fn sequence(event: told::SequenceEvent) -> Event {
    let step = match (event.action(), &event.error) {
        (told::SeqAction::SeqStart, _) => SequenceStep::Start,
        (told::SeqAction::SeqNoop, Some(error)) => {
            let fault = match error.code() {
                common::ErrCode::Fatal => Fault::Fatal,
                common::ErrCode::Locked => Fault::Locked,
                common::ErrCode::Canceled => Fault::Canceled,
            };
            SequenceStep::Failed { fault, message: error.message.clone() }
        }
        (told::SeqAction::SeqStop | told::SeqAction::SeqNoop, _) => SequenceStep::Stop,
    };
    Event::Sequence { name: event.sequence, step }
}

fn service(event: told::ServiceStateEvent) -> Event {
    let state = match told::SvcAction::try_from(event.action) {
        Ok(action) => {
            // INITIALIZED is what the service list calls Initialized.
            let (first, rest) = action.as_str_name().split_at(1);
            format!("{first}{}", rest.to_ascii_lowercase())
        }
        Err(_) => event.action.to_string(),
    };
    let healthy = event.health.filter(|health| !health.unknown).map(|health| health.healthy);
    Event::Service { id: event.service, state, message: event.message, healthy }
}

fn status(event: told::MachineStatusEvent) -> Event {
    let stage = match event.stage() {
        told::MachineStage::Unknown => TalosStage::Unknown,
        told::MachineStage::Booting => TalosStage::Booting,
        told::MachineStage::Installing => TalosStage::Installing,
        told::MachineStage::Maintenance => TalosStage::Maintenance,
        told::MachineStage::MsRunning => TalosStage::Running,
        told::MachineStage::Rebooting => TalosStage::Rebooting,
        told::MachineStage::ShuttingDown => TalosStage::ShuttingDown,
        told::MachineStage::Resetting => TalosStage::Resetting,
        told::MachineStage::Upgrading => TalosStage::Upgrading,
    };
    let status = event.status.unwrap_or_default();
    let unmet = status.unmet_conditions.into_iter().map(|unmet| (unmet.name, unmet.reason)).collect();
    Event::Status { stage, ready: status.ready, unmet }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_prefixes_lead_to_the_same_event() {
        // PhaseEvent{phase: "kexec", action: STOP}, by hand: field 1 text, field 2 varint.
        let bytes = b"\x0a\x05kexec\x10\x01";
        let event = Event::Phase { name: "kexec".to_owned(), step: Step::Stop };
        for prefix in ["talos/runtime/", "type.googleapis.com/"] {
            assert_eq!(Event::decode(&format!("{prefix}machine.PhaseEvent"), bytes), Ok(event.clone()));
        }
    }

    #[test]
    fn a_failed_sequence_is_not_one_that_began() {
        // SequenceEvent{sequence: "install", action: NOOP, error: {code: FATAL, message: "no disk"}}.
        let bytes = b"\x0a\x07install\x1a\x09\x12\x07no disk";
        let step = SequenceStep::Failed { fault: Fault::Fatal, message: "no disk".to_owned() };
        assert_eq!(
            Event::decode("talos/runtime/machine.SequenceEvent", bytes),
            Ok(Event::Sequence { name: "install".to_owned(), step })
        );
    }

    #[test]
    fn a_status_names_what_is_missing() {
        // MachineStatusEvent{stage: BOOTING, status: {ready: false, unmet: [{services, etcd}]}}.
        let bytes = b"\x08\x01\x12\x12\x12\x10\x0a\x08services\x12\x04etcd";
        let unmet = vec![("services".to_owned(), "etcd".to_owned())];
        assert_eq!(
            Event::decode("x/machine.MachineStatusEvent", bytes),
            Ok(Event::Status { stage: TalosStage::Booting, ready: false, unmet })
        );
    }

    #[test]
    fn a_service_is_called_as_in_the_service_list() {
        // ServiceStateEvent{service: "etcd", action: RUNNING, health: {healthy: true}}.
        let bytes = b"\x0a\x04etcd\x10\x03\x22\x02\x10\x01";
        let event = Event::Service {
            id: "etcd".to_owned(),
            state: "Running".to_owned(),
            message: String::new(),
            healthy: Some(true),
        };
        assert_eq!(Event::decode("x/machine.ServiceStateEvent", bytes), Ok(event));
    }

    #[test]
    fn an_unknown_kind_is_no_mistake_and_broken_bytes_are() {
        assert_eq!(
            Event::decode("x/machine.New", b"\xff"),
            Ok(Event::Other { kind: "machine.New".to_owned() })
        );
        let error = Event::decode("x/machine.TaskEvent", b"\x0a\xff").unwrap_err();
        assert_eq!((error.kind.as_str(), error.code()), ("machine.TaskEvent", "talos/event-unreadable"));
    }
}
