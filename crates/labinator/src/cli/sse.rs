//! Reading server-sent events (HTML standard, section 9.2.6) from bytes that come in any pieces.

/// Most bytes one event may have: a picture of 250 machines has less than one mebibyte.
const EVENT_LIMIT: usize = 16 << 20;

/// One event as it came.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Message {
    /// The `event:` field; `message` when there was none.
    pub event: String,
    /// The `data:` lines, joined by line breaks.
    pub data: String,
    /// The last `id:` of the stream so far.
    pub id: String,
}

/// An event grew beyond 16 MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong;

impl std::fmt::Display for TooLong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an event of the stream is longer than 16 MiB")
    }
}

/// What has been read of the event that is not complete yet.
#[derive(Debug, Default)]
pub struct Parser {
    line: Vec<u8>,
    /// The last byte was a carriage return: a line feed right after it belongs to it.
    after_return: bool,
    begun: bool,
    event: String,
    /// Absent until there is a `data:` line: an event without one is none.
    data: Option<String>,
    id: String,
}

impl Parser {
    /// Takes the next bytes and returns the events they completed.
    ///
    /// # Errors
    /// [`TooLong`]; the stream should be dropped then.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<Message>, TooLong> {
        let mut done = Vec::new();
        for byte in bytes {
            let follows_return = std::mem::replace(&mut self.after_return, *byte == b'\r');
            match byte {
                b'\n' if follows_return => {}
                b'\n' | b'\r' => {
                    let line = std::mem::take(&mut self.line);
                    self.take_line(&line, &mut done);
                }
                other => self.line.push(*other),
            }
            if self.line.len().saturating_add(self.data.as_ref().map_or(0, String::len)) > EVENT_LIMIT {
                return Err(TooLong);
            }
        }
        Ok(done)
    }

    fn take_line(&mut self, bytes: &[u8], done: &mut Vec<Message>) {
        let text = String::from_utf8_lossy(bytes);
        let first = !std::mem::replace(&mut self.begun, true);
        let line = if first { text.strip_prefix('\u{feff}').unwrap_or(&text) } else { &text };
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            if let Some(data) = self.data.take() {
                let event = if event.is_empty() { "message".to_owned() } else { event };
                done.push(Message { event, data, id: self.id.clone() });
            }
            return;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event),
            "data" => match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            },
            "id" if !value.contains('\0') => value.clone_into(&mut self.id),
            // A comment (nothing before the colon), `retry`, or a field of a later standard.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = "\u{feff}: hello\n\nevent: snapshot\nid: e:1\ndata: {\"a\":1}\n\nevent: beat\r\ndata: 1\r\ndata: 2\r\n\r\ndata:no space\rid\r\rretry: 5\nunknown\n\nevent: lonely\n\ndata\n\ndata: ünï\n\n";

    fn whole() -> Vec<Message> {
        Parser::default().push(STREAM.as_bytes()).unwrap()
    }

    #[test]
    fn events_are_read_as_the_standard_says() {
        let message = |event: &str, data: &str, id: &str| Message {
            event: event.to_owned(),
            data: data.to_owned(),
            id: id.to_owned(),
        };
        assert_eq!(
            whole(),
            [
                message("snapshot", "{\"a\":1}", "e:1"),
                message("beat", "1\n2", "e:1"),
                message("message", "no space", ""),
                message("message", "", ""),
                message("message", "ünï", ""),
            ]
        );
    }

    #[test]
    fn every_way_to_cut_the_stream_in_three_gives_the_same_events() {
        let bytes = STREAM.as_bytes();
        for first in 0..=bytes.len() {
            for second in first..=bytes.len() {
                let mut parser = Parser::default();
                let mut all = parser.push(&bytes[..first]).unwrap();
                all.extend(parser.push(&bytes[first..second]).unwrap());
                all.extend(parser.push(&bytes[second..]).unwrap());
                assert_eq!(all, whole(), "cut at {first} and {second}");
            }
        }
    }

    #[test]
    fn every_short_text_reads_the_same_whole_and_byte_by_byte() {
        const PIECES: [&str; 7] = ["data", ":", "\n", "\r", " ", "id", "é"];
        for number in 0..PIECES.len().pow(5) {
            let text: String =
                (0..5).map(|place| PIECES[number / PIECES.len().pow(place) % PIECES.len()]).collect();
            let whole = Parser::default().push(text.as_bytes()).unwrap();
            let mut parser = Parser::default();
            let pieces: Vec<Message> = text.bytes().flat_map(|b| parser.push(&[b]).unwrap()).collect();
            assert_eq!(whole, pieces, "{text:?}");
        }
    }

    #[test]
    fn an_endless_event_is_given_up() {
        let mut parser = Parser::default();
        let piece = vec![b'x'; 1 << 20];
        let given_up = (0..17).any(|_| parser.push(&piece).is_err());
        assert!(given_up);
    }
}
