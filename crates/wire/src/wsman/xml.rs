//! As much of XML as answers of machines need: elements, their text, and nothing that names files or grows.

use alloc::borrow::ToOwned as _;
use alloc::string::String;
use alloc::vec::Vec;

use super::Fault;

/// Elements within each other, at most.
const DEEPEST: usize = 32;

/// An element that has no element in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// Its name without the prefix, and those of all around it: `Envelope/Body/Fault/Reason/Text`.
    pub path: String,
    /// Its text, without the blanks around it.
    pub text: String,
}

impl Leaf {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }
}

/// A name without its prefix.
fn local(name: &str) -> &str {
    name.rsplit(':').next().unwrap_or(name)
}

/// All leaves of a document, in its order.
///
/// # Errors
/// [`Fault`]: it is not whole, or has what no answer has.
pub(super) fn leaves(text: &str) -> Result<Vec<Leaf>, Fault> {
    let mut found = Vec::new();
    // Names as they were written, and whether something else was in them.
    let mut open: Vec<(&str, bool)> = Vec::new();
    let mut inside = String::new();
    let mut rest = text;
    let mut ended = false;
    while let Some((before, after)) = rest.split_once('<') {
        if open.is_empty() && !before.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}').is_empty()
        {
            return Err(Fault::Foreign);
        }
        inside.push_str(&plain(before)?);
        if after.starts_with('?') {
            rest = after.split_once("?>").ok_or(Fault::Short)?.1;
            continue;
        }
        if after.starts_with("!--") {
            rest = after.split_once("-->").ok_or(Fault::Short)?.1;
            continue;
        }
        if after.starts_with('!') || (ended && open.is_empty()) {
            return Err(Fault::Foreign);
        }
        let (tag, next) = tag(after)?;
        rest = next;
        if let Some(name) = tag.strip_prefix('/') {
            let path: Vec<&str> = open.iter().map(|(name, _)| local(name)).collect();
            let (opened, branch) = open.pop().ok_or(Fault::Foreign)?;
            if opened != name.trim_end() {
                return Err(Fault::Foreign);
            }
            if !branch {
                found.push(Leaf { path: path.join("/"), text: inside.trim().to_owned() });
            }
            ended = open.is_empty();
        } else {
            let name = tag.split(|c: char| c.is_whitespace() || c == '/').next().unwrap_or_default();
            if name.is_empty() || open.len() >= DEEPEST {
                return Err(Fault::Foreign);
            }
            if let Some((_, branch)) = open.last_mut() {
                *branch = true;
            }
            if tag.ends_with('/') {
                let around = open.iter().map(|(name, _)| local(name));
                let path: Vec<&str> = around.chain([local(name)]).collect();
                found.push(Leaf { path: path.join("/"), text: String::new() });
                ended = open.is_empty();
            } else {
                open.push((name, false));
            }
        }
        inside.clear();
    }
    if ended && open.is_empty() && rest.trim().is_empty() { Ok(found) } else { Err(Fault::Short) }
}

/// What stands in a tag, and what behind it. A `>` within quotes ends none.
fn tag(text: &str) -> Result<(&str, &str), Fault> {
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (None, '>') => {
                let (tag, rest) = text.split_at(at);
                return Ok((tag, rest.get(1..).unwrap_or_default()));
            }
            (None, '<') => return Err(Fault::Foreign),
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            _ => {}
        }
    }
    Err(Fault::Short)
}

/// Text without its references; only those that XML itself has are known.
fn plain(text: &str) -> Result<String, Fault> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        let (name, next) = after.split_once(';').ok_or(Fault::Foreign)?;
        out.push(match name {
            "lt" => '<',
            "gt" => '>',
            "amp" => '&',
            "quot" => '"',
            "apos" => '\'',
            other => {
                let number = other.strip_prefix('#').ok_or(Fault::Foreign)?;
                let code = match number.strip_prefix('x') {
                    Some(digits) => u32::from_str_radix(digits, 16),
                    None => number.parse(),
                };
                code.ok().and_then(char::from_u32).ok_or(Fault::Foreign)?
            }
        });
        rest = next;
    }
    out.push_str(rest);
    Ok(out)
}

/// Text as it may stand in an element.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<(String, String)>, Fault> {
        leaves(text).map(|all| all.into_iter().map(|leaf| (leaf.path, leaf.text)).collect())
    }

    #[test]
    fn leaves_are_found_with_their_text() {
        let text = "\u{feff}<?xml version=\"1.0\"?>\n<!-- > --><a:E xmlns:a='x>y'><a:H b=\"/\"/><a:B>\n <c>1 &lt; 2 &#x41;</c>\
                    <c/> <d > x</d ></a:B></a:E>\n";
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        let wanted = [pair("E/H", ""), pair("E/B/c", "1 < 2 A"), pair("E/B/c", ""), pair("E/B/d", "x")];
        assert_eq!(read(text), Ok(wanted.to_vec()));
        assert_eq!(quoted("a<b>&c"), "a&lt;b&gt;&amp;c");
    }

    #[test]
    fn what_is_no_document_or_would_grow_is_refused() {
        let deep = "<a>".repeat(33);
        for (text, fault) in [
            ("", Fault::Short),
            ("<a>", Fault::Short),
            ("<a></b>", Fault::Foreign),
            ("<a/><b/>", Fault::Foreign),
            ("</a>", Fault::Foreign),
            ("x<a/>", Fault::Foreign),
            ("<a>&b;</a>", Fault::Foreign),
            ("<a>&#xd800;</a>", Fault::Foreign),
            ("<!DOCTYPE a [<!ENTITY b 'c'>]><a/>", Fault::Foreign),
            ("<a><![CDATA[x]]></a>", Fault::Foreign),
            ("<a b='>", Fault::Short),
            ("<a/>x", Fault::Short),
            ("< a/>", Fault::Foreign),
            (deep.as_str(), Fault::Foreign),
        ] {
            assert_eq!(read(text), Err(fault), "{text}");
        }
    }
}
