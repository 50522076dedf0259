//! QEMU's control protocol: JSON, one message a line (QEMU's `docs/interop/qmp-spec`). Bytes in, messages out.

use serde_json::Value;

/// Longer than anything that is asked for here; what is longer is passed over.
const LONGEST: usize = 64 * 1024;

/// What QEMU says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Who it is: the first line of each conversation.
    Greeting,
    /// Something happened.
    Event(Event),
    /// How the machine is, asked for with [`STATUS`].
    Status(String),
    /// A command was carried out.
    Done,
    /// A command was refused.
    Refused(String),
}

/// Something that happened to a machine (QEMU's `qapi/run-state.json`, `qapi/block-core.json`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It ends; QEMU's word for why, such as `guest-shutdown`, `guest-reset`, `host-qmp-quit`, `host-signal`.
    Shutdown(String),
    /// It was reset and goes on; true where its system or firmware did it.
    Reset(bool),
    /// Its system told of a panic.
    Panicked,
    /// Its watchdog expired.
    Watchdog,
    /// It was stopped because the host has no room for what it writes.
    NoSpace,
    /// Another one.
    Other(String),
}

/// Begins a conversation.
pub const CAPABILITIES: &str = "{\"execute\":\"qmp_capabilities\"}\n";
/// Lets a machine go on that stands still.
pub const CONTINUE: &str = "{\"execute\":\"cont\"}\n";
/// Asks how the machine is.
pub const STATUS: &str = "{\"execute\":\"query-status\"}\n";
/// Presses the power button.
pub const POWER_DOWN: &str = "{\"execute\":\"system_powerdown\"}\n";
/// Ends QEMU.
pub const QUIT: &str = "{\"execute\":\"quit\"}\n";
/// Presses the reset button.
pub const RESET: &str = "{\"execute\":\"system_reset\"}\n";

/// Cuts what comes in into messages.
#[derive(Debug, Default)]
pub struct Decoder {
    kept: Vec<u8>,
    /// Inside a line that is too long.
    skipping: bool,
}

impl Decoder {
    /// Takes what came and gives the messages that are whole; what is none is passed over.
    #[must_use]
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Message> {
        let mut messages = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, whole) = match piece.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (piece, false),
            };
            self.skipping |= self.kept.len() + text.len() > LONGEST;
            if self.skipping {
                self.kept.clear();
            } else {
                self.kept.extend_from_slice(text);
            }
            if whole {
                messages.extend(read(&self.kept));
                self.kept.clear();
                self.skipping = false;
            }
        }
        messages
    }
}

fn read(line: &[u8]) -> Option<Message> {
    let value: Value = serde_json::from_slice(line).ok()?;
    if value.get("QMP").is_some() {
        return Some(Message::Greeting);
    }
    let text =
        |value: &Value, name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    if let Some(error) = value.get("error") {
        return Some(Message::Refused(text(error, "desc")));
    }
    if let Some(answer) = value.get("return") {
        let status = answer.get("status").and_then(Value::as_str);
        return Some(status.map_or(Message::Done, |status| Message::Status(status.to_owned())));
    }
    let name = value.get("event")?.as_str()?;
    let nothing = Value::Null;
    let data = value.get("data").unwrap_or(&nothing);
    let is = |name: &str| data.get(name).and_then(Value::as_bool) == Some(true);
    Some(Message::Event(match name {
        "SHUTDOWN" => Event::Shutdown(text(data, "reason")),
        "RESET" => Event::Reset(is("guest")),
        "GUEST_PANICKED" => Event::Panicked,
        "WATCHDOG" => Event::Watchdog,
        "BLOCK_IO_ERROR" if is("nospace") => Event::NoSpace,
        _ => Event::Other(name.to_owned()),
    }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    // As QEMU 7.2 says them.
    const SAID: &str = concat!(
        "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 22, \"minor\": 2, \"major\": 7}}, \"capabilities\": [\"oob\"]}}\r\n",
        "{\"return\": {}}\r\n",
        "{\"return\": {\"status\": \"prelaunch\", \"singlestep\": false, \"running\": false}}\r\n",
        "{\"timestamp\": {\"seconds\": 1, \"microseconds\": 2}, \"event\": \"RESUME\"}\r\n",
        "{\"timestamp\": {\"seconds\": 1, \"microseconds\": 2}, \"event\": \"RESET\", \"data\": {\"guest\": true, \"reason\": \"guest-reset\"}}\r\n",
        "{\"event\": \"GUEST_PANICKED\", \"data\": {\"action\": \"pause\"}}\r\n",
        "{\"event\": \"WATCHDOG\", \"data\": {\"action\": \"poweroff\"}}\r\n",
        "{\"event\": \"BLOCK_IO_ERROR\", \"data\": {\"device\": \"disk\", \"operation\": \"write\", \"action\": \"stop\", \"nospace\": true}}\r\n",
        "{\"event\": \"SHUTDOWN\", \"data\": {\"guest\": true, \"reason\": \"guest-shutdown\"}}\r\n",
        "{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"no such command\"}}\r\n",
    );

    fn said() -> Vec<Message> {
        vec![
            Message::Greeting,
            Message::Done,
            Message::Status("prelaunch".to_owned()),
            Message::Event(Event::Other("RESUME".to_owned())),
            Message::Event(Event::Reset(true)),
            Message::Event(Event::Panicked),
            Message::Event(Event::Watchdog),
            Message::Event(Event::NoSpace),
            Message::Event(Event::Shutdown("guest-shutdown".to_owned())),
            Message::Refused("no such command".to_owned()),
        ]
    }

    proptest! {
        #[test]
        fn a_conversation_is_read_the_same_in_whatever_pieces_it_comes(cuts in prop::collection::vec(0..SAID.len(), 0..9)) {
            let mut cuts = cuts;
            cuts.extend([0, SAID.len()]);
            cuts.sort_unstable();
            let mut decoder = Decoder::default();
            let pieces = cuts.windows(2).flat_map(|w| decoder.push(&SAID.as_bytes()[w[0]..w[1]])).collect::<Vec<_>>();
            prop_assert_eq!(pieces, said());
        }

        #[test]
        fn no_bytes_stop_it_and_what_follows_them_is_read(noise in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut decoder = Decoder::default();
            drop(decoder.push(&noise));
            drop(decoder.push(b"\n"));
            prop_assert_eq!(decoder.push(b"{\"return\": {}}\n"), vec![Message::Done]);
        }

        #[test]
        fn json_of_any_shape_stops_nothing(word in "[A-Za-z_]{0,12}", number: i64) {
            for text in [
                format!("{{\"event\": {number}, \"data\": \"{word}\"}}\n"),
                format!("{{\"event\": \"{word}\", \"data\": [{number}]}}\n"),
                format!("{{\"return\": \"{word}\"}}\n[{number}]\n\"{word}\"\n"),
            ] {
                drop(Decoder::default().push(text.as_bytes()));
            }
        }
    }

    #[test]
    fn a_line_without_an_end_takes_no_memory() {
        let mut decoder = Decoder::default();
        for _ in 0..100 {
            assert!(decoder.push(&[b'x'; 4096]).is_empty());
            assert!(decoder.kept.len() <= LONGEST);
        }
        assert_eq!(decoder.push(b"\n{\"return\": {}}\n"), [Message::Done]);
    }
}
