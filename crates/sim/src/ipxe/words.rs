//! A line of a script as iPXE takes it apart: comments, settings, operators.

/// What stands between two commands of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Joint {
    /// `||`: the rest runs only after a failure.
    OnFailure,
    /// `&&`: the rest runs only after a success.
    OnSuccess,
    /// `;` or the end of the line.
    Always,
}

/// One command of a line and what follows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) words: Vec<String>,
    pub(crate) joint: Joint,
}

/// Takes an expanded line apart. An empty piece after an operator stays: it succeeds, which is how
/// `command ||` forgives a failure.
pub(crate) fn pieces(line: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut words = Vec::new();
    for word in line.split_whitespace() {
        let joint = match word {
            "||" => Joint::OnFailure,
            "&&" => Joint::OnSuccess,
            ";" => Joint::Always,
            // A comment starts where a word starts with its sign.
            word if word.starts_with('#') => break,
            word => {
                words.push(word.to_owned());
                continue;
            }
        };
        pieces.push(Piece { words: std::mem::take(&mut words), joint });
    }
    pieces.push(Piece { words, joint: Joint::Always });
    pieces
}

/// Replaces each `${name}` by what `value` says, innermost first as iPXE does; an unknown one by nothing.
pub(crate) fn expand(line: &str, value: impl Fn(&str) -> Option<String>) -> String {
    let mut line = line.to_owned();
    // Values may hold references themselves; the bound keeps one that holds itself from growing.
    for _ in 0..64 {
        let Some(start) = line.rfind("${") else { break };
        let Some(length) = line.get(start..).and_then(|rest| rest.find('}')) else { break };
        let name = line.get(start + 2..start + length).unwrap_or_default();
        let text = value(name).unwrap_or_default();
        line.replace_range(start..=start + length, &text);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_comes_apart_at_its_operators() {
        let found = pieces("chain --replace http://a/b || goto again # or not");
        let words: Vec<_> = found.iter().map(|p| (p.words.join(" "), p.joint)).collect();
        assert_eq!(
            words,
            [
                ("chain --replace http://a/b".to_owned(), Joint::OnFailure),
                ("goto again".to_owned(), Joint::Always),
            ]
        );
        assert_eq!(pieces("imgfree x ||").len(), 2);
    }

    #[test]
    fn settings_are_filled_in_from_the_inside() {
        let value = |name: &str| match name {
            "a" => Some("net0".to_owned()),
            "net0/mac" => Some("52:54:00".to_owned()),
            "loop" => Some("${loop}".to_owned()),
            _ => None,
        };
        assert_eq!(expand("x=${${a}/mac}.${none}!", value), "x=52:54:00.!");
        assert!(expand("${loop}", value).contains("loop"));
    }
}
