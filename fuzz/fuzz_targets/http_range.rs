//! Any headers choose a part that lies inside the file.
#![no_main]

use std::time::{Duration, UNIX_EPOCH};

use http::header::{
    HeaderMap, HeaderValue, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE,
};
use libfuzzer_sys::fuzz_target;
use netboot::http::{Part, Validators, choose};

fuzz_target!(|bytes: &[u8]| {
    let Some((size, rest)) = bytes.split_first_chunk::<8>() else { return };
    let size = u64::from_le_bytes(*size);
    let mut headers = HeaderMap::new();
    let names = [RANGE, IF_RANGE, IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE];
    for (name, value) in names.into_iter().zip(rest.split(|byte| *byte == b'\n')) {
        if let (false, Ok(value)) = (value.is_empty(), HeaderValue::from_bytes(value)) {
            headers.insert(name, value);
        }
    }
    let file = Validators { etag: "\"abc\"", modified: UNIX_EPOCH + Duration::from_secs(784_111_777) };
    if let Part::Bytes(first, count) = choose(&headers, size, file) {
        assert!(count > 0 && first.checked_add(count).is_some_and(|end| end <= size));
    }
});
