//! The one place that knows the template library: a source and what it may name in, text out.

use std::collections::BTreeMap;
use std::ops::Range;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, ErrorKind, UndefinedBehavior, Value};

/// What templates may name.
pub(super) type Known = BTreeMap<String, Value>;

/// Steps a template may take: a loop over a whole board fits, an endless one ends.
const FUEL: u64 = 2_000_000;
/// Calls inside calls; deeper ones would use up the stack of a thread.
const DEPTH: usize = 64;
/// Largest text a template may become, in bytes.
const LARGEST: usize = 4 << 20;

/// Why a template gives no text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// What is wrong.
    pub(super) what: String,
    /// Bytes of the source it is about.
    pub(super) at: Range<usize>,
    /// What would help.
    pub(super) help: String,
}

/// Renders a source. A name that nobody knows is a fault, not an empty text.
pub(super) fn render(source: &str, known: &Known) -> Result<String, Vec<Fault>> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_syntax(syntax().map_err(|error| vec![fault(&error, source)])?);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(DEPTH);
    environment.set_debug(true);
    let template = environment.template_from_str(source).map_err(|error| vec![fault(&error, source)])?;
    let names = Value::from_pairs(known.iter().map(|(name, value)| (name.clone(), value.clone())));
    match template.render(names) {
        Ok(text) if text.len() > LARGEST => Err(vec![Fault {
            what: format!("it becomes {} bytes long", text.len()),
            at: 0..0,
            help: format!("at most {LARGEST} bytes are served"),
        }]),
        Ok(text) => Ok(text),
        Err(error) if error.kind() == ErrorKind::UndefinedError => {
            Err(unknown_names(&template, source, known, &error))
        }
        Err(error) => Err(vec![fault(&error, source)]),
    }
}

/// A block ends with its line, as in Ansible: a loop over lines leaves no empty ones behind. The last line
/// break of a file stays.
fn syntax() -> Result<SyntaxConfig, minijinja::Error> {
    SyntaxConfig::builder().trim_blocks(true).keep_trailing_newline(true).build()
}

/// Every name of the source that nobody knows; the library itself stops at the first.
fn unknown_names(
    template: &minijinja::Template<'_, '_>,
    source: &str,
    known: &Known,
    error: &minijinja::Error,
) -> Vec<Fault> {
    let mut names: Vec<String> =
        template.undeclared_variables(false).into_iter().filter(|name| !known.contains_key(name)).collect();
    names.sort();
    let mut faults: Vec<Fault> = Vec::new();
    for name in &names {
        let help = match crate::config::nearest(name, known.keys().map(String::as_str)) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("put it under `vars`, or write `{name} | default(..)`"),
        };
        let at = word(source, name).unwrap_or(0..0);
        faults.push(Fault { what: format!("nobody knows `{name}`"), at, help });
    }
    if faults.is_empty() {
        faults.push(fault(error, source));
    }
    faults.sort_by_key(|fault| fault.at.start);
    faults
}

/// Where a name stands inside braces.
fn word(source: &str, name: &str) -> Option<Range<usize>> {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    source.match_indices(name).map(|(at, found)| at..at + found.len()).find(|range| {
        let before = source.get(..range.start).unwrap_or_default();
        let after = source.get(range.end..).unwrap_or_default();
        let opened = before.rfind("{{").max(before.rfind("{%"));
        let closed = before.rfind("}}").max(before.rfind("%}"));
        opened > closed && !before.ends_with(part) && !before.ends_with('.') && !after.starts_with(part)
    })
}

fn fault(error: &minijinja::Error, source: &str) -> Fault {
    let at = error.range().or_else(|| error.line().map(|line| line_of(source, line))).unwrap_or(0..0);
    let what = match (error.kind(), error.detail()) {
        (ErrorKind::OutOfFuel, _) => "it does not come to an end".to_owned(),
        (ErrorKind::UndefinedError, _) => "a part of this is not known".to_owned(),
        (kind, Some(detail)) => format!("{kind}: {detail}"),
        (kind, None) => kind.to_string(),
    };
    Fault { what, at, help: String::new() }
}

/// The bytes of a line, counted from 1.
pub(super) fn line_of(source: &str, line: usize) -> Range<usize> {
    let mut start = 0;
    for (number, text) in (1..).zip(source.split('\n')) {
        if number == line {
            return start..start + text.len();
        }
        start += text.len() + 1;
    }
    source.len()..source.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Known {
        [("node".to_owned(), Value::from("n1")), ("disks".to_owned(), Value::from(vec!["sda", "sdb"]))].into()
    }

    #[test]
    fn a_template_becomes_its_text_and_keeps_its_last_line_break() {
        let text = render("host: {{ node }}\n{% for d in disks %}- {{ d }}\n{% endfor %}", &known()).unwrap();
        assert_eq!(text, "host: n1\n- sda\n- sdb\n");
        assert_eq!(render("${MAC} {{ node | upper }}\n", &known()).unwrap(), "${MAC} N1\n");
        assert_eq!(render("<{{ '<a>&' }}>", &known()).unwrap(), "<<a>&>", "nothing is escaped");
    }

    #[test]
    fn every_unknown_name_is_told_with_its_place_and_what_was_meant() {
        let source = "a: {{ nod }}\nb: {{ flavour }}\nc: nod\n{% if x.y %}{% endif %}";
        let faults = render(source, &known()).unwrap_err();
        let told: Vec<_> = faults.iter().map(|f| (f.what.as_str(), &source[f.at.clone()])).collect();
        assert_eq!(
            told,
            [("nobody knows `nod`", "nod"), ("nobody knows `flavour`", "flavour"), ("nobody knows `x`", "x")]
        );
        assert_eq!(faults[0].help, "did you mean `node`?");
        assert!(faults[0].at.start < 12);
    }

    #[test]
    fn a_part_that_is_missing_a_bad_line_and_an_endless_loop_are_faults() {
        let faults = render("ok\n{{ node.nothing.deeper }}\n", &known()).unwrap_err();
        assert_eq!(faults[0].what, "a part of this is not known");
        assert!(faults[0].at.start >= 3, "{faults:?}");
        let source = "ok\n{% if %}\n";
        let faults = render(source, &known()).unwrap_err();
        assert!(faults[0].what.starts_with("syntax error"), "{faults:?}");
        assert!(faults[0].at.start >= 3 && faults[0].at.end <= source.len(), "{faults:?}");
        let endless = "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}";
        assert_eq!(render(endless, &known()).unwrap_err()[0].what, "it does not come to an end");
    }
}
