//! An event of Talos from a stranger: read or refused, never more than it said, and its kind is short.
#![no_main]

use libfuzzer_sys::fuzz_target;
use talos::feed::Event;

const KINDS: [&str; 10] = [
    "SequenceEvent",
    "PhaseEvent",
    "TaskEvent",
    "ServiceStateEvent",
    "RestartEvent",
    "ConfigLoadErrorEvent",
    "ConfigValidationErrorEvent",
    "AddressEvent",
    "MachineStatusEvent",
    "Other",
];

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, value)) = bytes.split_first() else { return };
    let kind = KINDS[usize::from(*kind) % KINDS.len()];
    match Event::decode(&format!("type.googleapis.com/machine.{kind}"), value) {
        Ok(event @ Event::Other { .. }) => assert_eq!(kind, "Other", "{event:?}"),
        Ok(Event::Address { hostname, addresses }) => {
            assert!(hostname.len() + addresses.iter().map(String::len).sum::<usize>() <= value.len());
        }
        Ok(_) => {}
        Err(error) => assert!(error.kind.len() <= 80 && !error.to_string().is_empty()),
    }
    let free = String::from_utf8_lossy(value);
    if let Ok(Event::Other { kind }) = Event::decode(&free, &[]) {
        assert!(kind.chars().count() <= 80 && !kind.contains('/'));
    }
});
