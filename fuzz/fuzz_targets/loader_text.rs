#![no_main]
//! What a loader and its controller say to each other, from anybody: questions, answers, seals, heads, records, tables.

use libfuzzer_sys::fuzz_target;
use model::MacAddr;
use wire::loader::cache::{BLOCK, Record};
use wire::loader::http::Head;
use wire::loader::unified::Unified;
use wire::loader::{Answer, Ask, Asked, Delegation, Nonce, Sealed, Trust, Word, judge, smbios};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(ask) = Ask::read(bytes) {
        assert_eq!(Ask::read(ask.text().as_bytes()), Ok(ask));
    }
    if let Ok(answer) = Answer::read(bytes) {
        assert_eq!(Answer::read(answer.text().as_bytes()), Ok(answer));
    }
    if let Ok(word) = Word::read(bytes) {
        assert_eq!(Word::read(word.body().as_bytes()), Ok(word));
    }
    if let Ok(delegation) = Delegation::read(bytes) {
        assert_eq!(Delegation::read(delegation.text().as_bytes()), Ok(delegation));
    }
    if let Ok(sealed) = Sealed::read(bytes) {
        assert_eq!(Sealed::read(&sealed.bytes()), Ok(sealed));
    }
    _ = Head::read(bytes);
    drop(smbios::system(bytes));
    _ = Unified::read(bytes);
    if let Some(block) = bytes.first_chunk::<BLOCK>() {
        drop(Record::read(block));
    }
    let asked = Asked { nonce: Nonce([0; 16]), macs: &[MacAddr([2, 0, 0, 0, 0, 1])], elapsed_ms: 0 };
    // Whatever it is, nobody signed it.
    let trust = Trust { lab_key: Some([0; 32]), least: 0 };
    assert!(judge(bytes, &asked, trust, |_, _, _| false).is_err());
});
