//! `explain-code`: what iPXE means by eight hexadecimal digits, where ipxe.org cannot be asked.

use serde::Serialize;
use wire::ipxe::IpxeError;

use super::failure::Failure;
use super::out;

/// A number taken apart, as `--json` prints it.
#[derive(Debug, Serialize)]
struct Code {
    code: String,
    errno: Option<&'static str>,
    source: Option<&'static str>,
    instance: u32,
    meaning: &'static str,
    detail: &'static str,
    advice: &'static str,
}

/// Prints what a number means.
///
/// # Errors
/// Wrong usage where there is no number in the text.
pub(super) fn explain(text: &str, json: bool) -> Result<(), Failure> {
    let Some(error) = found(text) else {
        return Err(Failure::Usage(format!(
            "there is no error number of iPXE in `{text}`: eight hexadecimal digits, such as 4c116035"
        )));
    };
    let code = Code {
        code: format!("{:08x}", error.0),
        errno: error.name(),
        source: error.source(),
        instance: error.instance(),
        meaning: error.meaning(),
        detail: error.detail(),
        advice: error.advice(),
    };
    if json { out::json(&code, true) } else { out::print(&code.text()) }
}

/// The number behind `ipxe.org/`, or the first word that is one, with or without `0x`.
fn found(text: &str) -> Option<IpxeError> {
    let word = |word: &str| {
        let word = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        let digits = word.strip_prefix("0x").unwrap_or(word);
        (digits.len() == 8).then(|| IpxeError::find(digits)).flatten()
    };
    let linked = text.contains("ipxe.org/").then(|| IpxeError::find(text)).flatten();
    linked.or_else(|| text.split_whitespace().find_map(word))
}

impl Code {
    fn text(&self) -> String {
        let said = if self.detail.is_empty() { self.meaning } else { self.detail };
        let source = self.source.unwrap_or("a file of no version that is known here");
        let mut lines = vec![
            format!("{}  {said} ({source})", self.code),
            format!(
                "  {} ({}), instance {} of that file",
                self.errno.unwrap_or("no such errno"),
                self.meaning,
                self.instance
            ),
        ];
        if !self.advice.is_empty() {
            lines.push(format!("  {}", self.advice));
        }
        lines.push(String::new());
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_found_in_what_a_person_copies() {
        for text in [
            "4c116035",
            "0x4c116035",
            "(http://ipxe.org/4c116035)",
            "Could not boot: Connection timed out (https://ipxe.org/4c116035)",
            "error 4c116035,",
        ] {
            assert_eq!(found(text), Some(IpxeError(0x4c11_6035)), "{text}");
        }
        assert_eq!(found("4c1160"), None);
        assert_eq!(found("nothing at all"), None);
    }
}
