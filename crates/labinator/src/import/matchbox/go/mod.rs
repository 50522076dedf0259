//! Go templates become ours: the part of `text/template` that configurations are written in. What has no
//! equal is refused with its line, never guessed.
//!
//! ```text
//! source ─mod.rs─▶ texts and actions ─token.rs─▶ words ─expression.rs─▶ our expressions
//! ```

mod expression;
mod functions;
mod token;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

pub(super) use expression::quoted;
use expression::{Scope, Term};
use token::{Placed, Token, tokens};

/// What a template of one group may name.
#[derive(Debug)]
pub(super) struct Known<'a> {
    /// Its variables, as matchbox has them.
    pub(super) variables: &'a Map<String, Value>,
    /// What each is called here.
    pub(super) called: &'a BTreeMap<String, String>,
    /// Parameters of the request that fetches it, each as an expression of ours.
    pub(super) query: &'a BTreeMap<String, String>,
    /// The whole query, as an expression of ours; `None` where a part of it is not known.
    pub(super) raw_query: Option<&'a str>,
}

/// What cannot be carried over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// Line of the source, from 1.
    pub(super) line: usize,
    pub(super) what: String,
}

/// A part of a template.
enum Part<'a> {
    Text(&'a str),
    /// What stands between the braces, and its line.
    Action(&'a str, usize),
    Comment(&'a str),
}

/// Translates a whole template.
///
/// # Errors
/// Everything that has no equal here.
pub(super) fn translate(source: &str, known: &Known<'_>) -> Result<String, Vec<Fault>> {
    let parts = parts(source).map_err(|fault| vec![fault])?;
    let (open, faults) = (Vec::new(), Vec::new());
    let mut writer =
        Writer { out: String::new(), scope: Scope::new(known), open, faults, after_block: false };
    for part in &parts {
        match part {
            Part::Text(text) => writer.text(text),
            Part::Comment(text) if text.contains("#}") => {}
            Part::Comment(text) => writer.tag("{#", text, "#}"),
            Part::Action(inner, line) => {
                if let Err(what) = writer.action(inner) {
                    writer.faults.push(Fault { line: *line, what });
                }
            }
        }
    }
    if let Some((_, word)) = writer.open.last().filter(|_| writer.faults.is_empty()) {
        let what = format!("`{{{{{word}}}}}` has no `{{{{end}}}}`");
        writer.faults.push(Fault { line: source.lines().count(), what });
    }
    if writer.faults.is_empty() { Ok(writer.out) } else { Err(writer.faults) }
}

/// Writes a text so that our templates repeat it as it is.
pub(super) fn literal(text: &str) -> String {
    let mut out = String::new();
    append(&mut out, text);
    out
}

fn append(out: &mut String, text: &str) {
    for c in text.chars() {
        if matches!(c, '{' | '%' | '#') && out.ends_with('{') {
            out.pop();
            out.push_str("{{ '{' }}");
        }
        out.push(c);
    }
}

/// Splits a source at its braces. White space that an action eats is gone from the texts already.
fn parts(source: &str) -> Result<Vec<Part<'_>>, Fault> {
    const BLANK: [char; 4] = [' ', '\t', '\r', '\n'];
    let mut all = Vec::new();
    let mut at = 0;
    let mut eats = false;
    loop {
        let rest = source.get(at..).unwrap_or_default();
        let opened = rest.find("{{");
        let mut text = rest.get(..opened.unwrap_or(rest.len())).unwrap_or_default();
        if eats {
            text = text.trim_start_matches(BLANK);
        }
        let Some(opened) = opened else {
            all.push(Part::Text(text));
            return Ok(all);
        };
        let line = source.get(..at + opened).unwrap_or_default().matches('\n').count() + 1;
        let inner = rest.get(opened + 2..).unwrap_or_default();
        let length =
            closing(inner).ok_or_else(|| Fault { line, what: "the braces are not closed".to_owned() })?;
        at += opened + 2 + length + 2;
        let mut inner = inner.get(..length).unwrap_or_default();
        if let Some(rest) = inner.strip_prefix('-').filter(|rest| rest.starts_with(BLANK)) {
            inner = rest;
            text = text.trim_end_matches(BLANK);
        }
        eats = inner.strip_suffix('-').is_some_and(|rest| rest.ends_with(BLANK));
        if eats {
            inner = inner.strip_suffix('-').unwrap_or(inner);
        }
        all.push(Part::Text(text));
        let inner = inner.trim();
        let comment = inner.strip_prefix("/*").and_then(|rest| rest.strip_suffix("*/"));
        all.push(comment.map_or(Part::Action(inner, line), Part::Comment));
    }
}

/// Where the closing braces are, outside of quotes and comments.
fn closing(inner: &str) -> Option<usize> {
    if inner.trim_start_matches('-').trim_start().starts_with("/*") {
        let end = inner.find("*/")?;
        return inner.get(end..)?.find("}}").map(|at| end + at);
    }
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in inner.char_indices() {
        match quote {
            Some('"') if escaped => escaped = false,
            Some('"') if c == '\\' => escaped = true,
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if matches!(c, '"' | '`') => quote = Some(c),
            None if inner.get(at..).is_some_and(|rest| rest.starts_with("}}")) => return Some(at),
            None => {}
        }
    }
    None
}

/// What an `{{end}}` closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Block {
    If,
    For,
}

struct Writer<'a> {
    out: String,
    scope: Scope<'a>,
    open: Vec<(Block, String)>,
    faults: Vec<Fault>,
    /// The last that was written is a block or a comment of ours.
    after_block: bool,
}

impl Writer<'_> {
    fn text(&mut self, text: &str) {
        // Our blocks swallow the line break behind them unless they are told not to; Go's never do.
        if text.starts_with(['\n', '\r']) && self.after_block {
            let end = self.out.len().saturating_sub(2);
            self.out.insert(end, '+');
        }
        append(&mut self.out, text);
        self.after_block &= text.is_empty();
    }

    fn tag(&mut self, begin: &str, inner: &str, end: &str) {
        if self.out.ends_with('{') {
            self.out.pop();
            self.out.push_str("{{ '{' }}");
        }
        self.out.push_str(&format!("{begin} {} {end}", inner.trim()));
        self.after_block = begin != "{{";
    }

    fn action(&mut self, inner: &str) -> Result<(), String> {
        let words = tokens(inner)?;
        let first = match words.first() {
            Some((Token::Word(word), _)) => word.as_str(),
            Some(_) => "",
            None => return Err("there is nothing between the braces".to_owned()),
        };
        let rest = words.get(1..).unwrap_or_default();
        match first {
            "if" | "with" => self.condition(first, rest),
            "range" => self.range(rest),
            "else" => self.otherwise(rest),
            "end" => {
                let (block, _) = self.open.pop().ok_or("this `{{end}}` ends nothing")?;
                self.scope.close();
                self.tag("{%", if block == Block::If { "endif" } else { "endfor" }, "%}");
                Ok(())
            }
            "define" | "template" | "block" | "break" | "continue" => {
                self.opened(first);
                Err(format!("`{first}` has no equal here"))
            }
            _ => self.output(&words),
        }
    }

    /// Keeps the blocks in order behind one that is refused.
    fn opened(&mut self, word: &str) {
        if matches!(word, "define" | "block") {
            self.scope.open();
            self.open.push((Block::If, word.to_owned()));
        }
    }

    fn output(&mut self, words: &[Placed]) -> Result<(), String> {
        match words {
            [(Token::Variable(name), _), (Token::Declare, _), rest @ ..] => {
                let term = self.scope.pipeline(rest)?;
                let ours = self.scope.declare(name, term.clone());
                self.tag("{%", &format!("set {ours} = {}", term.text), "%}");
                Ok(())
            }
            [(Token::Variable(name), _), (Token::Assign, _), ..] => {
                Err(format!("`${name} =` changes a variable from inside a block, which has no equal here"))
            }
            words => {
                let term = self.scope.pipeline(words)?;
                self.tag("{{", &term.printed()?, "}}");
                Ok(())
            }
        }
    }

    fn condition(&mut self, word: &str, words: &[Placed]) -> Result<(), String> {
        self.open.push((Block::If, word.to_owned()));
        self.scope.open();
        let term = match words {
            [(Token::Variable(name), _), (Token::Declare, _), rest @ ..] => {
                let term = self.scope.pipeline(rest)?;
                let ours = self.scope.declare(name, term.clone());
                self.tag("{%", &format!("set {ours} = {}", term.text), "%}");
                Term { text: ours, ..term }
            }
            words => self.scope.pipeline(words)?,
        };
        if word == "with" {
            self.scope.dot(term.clone());
        }
        self.tag("{%", &format!("if {}", term.text), "%}");
        Ok(())
    }

    fn otherwise(&mut self, words: &[Placed]) -> Result<(), String> {
        let block = self.open.last().map(|(block, _)| *block).ok_or("this `{{else}}` belongs to nothing")?;
        self.scope.close();
        self.scope.open();
        match words {
            [] => {
                self.tag("{%", "else", "%}");
                Ok(())
            }
            [(Token::Word(word), _), rest @ ..] if word == "if" && block == Block::If => {
                let term = self.scope.pipeline(rest)?;
                self.tag("{%", &format!("elif {}", term.text), "%}");
                Ok(())
            }
            _ => Err("this `{{else ..}}` has no equal here".to_owned()),
        }
    }

    fn range(&mut self, words: &[Placed]) -> Result<(), String> {
        self.open.push((Block::For, "range".to_owned()));
        self.scope.open();
        let (names, rest): (Vec<&str>, _) = match words {
            [
                (Token::Variable(key), _),
                (Token::Comma, _),
                (Token::Variable(value), _),
                (Token::Declare, _),
                rest @ ..,
            ] => (vec![key, value], rest),
            [(Token::Variable(value), _), (Token::Declare, _), rest @ ..] => (vec![value], rest),
            rest => (Vec::new(), rest),
        };
        let term = self.scope.pipeline(rest)?;
        let (keys, values) = term.elements()?;
        let element = Term::name("item", values);
        let value = self.scope.declare(names.last().copied().unwrap_or("item"), element.clone());
        self.scope.dot(Term { text: value.clone(), ..element });
        match (keys, names.as_slice()) {
            (Some(keys), names) => {
                let key = match names {
                    [key, _] => self.scope.declare(key, Term::name(key, Some(keys))),
                    _ => "_".to_owned(),
                };
                self.tag("{%", &format!("for {key}, {value} in {} | items", term.text), "%}");
            }
            (None, names) => {
                self.tag("{%", &format!("for {value} in {}", term.text), "%}");
                if let [index, _] = names {
                    let ours = self.scope.declare(index, Term::name(index, None));
                    self.tag("{%", &format!("set {ours} = loop.index0"), "%}");
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
