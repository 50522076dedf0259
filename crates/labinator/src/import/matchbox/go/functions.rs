//! Functions of `text/template` that have an equal here.

use serde_json::Value;

use super::expression::{Term, quoted};

/// Calls one.
pub(super) fn call(name: &str, given: &[Term]) -> Result<Term, String> {
    let joined = |word: &str| {
        let parts: Vec<String> = given.iter().map(Term::inner).collect();
        parts.join(&format!(" {word} "))
    };
    // Either is one of its operands.
    let any =
        || given.iter().map(|one| one.values.clone()).collect::<Option<Vec<_>>>().map(|all| all.concat());
    let truth = |text: String| Ok(Term::made(text, Some(vec![Value::Bool(true)])));
    match (name, given) {
        ("and" | "or", [_, ..]) => Ok(Term::made(joined(name), any())),
        ("not", [one]) => truth(format!("not {}", one.inner())),
        ("len", [one]) => Ok(Term::made(format!("{} | length", one.inner()), None)),
        ("eq", [_, _]) => truth(joined("==")),
        ("eq", [one, others @ ..]) if others.len() > 1 => {
            let others: Vec<&str> = others.iter().map(|other| other.text.as_str()).collect();
            truth(format!("{} in [{}]", one.inner(), others.join(", ")))
        }
        ("ne", [_, _]) => truth(joined("!=")),
        ("lt", [_, _]) => truth(joined("<")),
        ("le", [_, _]) => truth(joined("<=")),
        ("gt", [_, _]) => truth(joined(">")),
        ("ge", [_, _]) => truth(joined(">=")),
        ("printf", [form, rest @ ..]) => printf(form, rest),
        _ => Err(format!("the function `{name}` with {} values has no equal here", given.len())),
    }
}

/// `printf` with `%s` and `%v` becomes parts in a row.
fn printf(form: &Term, given: &[Term]) -> Result<Term, String> {
    let Some([Value::String(form)]) = form.values.as_deref() else {
        return Err("the form of `printf` is not written here".to_owned());
    };
    let mut given = given.iter();
    let mut parts = Vec::new();
    let mut text = String::new();
    let mut rest = form.chars();
    while let Some(c) = rest.next() {
        if c != '%' {
            text.push(c);
            continue;
        }
        let verb = rest.next().unwrap_or_default();
        if verb == '%' {
            text.push('%');
            continue;
        }
        let value = given.next().ok_or("`printf` has more places than values")?;
        let printed = value.printed()?;
        let text_only = value.values.iter().flatten().all(Value::is_string);
        if verb != 'v' && !(verb == 's' && text_only) {
            return Err(format!("`%{verb}` of `printf` has no equal here"));
        }
        if !text.is_empty() {
            parts.push(quoted(&text));
            text.clear();
        }
        parts.push(if printed == value.text { value.inner() } else { format!("({printed})") });
    }
    if given.next().is_some() {
        return Err("`printf` has more values than places".to_owned());
    }
    if !text.is_empty() || parts.is_empty() {
        parts.push(quoted(&text));
    }
    if parts.len() == 1 {
        parts.insert(0, "\"\"".to_owned());
    }
    Ok(Term::made(parts.join(" ~ "), None))
}
