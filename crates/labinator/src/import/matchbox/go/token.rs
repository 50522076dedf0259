//! The words inside the braces of a Go template (package `text/template/parse`).

/// One word.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// `.name`
    Field(String),
    /// `.`
    Dot,
    /// `$name`; empty for `$`.
    Variable(String),
    /// A function or a keyword.
    Word(String),
    /// A text in quotes.
    Text(String),
    /// A number, as it is written.
    Number(String),
    /// `|`
    Pipe,
    /// `,`
    Comma,
    /// `:=`
    Declare,
    /// `=`
    Assign,
    /// `(`
    Open,
    /// `)`
    Close,
}

/// A word, and whether nothing stands between it and the one before.
pub(super) type Placed = (Token, bool);

/// Splits what stands between two braces.
pub(super) fn tokens(source: &str) -> Result<Vec<Placed>, String> {
    let mut all = Vec::new();
    let mut rest = source;
    let mut glued = false;
    while let Some(first) = rest.chars().next() {
        if first.is_whitespace() {
            rest = rest.trim_start();
            glued = false;
            continue;
        }
        let (token, length) = one(rest, first)?;
        all.push((token, glued));
        rest = rest.get(length..).unwrap_or_default();
        glued = true;
    }
    Ok(all)
}

fn one(rest: &str, first: char) -> Result<(Token, usize), String> {
    let name = |from: usize| -> String {
        let tail = rest.get(from..).unwrap_or_default();
        tail.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    Ok(match first {
        '|' => (Token::Pipe, 1),
        ',' => (Token::Comma, 1),
        '(' => (Token::Open, 1),
        ')' => (Token::Close, 1),
        ':' if rest.starts_with(":=") => (Token::Declare, 2),
        '=' => (Token::Assign, 1),
        '.' => {
            let name = name(1);
            let length = 1 + name.len();
            // `.5` is a number in Go, and nobody writes it.
            (if name.is_empty() { Token::Dot } else { Token::Field(name) }, length)
        }
        '$' => {
            let name = name(1);
            let length = 1 + name.len();
            (Token::Variable(name), length)
        }
        '"' => quoted(rest)?,
        '`' => {
            let inner = rest.get(1..).unwrap_or_default();
            let end = inner.find('`').ok_or("a quote is not closed")?;
            (Token::Text(inner.get(..end).unwrap_or_default().to_owned()), end + 2)
        }
        c if c.is_ascii_digit() || (matches!(c, '-' | '+') && rest.len() > 1) => {
            let part = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+');
            let number: String = rest.chars().take_while(part).collect();
            let plain = number.parse::<i64>().is_ok() || number.parse::<f64>().is_ok();
            if !plain || number.starts_with('+') {
                return Err(format!("the number `{number}` is in a form that is not known here"));
            }
            let length = number.len();
            (Token::Number(number), length)
        }
        c if c.is_alphabetic() || c == '_' => {
            let word = name(0);
            let length = word.len();
            (Token::Word(word), length)
        }
        other => return Err(format!("`{other}` is not known here")),
    })
}

/// A text in double quotes. Go's escapes are JSON's but for a few, which are refused.
fn quoted(rest: &str) -> Result<(Token, usize), String> {
    let mut escaped = false;
    let end = rest.char_indices().skip(1).find_map(|(at, c)| match (escaped, c) {
        (false, '"') => Some(at),
        (false, '\\') => {
            escaped = true;
            None
        }
        _ => {
            escaped = false;
            None
        }
    });
    let end = end.ok_or("a quote is not closed")?;
    let written = rest.get(..=end).unwrap_or_default();
    let text = serde_json::from_str(written)
        .map_err(|_| format!("{written} is in a form that is not known here"))?;
    Ok((Token::Text(text), end + 1))
}
