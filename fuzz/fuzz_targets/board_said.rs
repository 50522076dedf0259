//! What boards and controllers say that switch power: documents of WS-Management, relays' answers, frames that wake.
#![no_main]

use std::hint::black_box;

use libfuzzer_sys::fuzz_target;
use model::MacAddr;
use wire::relays::{lcus_states, numato_state};
use wire::wake::{magic, wakes};
use wire::wsman::{Power, Said, answer};

fuzz_target!(|bytes: &[u8]| {
    assert!(lcus_states(bytes).len() <= bytes.len());
    black_box(numato_state("0", bytes));
    if let Some(mac) = wakes(bytes) {
        assert!(bytes.windows(102).any(|part| part == magic(mac)));
    }
    if let Some(head) = bytes.first_chunk() {
        let mac = MacAddr(*head);
        assert!(wakes(&[bytes, &magic(mac)].concat()).is_some());
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(said) = Said::read(text) {
        black_box(said.power().and_then(Power::runs));
        black_box(said.returned());
        black_box(said.answers());
        black_box(said.refusal());
    }
    // Whatever a field says is read as it was said, without the blanks around it.
    let class = "CIM_AssociatedPowerManagementService";
    let said = Said::read(&answer(("x", class), text, &[("PowerState", "2")])).unwrap();
    assert_eq!((said.power(), said.refusal()), (Some(Power::ON), None));
});
