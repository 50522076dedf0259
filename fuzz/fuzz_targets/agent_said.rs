//! What anybody on the segment may say as an agent, or as its boss: seals, reports, heartbeats, answers. What one reads is
//! read the same once it was written again, and only what is named is left out.
#![no_main]

use libfuzzer_sys::fuzz_target;
use model::{AgentBeat, AgentReport, AgentWelcome, Seal, Spoken, read_spoken};

fn read<T: Spoken + PartialEq + std::fmt::Debug>(bytes: &[u8]) {
    let Ok((said, unknown)) = read_spoken::<T>(bytes) else { return };
    let written = serde_json::to_vec(&said).unwrap();
    // What was left out is not in it any more.
    assert_eq!(read_spoken::<T>(&written).unwrap(), (said, Vec::new()));
    assert!(unknown.len() <= bytes.len());
}

fuzz_target!(|bytes: &[u8]| {
    read::<AgentReport>(bytes);
    read::<AgentBeat>(bytes);
    read::<AgentWelcome>(bytes);
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(seal) = text.parse::<Seal>()
    {
        let again: Seal = seal.to_string().parse().unwrap();
        assert_eq!((again.count, again.word, again.signature), (seal.count, seal.word, seal.signature));
    }
});
