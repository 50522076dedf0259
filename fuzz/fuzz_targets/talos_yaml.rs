//! A machine config of anybody: reading ends, and what was read is written as text that reads the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use talos::yaml::{emit, emit_all, parse};

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let documents = match parse(text) {
        Ok(documents) => documents,
        Err(error) => {
            assert!(!error.to_string().is_empty() && !error.advice().is_empty());
            return;
        }
    };
    let values: Vec<_> = documents.into_iter().map(|document| document.value).collect();
    let written = emit_all(&values);
    let again: Vec<_> = parse(&written).unwrap().into_iter().map(|document| document.value).collect();
    // By their text, because a `.nan` is not equal to itself.
    assert_eq!(again.len(), values.len());
    for (value, again) in values.iter().zip(&again) {
        assert_eq!(emit(value), emit(again));
    }
});
