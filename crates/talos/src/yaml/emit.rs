//! Writes YAML byte for byte as go-yaml v3 with an indent of four, which is how Talos writes its configs.
//!
//! go-yaml has flaws that change what is read back. There, and only there, this writes something else:
//!
//! | text | go-yaml v3 | here |
//! |---|---|---|
//! | begins with a line break | loses it | `\|` and an empty line, as go-yaml v4 |
//! | nothing but white space, with a line break | a block of nothing | `"\n"`, as go-yaml v4 |
//! | several lines, the first of them (or the first behind line breaks) indented, less than four columns below its parent | `\|4`, whatever is true | the true number of columns |
//! | has U+2028 or U+2029 | broken and indented as a line | `"\L"`, `"\P"` |
//! | is `<<` | `<<`, which merges | `'<<'`, as go-yaml v4 |

use super::resolve::{self, Resolved};
use super::value::{Map, Value};

/// Spaces for a level.
const INDENT: usize = 4;

/// A longer key is written behind a `?`.
const LONGEST_SIMPLE_KEY: usize = 128;

/// One document, without a `---`, with a line break at its end.
#[must_use]
pub fn emit(value: &Value) -> String {
    let mut emitter = Emitter { out: String::new(), column: 0, after_space: true, only_indicators: true };
    emitter.node(value, None, Parent::Other);
    emitter.line_break_unless_new();
    emitter.out
}

/// Several documents with a `---` line between them.
#[must_use]
pub fn emit_all<'a>(documents: impl IntoIterator<Item = &'a Value>) -> String {
    let mut out = String::new();
    for (at, document) in documents.into_iter().enumerate() {
        if at > 0 {
            out.push_str("---\n");
        }
        out.push_str(&emit(document));
    }
    out
}

/// What a node hangs on: below a `-` it is indented by the two columns of the `- `.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Parent {
    Item,
    Other,
}

/// How a scalar is written.
enum Style {
    Plain,
    Single,
    Double,
    Literal,
}

struct Emitter {
    out: String,
    /// Characters on the line so far.
    column: usize,
    /// The last character separates.
    after_space: bool,
    /// The line holds nothing but spaces, `-`, `?` and `:`, so that a collection may begin on it.
    only_indicators: bool,
}

impl Emitter {
    fn node(&mut self, value: &Value, indent: Option<usize>, parent: Parent) {
        match value {
            Value::Null => self.plain("null"),
            Value::Bool(truth) => self.plain(if *truth { "true" } else { "false" }),
            Value::Int(n) => self.plain(&n.to_string()),
            Value::Float(n) => self.plain(&resolve::float_text(*n)),
            Value::Plain(text) => self.plain(text),
            Value::String(text) => self.text(text, indent, parent),
            Value::List(items) if items.is_empty() => self.empty("[]"),
            Value::Map(map) if map.is_empty() => self.empty("{}"),
            Value::List(items) => {
                let inside = deeper(indent, parent);
                for item in items {
                    self.new_line(inside);
                    self.entry("-");
                    self.node(item, Some(inside), Parent::Item);
                }
            }
            Value::Map(map) => self.map(map, deeper(indent, parent)),
        }
    }

    fn map(&mut self, map: &Map, inside: usize) {
        for (key, value) in map.iter() {
            self.new_line(inside);
            if key.len() <= LONGEST_SIMPLE_KEY && !key.contains(is_break) {
                self.key(key);
                self.write(":");
            } else {
                self.entry("?");
                self.text(key, Some(inside), Parent::Other);
                self.new_line(inside);
                self.entry(":");
            }
            self.node(value, Some(inside), Parent::Other);
        }
    }

    fn key(&mut self, key: &str) {
        match style_of(key) {
            Style::Plain => self.plain(key),
            Style::Single => self.single(key),
            Style::Double | Style::Literal => self.double(key),
        }
    }

    fn text(&mut self, text: &str, indent: Option<usize>, parent: Parent) {
        match style_of(text) {
            Style::Plain => self.plain(text),
            Style::Single => self.single(text),
            Style::Double => self.double(text),
            Style::Literal => {
                let inside = match indent {
                    None => INDENT,
                    some => deeper(some, parent),
                };
                self.literal(text, indent.unwrap_or_default(), inside);
            }
        }
    }

    /// A scalar that stands on the line as it is.
    fn plain(&mut self, text: &str) {
        self.space();
        self.write(text);
    }

    fn single(&mut self, text: &str) {
        self.space();
        self.write(&format!("'{}'", text.replace('\'', "''")));
    }

    fn double(&mut self, text: &str) {
        // go-yaml escapes every character of a text that begins with a byte order mark.
        let all = text.starts_with('\u{feff}');
        let mut quoted = String::with_capacity(text.len().saturating_add(2));
        quoted.push('"');
        for c in text.chars() {
            escape(c, all, &mut quoted);
        }
        quoted.push('"');
        self.space();
        self.write(&quoted);
    }

    fn literal(&mut self, text: &str, parent: usize, inside: usize) {
        self.space();
        self.write("|");
        // The first line that is not empty tells a reader the indentation.
        if text.trim_start_matches('\n').starts_with(' ') {
            self.write(&inside.saturating_sub(parent).to_string());
        }
        let lines = text.strip_suffix('\n');
        match lines {
            None => self.write("-"),
            Some(lines) if lines.ends_with('\n') => self.write("+"),
            Some(_) => {}
        }
        for line in lines.unwrap_or(text).split('\n') {
            self.line_break();
            if !line.is_empty() {
                self.pad(inside);
                self.write(line);
            }
        }
        // The break that the text ends with, if it does, is that of its last line.
        if lines.is_some() {
            self.line_break();
        }
    }

    fn empty(&mut self, brackets: &str) {
        self.space();
        self.write(brackets);
    }

    /// A mark behind which a collection may begin on the same line.
    fn entry(&mut self, mark: &str) {
        self.space();
        let only_indicators = self.only_indicators;
        self.write(mark);
        self.only_indicators = only_indicators;
    }

    fn space(&mut self) {
        if !self.after_space {
            self.out.push(' ');
            self.column = self.column.saturating_add(1);
        }
    }

    fn write(&mut self, text: &str) {
        self.out.push_str(text);
        self.column = self.column.saturating_add(text.chars().count());
        self.after_space = false;
        self.only_indicators = false;
    }

    /// Goes to the column where an entry begins, on this line if nothing is in the way.
    fn new_line(&mut self, indent: usize) {
        let in_the_way = self.column > indent || (self.column == indent && !self.after_space);
        if !self.only_indicators || in_the_way {
            self.line_break();
        }
        self.pad(indent);
    }

    fn pad(&mut self, indent: usize) {
        while self.column < indent {
            self.out.push(' ');
            self.column = self.column.saturating_add(1);
        }
        self.after_space = true;
    }

    fn line_break(&mut self) {
        self.out.push('\n');
        self.column = 0;
        self.after_space = true;
        self.only_indicators = true;
    }

    fn line_break_unless_new(&mut self) {
        if self.column > 0 || self.out.is_empty() {
            self.line_break();
        }
    }
}

/// The column of what is inside a collection at `indent`.
const fn deeper(indent: Option<usize>, parent: Parent) -> usize {
    match (indent, parent) {
        (None, _) => 0,
        (Some(indent), Parent::Item) => indent.saturating_add(2),
        (Some(indent), Parent::Other) => {
            indent.saturating_add(INDENT).saturating_div(INDENT).saturating_mul(INDENT)
        }
    }
}

fn style_of(text: &str) -> Style {
    if text.contains('\n') {
        let blank = text.chars().all(char::is_whitespace);
        return if !blank && block_allowed(text) { Style::Literal } else { Style::Double };
    }
    match resolve::resolve(text) {
        Resolved::Text if !resolve::is_base_60(text) && !resolve::is_old_bool(text) => one_line(text),
        Resolved::Merge => Style::Single,
        Resolved::Text
        | Resolved::Null
        | Resolved::Bool(_)
        | Resolved::Int(_)
        | Resolved::Big
        | Resolved::Float(_)
        | Resolved::Timestamp => Style::Double,
    }
}

/// Whether the lines survive as a block.
fn block_allowed(text: &str) -> bool {
    !text.ends_with(' ') && !text.contains(" \n") && !text.contains(|c| c != '\t' && is_special(c))
}

/// The plainest style in which a text stays what it is.
fn one_line(text: &str) -> Style {
    if text.contains(is_special) {
        return Style::Double;
    }
    let mut indicator = text.starts_with("---") || text.starts_with("...");
    let mut before = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let blank_follows = chars.peek().is_none_or(|next| *next == ' ');
        indicator |= match (before, c) {
            (None, '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"') => true,
            (None, '%' | '@' | '`') | (Some(' '), '#') => true,
            (None, '?' | '-') | (_, ':') => blank_follows,
            _ => false,
        };
        before = Some(c);
    }
    if indicator || text.starts_with(' ') || text.ends_with(' ') { Style::Single } else { Style::Plain }
}

/// What cannot stand in a plain or single quoted scalar.
const fn is_special(c: char) -> bool {
    !is_printable(c) || (is_break(c) && c != '\n')
}

/// What YAML 1.1 calls a line break; 1.2 kept only the first two.
const fn is_break(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// What go-yaml writes without an escape: nothing beyond the basic plane.
const fn is_printable(c: char) -> bool {
    matches!(c, '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}')
}

fn escape(c: char, all: bool, out: &mut String) {
    if !all && is_printable(c) && !is_break(c) && c != '"' && c != '\\' {
        out.push(c);
        return;
    }
    let short = match c {
        '\0' => '0',
        '\u{7}' => 'a',
        '\u{8}' => 'b',
        '\t' => 't',
        '\n' => 'n',
        '\u{b}' => 'v',
        '\u{c}' => 'f',
        '\r' => 'r',
        '\u{1b}' => 'e',
        '"' => '"',
        '\\' => '\\',
        '\u{85}' => 'N',
        '\u{a0}' => '_',
        '\u{2028}' => 'L',
        '\u{2029}' => 'P',
        _ => {
            let code = u32::from(c);
            out.push_str(&match code {
                0..=0xff => format!("\\x{code:02X}"),
                0x100..=0xffff => format!("\\u{code:04X}"),
                _ => format!("\\U{code:08X}"),
            });
            return;
        }
    };
    out.push('\\');
    out.push(short);
}
