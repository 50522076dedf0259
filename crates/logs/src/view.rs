//! Reading: which records a viewer wants, and how each is said.

use std::io::Write as _;

use regex::bytes::{Regex, RegexBuilder};

use crate::disk::{Folder, Kept, Piece};
use crate::ring::{Kind, Record};
use crate::store::{Source, Stage, Store};

/// Longest expression to search with, in bytes.
const LONGEST_GREP: usize = 1000;
/// Most memory that an expression may take once compiled, in bytes.
const GREP_SIZE: usize = 1 << 20;
/// Records looked at in one go.
const AT_ONCE: usize = 4096;
/// Bytes said in one go, about.
const PIECE: usize = 16 * 1024;

/// An expression that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadFilter(String);

/// Which lines somebody wants.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only of this node.
    node: Option<String>,
    /// Only this bad or worse: 0 emergency to 7 debug.
    level: Option<u8>,
    /// Only with this in the text.
    grep: Option<Regex>,
}

impl Filter {
    /// A filter; whatever is absent lets everything through. `grep` is a regular expression of the crate `regex`.
    ///
    /// # Errors
    /// The expression cannot be read, or is too large.
    pub fn new(node: Option<String>, level: Option<u8>, grep: Option<&str>) -> Result<Self, BadFilter> {
        let compile = |text: &str| {
            if text.len() > LONGEST_GREP {
                return Err(BadFilter(format!("it is longer than {LONGEST_GREP} bytes")));
            }
            let built = RegexBuilder::new(text).size_limit(GREP_SIZE).build();
            built.map_err(|why| BadFilter(why.to_string()))
        };
        Ok(Self { node, level, grep: grep.map(compile).transpose()? })
    }

    fn wants(&self, node: Option<u16>, record: &Record<'_>) -> bool {
        self.wants_of(self.node.is_none() || node == Some(record.node), record)
    }

    fn wants_of(&self, node: bool, record: &Record<'_>) -> bool {
        // Lines that are missing may be anybody's, unless it is known whose they are.
        let missing = record.kind == Kind::Lost;
        let of_node = node || (missing && record.node == 0);
        let bad_enough = self.level.is_none_or(|level| record.severity <= level || missing);
        let found = || self.grep.as_ref().is_none_or(|grep| missing || grep.is_match(record.text));
        of_node && bad_enough && found()
    }
}

/// Where a viewer begins, and what it wants.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// Which lines.
    pub filter: Filter,
    /// The last record that it knows; with another epoch it begins with what is kept.
    pub after: Option<(String, u64)>,
    /// Without that: from this time on, in milliseconds since 1970.
    pub since: Option<u64>,
    /// Not beyond this time.
    pub until: Option<u64>,
    /// Without either: so many of the last lines.
    pub tail: usize,
    /// Go on when all is said.
    pub follow: bool,
}

/// How far a viewer is.
#[derive(Debug)]
pub(crate) struct Cursor {
    pub(crate) next: u64,
    filter: Filter,
    until: Option<u64>,
}

impl Cursor {
    /// Begins as asked. What is said at once goes to `out`.
    pub(crate) fn new(asked: Asked, store: &mut Store, epoch: &str, out: &mut Vec<u8>) -> Self {
        let Asked { filter, after, since, until, tail, .. } = asked;
        let next = match (after, since) {
            (Some((of, seq)), _) if of == epoch => seq.saturating_add(1).min(store.next()),
            (Some(_), _) => {
                say(out, "gap", epoch, 0, |out| put(out, format_args!(r#"{{"reason":"another-core"}}"#)));
                store.oldest()
            }
            (None, Some(since)) => store.at(since),
            (None, None) => last(store, &filter, tail),
        };
        Self { next, filter, until }
    }

    /// Says what is new, up to about 16 KiB. False when there is more.
    pub(crate) fn tell(&mut self, store: &mut Store, epoch: &str, out: &mut Vec<u8>) -> bool {
        let oldest = store.oldest();
        if self.next < oldest {
            let lines = oldest - self.next;
            store.add_lost(Stage::Viewer, lines);
            say(out, "gap", epoch, oldest - 1, |out| {
                put(out, format_args!(r#"{{"reason":"viewer","from":{},"lines":{lines}}}"#, self.next));
            });
            self.next = oldest;
        }
        let node = self.filter.node.as_deref().and_then(|node| store.nodes.known(node));
        let mut looked_at = 0;
        for (number, record) in store.ring.from(self.next).take(AT_ONCE) {
            if out.len() >= PIECE {
                return false;
            }
            looked_at += 1;
            self.next = number + 1;
            if self.until.is_none_or(|until| record.at <= until) && self.filter.wants(node, &record) {
                tell_one(&kept(store, (number, record)), epoch, out);
            }
        }
        looked_at < AT_ONCE
    }
}

impl Store {
    /// Says everything that is kept, as server-sent events.
    pub fn tell_all(&self, out: &mut Vec<u8>) {
        for (number, record) in self.ring.from(0) {
            tell_one(&kept(self, (number, record)), "all", out);
        }
    }
}

/// What segments hold for a viewer, before what the ring has.
#[derive(Debug)]
pub(crate) struct Earlier {
    filter: Filter,
    since: u64,
    until: Option<u64>,
    /// Whose numbers are the ring's, and the first that is told from there.
    ring: (String, u64),
}

impl Earlier {
    /// What a viewer wants of segments; `None` when the ring has it all.
    pub(crate) fn of(asked: &Asked, store: &Store, epoch: &str) -> Option<Self> {
        let since = asked.since.filter(|_| asked.after.is_none())?;
        let begins = store.at(since);
        (begins == store.oldest()).then(|| Self {
            filter: asked.filter.clone(),
            since,
            until: asked.until,
            ring: (epoch.to_owned(), begins),
        })
    }

    /// Says it in pieces, until `give` takes no more.
    pub(crate) fn tell(&self, folder: &Folder, mut give: impl FnMut(&[u8]) -> bool) {
        let (own, begins) = &self.ring;
        let mut out = Vec::new();
        let mut before: Option<String> = None;
        let mut goes_on = true;
        folder.read(self.since, |epoch, piece| {
            if before.as_deref().is_some_and(|before| before != epoch) {
                say(&mut out, "gap", epoch, 0, |out| {
                    put(out, format_args!(r#"{{"reason":"another-core"}}"#));
                });
            }
            if before.as_deref() != Some(epoch) {
                before = Some(epoch.to_owned());
            }
            match piece {
                Piece::Record(kept) => {
                    let of_ring = epoch == own && kept.number >= *begins;
                    if !of_ring && self.wants(&kept) {
                        tell_one(&kept, epoch, &mut out);
                    }
                }
                Piece::Torn => {
                    say(&mut out, "gap", epoch, 0, |out| put(out, format_args!(r#"{{"reason":"torn"}}"#)));
                }
            }
            if out.len() >= PIECE {
                goes_on = give(&out);
                out.clear();
            }
            goes_on
        });
        if before.is_some_and(|before| before != *own) {
            say(&mut out, "gap", own, 0, |out| put(out, format_args!(r#"{{"reason":"another-core"}}"#)));
        }
        if goes_on && !out.is_empty() {
            give(&out);
        }
    }

    fn wants(&self, kept: &Kept<'_>) -> bool {
        let in_time = kept.record.at >= self.since && self.until.is_none_or(|until| kept.record.at <= until);
        let of_node = self.filter.node.as_deref().is_none_or(|node| node == kept.node);
        in_time && self.filter.wants_of(of_node, &kept.record)
    }
}

/// Where the last so many lines begin that a filter lets through.
fn last(store: &Store, filter: &Filter, tail: usize) -> u64 {
    let node = filter.node.as_deref().and_then(|node| store.nodes.known(node));
    let (mut begins, mut left) = (store.next(), tail);
    // The newest first: few lines are wanted of many, and nobody is heard while this looks.
    for records in store.ring.newest_first() {
        let wanted = records.filter(|(_, record)| filter.wants(node, record)).map(|(number, _)| number);
        let wanted: Vec<u64> = wanted.collect();
        let beyond = wanted.len().saturating_sub(left);
        begins = wanted.get(beyond).copied().unwrap_or(begins);
        left = left.saturating_sub(wanted.len());
        if left == 0 {
            break;
        }
    }
    begins
}

/// One server-sent event (HTML standard, section 9.2.6).
pub(crate) fn say(out: &mut Vec<u8>, event: &str, epoch: &str, seq: u64, body: impl FnOnce(&mut Vec<u8>)) {
    put(out, format_args!("event: {event}\nid: {epoch}:{seq}\ndata: "));
    body(out);
    out.extend_from_slice(b"\n\n");
}

/// A record of the ring with its names.
fn kept<'a>(store: &'a Store, (number, record): (u64, Record<'a>)) -> Kept<'a> {
    Kept { number, node: store.nodes.name(record.node), program: store.programs.name(record.program), record }
}

fn tell_one(kept: &Kept<'_>, epoch: &str, out: &mut Vec<u8>) {
    let Kept { number, node, program: name, record } = kept;
    let program = |out: &mut Vec<u8>| {
        if record.program != 0 {
            text(out, "program", name.as_bytes());
        }
    };
    let event = match record.kind {
        Kind::Line => "line",
        Kind::Folded => "folded",
        Kind::Lost => "lost",
    };
    say(out, event, epoch, *number, |out| {
        put(out, format_args!(r#"{{"seq":{number},"at":{}"#, record.at));
        if record.node != 0 {
            text(out, "node", node.as_bytes());
        }
        match record.kind {
            Kind::Line => {
                if record.boot != 0 {
                    put(out, format_args!(r#","boot":{}"#, record.boot));
                }
                let source = Source::ALL.get(usize::from(record.source)).map_or("", |source| source.word());
                text(out, "source", source.as_bytes());
                program(out);
                put(out, format_args!(r#","severity":{},"template":{}"#, record.severity, record.template));
                text(out, "text", record.text);
            }
            Kind::Folded => {
                program(out);
                put(out, format_args!(r#","severity":{},"template":{}"#, record.severity, record.template));
                put(out, format_args!(r#","lines":{}"#, record.count));
                text(out, "pattern", record.text);
            }
            Kind::Lost => {
                let stage = Stage::ALL.get(usize::from(record.source)).map_or("", |stage| stage.word());
                text(out, "stage", stage.as_bytes());
                put(out, format_args!(r#","lines":{}"#, record.count));
            }
        }
        out.push(b'}');
    });
}

fn put(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Writing to memory does not fail.
    drop(out.write_fmt(text));
}

/// A member whose value is text (RFC 8259 section 7), without control characters.
fn text(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    put(out, format_args!(r#","{name}":""#));
    let plain = |byte: &u8| !matches!(byte, b'"' | b'\\' | 0..0x20 | 0x7f..);
    if value.iter().all(plain) {
        out.extend_from_slice(value);
    } else {
        for character in String::from_utf8_lossy(value).chars() {
            match character {
                '"' => out.extend_from_slice(b"\\\""),
                '\\' => out.extend_from_slice(b"\\\\"),
                '\t' => out.push(b' '),
                character if character.is_control() => out.extend_from_slice("\u{fffd}".as_bytes()),
                character => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Limits, Line, Who};
    use crate::templates::Quota;

    #[test]
    fn the_last_lines_that_a_filter_wants_are_found_over_any_number_of_blocks() {
        let mut store = Store::new(Limits { ring: 1 << 20, quota: Quota::NONE });
        let who = store.who("node1", 1);
        let filler = "x".repeat(500);
        for number in 0..6_000_u32 {
            let text = format!("{} {filler}", if number.is_multiple_of(700) { "rare" } else { "common" });
            let line = Line {
                who,
                source: Source::Syslog,
                severity: 6,
                program: b"app",
                stamp: None,
                text: text.as_bytes(),
            };
            store.take(&line, 1_000);
        }
        for (grep, tails) in [("^rare", [0, 1, 2, 3, 1_000]), ("x", [0, 1, 480, 1_200, usize::MAX])] {
            let filter = Filter::new(None, None, Some(grep)).unwrap();
            let wanted: Vec<u64> =
                store.ring.from(0).filter(|(_, record)| filter.wants(None, record)).map(|(n, _)| n).collect();
            assert!(wanted.len() > 1, "{grep}");
            for tail in tails {
                let expected = wanted.len().saturating_sub(tail);
                let expected = wanted.get(expected).copied().unwrap_or_else(|| store.next());
                assert_eq!(last(&store, &filter, tail), expected, "the last {tail} of {grep}");
            }
        }
    }

    /// What a viewer is told: texts of lines, and numbers of lost ones.
    fn told(store: &mut Store, asked: Asked) -> Vec<String> {
        let mut out = Vec::new();
        let mut view = Cursor::new(asked, store, "e", &mut out);
        while !view.tell(store, "e", &mut out) {}
        let text = String::from_utf8(out).unwrap();
        let bodies = text.lines().filter_map(|line| line.strip_prefix("data: "));
        let body = |body: &str| serde_json::from_str::<serde_json::Value>(body).unwrap();
        let said = |body: serde_json::Value| match &body["text"] {
            serde_json::Value::String(text) => text.clone(),
            _ => format!("lost {}", body["lines"]),
        };
        bodies.map(|text| said(body(text))).collect()
    }

    #[test]
    fn a_viewer_is_told_what_lies_in_its_time_and_of_what_its_node_may_have_lost() {
        let mut store = Store::new(Limits { ring: 1 << 20, quota: Quota::NONE });
        let (one, two) = (store.who("node1", 1), store.who("node2", 1));
        for (who, at) in [(one, 1_000), (two, 2_000), (one, 3_000)] {
            let text = format!("at {at}");
            let text = text.as_bytes();
            let line = Line { who, source: Source::Syslog, severity: 6, program: b"app", stamp: None, text };
            store.take(&line, at);
        }
        store.lose(Stage::Console, one, 7, 4_000);
        store.lose(Stage::Console, two, 8, 5_000);
        store.lose(Stage::HandOver, Who::default(), 9, 6_000);
        let of = |node: Option<&str>| Filter::new(node.map(str::to_owned), None, None).unwrap();
        let asked =
            |node, since, until| Asked { filter: of(node), since: Some(since), until, ..Asked::default() };
        let all = told(&mut store, asked(None, 0, None));
        assert_eq!(all, ["at 1000", "at 2000", "at 3000", "lost 7", "lost 8", "lost 9"]);
        assert_eq!(told(&mut store, asked(None, 0, Some(2_000))), ["at 1000", "at 2000"]);
        assert_eq!(told(&mut store, asked(None, 1_500, Some(4_000))), ["at 2000", "at 3000", "lost 7"]);
        // Another's loss is none of its own; what is nobody's may be.
        assert_eq!(
            told(&mut store, asked(Some("node1"), 0, None)),
            ["at 1000", "at 3000", "lost 7", "lost 9"]
        );
    }
}
