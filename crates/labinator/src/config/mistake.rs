//! What is wrong with a lab file, each mistake with its place and what would be right.

use std::fmt;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use serde::Serialize;

use super::yaml::Place;

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    title: String,
    /// Where it is, and what is wrong just there.
    primary: Option<(Place, String)>,
    /// Other places that have to do with it.
    others: Vec<(Place, String)>,
    helps: Vec<String>,
}

impl Mistake {
    pub(crate) fn new(title: impl Into<String>, at: Place, label: impl Into<String>) -> Self {
        Self { primary: Some((at, label.into())), ..Self::of_file(title) }
    }

    /// A mistake of the file as a whole.
    pub(super) fn of_file(title: impl Into<String>) -> Self {
        Self { title: title.into(), primary: None, others: Vec::new(), helps: Vec::new() }
    }

    /// The same, with its place.
    pub(super) fn at(mut self, at: Place, label: impl Into<String>) -> Self {
        self.primary = Some((at, label.into()));
        self
    }

    pub(super) fn other(mut self, at: Place, label: impl Into<String>) -> Self {
        self.others.push((at, label.into()));
        self
    }

    pub(crate) fn help(mut self, text: impl Into<String>) -> Self {
        self.helps.push(text.into());
        self
    }

    /// Says which word was probably meant, or which there are.
    pub(super) fn nearest<'a>(
        self,
        word: &str,
        right: impl IntoIterator<Item = &'a str>,
        which: &str,
    ) -> Self {
        let right: Vec<&str> = right.into_iter().collect();
        match super::words::nearest(word, right.iter().copied()) {
            Some(meant) => self.help(format!("did you mean `{meant}`?")),
            None if right.is_empty() => self.help(format!("there are no {which} here")),
            None => self.help(format!("{which}: {}", super::words::listed(right))),
        }
    }

    /// What is wrong, without its place.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.title
    }

    fn start(&self) -> usize {
        self.primary.as_ref().map_or(0, |(at, _)| at.start)
    }

    fn render(&self, file: &str, source: &str, renderer: &Renderer) -> String {
        let group = Level::ERROR.primary_title(self.title.as_str());
        let mut report = match &self.primary {
            Some((at, label)) => {
                let mut snippet = Snippet::source(source)
                    .path(file)
                    .annotation(AnnotationKind::Primary.span(shown(*at, source)).label(label.as_str()));
                for (other, label) in &self.others {
                    let span = shown(*other, source);
                    snippet = snippet.annotation(AnnotationKind::Context.span(span).label(label.as_str()));
                }
                group.element(snippet)
            }
            None => group.elements(std::iter::empty::<annotate_snippets::Message<'_>>()),
        };
        for help in &self.helps {
            report = report.element(Level::HELP.message(help.as_str()));
        }
        renderer.render(&[report])
    }
}

/// The bytes to underline: inside the file, on character borders, and on one line, so that a block of
/// forty lines is not drawn as a wall.
fn shown(place: Place, source: &str) -> std::ops::Range<usize> {
    let border = |mut at: usize| {
        at = at.min(source.len());
        while !source.is_char_boundary(at) {
            at = at.saturating_sub(1);
        }
        at
    };
    let start = border(place.start);
    let end = border(place.end).max(start);
    let text = source.get(start..end).unwrap_or_default();
    let line = text.find('\n').unwrap_or(text.len());
    let line = text.get(..line).map_or(0, |l| l.trim_end().len());
    start..start.saturating_add(line)
}

/// One mistake as `labinator check --json` prints it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MistakeLine {
    /// The file: the lab file, or a template of it.
    pub file: String,
    /// Line from 1; 0 where the file as a whole is meant.
    pub line: usize,
    /// Column from 1, in characters; 0 where the file as a whole is meant.
    pub column: usize,
    /// What is wrong.
    pub title: String,
    /// What is wrong just there.
    pub label: String,
    /// What would help.
    pub help: Vec<String>,
}

/// Everything that is wrong with one lab file, in the order of the file. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistakes {
    file: String,
    source: String,
    found: Vec<Mistake>,
    /// False when the file could not be read to its end.
    whole: bool,
}

/// Characters of a line that are shown when nobody says how wide the terminal is.
const WIDTH: usize = 140;

impl Mistakes {
    pub(crate) fn new(file: &str, source: &str, mut found: Vec<Mistake>, whole: bool) -> Self {
        found.sort_by_key(Mistake::start);
        found.dedup();
        Self { file: file.to_owned(), source: source.to_owned(), found, whole }
    }

    /// Every mistake.
    #[must_use]
    pub fn found(&self) -> &[Mistake] {
        &self.found
    }

    /// All of them as text for a person, ending in a count. `color` adds terminal colours.
    #[must_use]
    pub fn render(&self, color: bool, width: usize) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() }.term_width(width.max(40));
        let mut text = String::new();
        for mistake in &self.found {
            text.push_str(&mistake.render(&self.file, &self.source, &renderer));
            text.push_str("\n\n");
        }
        let count = match self.found.len() {
            1 => "1 error".to_owned(),
            n => format!("{n} errors"),
        };
        text.push_str(&count);
        text.push_str(if self.whole {
            ", nothing else wrong."
        } else {
            "; what comes after it could not be read."
        });
        text
    }

    /// All of them for a program.
    #[must_use]
    pub fn lines(&self) -> Vec<MistakeLine> {
        self.found
            .iter()
            .map(|m| {
                let (line, column) = m.primary.as_ref().map_or((0, 0), |(at, _)| self.line_column(at.start));
                MistakeLine {
                    file: self.file.clone(),
                    line,
                    column,
                    title: m.title.clone(),
                    label: m.primary.as_ref().map(|(_, label)| label.clone()).unwrap_or_default(),
                    help: m.helps.clone(),
                }
            })
            .collect()
    }

    fn line_column(&self, at: usize) -> (usize, usize) {
        let before = self.source.get(..at).unwrap_or(&self.source);
        let line_start = before.rfind('\n').map_or(0, |n| n.saturating_add(1));
        let column = before.get(line_start..).map_or(0, |l| l.chars().count());
        (before.matches('\n').count().saturating_add(1), column.saturating_add(1))
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false, WIDTH))
    }
}

impl std::error::Error for Mistakes {}
