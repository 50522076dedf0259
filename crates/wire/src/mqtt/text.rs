//! Texts and topics of MQTT (sections 1.5.3 and 4.7).

use alloc::string::String;
use alloc::vec::Vec;

use super::Fault;
use crate::cursor::Cursor;

/// Bytes with their length before them.
pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    out.extend(length.to_be_bytes());
    out.extend(bytes.get(..usize::from(length)).unwrap_or_default());
}

/// A text with its length before it.
pub(super) fn put(out: &mut Vec<u8>, text: &str) {
    put_bytes(out, text.as_bytes());
}

pub(super) fn take_bytes<'a>(cursor: &mut Cursor<'a>) -> Result<&'a [u8], Fault> {
    let length = cursor.u16().ok_or(Fault::Length)?;
    cursor.take(usize::from(length)).ok_or(Fault::Length)
}

pub(super) fn take(cursor: &mut Cursor<'_>) -> Result<String, Fault> {
    let text = core::str::from_utf8(take_bytes(cursor)?).map_err(|_| Fault::Text)?;
    if text.contains('\0') { Err(Fault::Text) } else { Ok(String::from(text)) }
}

/// Whether it is a topic that something can be said of: it has a name, of at most 65535 bytes, without `+` and `#`.
#[must_use]
pub fn is_topic(text: &str) -> bool {
    !text.is_empty() && text.len() <= usize::from(u16::MAX) && !text.contains(['+', '#', '\0'])
}

/// Whether it can be listened to: `+` stands for a level alone, `#` for the last one.
#[must_use]
pub fn is_filter(text: &str) -> bool {
    let mut levels = text.split('/').peekable();
    let mut right = !text.is_empty() && text.len() <= usize::from(u16::MAX) && !text.contains('\0');
    while let Some(level) = levels.next() {
        right &= match level {
            "+" => true,
            "#" => levels.peek().is_none(),
            other => !other.contains(['+', '#']),
        };
    }
    right
}

/// Whether a topic is one that this filter wants (section 4.7).
#[must_use]
pub fn matches(filter: &str, topic: &str) -> bool {
    // Topics that begin so are the broker's own, and no wildcard at the beginning means them.
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut levels = topic.split('/');
    for wanted in filter.split('/') {
        match (wanted, levels.next()) {
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (wanted, Some(level)) if wanted == level => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}
