//! Pipelines of a Go template as expressions of ours, with what is known of their values: metadata is there
//! when a template is translated, so most mistakes are found then.

use serde_json::Value;

use super::functions;
use super::token::{Placed, Token};
use super::{super::names, Known};

/// An expression of ours.
#[derive(Debug, Clone)]
pub(super) struct Term {
    pub(super) text: String,
    /// False when it needs parentheses beside something else.
    pub(super) whole: bool,
    /// The values it may have; `None` where that is not known.
    pub(super) values: Option<Vec<Value>>,
}

impl Term {
    /// A name, or another expression that holds together.
    pub(super) fn name(text: &str, values: Option<Vec<Value>>) -> Self {
        Self { text: text.to_owned(), whole: true, values }
    }

    /// An expression with an operator in it.
    pub(super) fn made(text: String, values: Option<Vec<Value>>) -> Self {
        Self { text, whole: false, values }
    }

    /// Its text, fit to stand beside an operator.
    pub(super) fn inner(&self) -> String {
        if self.whole { self.text.clone() } else { format!("({})", self.text) }
    }

    /// As an expression that prints what Go prints. Lists and maps it prints in a form of its own.
    pub(super) fn printed(&self) -> Result<String, String> {
        let all = || self.values.iter().flatten();
        if all().any(|value| matches!(value, Value::Array(_) | Value::Object(_))) {
            return Err(format!("`{}` is a list or a map, which Go prints in a form of its own", self.text));
        }
        let inner = self.inner();
        // Ours are written `True` and `None`.
        let truth = format!("(\"true\" if {inner} else \"false\")");
        let text = match (all().any(Value::is_boolean), all().all(Value::is_boolean)) {
            (true, true) => return Ok(truth),
            (true, false) => format!("({truth} if {inner} is boolean else {inner})"),
            (false, _) => self.text.clone(),
        };
        Ok(match all().any(Value::is_null) {
            true => format!("\"<no value>\" if {inner} is none else {text}"),
            false => text,
        })
    }

    /// Keys and values that a loop over it sees; keys for maps only.
    #[expect(clippy::type_complexity, reason = "two lists that are known or not")]
    pub(super) fn elements(&self) -> Result<(Option<Vec<Value>>, Option<Vec<Value>>), String> {
        let Some(values) = &self.values else { return Ok((None, None)) };
        let (mut keys, mut elements) = (None, Vec::new());
        for value in values {
            match value {
                Value::Array(all) => elements.extend(all.iter().cloned()),
                Value::Object(all) => {
                    keys.get_or_insert_with(Vec::new).extend(all.keys().cloned().map(Value::String));
                    elements.extend(all.values().cloned());
                }
                Value::Null => {
                    return Err(format!("`{}` may be nothing, and a loop needs a list", self.text));
                }
                Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                    return Err(format!("`{}` is neither list nor map", self.text));
                }
            }
        }
        Ok((keys, Some(elements)))
    }
}

/// Where a chain of fields begins or has come to.
enum Place {
    /// Everything a template knows.
    Root,
    /// What belongs to the request.
    Request,
    /// Its parameters.
    Query,
    /// A value.
    Term(Term),
}

/// Variables and the dot, block by block.
pub(super) struct Scope<'a> {
    known: &'a Known<'a>,
    variables: Vec<(String, Term)>,
    /// `None` is the root.
    dots: Vec<Option<Term>>,
    /// How many variables and dots there were when each block opened.
    marks: Vec<(usize, usize)>,
}

impl<'a> Scope<'a> {
    pub(super) fn new(known: &'a Known<'a>) -> Self {
        Self { known, variables: Vec::new(), dots: vec![None], marks: Vec::new() }
    }

    pub(super) fn open(&mut self) {
        self.marks.push((self.variables.len(), self.dots.len()));
    }

    pub(super) fn close(&mut self) {
        if let Some((variables, dots)) = self.marks.pop() {
            self.variables.truncate(variables);
            self.dots.truncate(dots);
        }
    }

    pub(super) fn dot(&mut self, term: Term) {
        self.dots.push(Some(term));
    }

    /// Gives a variable a name of ours that hides nothing.
    pub(super) fn declare(&mut self, name: &str, term: Term) -> String {
        let mut ours = names::variable(name);
        let is_taken = |ours: &String| {
            let hides = |(other, term): &(String, Term)| other != name && term.text == *ours;
            self.known.called.values().any(|other| other == ours) || self.variables.iter().any(hides)
        };
        while is_taken(&ours) {
            ours.push('_');
        }
        self.variables.push((name.to_owned(), Term { text: ours.clone(), whole: true, ..term }));
        ours
    }

    /// Reads a whole pipeline.
    pub(super) fn pipeline(&self, words: &[Placed]) -> Result<Term, String> {
        let mut stages = Vec::new();
        let (mut depth, mut from) = (0_usize, 0);
        for (at, (token, _)) in words.iter().enumerate() {
            match token {
                Token::Open => depth += 1,
                Token::Close => depth = depth.checked_sub(1).ok_or("a `)` closes nothing")?,
                Token::Pipe if depth == 0 => {
                    stages.push(words.get(from..at).unwrap_or_default());
                    from = at + 1;
                }
                Token::Field(_)
                | Token::Dot
                | Token::Variable(_)
                | Token::Word(_)
                | Token::Text(_)
                | Token::Number(_)
                | Token::Pipe
                | Token::Comma
                | Token::Declare
                | Token::Assign => {}
            }
        }
        stages.push(words.get(from..).unwrap_or_default());
        let mut last = None;
        for stage in stages {
            last = Some(self.command(stage, last)?);
        }
        last.ok_or_else(|| "there is nothing between the braces".to_owned())
    }

    fn command(&self, words: &[Placed], piped: Option<Term>) -> Result<Term, String> {
        let function = match words.first() {
            Some((Token::Word(word), _)) if !matches!(word.as_str(), "true" | "false" | "nil") => {
                Some(word.as_str())
            }
            Some(_) => None,
            None => return Err("a part of it is empty".to_owned()),
        };
        let Some(function) = function else {
            let (term, rest) = self.operand(words)?;
            return match (term, rest, piped) {
                (Place::Term(term), [], None) => Ok(term),
                (Place::Term(_), _, _) => Err("a value is called like a function".to_owned()),
                (Place::Root | Place::Request | Place::Query, ..) => {
                    Err("the whole of what it knows is used as a value".to_owned())
                }
            };
        };
        let mut rest = words.get(1..).unwrap_or_default();
        if function == "index" {
            return self.index(rest);
        }
        let mut given = Vec::new();
        while !rest.is_empty() {
            let (place, after) = self.operand(rest)?;
            let Place::Term(term) = place else {
                return Err("the whole of what it knows is used as a value".to_owned());
            };
            given.push(term);
            rest = after;
        }
        given.extend(piped);
        functions::call(function, &given)
    }

    /// One operand with the fields behind it, and what comes after.
    fn operand<'w>(&self, words: &'w [Placed]) -> Result<(Place, &'w [Placed]), String> {
        let Some(((first, _), mut rest)) = words.split_first() else {
            return Err("a value is missing".to_owned());
        };
        let mut place = match first {
            Token::Field(name) => self.field(self.here(), name)?,
            Token::Dot => self.here(),
            Token::Variable(name) if name.is_empty() => Place::Root,
            Token::Variable(name) => {
                let found = self.variables.iter().rev().find(|(known, _)| known == name);
                Place::Term(
                    found
                        .map(|(_, term)| term.clone())
                        .ok_or_else(|| format!("nobody declared `${name}`"))?,
                )
            }
            Token::Text(text) => {
                Place::Term(Term::name(&quoted(text), Some(vec![Value::String(text.clone())])))
            }
            Token::Number(number) => {
                Place::Term(Term::name(number, serde_json::from_str(number).ok().map(|value| vec![value])))
            }
            Token::Word(word) => match word.as_str() {
                "true" | "false" => Place::Term(Term::name(word, Some(vec![Value::Bool(word == "true")]))),
                "nil" => Place::Term(Term::name("none", Some(vec![Value::Null]))),
                word => return Err(format!("`{word}` stands where a value should")),
            },
            Token::Open => {
                let end = closing(rest).ok_or("a `(` is not closed")?;
                let term = self.pipeline(rest.get(..end).unwrap_or_default())?;
                rest = rest.get(end + 1..).unwrap_or_default();
                Place::Term(Term { text: term.inner(), whole: true, ..term })
            }
            Token::Pipe | Token::Comma | Token::Declare | Token::Assign | Token::Close => {
                return Err("a value is missing".to_owned());
            }
        };
        while let Some(((Token::Field(name), true), after)) = rest.split_first() {
            place = self.field(place, name)?;
            rest = after;
        }
        Ok((place, rest))
    }

    fn here(&self) -> Place {
        self.dots.last().cloned().flatten().map_or(Place::Root, Place::Term)
    }

    fn field(&self, place: Place, name: &str) -> Result<Place, String> {
        match (place, name) {
            (Place::Root, "request") => Ok(Place::Request),
            (Place::Root, name) => match (self.known.variables.get(name), self.known.called.get(name)) {
                (Some(value), Some(called)) => Ok(Place::Term(Term::name(called, Some(vec![value.clone()])))),
                _ => Err(format!("`.{name}` is in neither metadata nor selector, and matchbox answers 404")),
            },
            (Place::Request, "query") => Ok(Place::Query),
            (Place::Request, "raw_query") => match self.known.raw_query {
                Some(text) => Ok(Place::Term(Term { whole: false, ..Term::name(text, None) })),
                None => Err("the request that fetches this is not known to the letter".to_owned()),
            },
            (Place::Query, name) => match self.known.query.get(name) {
                Some(text) => Ok(Place::Term(Term::name(text, None))),
                None => {
                    Err(format!("the request that fetches this says no `{name}`, and matchbox answers 404"))
                }
            },
            (Place::Request, name) => Err(format!("a request has no `{name}`")),
            (Place::Term(term), name) => part(&term, name, false).map(Place::Term),
        }
    }

    /// `index`: a part that may be missing.
    fn index(&self, words: &[Placed]) -> Result<Term, String> {
        let (mut place, mut rest) = self.operand(words)?;
        while !rest.is_empty() {
            let (key, after) = self.operand(rest)?;
            rest = after;
            let Place::Term(key) = key else { return Err("`index` needs a key".to_owned()) };
            let written = match key.values.as_deref() {
                Some([Value::String(name)]) if key.text.starts_with('"') => Some(name.clone()),
                _ => None,
            };
            place = match (place, written) {
                (Place::Root, Some(name)) if self.known.variables.contains_key(&name) => {
                    self.field(Place::Root, &name)?
                }
                (Place::Query, Some(name)) if self.known.query.contains_key(&name) => {
                    self.field(Place::Query, &name)?
                }
                (Place::Root, Some(name)) if name == "request" => Place::Request,
                (Place::Root, Some(name)) => {
                    let text = format!("{} | default(none)", names::variable(&name));
                    Place::Term(Term { text, whole: false, values: Some(vec![Value::Null]) })
                }
                // A parameter that is missing is an empty text.
                (Place::Query, Some(_)) => Place::Term(Term::name("\"\"", None)),
                (Place::Term(term), Some(name)) => Place::Term(part(&term, &name, true)?),
                (Place::Term(term), None) => {
                    Place::Term(Term::name(&format!("{}[{}]", term.inner(), key.text), None))
                }
                (Place::Root | Place::Query | Place::Request, _) => {
                    return Err("`index` looks up a name that is not written here".to_owned());
                }
            };
        }
        match place {
            Place::Term(term) => Ok(term),
            Place::Root | Place::Request | Place::Query => Err("`index` needs a key".to_owned()),
        }
    }
}

/// A part of a map. Where it may be missing it is nothing, else matchbox answers 404.
fn part(term: &Term, name: &str, may_be_missing: bool) -> Result<Term, String> {
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !name.starts_with(|c: char| c.is_ascii_digit());
    let text = match plain && names::variable(name) == name {
        true => format!("{}.{name}", term.inner()),
        false => format!("{}[{}]", term.inner(), quoted(name)),
    };
    let Some(values) = &term.values else { return Ok(Term::name(&text, None)) };
    let mut parts = Vec::new();
    for value in values {
        match value {
            Value::Object(all) => match all.get(name) {
                Some(value) => parts.push(value.clone()),
                None if may_be_missing => parts.push(Value::Null),
                None => return Err(format!("a `{}` has no `{name}`, and matchbox answers 404", term.text)),
            },
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                return Err(format!("`{}` is no map, and has no `{name}`", term.text));
            }
        }
    }
    if parts.contains(&Value::Null) && may_be_missing {
        return Ok(Term { text: format!("{text} | default(none)"), whole: false, values: Some(parts) });
    }
    Ok(Term::name(&text, Some(parts)))
}

fn closing(words: &[Placed]) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, (token, _)) in words.iter().enumerate() {
        match token {
            Token::Open => depth += 1,
            Token::Close if depth == 0 => return Some(at),
            Token::Close => depth -= 1,
            Token::Field(_)
            | Token::Dot
            | Token::Variable(_)
            | Token::Word(_)
            | Token::Text(_)
            | Token::Number(_)
            | Token::Pipe
            | Token::Comma
            | Token::Declare
            | Token::Assign => {}
        }
    }
    None
}

/// A text as our expressions write it.
pub(in super::super) fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
